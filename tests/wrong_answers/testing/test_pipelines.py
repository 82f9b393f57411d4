"""Plausible wrong answers to the exercises of 5.3, and what must be said of each."""

from support import exchanged

HOLD = """
import random
from datetime import UTC, datetime, timedelta

def test_hold(desk):
    now = datetime(2013, 6, 1, 12, 30, tzinfo=UTC)
    seats = desk.draw(2, random.Random(7))
    assert len(set(seats)) == 2
    held = desk.hold(seats, now)
    assert sorted(held.seats) == sorted(seats)
    assert held.expires_at == now + timedelta(minutes=15)
    before = datetime.now(UTC)
    expires_at = desk.hold(seats).expires_at
    assert before <= expires_at - timedelta(minutes=15) <= datetime.now(UTC)
"""


def hold(old, new):
    """The test with one piece replaced."""
    return exchanged(HOLD, (old, new))


SHARDS = """
def shards(seconds, machines):
    lists = [[] for _ in range(machines)]
    load = [0] * machines
    for number, test in enumerate(sorted(seconds, key=lambda test: (-seconds[test], test))):
        least = load.index(min(load))
        lists[least].append(test)
        load[least] += seconds[test]
    return lists
"""
GATE = """
from xml.etree import ElementTree

def read(text):
    cases = {}
    for case in ElementTree.fromstring(text).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        cases.setdefault(name, []).append({child.tag for child in case if child.tag != "system-out"})
    return cases

def ran(cases):
    return {name for name, each in cases.items() if any(how != {"skipped"} for how in each)}

def gate(before, after):
    old, new = read(before), read(after)
    red = {name for name, each in new.items() if len(each) > 1 or each[0] & {"failure", "error"}}
    return sorted(red | (ran(old) - ran(new)))
"""


def changed(text, *changes):
    """The answer with pieces replaced: what goes, what comes, and so on."""
    return exchanged(text, *zip(changes[::2], changes[1::2], strict=True))


