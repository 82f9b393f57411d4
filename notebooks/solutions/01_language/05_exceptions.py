# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.5 Exceptions: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import functools

from helpers import check
from helpers.labs.language import exceptions as lab

# %% [markdown]
# **An error boundary.** The temptation is `except Exception`, with a `BookingError` for all the rest: then a misspelt
# column is a booking that "failed", and the class of the bug is gone from the log. So catch the one class that the
# driver has, decide by the code, and let a bare `raise` pass on what you do not know. A mapping of codes to classes
# keeps the shape when a third code comes.

# %% exercise="exceptions.error_boundary" tags=["solution"]
def hold(store, seat):
    """Hold the seat; raise lab.Taken or lab.Busy from the driver's error, let all else pass."""
    meanings = {"unique": lab.Taken, "busy": lab.Busy}
    try:
        return store.hold(seat)
    except lab.StoreError as error:
        if error.code not in meanings:
            raise
        raise meanings[error.code](f"seat {seat}") from error


# %%
check("exceptions.error_boundary", hold)

# %% [markdown]
# **Some here, the rest upstairs.** `except*` does two thirds of it: it finds the class at any depth, wraps a lone
# error, and raises the rest again in its shape. Two things are left. The clause gets a *tree*, so a walk down to the
# leaves is needed, and a generator writes it in order. And the clause must not `return` (the rest still has to be
# raised), so the count lives in a variable; the `return` below the statement is only reached if nothing was left.

# %% exercise="exceptions.some_of_a_group" tags=["solution"]
def rebook_closed(work, rebook):
    """Run work(); rebook every GateClosed that comes of it, re-raise the rest; return how many."""

    def leaves(group):
        for part in group.exceptions:
            if isinstance(part, BaseExceptionGroup):
                yield from leaves(part)
            else:
                yield part

    rebooked = 0
    try:
        work()
    except* lab.GateClosed as closed:
        for error in leaves(closed):
            rebook(error)
            rebooked += 1
    return rebooked


# %%
check("exceptions.some_of_a_group", rebook_closed)

# %% [markdown]
# **An error that travels.** Without keyword-only fields `super().__init__(flight, waiting)` would do. With them the
# default recipe, *call the class with `args`*, cannot be right, so write the recipe yourself. What is called must
# take positional arguments: `functools.partial` of the class holds the keyword, and can itself be pickled.
# `type(self)` keeps subclasses, and `__dict__` as the state brings notes and whatever else was set.

# %% exercise="exceptions.travels" tags=["solution"]
class FlightFull(Exception):
    def __init__(self, flight, *, waiting):
        super().__init__(flight)
        self.flight, self.waiting = flight, waiting

    def __str__(self):
        return f"{self.flight} is full, {self.waiting} waiting"

    def __reduce__(self):
        return functools.partial(type(self), waiting=self.waiting), (self.flight,), self.__dict__


# %%
check("exceptions.travels", FlightFull)
