# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans: time
#
# > PostgreSQL, MySQL, SQLite — Транзакции, индексы, нормализация, EXPLAIN ANALYZE.
# >
# > PostgreSQL, MySQL, SQLite: transactions, indexes, normalisation, EXPLAIN ANALYZE.
#
# The sitting on time, 42 minutes: what a column of time stores, and what PostgreSQL and Python compute from it. It needs
# none of the others. Needs PostgreSQL.
#
# A flight is sold in April 2019: it departs from São Paulo on 2 December 2019 at 08:00. The service converts this to UTC
# at once and stores a `timestamptz`, as its style guide asks. In December the board at the gate shows another time than
# the ticket. Who has made a mistake?
#
# **You will be able to show that …**
#
# 1. a clock on the wall can show the wrong time between two events, and so can Python;
# 2. a `timestamptz` stores no time zone;
# 3. a day belongs to a place, and has 23, 24 or 25 hours;
# 4. an event that is planned needs other columns than one that has happened.

# %%
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from helpers import answer, check, claim, data, services, show_table, stamp

pg = services.postgres()
stamp()


# %%
def session_in(zone):
    """An engine whose sessions have this time zone; each statement is a transaction."""
    return pg.engine(isolation_level="AUTOCOMMIT", connect_args={"options": f"-c timezone={zone}"})


def run(engine, sql):
    """The rows of a statement; None where it has none to return."""
    with engine.connect() as connection:
        result = connection.exec_driver_sql(sql)
        return result.all() if result.returns_rows else None


def value(engine, sql):
    return run(engine, sql)[0][0]


def copy_in(table, rows):
    """COPY rows into a table: one statement, one stream."""
    into = f"copy {table} from stdin"
    with pg.connect(autocommit=True) as connection, connection.cursor() as cursor, cursor.copy(into) as copy:
        for row in rows:
            copy.write_row(row)


airline = session_in("UTC")

# %% [markdown] core=true minutes=6
# ## Eight o'clock in São Paulo
#
# On the day of the sale, Brazil had a summer time that began on the first Sunday of November (decree 9.242 of 2017).
# PostgreSQL accepts such a rule as a time zone, in the notation of POSIX, so that the service's conversion can be
# done again as it was done then. On 25 April 2019 the government abolished summer time ([tz database, release
# 2019b](https://data.iana.org/time-zones/tzdb/NEWS)), and since then `America/Sao_Paulo` has no summer time any more.

# %%
AS_SOLD = "<-03>3<-02>,M11.1.0/0,M2.3.0/0"  # the rules of April 2019: -02 from November to February
DEPARTS = "2019-12-02 08:00"

run(airline, """
    create table planned (departs_at timestamptz, departs_wall timestamp, departs_zone text)""")
run(airline, f"""
    insert into planned values
    (timestamp '{DEPARTS}' at time zone '{AS_SOLD}', '{DEPARTS}', 'America/Sao_Paulo')""")

# %% [markdown] predict="transactions_indexes.q19"
# **Predict.** In December the board shows `departs_at` in the time of São Paulo. It shows …
#
# - **a** 08:00: a `timestamptz` knows the zone in which it was written
# - **b** 07:00
# - **c** 09:00

# %%
answer("transactions_indexes.q19", None)  # "a", "b" or "c"

# %%
SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def board(instant):
    """What the board at the gate shows for an instant."""
    return f"{instant.astimezone(SAO_PAULO):%H:%M}"


[(stored, converted)] = run(airline, "select departs_at, departs_wall at time zone departs_zone from planned")
show_table([
    {"columns": "departs_at", "in UTC": f"{stored:%H:%M}", "on the board": board(stored)},
    {"columns": "departs_wall, departs_zone", "in UTC": f"{converted:%H:%M}", "on the board": board(converted)},
], left=1)

claim("transactions_indexes.plan_instant", "the instant that was computed at the sale is shown as 07:00",
      board(stored), equals="07:00", proves={"transactions_indexes.q19": "b"})
