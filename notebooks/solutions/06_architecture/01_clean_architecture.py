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
# **One port, two companies.** Begin with the table of outcomes, not with the code: paid, certainly not paid, unknown. Every answer of a company
# belongs to one of the three. Only a time-out belongs to none of them, so it costs a second call. `divmod` makes the dollars, because a division
# of floats loses cents above 2**53.

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
