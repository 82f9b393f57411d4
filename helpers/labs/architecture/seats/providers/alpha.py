"""The library of payment company Alpha: cents, and an exception."""

moved: list[int] = []  # the cents of each charge


class CardDeclined(Exception):
    pass


def charge(amount: int, source: str) -> str:
    if source.startswith("0"):
        raise CardDeclined(source)
    moved.append(amount)
    return f"ch_{len(moved)}"