claim("transactions_indexes.plan_wall", "the wall clock and the name of the zone, converted today, are shown as 08:00",
      board(converted), equals="08:00")
claim("transactions_indexes.plan_hour", "the flight departs an hour after the stored instant",
      (converted - stored).total_seconds() / 3600, equals=1, unit="hours")

# %% [markdown]
# **Reading it.** Nothing was lost and nothing was rounded. At the sale 08:00 *was* 10:00 in UTC. After the decree 08:00 is
# 11:00 in UTC, and the row does not say that somebody meant eight o'clock in São Paulo.
#
# **Why.** A departure at a place is agreed on the clock of that place, and a law says how this clock runs. The law can
# change between the sale and the flight. PostgreSQL and Python read the current law from the tz database, whenever they
# convert. So the conversion must wait until it is needed.
#
# **In production.** An event that *is planned* at a place (a departure, an appointment, a job at 02:00) is a wall clock
# **and the name of a zone**, in two columns. Where the service must sort and compare, keep the instant as a third,
# computed column, and compute it again after each update of the tz database. An offset is not enough: `-02:00` was right
# in April. Updates of the tz database come several times a year, with the operating system or with PostgreSQL, and for
# Python with the package `tzdata` where the system has none.

# %% [markdown] also=["transactions_indexes.plan_hour"] claim="transactions_indexes.plan_instant" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a departure in July</summary>
#
# In July the old rules and the new ones agree.
#
# ```diff
# -DEPARTS = "2019-12-02 08:00"
# +DEPARTS = "2019-07-02 08:00"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.plan_instant")`

# %% [markdown] also=["transactions_indexes.plan_hour"] claim="transactions_indexes.plan_wall" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: keep the offset instead of the zone</summary>
#
# ```diff
# -[(stored, converted)] = run(airline, "select departs_at, departs_wall at time zone departs_zone from planned")
# +[(stored, converted)] = run(airline, "select departs_at, departs_wall at time zone interval '-02:00' from planned")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.plan_wall")`

# %% [markdown] core=true minutes=6
# ## The flight that departs before it left
#
# It is the night to 3 November 2013 at JFK. The gate application notes *doors closed 01:50* and *pushed back 01:10*,
# both from the clock on the wall. In fact twenty minutes lie between the two, because at two o'clock the clocks went
# back to one. (Both events are invented. In the real data no flight moves in that hour.) Here is one row that holds
# them in two ways:

# %%
NEW_YORK = ZoneInfo("America/New_York")
CLOSED = datetime(2013, 11, 3, 5, 50, tzinfo=UTC)  # 01:50 in New York, summer time
LEFT = datetime(2013, 11, 3, 6, 10, tzinfo=UTC)  # 01:10 in New York, winter time


def on_the_wall(instant):
    """What a clock in New York shows: no zone, no offset."""
    return instant.astimezone(NEW_YORK).replace(tzinfo=None)


run(airline, """
    create table gate_log (closed_wall timestamp, left_wall timestamp,
                           closed_at timestamptz, left_at timestamptz)""")
with airline.connect() as connection:
    row = on_the_wall(CLOSED), on_the_wall(LEFT), CLOSED, LEFT
    connection.exec_driver_sql("insert into gate_log values (%s, %s, %s, %s)", row)

# %% [markdown] predict="transactions_indexes.q20"
# **Predict.** A session in New York's time zone reads both `timestamptz` columns. What is `left_at - closed_at` in
# Python?
#
# - **a** 20 minutes: both know their offset
# - **b** minus 40 minutes
# - **c** an error: the offsets differ

# %%
answer("transactions_indexes.q20", None)  # "a", "b" or "c"

# %%
by_wall, by_instant = run(airline, "select left_wall - closed_wall, left_at - closed_at from gate_log")[0]

