# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans: time, worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

from helpers import check

# %% [markdown]
# **Days of a place.** Both halves are `at time zone`, once in each direction. An instant becomes a wall clock, whose date
# is the day; a midnight, a wall clock, becomes an instant, and the distance to the next midnight is the day's length. A
# cast to `timestamptz` instead would take the session's midnights, and a difference of two `timestamp`s is 24 hours on
# every day.

# %% exercise="transactions_indexes.local_days" tags=["solution"]
def local_days(connection):
    """Rows of (day, departures, hours of that day) by New York's calendar, in order."""
    return connection.exec_driver_sql("""
        with local as (
            select (departs at time zone 'America/New_York')::date as day from gate_departures
        )
        select day, count(*),
               extract(epoch from (day + 1)::timestamp at time zone 'America/New_York'
                                - day::timestamp at time zone 'America/New_York')::int / 3600
        from local group by day order by day""").all()


# %%
check("transactions_indexes.local_days", local_days)

# %% [markdown]
# **Check-in opens.** Attach the zone to the wall clock, and you have an instant, but its arithmetic is still that of the
# wall. Convert it to UTC, and subtract there. `replace` keeps `fold`, so the second 01:30 stays the second one.

# %% exercise="transactions_indexes.check_in" tags=["solution"]
def check_in_opens(departs, zone):
    """The instant 24 hours before a departure, in UTC; the departure is a wall clock and its zone's name."""
    return departs.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(hours=24)


# %%
check("transactions_indexes.check_in", check_in_opens)
