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
        (  # day '' is lost
            """
def daily_totals(rows):
    current, total = None, 0
    for day, delay in rows:
        if (current or current == 0) and day != current:
            yield current, total
            total = 0
        current, total = day, total + delay
    if current or current == 0:
        yield current, total
""",
            "A day may be named by an empty text",
            "falsy",
        ),
        (  # two equal days are two
            """
def daily_totals(rows):
    current, total = None, 0
    for day, delay in rows:
        if current is not None and day is not current:
            yield current, total
            total = 0
        current, total = day, total + delay
    if current is not None:
        yield current, total
""",
            "Equal days are one day",
            "identity",
        ),
        (  # two days with one hash are one
            """
def daily_totals(rows):
    current, total = None, 0
    for day, delay in rows:
        if current is not None and hash(day) != hash(current):
            yield current, total
            total = 0
        current, total = day, total + delay
    if current is not None:
        yield current, total
""",
            "-1 and -2 are two days",
            "collision",
        ),
        (  # one dictionary for all streams
            """
totals, last = {}, object()


def daily_totals(rows):
    current = last
    for day, delay in rows:
        totals[day] = totals.get(day, 0) + delay
        if current is not last and day != current:
            yield current, totals.pop(current, 0)
        current = day
    if current is not last:
        yield current, totals.pop(current, 0)
""",
            "Two streams, read in turn",
            "again",
        ),
        (  # a broken stream looks like one that ended
            """
def daily_totals(rows):
    current, total = None, 0
    rows = quietly(rows)
    for day, delay in rows:
        if current is not None and day != current:
            yield current, total
            total = 0
        current, total = day, total + delay
    if current is not None:
        yield current, total


def quietly(rows):
    try:
        yield from rows
    except Exception:
        return
""",
            "The stream broke off with ConnectionError",
            "exception",
        ),
        (  # the first row decides without a default
            """
def daily_totals(rows):
    rows = iter(rows)
    current, total = next(rows)
    for day, delay in rows:
        if day != current:
            yield current, total
            current, total = day, 0
        total += delay
    yield current, total
""",
            "PEP 479",
        ),
        (  # a day without rows
            """
def daily_totals(rows):
    current, total = None, 0
    for day, delay in rows:
        if current is not None and day != current:
            yield current, total
            total = 0
        current, total = day, total + delay
    if True:
        yield current, total
""",
            "An empty stream has no days",
        ),
        (  # the row of the next day is added before the day is given out
            """
from itertools import groupby, islice


def daily_totals(rows):
    rows = list(islice(rows, 4)) + list(islice(rows, 4))
    for day, group in groupby(rows, key=lambda row: row[0]):
        yield day, sum(delay for _, delay in group)
""",
            "but 8 rows were taken",
        ),
        (  # all totals are kept
            """
def daily_totals(rows):
    totals = {}
    current = None
    for day, delay in rows:
        if totals and day not in totals:
            yield current, totals[current]
        totals[day] = totals.get(day, 0) + delay
        current = day
    if totals:
        yield current, totals[current]
""",
            "some rows or totals are being collected",
        ),
        (  # counts a day's rows among its delays
            """
from itertools import groupby


def daily_totals(rows):
    for day, group in groupby(rows, key=lambda row: row[0]):
        delays = [delay for _, delay in group]
        yield day, sum(delays) + (len(delays) == 4)
""",
            "is (1, 50), not (1, 51)",
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
        (  # an item that is false is skipped
            """
def holdable(upstream):
    try:
        for flight in upstream:
            if not flight:
                continue
            order = yield flight
            if order == "hold":
                while (yield None) != "go":
                    pass
    finally:
        upstream.close()
""",
            "it must pass on everything: expected [0, '', None",
            "falsy",
        ),
        (  # orders are compared by identity
            """
def holdable(upstream):
    try:
        for flight in upstream:
            order = yield flight
            if order is "hold":
                while (yield None) != "go":
                    pass
    finally:
        upstream.close()
""",
            "Orders are compared by ==",
            "identity",
        ),
        (  # one switch for all stages
            """
switch = {}


def holdable(upstream):
    try:
        for flight in upstream:
            order = yield flight
            if order == "hold":
                switch["held"] = True
            while switch.get("held"):
                if (yield None) == "go":
                    switch.clear()
    finally:
        upstream.close()
""",
            "Two stages, one of them on hold",
            "again",
        ),
        (  # an error of upstream is swallowed
            """
def holdable(upstream):
    try:
        for flight in upstream:
            order = yield flight
            if order == "hold":
                while (yield None) != "go":
                    pass
    except Exception:
        pass
    finally:
        upstream.close()
""",
            "Upstream raised ConnectionError; whoever reads",
            "exception",
        ),
        (  # closes for what it expects only
            """
def holdable(upstream):
    try:
        for flight in upstream:
            order = yield flight
            if order == "hold":
                while (yield None) != "go":
                    pass
    except (GeneratorExit, Exception):
        upstream.close()
        raise
    upstream.close()
""",
            "Upstream raised Broken, the stage is over, and upstream was not closed",
            "base exception",
        ),
        (  # an unguarded next
            """
def holdable(upstream):
    try:
        while True:
            flight = next(upstream)
            order = yield flight
            if order == "hold":
                while (yield None) != "go":
                    pass
    finally:
        upstream.close()
""",
            "PEP 479",
        ),
        (  # no generator
            """
def holdable(upstream):
    return iter(list(upstream))
""",
            "It must be a generator",
        ),
        (  # one flight ahead
            """
def holdable(upstream):
    try:
        flights = iter(upstream)
        ahead = next(flights, upstream)
        while ahead is not upstream:
            flight, ahead = ahead, next(flights, upstream)
            order = yield flight
            if order == "hold":
                while (yield None) != "go":
                    pass
    finally:
        upstream.close()
""",
            "pull them one by one",
        ),
        (  # after go one flight is lost
            """
def holdable(upstream):
    try:
        for flight in upstream:
            order = yield flight
            if order == "hold":
                while (yield None) != "go":
                    pass
                next(upstream)
    finally:
        upstream.close()
""",
            "send('go') continues with the next flight",
        ),
        (  # a second hold means go, and every word means hold
            """
def holdable(upstream):
    try:
        for flight in upstream:
            order = yield flight
            if order:
                while (yield None) not in ("go", "hold"):
                    pass
    finally:
        upstream.close()
""",
            "hold, hold again, another word, go",
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