READ_BOTH = "select closed_at, left_at from gate_log"
closed, left = run(session_in("America/New_York"), READ_BOTH)[0]
closed_utc, left_utc = run(session_in("UTC"), READ_BOTH)[0]
show_table(
    [
        {"who subtracts": who, "minutes": (span.total_seconds() / 60)}
        for who, span in {
            "PostgreSQL, timestamp": by_wall,
            "PostgreSQL, timestamptz": by_instant,
            "Python, session in New York": left - closed,
            "Python, session in UTC": left_utc - closed_utc,
        }.items()
    ]
)
print(closed.isoformat(), left.isoformat(), sep="\n")

# %%
claim("transactions_indexes.fold_wall", "by the wall clock the flight left 40 minutes before its doors closed",
      by_wall.total_seconds() / 60, equals=-40, unit="minutes")
claim("transactions_indexes.fold_instant", "as timestamptz PostgreSQL computes the true 20 minutes",
      by_instant.total_seconds() / 60, equals=20, unit="minutes")
claim("transactions_indexes.fold_python", "Python subtracts the same two aware values and gets minus 40 minutes",
      (left - closed).total_seconds() / 60, equals=-40, unit="minutes", proves={"transactions_indexes.q20": "b"})
claim("transactions_indexes.fold_utc", "read in a session in UTC, Python's difference is 20 minutes",
      (left_utc - closed_utc).total_seconds() / 60, equals=20, unit="minutes")

# %% [markdown]
# **Reading it.** The two aware datetimes print `-04:00` and `-05:00`, but their difference ignores both offsets. This
# is documented. If both sides have *the same* `tzinfo` object, Python subtracts and compares the wall clocks. Only if
# they differ, it converts to UTC first
# ([`datetime`](https://docs.python.org/3/library/datetime.html#datetime.datetime), "supported operations"; [PEP
# 495](https://peps.python.org/pep-0495/)). psycopg makes every `timestamptz` a datetime in the session's zone. So every
# service can have this bug if its sessions are in a zone with summer time. The difference of two times is wrong by an
# hour whenever a change of the clocks lies between them.
#
# What did the column store? It has eight bytes, the microseconds since 2000 in UTC, and no zone
# ([`timestamp.h`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/include/datatype/timestamp.h)).
# PostgreSQL prints it in the zone of the session, and the offset that you wrote is gone. A text without an offset is
# read in the session's zone, even if that hour came twice or never:

# %%
TWICE, NEVER_WAS = "2013-11-03 01:30", "2013-03-10 02:30"


def by_postgres(wall):
    twice = f"select timestamptz '{wall}', (timestamptz '{wall}')::text"
    instant, shown = run(session_in("America/New_York"), twice)[0]
    return f"{instant.astimezone(UTC):%H:%M}Z, shown as {shown[11:16]}"


def by_python(wall):
    instant = datetime.fromisoformat(wall).replace(tzinfo=NEW_YORK).astimezone(UTC)
    return f"{instant:%H:%M}Z, shown as {instant.astimezone(NEW_YORK):%H:%M}"


THREE_NOTES = """
    select count(distinct noted), max(pg_column_size(noted)) from (values
    (timestamptz '2013-11-03 01:50-04'), ('2013-11-03 05:50Z'), ('2013-11-03 14:50+09')
    ) as notes (noted)"""
claim("transactions_indexes.zone_not_stored", "timestamptz from New York, London and Tokyo is one value of eight bytes without a zone",
      list(run(airline, THREE_NOTES)[0]), equals=[1, 8])
claim("transactions_indexes.hour_twice", "for 01:30, which happened twice, PostgreSQL takes the second and Python the first",
      [by_postgres(TWICE), by_python(TWICE)], equals=["06:30Z, shown as 01:30", "05:30Z, shown as 01:30"])
claim("transactions_indexes.hour_never", "for 02:30, which did not happen, both accept it and show 03:30",
      [by_postgres(NEVER_WAS), by_python(NEVER_WAS)], equals=["07:30Z, shown as 03:30"] * 2)
