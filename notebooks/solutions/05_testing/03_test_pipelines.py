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
from datetime import UTC, datetime, timedelta

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
