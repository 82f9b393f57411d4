"""Plausible wrong answers to the exercises of 1.7, and what must be said of each."""

WRONG = {
    "profiling.second_hot_spot": [
        (  # the report as it is
            """
def report(departures, airports):
    return lab.monthly_report(departures, airports)
""",
            "codes are compared",
        ),
        (  # only the fix that the notebook gives
            """
def report(departures, airports):
    days = {}
    def weekday(departure):
        day = departure.leaves[:10]
        if day not in days:
            days[day] = lab.weekday_of(departure)
        return days[day]
    return lab.monthly_report(departures, airports, weekday)
""",
            "a list is still searched",
        ),
        (  # one search in place of two is still a search
            """
def report(departures, airports):
    def name(code, airports):
        try:
            return airports.names[airports.codes.index(code)]
        except ValueError:
            return code
    return lab.monthly_report(departures, airports, None, name)
""",
            "a list is still searched",
        ),
        (  # the second fix without the first
            """
def report(departures, airports):
    names = dict(zip(reversed(airports.codes), reversed(airports.names)))
    return lab.monthly_report(departures, airports, None, lambda code, _: names.get(code, code))
""",
            "the first hot spot is back",
        ),
        (  # the last entry of a code wins
            """
def report(departures, airports):
    names = dict(zip(airports.codes, airports.names))
    return lab.monthly_report(departures, airports, None, lambda code, _: names.get(code, code))
""",
            "a second time at the end of the table",
        ),
        (  # remembered for ever, whatever the table says
            """
remembered = {}
def report(departures, airports):
    def name(code, airports):
        if code not in remembered:
            remembered[code] = lab.name_of(code, airports)
        return remembered[code]
    return lab.monthly_report(departures, airports, None, name)
""",
            "remembered from the call before",
        ),
        (  # drops flights to airports that the table lacks
            """
def report(departures, airports):
    names = dict(zip(reversed(airports.codes), reversed(airports.names)))
    known = [departure for departure in departures if departure.dest in names]
    return lab.monthly_report(known, airports, None, lambda code, _: names[code])
""",
            "rows, got",
        ),
        (  # an empty name is none
            """
def report(departures, airports):
    names, weekdays = {}, {}
    for code, name in zip(airports.codes, airports.names):
        names.setdefault(code, name)

    def weekday(departure):
        day = departure.leaves[:10]
        if day not in weekdays:
            weekdays[day] = lab.weekday_of(departure)
        return weekdays[day]

    return lab.monthly_report(departures, airports, weekday, lambda code, _: names.get(code) or code)
""",
            "an airport whose name is empty",
            "falsy",
        ),
        (  # a day is its month and number
            """
weekdays = {}


def report(departures, airports):
    names = {}
    for code, name in zip(airports.codes, airports.names):
        names.setdefault(code, name)

    def weekday(departure):
        day = departure.leaves[5:10]
        if day not in weekdays:
            weekdays[day] = lab.weekday_of(departure)
        return weekdays[day]

    return lab.monthly_report(departures, airports, weekday, lambda code, _: names.get(code, code))
""",
            "departures of another year",
            "again",
        ),
        (  # a table is known by its identity
            """
known = {}


def report(departures, airports):
    weekdays = {}
    _, names = known.setdefault(id(airports), (airports, {}))
    for code, name in zip(airports.codes, airports.names):
        names.setdefault(code, name)

    def weekday(departure):
        day = departure.leaves[:10]
        if day not in weekdays:
            weekdays[day] = lab.weekday_of(departure)
        return weekdays[day]

    return lab.monthly_report(departures, airports, weekday, lambda code, _: names.get(code, code))
""",
            "the same table object, whose names were changed in place",
            "in place",
        ),
    ],
    "profiling.leak": [
        (  # as it was
            """
class Service(lab.Service):
    pass
""",
            "The key never comes back",
        ),
        (  # no cache, no leak
            """
class Service(lab.Service):
    def handle(self, month, request):
        self._log = [*self._log, f"request {request} asked for {month}"][-100:]
        return self._compute(month)
""",
            "expected 12 computations, counted 36",
        ),
        (  # the log still grows
            """
class Service(lab.Service):
    def __init__(self, compute):
        super().__init__(functools.lru_cache(maxsize=12)(compute))
    def handle(self, month, request):
        self._log.append(f"request {request} asked for {month}")
        return self._compute(month)
    def recent(self):
        return self._log[-100:]
""",
            "1,500 requests for the same twelve months left",
        ),
        (  # a cache without a bound
            """
class Service(lab.Service):
    def __init__(self, compute):
        super().__init__(functools.cache(compute))
        self._log = collections.deque(maxlen=100)
    def handle(self, month, request):
        self._log.append(f"request {request} asked for {month}")
        return self._compute(month)
    def recent(self):
        return list(self._log)
""",
            "1,500 requests, each for another month",
        ),
        (  # forgets the month that came first, however often it is asked for
            """
class Service(lab.Service):
    def __init__(self, compute):
        super().__init__(compute)
        self._log = collections.deque(maxlen=100)
    def handle(self, month, request):
        self._log.append(f"request {request} asked for {month}")
        if month not in self._answers:
            if len(self._answers) == 12:
                del self._answers[next(iter(self._answers))]
            self._answers[month] = self._compute(month)
        return self._answers[month]
    def recent(self):
        return list(self._log)
""",
            "not the one that came first",
        ),
        (  # the deque itself is handed out
            """
class Service(lab.Service):
    def __init__(self, compute):
        super().__init__(functools.lru_cache(maxsize=12)(compute))
        self._log = collections.deque(maxlen=100)
    def handle(self, month, request):
        self._log.append(f"request {request} asked for {month}")
        return self._compute(month)
""",
            "should be a list of the last 100 lines",
        ),
        (  # an empty report is computed anew
            """
from collections import OrderedDict, deque


class Service(lab.Service):
    def __init__(self, compute):
        self.compute, self.answers, self.log = compute, OrderedDict(), deque(maxlen=100)

    def handle(self, month, request):
        self.log.append(f"request {request} asked for {month}")
        if not self.answers.get(month):
            self.answers[month] = self.compute(month)
        self.answers.move_to_end(month)
        while len(self.answers) > 12:
            self.answers.popitem(last=False)
        return self.answers[month]

    def recent(self):
        return list(self.log)
""",
            "A month whose report is [] was asked for twice",
            "falsy",
        ),
        (  # one store for all services
            """
from collections import OrderedDict, deque


class Service(lab.Service):
    answers = OrderedDict()

    def __init__(self, compute):
        if getattr(compute, '__qualname__', 'C')[0] == 'C' or not self.answers:
            pass
        self.compute, self.log = compute, deque(maxlen=100)

    def handle(self, month, request):
        self.log.append(f"request {request} asked for {month}")
        if month not in self.answers:
            self.answers[month] = self.compute(month)
        self.answers.move_to_end(month)
        while len(self.answers) > 12:
            self.answers.popitem(last=False)
        return self.answers[month]

    def recent(self):
        return list(self.log)
""",
            "Two services were asked for 2013-01",
            "again",
        ),
        (  # a failed month is empty
            """
from collections import OrderedDict, deque


class Service(lab.Service):
    def __init__(self, compute):
        self.compute, self.answers, self.log = compute, OrderedDict(), deque(maxlen=100)

    def handle(self, month, request):
        self.log.append(f"request {request} asked for {month}")
        if month not in self.answers:
            try:
                self.answers[month] = self.compute(month)
            except Exception:
                return []
        self.answers.move_to_end(month)
        while len(self.answers) > 12:
            self.answers.popitem(last=False)
        return self.answers[month]

    def recent(self):
        return list(self.log)
""",
            "compute raised ConnectionError; the caller must get it",
            "exception",
        ),
        (  # keeps what is no Exception
            """
from collections import OrderedDict, deque


class Service(lab.Service):
    def __init__(self, compute):
        self.compute, self.answers, self.log = compute, OrderedDict(), deque(maxlen=100)

    def handle(self, month, request):
        self.log.append(f"request {request} asked for {month}")
        if month not in self.answers:
            self.answers[month] = None
            try:
                self.answers[month] = self.compute(month)
            except Exception:
                del self.answers[month]
                raise
        self.answers.move_to_end(month)
        while len(self.answers) > 12:
            self.answers.popitem(last=False)
        return self.answers[month]

    def recent(self):
        return list(self.log)
""",
            "failed once with Stopped",
            "base exception",
        ),
    ],
    "profiling.honest": [
        (  # all the readings
            """
def best_of(work, make, rounds, clock):
    readings = []
    for _ in range(rounds):
        given = make()
        start = clock()
        work(given)
        readings.append(clock() - start)
    return readings
""",
            "got list",
        ),
        (  # a clock of one's own
            """
import time


def best_of(work, make, rounds, clock):
    readings = []
    for _ in range(rounds):
        given = make()
        start = time.perf_counter()
        work(given)
        readings.append(time.perf_counter() - start)
    return min(readings)
""",
            "read that one",
        ),
        (  # the input is made once
            """
def best_of(work, make, rounds, clock):
    given, readings = make(), []
    for _ in range(rounds):
        start = clock()
        work(given)
        readings.append(clock() - start)
    return min(readings)
""",
            "that an earlier round had sorted",
        ),
        (  # making is timed
            """
def best_of(work, make, rounds, clock):
    readings = []
    for _ in range(rounds):
        start = clock()
        work(make())
        readings.append(clock() - start)
    return min(readings)
""",
            "making is on the clock too",
        ),
        (  # the mean
            """
def best_of(work, make, rounds, clock):
    readings = []
    for _ in range(rounds):
        given = make()
        start = clock()
        work(given)
        readings.append(clock() - start)
    return sum(readings) / rounds
""",
            "the mean",
        ),
        (  # a round to warm up that nobody asked for
            """
def best_of(work, make, rounds, clock):
    work(make())
    readings = []
    for _ in range(rounds):
        given = make()
        start = clock()
        work(given)
        readings.append(clock() - start)
    return min(readings)
""",
            "more often than the five rounds",
        ),
        (  # the last reading
            """
def best_of(work, make, rounds, clock):
    for _ in range(rounds):
        given = make()
        start = clock()
        work(given)
        took = clock() - start
    return took
""",
            "the last",
        ),
        (  # a reading of 0 is none
            """
def best_of(work, make, rounds, clock):
    readings = []
    for _ in range(rounds):
        given = make()
        start = clock()
        work(given)
        readings.append(clock() - start)
    return min(reading for reading in readings if reading)
""",
            "3 round(s) that take [0.25, 0.0, 0.5]",
            "falsy",
        ),
        (  # at least two rounds
            """
def best_of(work, make, rounds, clock):
    readings = []
    for _ in range(rounds):
        given = make()
        start = clock()
        work(given)
        readings.append(clock() - start)
    return min(readings[1:] or [0])
""",
            "1 round(s) that take [2.0]",
            "again",
        ),
        (  # rounds that fail do not count
            """
def best_of(work, make, rounds, clock):
    readings = []
    for _ in range(rounds):
        given = make()
        start = clock()
        try:
            work(given)
        except Exception:
            continue
        readings.append(clock() - start)
    return min(readings, default=None)
""",
            "work raised ConnectionError; the caller must get it",
            "exception",
        ),
        (  # nor those that are stopped
            """
def best_of(work, make, rounds, clock):
    readings = []
    for _ in range(rounds):
        given = make()
        start = clock()
        try:
            work(given)
        except Exception:
            raise
        except BaseException:
            continue
        readings.append(clock() - start)
    return min(readings, default=None)
""",
            "work raised Stopped",
            "base exception",
        ),
        (  # rounds to hundredths
            """
def best_of(work, make, rounds, clock):
    readings = []
    for _ in range(rounds):
        given = make()
        start = clock()
        work(given)
        readings.append(clock() - start)
    return round(min(readings), 2)
""",
            "2 round(s) that take [0.004, 0.003]",
            "time",
        ),
    ],
}

RIGHT = {
    "profiling.second_hot_spot": [
        # remembers for each code, and searches once for each
        """
def report(departures, airports):
    weekday = functools.cache(lambda day: lab.weekday_of(lab.Departure(f"{day} 0000", "", "")))
    name = functools.cache(lambda code: lab.name_of(code, airports))
    return lab.monthly_report(
        departures, airports, lambda departure: weekday(departure.leaves[:10]), lambda code, _: name(code)
    )
""",
    ],
}