claim("transactions_indexes.fold_equal", "in the repeated hour an aware time does not equal itself in UTC",
      left == left.astimezone(UTC), equals=False)

# %% [markdown]
# **Why.** For PostgreSQL an ambiguous or impossible text means *standard time* ([manual,
# B.2](https://www.postgresql.org/docs/17/datetime-invalid-input.html)), for Python it means `fold=0`, the first of the
# two. Each choice is sensible, but together they differ by an hour. The inequality follows from the rule for hashes
# (PEP 495). Within one zone `fold` does not count, so the two times 01:10 are equal to each other. If each were also
# equal to its own instant in UTC, two different instants would be equal.
#
# **In production.** An event that *has happened* (pushed back, paid, logged) is an instant. Use `timestamptz`, write it
# with an offset, keep sessions in UTC (`alter role … set timezone = 'UTC'`), and use `DateTime(timezone=True)` in
# SQLAlchemy. Convert it where a person reads it. (What is *planned* needs other columns: *Eight o'clock in São Paulo*.)
#
# MySQL's `timestamp` is an instant too, converted by the session's
# `time_zone`, and its `datetime` is a wall clock ([manual](https://dev.mysql.com/doc/refman/9.5/en/datetime.html)).
# SQLite stores what you give it.

# %% [markdown] also=["transactions_indexes.fold_instant", "transactions_indexes.fold_python", "transactions_indexes.fold_utc", "transactions_indexes.fold_equal"] claim="transactions_indexes.fold_wall" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the same two events in July</summary>
#
# ```diff
# -CLOSED = datetime(2013, 11, 3, 5, 50, tzinfo=UTC)  # 01:50 in New York, summer time
# -LEFT = datetime(2013, 11, 3, 6, 10, tzinfo=UTC)  # 01:10 in New York, winter time
# +CLOSED = datetime(2013, 7, 3, 5, 50, tzinfo=UTC)
# +LEFT = datetime(2013, 7, 3, 6, 15, tzinfo=UTC)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.fold_wall")`

# %% [markdown] also=["transactions_indexes.hour_twice", "transactions_indexes.hour_never"] claim="transactions_indexes.zone_not_stored" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: <code>timestamp</code> without <code>tz</code>; hours of an ordinary night</summary>
#
# A `timestamp` accepts the same three texts without a warning, drops the offsets, and makes three values of them.
#
# ```diff
# -    (timestamptz '2013-11-03 01:50-04'), ('2013-11-03 05:50Z'), ('2013-11-03 14:50+09')
# +    (timestamp '2013-11-03 01:50-04'), ('2013-11-03 05:50Z'), ('2013-11-03 14:50+09')
# @@
# -TWICE, NEVER_WAS = "2013-11-03 01:30", "2013-03-10 02:30"
# +TWICE, NEVER_WAS = "2013-11-04 01:30", "2013-03-11 02:30"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.zone_not_stored")`

# %% [markdown] core=true minutes=6
# ## Two complaints
#
# There are two complaints about the reports. *San Juan does not take the same time in winter and in summer*, says route
# planning. *Your daily totals are wrong*, says the station, and sends its own totals. Both reports use the real data of 2013.
# In these data, each time is the local time of the airport where it was noted.

# %%
columns = ["year", "month", "day", "dep_time", "arr_time", "air_time", "dest"]
real = data.flights(columns)
same_day = real[(real.dest == "SJU") & real.air_time.notna() & (real.dep_time < real.arr_time)]
run(airline, "create table san_juan (year int, month int, day int, dep int, arr int, in_air int)")
copy_in("san_juan", same_day.drop(columns="dest").itertuples(index=False))

# %% [markdown] predict="transactions_indexes.q21"
# **Predict.** Puerto Rico has no summer time. By the clocks of the two places, in which season does the same flight
# take longer?
#
# - **a** in neither: a duration has no time zone
# - **b** an hour longer in winter
# - **c** an hour longer in summer