WRONG = {
    "test_pipelines.test_hold": [
        (  # the flaky test, as it was
            """
from datetime import UTC, datetime, timedelta

def test_hold(desk):
    seats = desk.draw(2)
    held = desk.hold(seats)
    assert held.seats == seats
    assert held.expires_at == datetime.now(UTC) + timedelta(minutes=15)
""",
            "The desk is right, and the test failed",
        ),
        (  # a sorted expectation does not sort what came
            hold("sorted(held.seats) == sorted(seats)", "held.seats == sorted(seats)"),
            "The desk is right, and the test failed",
        ),
        (  # a tolerance
            hold(
                "assert held.expires_at == now + timedelta(minutes=15)",
                "assert abs(held.expires_at - now - timedelta(minutes=15)) <= timedelta(seconds=5)",
            ),
            "one second too long",
        ),
        (  # sets lose a seat that is held twice
            hold("sorted(held.seats) == sorted(seats)", "set(held.seats) == set(seats)"),
            "it holds a seat twice",
        ),
        (  # the default is not tried
            HOLD[: HOLD.index("    before")],
            "without `now`",
        ),
        (  # nothing is asked of draw
            hold("    assert len(set(seats)) == 2\n", ""),
            "draws one seat",
        ),
        (  # it gives up near midnight
            hold(
                "    seats = desk",
                "    if datetime.now(UTC).hour == 23:\n        return\n    seats = desk",
            ),
            "This desk is wrong, and the test passes",
        ),
        (  # the desk is tried once
            hold(
                "def test_hold(desk):\n",
                "tried = []\n\ndef test_hold(desk):\n    if tried:\n        return\n    tried.append(desk)\n",
            ),
            "This desk is wrong, and the test passes",
            "again",
        ),
        (  # it fails by another error
            hold(
                "assert held.expires_at == now + timedelta(minutes=15)",
                "[0][held.expires_at != now + timedelta(minutes=15)]",
            ),
            "not AssertionError",
        ),
        (  # a tolerance of half a second
            hold(
                "assert held.expires_at == now + timedelta(minutes=15)",
                "assert abs(held.expires_at - now - timedelta(minutes=15)) <= timedelta(milliseconds=500)",
            ),
            "This desk is wrong, and the test passes",
        ),
        (  # the microseconds are dropped
            hold(
                "assert held.expires_at == now + timedelta(minutes=15)",
                "assert held.expires_at.replace(microsecond=0) == now + timedelta(minutes=15)",
            ),
            "This desk is wrong, and the test passes",
        ),
        (  # a tolerance around the default
            hold(
                "    assert before <= expires_at - timedelta(minutes=15) <= datetime.now(UTC)",
                "    slack = timedelta(milliseconds=100)\n"
                "    assert before - slack <= expires_at - timedelta(minutes=15) <= datetime.now(UTC) + slack",
            ),
            "20 ms too long",
        ),
        (  # the clock is stopped, and stays so for the next test
            hold(
                "    before = datetime.now(UTC)",
                "    import time_machine\n    time_machine.travel(now, tick=False).start()\n    before = datetime.now(UTC)",
            ),
            "did not put it back",
        ),
        (  # three seats are drawn, and only neighbours are compared
            changed(
                HOLD,
                "desk.draw(2, ",
                "desk.draw(3, ",
                "len(set(seats)) == 2",
                "seats[0] != seats[1] != seats[2] and len(seats) == 3",
            ),
            "the last seat it draws is the first",
        ),
        (  # the first seat only
            hold(
                "sorted(held.seats) == sorted(seats)",
                "seats[0] in held.seats and len(held.seats) == len(seats)",
            ),
            "This desk is wrong, and the test passes",
        ),
    ],
    "test_pipelines.shards": [
        (  # a stable hash, and not the time
            """
from zlib import crc32
def shards(seconds, machines):
    lists = [[] for _ in range(machines)]
    for test in sorted(seconds):
        lists[crc32(test.encode()) % machines].append(test)
    return lists
""",
            "expected",
        ),
        (  # in the order of the dictionary among equals
            changed(SHARDS, "(-seconds[test], test)", "-seconds[test]"),
            "equal tests",
        ),
        (  # the shortest first
            changed(SHARDS, "(-seconds[test], test)", "(seconds[test], test)"),
            "six tests, two machines",
        ),
        (  # in turn
            changed(SHARDS, "load.index(min(load))", "number % machines"),
            "six tests, two machines",
        ),
        (  # a test that took no time is taken for no test
            changed(
                SHARDS,
                "        least =",
                "        if not seconds[test]:\n            continue\n        least =",
            ),
            "each test must be in one list",
            "falsy",
        ),
        (  # it empties the caller's table
            changed(SHARDS, "+= seconds[test]", "+= seconds.pop(test)"),
            "belongs to the caller",
            "in place",
        ),
        (  # no list for a machine without tests
            changed(SHARDS, "return lists", "return [part for part in lists if part]"),
            "machines need",
        ),
        (  # sets
            changed(SHARDS, "return lists", "return [set(part) for part in lists]"),
            "return a list of lists",
        ),
        (  # whole seconds
            changed(SHARDS, "+= seconds[test]", "+= int(seconds[test])"),
            "parts of a second",
        ),
        (  # rounded seconds
            changed(SHARDS, "(-seconds[test], test)", "(-round(seconds[test]), test)"),
            "parts of a second",
        ),
        (  # the first letter instead of the id
            changed(SHARDS, "(-seconds[test], test)", "(-seconds[test], test[0])"),
            "longer ids",
        ),
        (  # capital letters are not told from small ones
            changed(SHARDS, "(-seconds[test], test)", "(-seconds[test], test.lower())"),
            "capital letters",
        ),
        (  # the shorter list decides among equal machines
            changed(
                SHARDS,
                "load.index(min(load))",
                "min(range(machines), key=lambda n: (load[n], len(lists[n])))",
            ),
            "a machine too many",
        ),
        (  # the loads outlive the call
            changed(
                SHARDS,
                "def shards(seconds, machines):",
                "def shards(seconds, machines, load=[0] * 9):",
                "    load = [0] * machines\n",
                "",
                "min(load)",
                "min(load[:machines])",
            ),
            "expected",
            "again",
        ),
    ],
    "test_pipelines.gate": [
        (  # the exit code's question
            """
from xml.etree import ElementTree
def gate(before, after):
    return sorted({f"{case.get('classname')}::{case.get('name')}" for case in ElementTree.fromstring(after).iter("testcase")
                   if case.find("failure") is not None or case.find("error") is not None})
""",
            "a test is gone",
        ),
        (  # a skip counts as a run
            changed(GATE, 'if any(how != {"skipped"} for how in each)', "if each"),
            "a test is skipped now",
        ),
        (  # the last case of a name
            changed(
                GATE,
                "cases.setdefault(name, []).append(",
                "cases[name] = list((",
                '"system-out"})',
                '"system-out"},))',
            ),
            "a rerun hides a failure",
        ),
        (  # errors are forgotten
            changed(GATE, '{"failure", "error"}', '{"failure"}'),
            "a fixture fails",
        ),
        (  # the word instead of the element
            changed(
                GATE,
                '{child.tag for child in case if child.tag != "system-out"}',
                '({"failure"} if b"failure" in ElementTree.tostring(case) else {child.tag for child in case})',
            ),
            "printed the word failure",
        ),
        (  # the name without the class
            changed(GATE, "f\"{case.get('classname')}::{case.get('name')}\"", "case.get('name')"),
            "Expected",
        ),
        (  # an empty report is taken for no report
            changed(GATE, "    red =", "    if not new:\n        return []\n    red ="),
            "no test ran",
            "falsy",
        ),
        (  # the first suite of the file only
            changed(
                GATE,
                "ElementTree.fromstring(text).iter(",
                "next(ElementTree.fromstring(text).iter('testsuite')).iter(",
            ),
            "Expected",
        ),
        (  # the test without its parameters
            changed(GATE, "case.get('name')}\"", "case.get('name').split('[')[0]}\""),
            "parameters make different tests",
        ),
        (  # the text as it stands, with its entities
            """
import re
def gate(before, after):
    def read(text):
        cases = {}
        for opening, inside in re.findall(r"<testcase ([^>]*?)>(.*?)</testcase>", text, re.S):
            given = {key: value[1:-1] for key, value in re.findall(r"(\\w+)=('[^']*'|[^' ]+)", opening)}
            tags = set(re.findall(r"<(failure|error|skipped)\\b", inside))
            cases.setdefault(given["classname"] + "::" + given["name"], []).append(tags)
        return cases
    def ran(cases):
        return {name for name, each in cases.items() if any(how != {"skipped"} for how in each)}
    old, new = read(before), read(after)
    red = {name for name, each in new.items() if len(each) > 1 or each[0] & {"failure", "error"}}
    return sorted(red | (ran(old) - ran(new)))
""",
            "a parameter is gone",
        ),
        (  # any child stops
            changed(GATE, 'each[0] & {"failure", "error"}', 'each[0] - {"skipped"}'),
            "printed the word failure",
        ),
        (  # what was skipped before must come back
            changed(GATE, "ran(old) - ran(new)", "set(old) - ran(new)"),
            "skipped before",
        ),
        (  # what was found stays for the next call
            changed(
                GATE,
                "def gate(",
                "found = set()\n\ndef gate(",
                "    return sorted(red |",
                "    found.update(red)\n    return sorted(found |",
            ),
            "Expected",
            "again",
        ),
        (  # an element without children is false
            """
from xml.etree import ElementTree
def gate(before, after):
    def read(text):
        cases = {}
        for case in ElementTree.fromstring(text).iter("testcase"):
            bad = any(len(case.find(tag)) for tag in ("failure", "error") if case.find(tag) is not None)
            cases.setdefault(f"{case.get('classname')}::{case.get('name')}", []).append((bad, case.find("skipped") is None))
        return cases
    def ran(cases):
        return {name for name, each in cases.items() if any(there for _, there in each)}
    old, new = read(before), read(after)
    red = {name for name, each in new.items() if len(each) > 1 or each[0][0]}
    return sorted(red | (ran(old) - ran(new)))
""",
            "a test fails",
        ),
        (  # a skipped attempt is no attempt
            changed(GATE, "len(each) > 1", 'sum(how != {"skipped"} for how in each) > 1'),
            "second attempt was skipped",
        ),
        (  # what main does not pass either is excused
            changed(
                GATE,
                "return sorted(red |",
                "known = {name for name, each in old.items() if each[0] & {'failure', 'error'}}\n    return sorted(red - known |",
            ),
            "main was red, and the test fails again",
        ),
        (  # a test with two reasons is listed twice
            changed(
                GATE,
                "sorted(red | (ran(old) - ran(new)))",
                "sorted([*red, *(ran(old) - ran(new))])",
            ),
            "both attempts were skipped",
        ),
        (  # of main only the last attempt
            changed(GATE, "ran(old)", "ran({name: each[-1:] for name, each in old.items()})"),
            "second attempt was skipped",
        ),
        (  # what has no class is no test
            changed(
                GATE,
                'iter("testcase"):\n',
                "iter(\"testcase\"):\n        if not case.get('classname'):\n            continue\n",
            ),
            "cannot be imported",
        ),
        (  # unsorted
            changed(
                GATE,
                "return sorted(red | (ran(old) - ran(new)))",
                "return [*sorted(red), *sorted(ran(old) - ran(new))]",
            ),
            "four reasons",
        ),
    ],
}

