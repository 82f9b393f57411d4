# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1.3 Metaprogramming: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import asyncio
import inspect
import time
from contextlib import contextmanager
from functools import wraps
from typing import ClassVar

from helpers import check

# %% [markdown]
# **A registry without a metaclass.** The option arrives as a keyword of `__init_subclass__`; `**options` holds
# those of other classes, and goes on to `super()` first, so that a typo is refused before anything is entered. The
# hard case is the slotted dataclass: `dataclass` makes the class again from its *attributes*, and the options of
# the class statement are not among them. So the suffix is kept on the class, and looked for in `vars(cls)`, its own
# dictionary: by `getattr`, `Quoted(Csv)` would inherit `.csv` and be a rival of its own base. The dictionary is
# named as `Format.known`, since `cls.known` could be a subclass's own.

# %% exercise="metaprogramming.registry" tags=["solution"]
class Format:
    """Base of the report formats: subclasses with suffix=… enter themselves into Format.known."""

    known: ClassVar[dict[str, type]] = {}

    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        suffix = vars(cls).get("suffix") if suffix is None else suffix
        if suffix is None:
            return
        rival = Format.known.get(suffix)
        if rival and (rival.__module__, rival.__name__) != (cls.__module__, cls.__name__):
            raise ValueError(f"{suffix} of {cls!r} is taken by {rival!r}")
        cls.suffix = suffix
        Format.known[suffix] = cls


# %%
check("metaprogramming.registry", Format)

# %% [markdown]
# **Retry, for both colours of function.** Start with the plain one. A pause stands *between* two attempts, so there
# is one attempt more than there are pauses, and the loop over the pauses is the loop over the attempts that may
# fail. The last attempt stands behind the loop, outside of the `try`: its error needs no re-raising. The loop
# variable lives in the call, so two calls have nothing in common.
#
# The asynchronous one differs by `await`, and cannot be had by a trick: whoever returns the coroutine has left the
# `try`. Ask once, when the decorator is applied. `errors` goes to `except` as it is, a class or a tuple, so a
# `CancelledError` passes.

# %% exercise="metaprogramming.retry" tags=["solution"]
def retry(errors, *, pauses, sleep=time.sleep, async_sleep=asyncio.sleep):
    """Make a decorator that calls again on `errors`, after each of `pauses` (seconds)."""

    def decorate(function):
        @wraps(function)
        def attempt(*args, **kwargs):
            for pause in pauses:
                try:
                    return function(*args, **kwargs)
                except errors:
                    sleep(pause)
            return function(*args, **kwargs)

        @wraps(function)
        async def attempt_async(*args, **kwargs):
            for pause in pauses:
                try:
                    return await function(*args, **kwargs)
                except errors:
                    await async_sleep(pause)
            return await function(*args, **kwargs)

        return attempt_async if inspect.iscoroutinefunction(function) else attempt

    return decorate


# %%
check("metaprogramming.retry", retry)

# %% [markdown]
# **A transaction that nests.** What differs between outermost and nested are three statements, so choose the three
# and write the block once. `except BaseException` takes in closed generators, cancelled tasks and Ctrl-C; the bare
# `raise` sends them on. The way out on success stands *inside* the `try`: a deferred constraint is checked by
# `COMMIT`, which then fails and leaves the transaction open. (Other errors, a full disk among them, make SQLite
# roll back by itself; then there is nothing to undo, and `ROLLBACK` would raise an error that hides the first one.
# Hence the question.) `ROLLBACK TO` leaves its mark on the stack. With one name for all savepoints the next
# `ROLLBACK TO` would stop at that one, and the second level would keep what it should undo; `RELEASE` takes it
# away.

# %% exercise="metaprogramming.transaction" tags=["solution"]
@contextmanager
def transaction(connection):
    """A context manager: BEGIN … COMMIT or ROLLBACK; inside another one, a savepoint."""
    if connection.in_transaction:
        begin, commit = "SAVEPOINT nested", "RELEASE nested"
        undo = ("ROLLBACK TO nested", "RELEASE nested")
    else:
        begin, commit, undo = "BEGIN", "COMMIT", ("ROLLBACK",)
    connection.execute(begin)
    try:
        yield connection
        connection.execute(commit)
    except BaseException:
        if connection.in_transaction:
            for statement in undo:
                connection.execute(statement)
        raise


# %%
check("metaprogramming.transaction", transaction)
