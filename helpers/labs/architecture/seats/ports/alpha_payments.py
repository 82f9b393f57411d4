import alpha

from .domain import CardDeclined


class AlphaPayments:
    def charge(self, cents: int, card: str) -> None:
        try:
            alpha.charge(amount=cents, source=card)
        except alpha.CardDeclined as refusal:
            raise CardDeclined("card declined") from refusal
