import beta


def charge(cents, card):
    """Whether the card was charged."""
    answer = beta.pay({"total": f"{cents // 100}.{cents % 100:02}", "card": card})
    return answer["status"] == "OK"
