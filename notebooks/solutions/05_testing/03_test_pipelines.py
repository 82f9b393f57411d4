# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5.3 Tests in the pipeline: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from helpers import check

# %% [markdown]
# **A test without luck.** What the test can hand in, it hands in: a generator and a moment. What it cannot hand in, the clock of a call without `now`, it reads before
# and after. What the desk does not promise, the order, it does not compare.

# %% exercise="test_pipelines.test_hold" tags=["solution"]
def test_hold(desk):
    quarter, now = timedelta(minutes=15), datetime(2013, 6, 1, 12, tzinfo=UTC)
    seats = desk.draw(3, rng=random.Random(7))
    assert len(seats) == len(set(seats)) == 3
    held = desk.hold(seats, now=now)
    assert sorted(held.seats) == sorted(seats)
    assert held.expires_at == now + quarter
    before = datetime.now(UTC)
    held = desk.hold(seats)
    after = datetime.now(UTC)
    assert before <= held.expires_at - quarter <= after


# %%
check("test_pipelines.test_hold", test_hold)

# %% [markdown]
# **Shards by time.** Longest first, to the machine with least to do. Both ties have a rule: `sorted` with the id in its key, and `index`, which finds the first of equal loads. Nothing depends on
# the order of the dictionary or on a hash.

# %% exercise="test_pipelines.shards" tags=["solution"]
def shards(seconds, machines):
    """A list for each machine, each test in one of them."""
    lists, load = [[] for _ in range(machines)], [0] * machines
    for test in sorted(seconds, key=lambda test: (-seconds[test], test)):
        least = load.index(min(load))
        lists[least].append(test)
        load[least] += seconds[test]
    return lists


# %%
check("test_pipelines.shards", shards)

# %% [markdown]
# **A gate over the tests.** A dictionary from the id to all outcomes keeps what a dictionary to one outcome would lose: the rerun. A test counts as run if one of its outcomes is not a skip.

# %% exercise="test_pipelines.gate" tags=["solution"]
def gate(before, after):
    """The tests that stop the pull request, sorted."""

    def read(text):
        outcomes = defaultdict(list)
        for case in ElementTree.fromstring(text).iter("testcase"):
            found = {child.tag for child in case} & {"failure", "error", "skipped"}
            outcomes[f"{case.get('classname')}::{case.get('name')}"].append(found)
        return outcomes

    def ran(outcomes):
        return {test for test, all_of_it in outcomes.items() if any("skipped" not in found for found in all_of_it)}

    old, new = read(before), read(after)
    red = {test for test, all_of_it in new.items() if len(all_of_it) > 1 or all_of_it[0] & {"failure", "error"}}
    return sorted(red | (ran(old) - ran(new)))


# %%
check("test_pipelines.gate", gate)
