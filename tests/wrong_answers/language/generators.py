"""Plausible wrong answers to the exercises of 1.4, and what must be said of each."""

WRONG = {
    "generators.daily_totals": [
        (  # if current: day 0 lost
            """
def daily_totals(rows):
    current, total = None, 0
    for day, delay in rows:
        if current and day != current:
            yield current, total
            total = 0
        current, total = day, total + delay
    if current: yield current, total
""",
            "A day may have the number 0",
        ),
        (  # returns a dictionary's items: right totals, but only at the end of the stream
            """
def daily_totals(rows):
    totals = {}
    for day, delay in rows:
        totals[day] = totals.get(day, 0) + delay
    return list(totals.items())
""",
            "not an iterator",
        ),
        (  # a generator in form only: it reads everything first
            """
def daily_totals(rows):
    rows = list(rows)
    for day in dict.fromkeys(day for day, _ in rows):
        yield day, sum(delay for d, delay in rows if d == day)
""",
            "rows were taken and no total came out",
        ),
        (  # forgets the last day
            """
def daily_totals(rows):
    current, total = None, 0
    for day, delay in rows:
        if current is not None and day != current:
            yield current, total
            total = 0
        current, total = day, total + delay
""",
            "expected [(1, 12), (2, 7)], got [(1, 12)]",
        ),
        (  # loses days whose total is 0
            """
def daily_totals(rows):
    current, total = None, 0
    for day, delay in rows:
        if day != current and total:
            yield current, total
            total = 0
        current, total = day, total + delay
    if total:
        yield current, total
""",
            "still a day",
        ),
    ],
    "generators.holdable": [
        (  # any other word ends the hold
            """
def holdable(upstream):
    try:
        for flight in upstream:
            order = yield flight
            while order == "hold":
                order = yield None
                if order is None:
                    order = "hold"
    finally:
        upstream.close()
""",
            "and send('status') brought",
        ),
        (  # closes upstream only while running
            """
def holdable(upstream):
    for flight in upstream:
        try:
            order = yield flight
        except GeneratorExit:
            upstream.close()
            raise
        if order == "hold":
            while order != "go":
                order = yield None
""",
            "Closed while on hold",
        ),
        (
            """
def holdable(upstream):
    yield from upstream
""",
            "passed 'hold' on to upstream",
        ),
        (  # drops the flight that was taken while on hold
            """
def holdable(upstream):
    held = False
    for flight in upstream:
        order = yield (None if held else flight)
        held = order == "hold" or (held and order != "go")
""",
            "nothing may be taken from upstream",
        ),
        (  # resumes on any next()
            """
def holdable(upstream):
    for flight in upstream:
        order = yield flight
        if order == "hold":
            yield None
""",
            "three None",
        ),
        (  # never closes upstream
            """
def holdable(upstream):
    for flight in upstream:
        order = yield flight
        if order == "hold":
            while (yield) != "go":
                pass
""",
            "upstream was not closed",
        ),
    ],
}

RIGHT = {
    "generators.daily_totals": [
        # next(rows, None) of a stream
        """
def daily_totals(rows):
    first = next(rows, None)
    if first is None: return
    day, total = first
    for d, x in rows:
        if d == day: total += x
        else:
            yield day, total
            day, total = d, x
    yield day, total
""",
    ],
}