# %%
answer("transactions_indexes.q21", None)  # "a", "b" or "c"

# %%
TYPICAL = """
    with times as (
        select month in (1, 2) as winter, in_air,
               make_timestamp(year, month, day, dep / 100, mod(dep, 100), 0) as departed,
               make_timestamp(year, month, day, arr / 100, mod(arr, 100), 0) as arrived
        from san_juan where month in (1, 2, 6, 7)
    ), durations as (
        select winter, in_air, arrived - departed as by_the_clocks,
               arrived at time zone 'America/Puerto_Rico' - departed at time zone 'America/New_York' as by_instants
        from times
    )
    select winter, count(*), percentile_cont(0.5) within group (order by in_air),
           extract(epoch from percentile_cont(0.5) within group (order by by_the_clocks))::int / 60,
           extract(epoch from percentile_cont(0.5) within group (order by by_instants))::int / 60
    from durations group by winter order by winter"""
summer, winter = run(airline, TYPICAL)
names = ["winter", "flights", "minutes in the air", "gate to gate by the clocks", "by instants"]
show_table([dict(zip(names, row, strict=True)) for row in (summer, winter)], caption="Medians, JFK and EWR to San Juan")

# %% [markdown]
# Now the other complaint. The reporting query groups by `departs::date`, and the two offices run it from sessions in
# two time zones.

# %%
per_hour = data.flights(["time_hour"])["time_hour"].value_counts()
run(airline, "create table departures (departs timestamptz, flights int)")
copy_in("departures", per_hour.items())

OTHER_DAY = """
    select coalesce(sum(flights) filter (
        where departs::date <> (departs at time zone 'America/New_York')::date
    ), 0)::int, sum(flights)::int from departures"""
moved_utc, total = run(session_in("UTC"), OTHER_DAY)[0]
moved_ny, _ = run(session_in("America/New_York"), OTHER_DAY)[0]
print(f"{moved_utc:,} of {total:,} departures are reported for the next day by the session in UTC")

# %% [markdown]
# And how long is a day? `interval '1 day'` and `interval '24 hours'` are different values. An addition of days to a
# `timestamptz` happens in the session's zone.

# %%
LENGTH = """
    select extract(epoch from (date '{day}' + 1)::timestamp at time zone 'America/New_York'
                            - date '{day}'::timestamp at time zone 'America/New_York')::int / 3600"""
hours = {day: value(airline, LENGTH.format(day=day)) for day in ("2013-03-10", "2013-07-04", "2013-11-03")}

NEXT_DAY = """
    select noon + interval '1 day' - (noon + interval '24 hours')
    from (values (timestamptz '2013-11-02 12:00-04')) as day_before (noon)"""
apart = [value(session_in(zone), NEXT_DAY).total_seconds() / 3600 for zone in ("America/New_York", "UTC")]

# %%
claim("transactions_indexes.winter_wall", "by the local clocks the flight to San Juan is an hour longer in winter",
      winter[3] - summer[3], between=(45, 75), unit="minutes", proves={"transactions_indexes.q21": "b"})
claim("transactions_indexes.winter_instant", "by instants the flight to San Juan is not longer in winter",
      abs(winter[4] - summer[4]), at_most=15, unit="minutes", did=summer[4])
claim("transactions_indexes.day_of_session", "the same query assigns 38,444 departures to another day in a UTC session, and none in a New York session",
      [moved_utc, moved_ny], equals=[38_444, 0], baseline=moved_ny)
claim("transactions_indexes.day_length", "New York's days of 2013 have 23, 24 and 25 hours",
      list(hours.values()), equals=[23, 24, 25])
claim("transactions_indexes.day_hours", "`+ 1 day` and `+ 24 hours` differ by an hour for a session in New York, and not for one in UTC",
      apart, equals=[1, 0])

