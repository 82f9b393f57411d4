import alpha


def charge(cents, card):
    """Whether the card was charged."""
    try:
        alpha.charge(amount=cents, source=card)
    except alpha.CardDeclined:
        return False
    return True