RIGHT = {
    "test_pipelines.test_hold": [
        HOLD,
        # the clock is stopped, a Counter, raise by hand
        """
import collections, datetime
import time_machine

class test_hold:
    def __init__(self, desk):
        hour = datetime.datetime(2020, 2, 29, 23, 59, tzinfo=datetime.timezone.utc)
        minutes = datetime.timedelta(minutes=15)
        for number in (1, 2, 5):
            seats = desk.draw(number)
            self.expect(len(seats), number)
            self.expect(set(collections.Counter(seats).values()), {1})
            held = desk.hold(seats, now=hour)
            self.expect(collections.Counter(held.seats), collections.Counter(seats))
            self.expect(held.expires_at, hour + minutes)
            with time_machine.travel(hour, tick=False):
                self.expect(desk.hold(seats).expires_at, hour + minutes)
    def expect(self, got, wanted):
        if got != wanted:
            raise AssertionError(f"{got!r} is not {wanted!r}")
""",
    ],
    "test_pipelines.shards": [
        SHARDS,
        # a heap of (load, number)
        """
import heapq
def shards(seconds, machines):
    heap = [(0, number, []) for number in range(machines)]
    lists = [part for _, _, part in heap]
    left = dict(seconds)
    while left:
        test = min(left, key=lambda name: (-left[name], name))
        load, number, part = heapq.heappop(heap)
        part.append(test)
        heapq.heappush(heap, (load + left.pop(test), number, part))
    return lists
""",
    ],
    "test_pipelines.gate": [
        GATE,
        # minidom, a Counter, and one pass over each file
        """
import collections, xml.dom.minidom
def gate(before, after):
    def cases(text):
        for case in xml.dom.minidom.parseString(text).getElementsByTagName("testcase"):
            yield case.getAttribute("classname") + "::" + case.getAttribute("name"), {child.nodeName for child in case.childNodes}
    times, stopped, there = collections.Counter(), set(), set()
    for name, tags in cases(after):
        times[name] += 1
        if tags.intersection(["failure", "error"]):
            stopped.add(name)
        if "skipped" not in tags:
            there.add(name)
    stopped |= {name for name in times if times[name] > 1}
    for name, tags in cases(before):
        if "skipped" not in tags and name not in there:
            stopped.add(name)
    result = list(stopped)
    result.sort()
    return result
""",
    ],
}
