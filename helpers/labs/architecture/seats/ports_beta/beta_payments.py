import beta

from .domain import CardDeclined


class BetaPayments:
    def charge(self, cents: int, card: str) -> None:
        answer = beta.pay({"total": f"{cents // 100}.{cents % 100:02}", "card": card})
        if answer["status"] != "OK":
            raise CardDeclined("card declined")