# %% [markdown]
# **Reading it.** The aircraft do not need longer in January: between instants they are 6 minutes faster. Puerto Rico's
# clock is an hour ahead of New York's in winter and equal to it in summer. So the difference of two wall clocks
# contains the difference between the two places. The daily totals have the same sum, but the days differ: 11 % of the
# departures (those after seven or eight in the evening) belong to the next day for a session in UTC.
#
# **Why.** `departed at time zone 'America/New_York'` turns a wall clock *of that place* into an instant. Applied to a
# `timestamptz`, it goes the other way and gives the wall clock of that place ([manual,
# 9.9.4](https://www.postgresql.org/docs/17/functions-datetime.html#FUNCTIONS-DATETIME-ZONECONVERT)). So one operator
# has two directions, and the type decides. `departs::date` and `date_trunc('day', departs)` use the session's zone, so
# the query depends on a setting that is not in its text. `interval` stores months, days and microseconds separately,
# because a month and a day have no fixed length ([manual,
# 8.5.4](https://www.postgresql.org/docs/17/datatype-datetime.html#DATATYPE-INTERVAL-INPUT)).
#
# **In production.** Name the zone in the query: `(departs at time zone 'America/New_York')::date`, or use the third
# argument of `date_trunc`. You can index this expression. An index on `departs::date` is refused, since its result
# depends on a setting (*functions in index expression must be marked IMMUTABLE*). A deadline *24 hours after booking*
# is `interval '24 hours'`. *The same time tomorrow* is `'1 day'` in the customer's zone. On two days of the year a rate
# per hour must divide by 23 or by 25. In New York a job at 02:30 may not run on the day of 23 hours, and a job at 01:30
# may run twice on the day of 25.

# %% [markdown] claim="transactions_indexes.winter_wall" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: compare two months of summer</summary>
#
# ```diff
# -        select month in (1, 2) as winter, in_air,
# +        select month = 6 as winter, in_air,
# @@
# -        from san_juan where month in (1, 2, 6, 7)
# +        from san_juan where month in (6, 7)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.winter_wall")`

# %% [markdown] also=["transactions_indexes.day_of_session", "transactions_indexes.day_length", "transactions_indexes.day_hours"] claim="transactions_indexes.winter_instant" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: an offset instead of a place; the place in the query; hours only</summary>
#
# An offset is not a zone. It has no summer time, and all its days have 24 hours. If the query names the place, the zone
# of the session does not matter.
#
# ```diff
# -               arrived at time zone 'America/Puerto_Rico' - departed at time zone 'America/New_York' as by_instants
# +               arrived at time zone interval '-04:00' - departed at time zone interval '-05:00' as by_instants
# @@
# -        where departs::date <> (departs at time zone 'America/New_York')::date
# +        where (departs at time zone 'America/New_York')::date <> (departs at time zone 'America/New_York')::date
# @@
# -    select extract(epoch from (date '{day}' + 1)::timestamp at time zone 'America/New_York'
# -                            - date '{day}'::timestamp at time zone 'America/New_York')::int / 3600"""
# +    select extract(epoch from (date '{day}' + 1)::timestamp at time zone interval '-05:00'
# +                            - date '{day}'::timestamp at time zone interval '-05:00')::int / 3600"""
# @@
# -    select noon + interval '1 day' - (noon + interval '24 hours')
# +    select noon + interval '24 hours' - (noon + interval '24 hours')
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.winter_instant")`

# %% [markdown] minutes=20
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the
# worked answer after an attempt.
#
# ### Days of a place (10 minutes)
#
# `gate_departures (departs timestamptz)` has departures of New York's airports. Return one row for each local day that
# has any, in order: the day as a date, its number of departures, and the number of hours of that day. Your function
# gets a connection, and you do not know the time zone of its session.

# %% exercise="transactions_indexes.local_days" tags=["exercise"]
def local_days(connection):
    """Rows of (day, departures, hours of that day) by New York's calendar, in order."""
    raise NotImplementedError


# %%
check("transactions_indexes.local_days", local_days)

