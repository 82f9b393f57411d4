"""The library of payment company Beta: dollars as text, and a status."""

from decimal import Decimal

moved: list[int] = []  # the cents of each payment


def pay(request: dict[str, str]) -> dict[str, str]:
    if request["card"].startswith("0"):
        return {"status": "REFUSED"}
    moved.append(int(Decimal(request["total"]) * 100))
    return {"status": "OK", "id": f"pay-{len(moved)}"}
