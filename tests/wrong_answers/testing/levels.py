"""Plausible wrong answers to the exercises of 5.1, and what must be said of each."""

WRONG = {
    "levels.way_back": [
        (  # TODO: what is wrong. It turns the caller's list
            """
def way_back(route):
    route.reverse()
    return route
""",
            "The caller's route was changed",
            "in place",
        ),
        (  # TODO: what is wrong. It sorts
            """
def way_back(route):
    return sorted(route)
""",
            "expected ['LAX', 'ORD', 'JFK']",
        ),
    ],
    "levels.airports": [
        (  # TODO: what is wrong. Only neighbours are compared
            """
def airports(route):
    return [here for before, here in zip([None, *route], route) if here != before]
""",
            "an airport is there twice",
        ),
        (  # TODO: what is wrong. The order is lost
            """
def airports(route):
    return sorted(set(route))
""",
            "the order of the first visits",
        ),
        (  # TODO: what is wrong. The default argument outlives the call
            """
def airports(route, seen=set()):
    new = [here for here in dict.fromkeys(route) if here not in seen]
    seen.update(new)
    return new
""",
            "a call remembers the one before",
            "again",
        ),
    ],
}