# %% [markdown]
# ### Check-in opens (10 minutes)
#
# Check-in opens 24 hours before the departure, and a deadline counts real hours. `departs` is the departure as the ticket
# has it: a `datetime` without a zone, on the clock of the place. `zone` is the name of the place's time zone. Return the
# moment of opening, as a datetime in UTC. Where the clock of the place shows the departure's time twice, `departs.fold`
# says which one is meant.

# %% exercise="transactions_indexes.check_in" tags=["exercise"]
def check_in_opens(departs, zone):
    """The instant 24 hours before a departure, in UTC; the departure is a wall clock and its zone's name."""
    raise NotImplementedError


# %%
check("transactions_indexes.check_in", check_in_opens)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary><code>timestamp</code> or <code>timestamptz</code>? And is UTC everywhere enough?</summary>
#
# Use `timestamptz` for events that have happened. It is an instant and stores no zone
# (`transactions_indexes.zone_not_stored`), and it is right across a change of the clocks
# (`transactions_indexes.fold_instant`). Keep sessions in UTC, or Python's arithmetic can be wrong by an hour
# (`transactions_indexes.fold_python`). UTC is not enough for plans, which need a wall clock and the name of a zone. And
# days belong to a place (`transactions_indexes.day_of_session`, `transactions_indexes.day_length`).
#
# </details>
#
# <details>
# <summary>You store everything in UTC. Which bug do you still have?</summary>
#
# Plans. A departure next winter is agreed on a clock at a place, and the rules of that clock may change before then
# (`transactions_indexes.plan_instant`). Store what was agreed, the wall clock and the name of the zone, and convert it
# when you need an instant (`transactions_indexes.plan_wall`).
#
# </details>
#
# <details>
# <summary>The daily report of two offices has the same total, and different days. Why?</summary>
#
# A cast of a `timestamptz` to a date uses the session's zone (`transactions_indexes.day_of_session`). The text of the
# query is the same, the setting is not. Name the place in the query.
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. An instant that was computed from a plan is wrong when the rules of the place change. A plan is a wall clock and the
#    name of a zone.
# 2. A wall clock can run backwards, and Python's aware datetimes of one zone subtract wall clocks. In UTC they do not.
# 3. A `timestamptz` is an instant of eight bytes. The zone in which it was written is gone.
# 4. A time that happened twice or never is accepted without a warning, and PostgreSQL and Python may disagree about it.
# 5. A day belongs to a place, and it may have 23 or 25 hours. A cast to a date takes the place from the session.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `transactions_indexes.plan_instant`, `transactions_indexes.plan_wall`, `transactions_indexes.plan_hour`
# 2. `transactions_indexes.fold_wall`, `transactions_indexes.fold_python`, `transactions_indexes.fold_instant`,
#    `transactions_indexes.fold_utc`
# 3. `transactions_indexes.zone_not_stored`
# 4. `transactions_indexes.hour_twice`, `transactions_indexes.hour_never`
# 5. `transactions_indexes.winter_wall`, `transactions_indexes.day_of_session`, `transactions_indexes.day_length`,
#    `transactions_indexes.day_hours`
#
# </details>
#
# **Further reading.** PostgreSQL's manual, [8.5](https://www.postgresql.org/docs/17/datatype-datetime.html) and
# [9.9](https://www.postgresql.org/docs/17/functions-datetime.html). [PEP 495](https://peps.python.org/pep-0495/) on the hour
# that happens twice, and [`zoneinfo`](https://docs.python.org/3/library/zoneinfo.html). The [theory of the tz
# database](https://data.iana.org/time-zones/theory.html) on what it promises and what it does not.

# %% [markdown] footer=true
# ← [3.1b Transactions, indexes, plans](01b_transactions_indexes.ipynb) · [Section 3](00_section.ipynb) · [Board](../00_start_here.ipynb) · [3.1d Transactions, indexes, plans](01d_transactions_indexes.ipynb) →
