# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6.1 Clean architecture: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check
from helpers.labs.architecture import clean_architecture as lab

# %% [markdown]
# **One port, two companies.** Begin with the table of outcomes, not with the code: paid, certainly not paid, unknown. Each answer of a company
# belongs to one of the three. A time-out alone does not say which, so it costs a second call. `divmod` makes the dollars, because a float
# has no room for the cents of more than 2**46 dollars.

# %% exercise="clean_architecture.payment_desks" tags=["solution"]
class AlphaDesk:
    def __init__(self, alpha):
        self.alpha = alpha

    def charge(self, cents, key):
        if cents < 1:
            raise ValueError(cents)
        try:
            answer = self.alpha.create(amount=cents, key=key)
        except ConnectionError as error:
            raise lab.Unreachable from error
        except TimeoutError:
            try:
                answer = self.alpha.create(amount=cents, key=key)
            except (ConnectionError, TimeoutError) as error:
                raise lab.Unknown from error
        if answer["status"] == "declined":
            raise lab.Declined
        if answer["status"] != "paid":
            raise lab.Unknown(answer)
        return answer["id"]


class BetaDesk:
    def __init__(self, beta):
        self.beta = beta

    def charge(self, cents, key):
        if cents < 1:
            raise ValueError(cents)
        dollars, rest = divmod(cents, 100)
        try:
            code, receipt = self.beta.pay(total=f"{dollars}.{rest:02}", reference=key)
        except ConnectionError as error:
            raise lab.Unreachable from error
        except TimeoutError as late:
            if (receipt := self.find(key)) is None:
                raise lab.Unreachable from late
            return receipt
        if code == 94:
            return self.find(key)
        if code == 51:
            raise lab.Declined
        if code != 0:
            raise lab.Unknown(code)
        return receipt

    def find(self, key):
        try:
            return self.beta.find(key)
        except (ConnectionError, TimeoutError) as error:
            raise lab.Unknown from error


def payment_desks(alpha, beta):
    """Two objects with `charge(cents, key)`, for company Alpha and for company Beta."""
    return AlphaDesk(alpha), BetaDesk(beta)


# %%
check("clean_architecture.payment_desks", payment_desks)

# %% [markdown]
# **The rule of four.** The order of the lines is the answer. First the lock on the flight's row, which is what all bookings of the flight have in common. Then the read: it sees what the
# booking before has committed, because at READ COMMITTED each statement takes a new snapshot. Then both rules, for the whole order. Only then the first INSERT, so an exception leaves nothing behind.
# `for no key update` is enough, and inserts elsewhere that only refer to the flight by a foreign key do not wait for it.

# %% exercise="clean_architecture.both_rules" tags=["solution"]
def book(db, flight_id, customer_id, seats):
    """Book all of these seats of a flight for a customer, or raise."""
    db.execute("select from flights where flight_id = %s for no key update", [flight_id])
    taken = dict(db.execute("""
        select seat, customer_id from seats join bookings using (booking_id)
        where seats.flight_id = %s and active""", [flight_id]).fetchall())
    if len(set(seats)) < len(seats) or any(seat in taken for seat in seats):
        raise lab.SeatTaken
    if list(taken.values()).count(customer_id) + len(seats) > 4:
        raise lab.TooMany
    for seat in seats:
        db.execute(lab.INSERT, {"flight": flight_id, "customer": customer_id, "seat": seat})


# %%
check("clean_architecture.both_rules", book)
