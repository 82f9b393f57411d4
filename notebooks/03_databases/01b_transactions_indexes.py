# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans: indexes and normalisation
#
# > PostgreSQL, MySQL, SQLite — Транзакции, индексы, нормализация, EXPLAIN ANALYZE.
# >
# > PostgreSQL, MySQL, SQLite: transactions, indexes, normalisation, EXPLAIN ANALYZE.
#
# The sitting on indexes, 79 minutes: what a query reads, what an index saves, and what it costs. (The other sittings of
# 3.1 are about transactions, locks, plans and time. [The one on plans](01e_transactions_indexes.ipynb) goes on from here.)
# Needs PostgreSQL, 15 or later. If MySQL and MariaDB are there too, it reads their plans as well. SQLite comes with Python.
#
# A nightly job sets the status of every booking from *pending* to *confirmed*. A colleague adds one index for a new
# screen. It holds cancelled bookings only, there are none, and so the index is empty. Does the job write more than
# before? Another colleague adds an index with all the columns of a report. Does the report still read the table?
#
# **You will be able to show that …**
#
# 1. a plan tells you how many pages a query read, with an index and without one;
# 2. the form of a condition decides which index it can use;
# 3. four engines run the same query in two different ways;
# 4. each index, and each random key, makes writing more expensive;
# 5. a wide table lets facts contradict each other.

# %%
import contextlib
import json
import re
import sqlite3
import uuid
from secrets import randbits

import pandas as pd
import sqlalchemy
from sqlalchemy import text

from helpers import answer, check, claim, data, services, stamp
from helpers import explain, show_bars, show_lines, show_plan, show_source, show_table
from helpers.labs.databases import indexes as lab

# %% tags=["parameters"]
scale = "quick"

# %% [markdown]
# One server has all 336,776 departures of 2013 in one table. The settings keep the plans stable: there is no autovacuum
# in the background, no query is split among workers, and `ANALYZE` looks at every row. (It samples 300 rows for each
# unit of the statistics target,
# [`analyze.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/commands/analyze.c). 300 × 1,200 is
# more than the table has.) On a real server leave autovacuum on. (The sitting on plans uses the same server. For it,
# the server also counts statements.)

# %%
pg = lab.watched_server()
show_table([{"setting": name, "here": str(value)} for name, value in lab.SETTINGS.items()], left=2)
db = pg.engine(isolation_level="AUTOCOMMIT").connect()
stamp()

# %%
def run(sql, **parameters):
    """The rows of a query; None of a statement that has none."""
    result = db.execute(text(sql), parameters)
    return result if result.returns_rows else None


def size(name):
    """Bytes of a table or an index."""
    return run("select pg_relation_size(cast(:name as regclass))", name=name).scalar_one()


run("drop table if exists flights")
run(lab.CREATE_FLIGHTS)
lab.copy_in(db, "flights", lab.flights())
run("alter table flights add primary key (flight_id)")
run("vacuum (analyze) flights")

PAGES = size("flights") // 8192
show_source(lab.copy_in)

# %% [markdown]
# Each experiment starts from the bare table and says which indexes it wants. `without` makes the planner avoid a kind
# of plan node for a while. So you can ask *what would the index have cost?*

# %%
def only(*wanted):
    """Give flights these indexes beside its primary key, and no others; no extended statistics."""
    for (name,) in run("select indexname from pg_indexes where tablename = 'flights'").all():
        if name != "flights_pkey":
            run(f"drop index {name}")
    for (name,) in run("select stxname from pg_statistic_ext").all():
        run(f"drop statistics {name}")
    for index in wanted:
        run(f"create index {index}")


@contextlib.contextmanager
def without(*kinds):
    """Make the planner avoid these kinds: "seqscan", "bitmapscan", "indexscan" …"""
    for kind in kinds:
        run(f"set enable_{kind} = off")
    try:
        yield
    finally:
        for kind in kinds:
            run(f"reset enable_{kind}")


# %% [markdown] core=true minutes=4
# ## What a plan says
#
# Line maintenance asks for every departure of aircraft N14228. There is no index on tail numbers yet.
# `explain` runs the query under `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)` and reads the answer; `show_plan` draws it.

# %%
TRIPS = "select departs, origin, dest from flights where tailnum = 'N14228'"

only()
whole = explain(db, TRIPS)

# %% tags=["nbval-ignore-output"]
show_plan(whole, TRIPS)

# %% [markdown]
# **How to read it.** Each line is a node. A node asks the nodes below it for rows, one at a time, and the top line is
# the result.
#
# - *Rows per loop* has two columns: the rows that the planner *estimated*, and the rows that *actually* came, on
#   average.
# - *Loops* says how often the node ran. The plan does not show how often the planner expected it to run. (Up to version
#   17 the server rounds the actual rows per loop to a whole number. This hides a node that returned three rows in ten
#   loops.)
# - *Buffers* are pages of 8 KiB, found in shared memory (*hit*) or fetched from the operating system (*read*). Each
#   node's figure includes the nodes below it.
# - Milliseconds come last, because they change when you look again. A long condition is folded; click on it.
#
# This notebook counts pages, hit plus read, because an index saves pages on your laptop and on the server.

# %% [markdown] predict="transactions_indexes.q10"
# **Predict.** Now there is an index on `tailnum`. The aircraft made 111 of 336,776 departures, all through the year.
# How many pages will the query read?
#
# - **a** 3 or 4: the height of the index
# - **b** about 110: one for each row
# - **c** about a third of the table

# %%
answer("transactions_indexes.q10", None)  # "a", "b" or "c"

# %%
only("tails on flights (tailnum)")
looked_up = explain(db, TRIPS)

# %% tags=["nbval-ignore-output"]
show_plan(looked_up, "the same query, with an index on tailnum")

# %%
claim("transactions_indexes.whole_table", "without an index 111 rows cost every page of the table",
      whole.buffers, equals=PAGES)
claim("transactions_indexes.through_index", "through the index the rows cost about one page each",
      looked_up.buffers / looked_up.rows, between=(0.8, 1.3), unit="pages a row", proves={"transactions_indexes.q10": "b"},
      baseline=looked_up.rows)

# %% [markdown]
# **Why.** PostgreSQL keeps a table as a *heap*: a row is put where there is room. An index entry holds a key and the
# row's address, (page, slot). Here the query reads three pages of the B-tree to find the 111 entries. Then it must
# fetch each row from its page of the heap. This aircraft flies about every third day, so its rows are on 111 different
# pages. A *Bitmap* scan first collects the addresses, sorts them by page, and reads each page once. ([Using
# EXPLAIN](https://www.postgresql.org/docs/current/using-explain.html) in the manual.)
#
# **In production.** *It uses an index* is half of the answer. The other half is the number of heap pages behind the
# index entries: 111 pages from a cold disk are 111 separate reads.

# %% [markdown] also=["transactions_indexes.through_index"] claim="transactions_indexes.whole_table" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: stop at the first row; put the columns into the index</summary>
#
# A sequential scan stops reading when no more rows are wanted. If the index holds all columns of the query, the scan
# need not visit the table, as the next experiment shows.
#
# ```diff
# -whole = explain(db, TRIPS)
# +whole = explain(db, f"{TRIPS} limit 1")
# @@
# -only("tails on flights (tailnum)")
# +only("tails on flights (tailnum) include (departs, origin, dest)")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.whole_table")`

# %% [markdown] minutes=4
# ## Without the table
#
# With `INCLUDE` an index can contain columns that it does not sort by. If the query finds all its columns in the index,
# the plan can be an *Index Only Scan*. The night's import has just loaded the first quarter of the year.

# %%
run("drop table if exists quarter")
run("create table quarter as select * from flights where departs < '2013-04-01'")
run("create index covering on quarter (tailnum) include (departs, origin, dest)")
run("analyze quarter")

BUSIEST = "select departs, origin, dest from quarter where tailnum = 'N725MQ'"

# %% [markdown] predict="transactions_indexes.q11"
# **Predict.** The index holds all four columns of the query. For how many of the rows does an Index Only Scan
# read the *table*, right after the import?
#
# - **a** none, as its name says
# - **b** all
# - **c** those that changed since the index was made

# %%
answer("transactions_indexes.q11", None)  # "a", "b" or "c"

# %% [markdown]
# We look three times: after the import, after a `VACUUM`, and after a batch has corrected the delay of every 50th
# flight. The delay is not in the index. (Bitmap scans are off so that we see the same node three times. Otherwise the
# planner would avoid the first one, because it knows that no page is marked yet.)

# %%
with without("bitmapscan"):
    imported = explain(db, BUSIEST)
    run("vacuum quarter")
    vacuumed = explain(db, BUSIEST)
    run("update quarter set dep_delay = dep_delay + 1 where flight_id % 50 = 0")
    corrected = explain(db, BUSIEST)

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"when": when, "node": plan.scan.kind, "rows": plan.rows, "Heap Fetches": plan.heap_fetches, "pages": plan.buffers}
        for when, plan in [("after the import", imported), ("after VACUUM", vacuumed), ("after 1 in 50 was corrected", corrected)]
    ],
    left=2,
)

# %%
claim("transactions_indexes.not_vacuumed", "after an import an Index Only Scan visits the table for each row",
      imported.heap_fetches / imported.rows, equals=1, unit="fetches a row", proves={"transactions_indexes.q11": "b"}, baseline=imported.rows)
claim("transactions_indexes.index_only", "after VACUUM an Index Only Scan visits the table for no row",
      vacuumed.heap_fetches, equals=0)
claim("transactions_indexes.fetches_return", "after one row in 50 is changed, it visits the table for nearly every row again",
      corrected.heap_fetches / corrected.rows, at_least=0.9, unit="fetches a row", baseline=corrected.rows)

# %% [markdown]
# **Why.** An index entry does not say which transactions may see its row. The row's header says this, in the heap. The
# *visibility map* can save the visit. It has two bits for each page of the heap, and one of them says that every row on
# the page is visible to all transactions. `VACUUM` sets this bit, and the first change to any row of the page clears
# it. One page holds some 95 flights, so correcting one flight in 50 changes nearly every page. ([Index-only
# scans](https://www.postgresql.org/docs/current/indexes-index-only-scans.html), [visibility
# map](https://www.postgresql.org/docs/current/storage-vm.html).)
#
# **In production.** A report was index-only in the test, and it is slow in the morning. Look at `Heap Fetches`, and
# then at `last_autovacuum` in `pg_stat_user_tables`. Autovacuum comes after about a fifth of the table has changed or
# was inserted (`autovacuum_vacuum_scale_factor` and `…_insert_scale_factor`, 0.2). If you rely on index-only scans,
# lower these settings for the table, or end the import with a `VACUUM`.

# %% [markdown] also=["transactions_indexes.fetches_return"] claim="transactions_indexes.not_vacuumed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: end the import with a VACUUM; correct one flight only</summary>
#
# ```diff
# -run("analyze quarter")
# +run("vacuum analyze quarter")
# @@
# -    run("update quarter set dep_delay = dep_delay + 1 where flight_id % 50 = 0")
# +    run("update quarter set dep_delay = dep_delay + 1 where flight_id = 50")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.not_vacuumed")`

# %% [markdown] claim="transactions_indexes.index_only" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: ANALYZE instead of VACUUM</summary>
#
# `ANALYZE` reads the pages, but it does not mark them.
#
# ```diff
# -    run("vacuum quarter")
# +    run("analyze quarter")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.index_only")`

# %% [markdown] minutes=4
# ## An index on a part, an index on an expression
#
# The desk for stranded passengers looks at cancelled flights only. 8,255 of 336,776 flights have no departure time. An
# index may have its own `WHERE`.

# %%
STRANDED = "select carrier, flight from flights where dep_time is null and departs >= '2013-02-08' and departs < '2013-02-10'"
EVERYBODY = "select carrier, flight from flights where departs >= '2013-02-08' and departs < '2013-02-10'"
SAME_ROWS = STRANDED.replace("dep_time is null", "coalesce(dep_time, -1) = -1")

only("cancelled on flights (departs) where dep_time is null")
by_partial = {sql: explain(db, sql) for sql in (STRANDED, EVERYBODY, SAME_ROWS)}
only("cancelled on flights (departs) where dep_time is null", "departures on flights (departs)")
part_of_full = size("cancelled") / size("departures")

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"condition": sql.split("where ")[1], "node": plan.scan.kind, "rows": plan.rows, "pages": plan.buffers}
        for sql, plan in by_partial.items()
    ],
    caption="With nothing but the partial index", left=2,
)

# %%
claim("transactions_indexes.partial_size", "the partial index takes less than a tenth of the full one's size",
      part_of_full, at_most=0.1, unit="×", did=size("cancelled"))
claim("transactions_indexes.partial_use", "the partial index serves a query only if the query's condition implies the index's",
      [plan.indexes for plan in by_partial.values()], equals=[["cancelled"], [], []])

# %% [markdown]
# **Why.** At planning time PostgreSQL tries to *prove* that every row that the query wants is in the index. It can
# prove this from `dep_time is null`. It cannot prove it from `coalesce(dep_time, -1) = -1`, although this selects the
# same rows. It is a planner and not a theorem prover
# ([`predtest.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/optimizer/util/predtest.c)). It
# cannot prove it from `status = $1` either, if it plans without the value (a *generic* plan:
# [The eleventh time](01e_transactions_indexes.ipynb#The-eleventh-time)).
#
# **In production.** Partial indexes are small, and inserts of all other rows do not touch them. They suit
# work queues (`where done_at is null`), soft deletes (`where deleted_at is null`), and *at most one active booking per
# seat* (`unique … where active`).

# %% [markdown] also=["transactions_indexes.partial_use"] claim="transactions_indexes.partial_size" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a condition that every row fulfils</summary>
#
# Then the index is as large as the full one, and it serves every query for a time of departure.
#
# ```diff
# -only("cancelled on flights (departs) where dep_time is null")
# +only("cancelled on flights (departs) where departs is not null")
# @@
# -only("cancelled on flights (departs) where dep_time is null", "departures on flights (departs)")
# +only("cancelled on flights (departs) where departs is not null", "departures on flights (departs)")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.partial_size")`

# %% [markdown]
# The next query asks for one day in New York. There is an index on `departs`, but the condition cannot use it. An index
# is sorted by the values of its column, and the condition asks for a value of a function.

# %%
DAY = "select carrier, flight from flights where (departs at time zone 'America/New_York')::date = '2013-02-08'"

only("departing on flights (departs)")
wrapped = explain(db, DAY)
only("new_york_day on flights (((departs at time zone 'America/New_York')::date))")
guessed = explain(db, DAY)
run("analyze flights")
known = explain(db, DAY)

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"index on": on, "node": plan.scan.kind, "rows estimated": plan.scan.rows_estimated, "rows": plan.rows, "pages": plan.buffers}
        for on, plan in [("departs", wrapped), ("the expression", guessed), ("the expression, after ANALYZE", known)]
    ],
    left=2,
)

# %%
claim("transactions_indexes.expression", "a condition on a function of the column uses an index on the expression and not one on the column",
      [wrapped.indexes, guessed.indexes], equals=[[], ["new_york_day"]])
claim("transactions_indexes.expression_known", "after the next ANALYZE the planner knows how many rows the expression selects",
      known.scan.off_by, at_most=1.1, unit="× off")

# %% [markdown]
# **Reading it.** The first two estimates are the same constant, half a per cent of the table (`DEFAULT_EQ_SEL`, 0.005,
# in [`selfuncs.h`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/include/utils/selfuncs.h)). The planner
# uses it for an equality of which it knows nothing. If there is an index on an expression, `ANALYZE` collects
# statistics of the expression's values. This alone can repair a plan that does not use the index. (Without the index
# you can use `CREATE STATISTICS … ON (expression)`, from version 14.)
#
# **In production.** Often you need no such index. Write the condition so that the column stands alone,
# `departs >= '2013-02-08 05:00Z' and departs < '2013-02-09 05:00Z'`. If you keep the function, it must be immutable to
# be indexed. `departs::date` depends on the session's time zone and is refused. `at time zone` with a name is accepted.

# %% [markdown] also=["transactions_indexes.expression_known"] claim="transactions_indexes.expression" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: New York's day first, and then the day of another time zone</summary>
#
# An index on an expression serves this expression only. Days of UTC are no help for a condition on days of New York, and
# their statistics are none.
#
# ```diff
# -only("departing on flights (departs)")
# +only("departing on flights (((departs at time zone 'America/New_York')::date))")
# @@
# -only("new_york_day on flights (((departs at time zone 'America/New_York')::date))")
# +only("new_york_day on flights (((departs at time zone 'UTC')::date))")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.expression")`

# %% [markdown] claim="transactions_indexes.expression_known" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: do not ANALYZE</summary>
#
# ```diff
# -run("analyze flights")
# +print("later")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.expression_known")`

# %% [markdown] core=true minutes=5
# ## Which column first
#
# It is the 1st of July. How many departures to Honolulu are still to come? The query has two conditions, `dest = 'HNL'`
# and `departs >= '2013-07-01'`. An index on two columns can have them in either order.

# %% [markdown] predict="transactions_indexes.q12"
# **Predict.** 707 of 336,776 flights go to HNL, and half of all flights are later than 1 July. With which index does
# the query read fewer pages?
#
# - **a** (departs, dest)
# - **b** (dest, departs)
# - **c** both the same: each holds both columns

# %%
answer("transactions_indexes.q12", None)  # "a", "b" or "c"

# %%
TO_COME = "select count(*) from flights where dest = 'HNL' and departs >= '2013-07-01'"
NEXT_TEN = "select departs from flights where dest = 'HNL' and departs >= '2013-07-01' order by departs limit 10"

only("two_columns on flights (departs, dest)")
range_first = explain(db, TO_COME)
only("two_columns on flights (dest, departs)")
equality_first = explain(db, TO_COME)
next_ten = explain(db, NEXT_TEN)

# %% tags=["nbval-ignore-output"]
show_plan(range_first, "(departs, dest)")
show_plan(equality_first, "(dest, departs)")
show_plan(next_ten, "the next ten, from (dest, departs)")

# %%
claim("transactions_indexes.equality_first", "with the range column first the index scan reads at least 20 times the pages",
      range_first.buffers / equality_first.buffers, at_least=20, unit="×", proves={"transactions_indexes.q12": "b"})
claim("transactions_indexes.no_sort", "with the equality column first ten rows are read in order of departure and none is sorted",
      ("Sort" in next_ten.kinds, int(next_ten.scan.rows)), equals=(False, 10))

# %% [markdown]
# **Why.** A B-tree on two columns is sorted like a telephone book: by the first column, and by the second where the
# first is equal. The entries of one destination from July on are *one* stretch of `(dest, departs)`. In
# `(departs, dest)` they are scattered over half of the book. So put the columns that are compared by `=` first, then
# the one with the range or the `ORDER BY`. For such a query it does not matter which column alone is more selective
# ([Multicolumn indexes](https://www.postgresql.org/docs/current/indexes-multicolumn.html)).

# %% [markdown] also=["transactions_indexes.no_sort"] claim="transactions_indexes.equality_first" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the better order first, and then no time at all</summary>
#
# The destination alone finds the rows. Then the query must read the table for the times, and sort.
#
# ```diff
# -only("two_columns on flights (departs, dest)")
# +only("two_columns on flights (dest) include (departs)")
# @@
# -only("two_columns on flights (dest, departs)")
# +only("two_columns on flights (dest)")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.equality_first")`

# %% [markdown]
# ### And a query that leaves the first column out
#
# There is an index on `(origin, tailnum)`. The query knows the tail number and not the airport. The table has three
# airports of departure. Up to version 17 PostgreSQL reads such an index from end to end, if at all. Version 18 can
# *skip*. (The plans are `Index Only Scan`, so all pages that we count belong to the index.)

# %%
HOW_MANY = "select count(*) from flights where tailnum = 'N14228'"
SKIPS = int(pg.version.split(".")[0]) >= 18
columns = "origin, tailnum"

only(f"by_airport on flights ({columns})")
with without("seqscan"):
    airport_unknown = explain(db, HOW_MANY)
    airports_named = explain(db, f"{HOW_MANY} and origin in ('EWR', 'JFK', 'LGA')")
read_of_index = airport_unknown.buffers / (size("by_airport") // 8192)

# %% tags=["nbval-ignore-output"]
show_plan(airport_unknown, f"PostgreSQL {pg.version}, index on ({columns})")
show_plan(airports_named, "the same, and the airports named")

# %%
claim("transactions_indexes.skip_scan", "a query without the index's first column uses a skip scan from version 18 on, and reads the whole index before",
      "skipped through" if read_of_index <= 0.25 else "read whole", equals="skipped through" if SKIPS else "read whole")
claim("transactions_indexes.airports_named", "with the three airports named, each version reads a few pages per airport",
      airports_named.buffers, at_most=30, unit="pages")

# %% [markdown]
# **Reading it.** On version 18 the plan shows `Index Searches`. The scan descends once for each airport that it finds
# (and a few times more to see that there is no next one), as if you had written `origin in (…)` yourself. On 15 to 17
# the same node reads all of the some 300 pages of the index, and a planner that is free to choose often takes another
# plan. ([Release notes of 18](https://www.postgresql.org/docs/18/release-18.html): *skip scan*.)
#
# **In production.** Skipping costs one descent for each distinct value of the column that you leave out. For three
# airports that is cheap. For 96,000 times of departure it gains nothing. So skipping helps a query that you forgot, but
# you should still choose the order of the columns with care.

# %% [markdown] also=["transactions_indexes.airports_named"] claim="transactions_indexes.skip_scan" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a first column with too many values to skip</summary>
#
# Versions 15 to 17 never skip. There the change puts the known column first, so the index is not read whole. The second
# change hides the airports' names in an expression, and then they do not help.
#
# ```diff
# -columns = "origin, tailnum"
# +columns = "departs, origin, tailnum" if SKIPS else "tailnum, origin"
# @@
# -    airports_named = explain(db, f"{HOW_MANY} and origin in ('EWR', 'JFK', 'LGA')")
# +    airports_named = explain(db, f"{HOW_MANY} and origin || '' in ('EWR', 'JFK', 'LGA') and flight_id >= 0")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.skip_scan")`

# %% [markdown] minutes=4
# ## Not every index is a B-tree
#
# Here are three other kinds, each with a query that suits it. **BRIN** keeps only the least and the greatest value of
# each range of 128 pages. To see when this works, we put the same rows into a second, shuffled table.

# %%
ONE_DAY = "departs >= '2013-02-08' and departs < '2013-02-09'"

run("drop table if exists shuffled")
run("create table shuffled as select departs, distance from flights order by md5(flight_id::text)")
run("create index shuffled_ranges on shuffled using brin (departs)")
only(
    "time_ranges on flights using brin (departs)",
    "time_tree on flights (departs)",
)
smaller = size("time_tree") / size("time_ranges")
run("drop index time_tree")

with without("seqscan"):
    in_order = explain(db, f"select sum(distance) from flights where {ONE_DAY}")
    in_disorder = explain(db, f"select sum(distance) from shuffled where {ONE_DAY}")
brin_reads = (in_order.buffers / PAGES, in_disorder.buffers / (size("shuffled") // 8192))

# %% tags=["nbval-ignore-output"]
show_plan(in_order, "BRIN, rows in order of time")
show_plan(in_disorder, "BRIN, rows in no order")

# %%
claim("transactions_indexes.brin_small", "the BRIN index is at least 100 times smaller than the B-tree",
      smaller, at_least=100, unit="×")
claim("transactions_indexes.brin_order", "for one day BRIN reads at most a tenth of the ordered table, and all of the shuffled one",
      (brin_reads[0] <= 0.1, brin_reads[1] >= 0.95), equals=(True, True))

# %% [markdown]
# **Why.** In the ordered table, a range of 128 pages covers about two weeks, so one day is in one or two ranges and the
# others are ruled out. In the shuffled table, every range spans nearly the whole year. BRIN suits tables that only
# grow: events, logs and measurements, with hundreds of gigabytes, where a B-tree on the time would not fit into memory
# ([BRIN](https://www.postgresql.org/docs/current/brin.html)).
#
# **GIN** has an entry for each *element* of an array, a document or a text, with the list of rows that contain it. The
# query here asks on which days one aircraft left New York for both Los Angeles and Boston. **Hash** keeps 32 bits of
# the key's hash and answers only `=`.

# %%
run("drop table if exists rotations")
run("""create table rotations as
       select departs::date as day, tailnum, array_agg(dest order by departs) as dests
       from flights where dep_time is not null group by 1, 2""")
BOTH = "select day, tailnum from rotations where dests @> array['LAX', 'BOS']"

run("create index by_element on rotations using gin (dests)")
run("vacuum (analyze) rotations")
contained = explain(db, BOTH)
by_value = "hash"
only(f"of_hash on flights using {by_value} (tailnum)")
hashed = [explain(db, f"select flight from flights where tailnum {c}") for c in ("= 'N14228'", "between 'N14228' and 'N14229'")]

# %% tags=["nbval-ignore-output"]
show_plan(contained, "GIN")
show_table(
    [
        {"kind": kind, "on": on, "KiB": size(name) / 1024}
        for kind, on, name in [("BRIN", "departs, unsorted", "shuffled_ranges"), ("Hash", "tailnum", "of_hash"), ("GIN", "elements of dests", "by_element")]
    ],
    left=2,
)

# %%
claim("transactions_indexes.gin", "GIN finds two array elements and reads less than a fifth of the table's pages",
      contained.buffers / (size("rotations") // 8192), at_most=0.2, unit="of the pages")
claim("transactions_indexes.hash", "a hash index serves equality and no range",
      [plan.indexes for plan in hashed], equals=[["of_hash"], []])

# %% [markdown]
# **In production.**
#
# | kind | for | not for |
# |---|---|---|
# | B-tree | `=`, `<`, `between`, `order by`, uniqueness; `like 'N1%'` in the C collation or with `text_pattern_ops` | elements of a value |
# | GIN | `@>` on arrays and JSONB, full text; with `pg_trgm` `like '%…%'` | many small writes: one row is many entries |
# | BRIN | huge tables in the order of the column | tables that are updated or loaded out of order |
# | Hash | `=` on long values | anything else; a B-tree stores a repeated key only once and is often smaller, as it is for tail numbers |
#
# GiST and SP-GiST serve geometry, ranges and *nearest first*. An exclusion constraint (no two bookings of one gate that
# overlap) uses GiST.

# %% [markdown] also=["transactions_indexes.brin_small"] claim="transactions_indexes.brin_order" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: do not shuffle; use ranges of one page</summary>
#
# ```diff
# -run("create table shuffled as select departs, distance from flights order by md5(flight_id::text)")
# +run("create table shuffled as select departs, distance from flights order by departs")
# @@
# -    "time_ranges on flights using brin (departs)",
# +    "time_ranges on flights using brin (departs) with (pages_per_range = 1)",
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.brin_order")`

# %% [markdown] also=["transactions_indexes.hash"] claim="transactions_indexes.gin" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a B-tree for both</summary>
#
# A B-tree sorts whole arrays, and this does not help to find an element. But it serves the range that hash could not.
#
# ```diff
# -run("create index by_element on rotations using gin (dests)")
# +run("create index by_element on rotations using btree (dests)")
# @@
# -by_value = "hash"
# +by_value = "btree"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.gin")`

# %% [markdown] minutes=2
# ## A table that grows
#
# The airline has 20,000 bookings, or three million with `course run 3.1 --scale full`. We look up one booking by its
# reference in a sixteenth of them, in a quarter, and in all, with the unique index and without.

# %%
booked = data.bookings(scale).bookings[["booking_id", "reference", "customer_id", "flight_id", "seats", "booked_at", "status", "total_cents"]]
sizes = [len(booked) // 16, len(booked) // 4, len(booked)]
sought = booked["reference"].iloc[sizes[0] // 2]

by_scan, by_reference = [], []
for rows in sizes:
    run("drop table if exists bookings")
    run("create table bookings (booking_id int, reference text, customer_id int, flight_id int, seats int, "
        "booked_at timestamptz, status text, total_cents int)")
    lab.copy_in(db, "bookings", booked.head(rows))
    run("vacuum (analyze) bookings")
    by_scan.append(explain(db, f"select * from bookings where reference = '{sought}'"))
    run("create unique index on bookings (reference)")
    by_reference.append(explain(db, f"select * from bookings where reference = '{sought}'"))

# %% tags=["nbval-ignore-output"]
show_lines(
    {
        "without the index": (sizes, [plan.buffers for plan in by_scan]),
        "with it": (sizes, [plan.buffers for plan in by_reference]),
    },
    title="One booking by its reference", x="bookings in the table", y="pages touched", log="xy",
)

# %%
claim("transactions_indexes.scan_grows", "with 16 times the bookings a scan touches about 16 times the pages",
      by_scan[-1].buffers / by_scan[0].buffers, between=(12, 20), unit="×")
claim("transactions_indexes.lookup_stays", "with 16 times the bookings an index lookup touches at most two more pages",
      by_reference[-1].buffers - by_reference[0].buffers, at_most=2, unit="pages")

# %% [markdown]
# **Why.** A page of a B-tree holds some hundreds of keys, so each further level multiplies the number of keys by
# hundreds: two levels for tens of thousands of references, three for millions, four for a billion. The lookup reads one
# page per level, and the page of the row.

# %% [markdown] also=["transactions_indexes.lookup_stays"] claim="transactions_indexes.scan_grows" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a scan that may stop; an index on another column</summary>
#
# The booking is near the beginning of the table. With `limit 1` the scan ends when it has found it, however long the
# table is.
#
# ```diff
# -    by_scan.append(explain(db, f"select * from bookings where reference = '{sought}'"))
# +    by_scan.append(explain(db, f"select * from bookings where reference = '{sought}' limit 1"))
# @@
# -    run("create unique index on bookings (reference)")
# +    run("create unique index on bookings (booking_id)")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.scan_grows")`

# %% [markdown] minutes=6
# ## The same query in four engines
#
# January's 27,004 departures go into each engine. We ask three questions: the destinations of one aircraft without an
# index, the same with an index on the tail number, and only the *primary keys* of its flights, with this index.

# %%
mysql = services.mysql(required=False)
mariadb = services.mariadb(required=False)
stamp()

CREATE = "create table january (flight_id integer primary key, tailnum varchar(6), dest varchar(3))"
INDEX = "create index january_tails on january (tailnum)"
QUERY = "select {columns} from january where tailnum = 'N14228'"
MATES = "select b.dest from january a join january b on b.tailnum = a.tailnum where a.flight_id < 20"
january = lab.flights()[["flight_id", "tailnum", "dest"]].head(27_004)
january_rows = [[flight_id, tail or None, dest] for flight_id, tail, dest in january.fillna("").values.tolist()]

# %% [markdown]
# Each engine explains its plan in its own language. These functions translate it into three phrases: the *whole table*
# was read, the *index and table*, or the *index alone*. Each returns the phrase and the engine's own words.

# %%
def in_mysql(ask, query):
    words = ask(f"explain format=tree {query}").strip()
    return ("whole table" if "Table scan" in words else
            "index alone" if "Covering index" in words else "index and table"), words


def in_mariadb(ask, query):
    block = json.loads(ask(f"analyze format=json {query}"))["query_block"]
    table = block["table"] if "table" in block else block["nested_loop"][0]["table"]
    words = {key: table[key] for key in ("access_type", "key", "r_rows", "using_index") if key in table}
    return ("whole table" if table["access_type"] == "ALL" else
            "index alone" if table.get("using_index") else "index and table"), words


def in_sqlite(ask, query):
    words = ask(f"explain query plan {query}")
    return ("whole table" if words.startswith("SCAN") else
            "index alone" if "COVERING" in words else "index and table"), words


def in_postgres(ask, query):
    words = explain(ask, query).scan.name
    return ("whole table" if "Seq Scan" in words else
            "index alone" if "Index Only" in words else "index and table"), words


# %%
def three_questions(translate, ask, execute):
    """An aircraft's destinations without an index and with one, and the keys of its flights with it."""
    before = translate(ask, QUERY.format(columns="dest"))
    execute(INDEX)
    return [before, *(translate(ask, QUERY.format(columns=columns)) for columns in ("dest", "flight_id"))]


def asked_over_pymysql(server, translate):
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        def ask(query):
            cursor.execute(query)
            return cursor.fetchone()[0]

        cursor.execute("drop table if exists january")
        cursor.execute(CREATE)
        cursor.executemany("insert into january values (%s, %s, %s)", january_rows)
        ask("analyze table january")
        return three_questions(translate, ask, cursor.execute)


# %%
run("drop table if exists january")
run(CREATE)
lab.copy_in(db, "january", january)
run("vacuum (analyze) january")

lite = sqlite3.connect(":memory:")
lite.execute(CREATE)
lite.executemany("insert into january values (?, ?, ?)", january_rows)

told = {
    "PostgreSQL": three_questions(in_postgres, db, run),
    "MySQL": asked_over_pymysql(mysql, in_mysql) if mysql else [],
    "MariaDB": asked_over_pymysql(mariadb, in_mariadb) if mariadb else [],
    "SQLite": three_questions(in_sqlite, lambda query: lite.execute(query).fetchone()[3], lite.execute),
}
in_lite = [step[3] for step in lite.execute(f"explain query plan {MATES}")]
lite.close()
found = {engine: [phrase for phrase, _ in answers] for engine, answers in told.items()}

# %% tags=["nbval-ignore-output"]
questions = ("no index", "index on tailnum", "index on tailnum, keys only")
show_table(
    [
        {"engine": engine, "question": question, "answer": phrase, "in its own words": str(words)}
        for engine, answers in told.items()
        for question, (phrase, words) in zip(questions, answers, strict=False)
    ],
    left=4,
)

# %%
claim("transactions_indexes.in_postgres", "in PostgreSQL an index entry holds a row address, so reading the key needs the table",
      found["PostgreSQL"], equals=["whole table", "index and table", "index and table"])
claim("transactions_indexes.in_mysql", "in MySQL an index entry holds the primary key, so reading the key needs only the index",
      found["MySQL"], equals=["whole table", "index and table", "index alone"], unmeasured=mysql)
claim("transactions_indexes.in_mariadb", "in MariaDB an index entry holds the primary key, too",
      found["MariaDB"], equals=["whole table", "index and table", "index alone"], unmeasured=mariadb)
claim("transactions_indexes.in_sqlite", "in SQLite an index entry holds the rowid, which is the integer primary key",
      found["SQLite"], equals=["whole table", "index and table", "index alone"])

# %% [markdown]
# **Why.** InnoDB keeps the rows *in* the B-tree of the primary key, and the entries of all other indexes end with that
# key ([Clustered and secondary indexes](https://dev.mysql.com/doc/refman/8.4/en/innodb-index-types.html)). SQLite does
# the same with its rowid, and an `integer primary key` is the rowid ([rowid
# tables](https://www.sqlite.org/rowidtable.html)). In these engines a lookup by a secondary index descends *two* trees,
# and a long primary key makes every InnoDB index longer. PostgreSQL descends one tree and goes to an address. In
# return, an update writes a new version with a new address, and every index needs a new entry, unless PostgreSQL can
# avoid it (below).
#
# ### Three plans of one join
#
# MySQL can run a statement and measure its plan, too. The join looks up, for each of the first 20 flights, all flights of
# the same aircraft.

# %%
pairs = run(MATES.replace("b.dest", "count(*)")).scalar_one()
with without("hashjoin", "mergejoin"):
    in_words = {"PostgreSQL, explain (analyze, buffers)": "\n".join(line for (line,) in run(f"explain (analyze, buffers) {MATES}"))}
mysql_rows = 0.0
if mysql:
    with mysql.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"explain analyze {MATES}")
        in_words["MySQL, explain analyze"] = cursor.fetchone()[0].strip()
    lookup = in_words["MySQL, explain analyze"].splitlines()[-1]
    rows, loops = re.search(r"rows=(\S+) loops=(\d+)\)$", lookup).groups()
    mysql_rows = float(rows) * int(loops)
in_words["SQLite, explain query plan"] = "\n".join(in_lite)

# %% tags=["nbval-ignore-output"]
for engine, words in in_words.items():
    print(f"{engine}\n{words}\n")

# %%
claim("transactions_indexes.mysql_per_loop", "in MySQL's EXPLAIN ANALYZE, too, rows are per loop: times the loops they are the rows of the join",
      mysql_rows / pairs, between=(0.95, 1.05), unit="of the rows", baseline=pairs, unmeasured=mysql)

# %% [markdown]
# **Reading it.** MySQL prints a tree of iterators, the one that asks above the one that is asked. `cost=` and the first
# `rows=` are estimates, and `actual time=A..B rows=… loops=…` is measured, per loop
# ([EXPLAIN](https://dev.mysql.com/doc/refman/8.4/en/explain.html#explain-analyze)). How a PostgreSQL plan is read is the
# subject of [the sitting on plans](01e_transactions_indexes.ipynb#The-text-of-a-plan).
#
# **In production.** MariaDB has `ANALYZE FORMAT=JSON` (`r_rows` beside `rows`). SQLite's `EXPLAIN QUERY PLAN` has no row
# counts, so look for the word `SCAN`. Of these texts, only PostgreSQL's counts pages for each node.

# %% [markdown] also=["transactions_indexes.in_mysql", "transactions_indexes.in_mariadb", "transactions_indexes.in_sqlite", "transactions_indexes.mysql_per_loop"] claim="transactions_indexes.in_postgres" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no primary key; for PostgreSQL, an index on both columns; forget the loops</summary>
#
# Without a primary key the three others number their rows by a hidden column. Then `flight_id` is an ordinary column,
# and they must fetch it from the table. With an index on both columns, PostgreSQL answers from the index alone.
#
# ```diff
# -CREATE = "create table january (flight_id integer primary key, tailnum varchar(6), dest varchar(3))"
# +CREATE = "create table january (flight_id integer, tailnum varchar(6), dest varchar(3))"
# @@
# -    "PostgreSQL": three_questions(in_postgres, db, run),
# +    "PostgreSQL": three_questions(in_postgres, db, lambda index: run(index.replace("(tailnum)", "(tailnum, flight_id)"))),
# @@
# -    mysql_rows = float(rows) * int(loops)
# +    mysql_rows = float(rows)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.in_postgres")`

# %% [markdown] core=true minutes=6
# ## What an index costs
#
# A write to a table must also write its indexes. We measure this by the **write-ahead log**. Every change goes there
# first, replicas and point-in-time backups get it from there, and `EXPLAIN (ANALYZE, WAL)` counts its bytes.

# %% [markdown] predict="transactions_indexes.q17"
# **Predict.** Bookings are inserted into a table without an index, and into one with five. How much more WAL does the
# second one write?
#
# - **a** some 10 %: an entry is much smaller than a row
# - **b** about half as much again
# - **c** more than three times as much in all

# %%
answer("transactions_indexes.q17", None)  # "a", "b" or "c"

# %% [markdown]
# Half of the bookings are already there, in the table and its indexes. We measure the insertion of the other half.

# %%
FIELDS = ["booking_id", "reference", "customer_id", "flight_id", "booked_at", "status", "total_cents"]
sold = data.bookings(scale).bookings[FIELDS].head(1_000_000)

run("drop table if exists sold")
run("""create table sold (booking_id int, reference text, customer_id int, flight_id int,
                         booked_at timestamptz, status text, total_cents int)""")
lab.copy_in(db, "sold", sold)
half = len(sold) // 2

wal_a_row = {}
for indexes in (0, 1, 2, 3, 5):
    run("drop table if exists ledger")
    run("create table ledger (like sold)")
    for column in FIELDS[:indexes]:
        run(f"create index on ledger ({column})")
    run(f"insert into ledger select * from sold where booking_id <= {half}")
    measured = explain(db, f"insert into ledger select * from sold where booking_id > {half}", wal=True)
    wal_a_row[indexes] = measured.wal_bytes / (len(sold) - half)

# %% tags=["nbval-ignore-output"]
show_bars(
    {f"{indexes} indexes": written for indexes, written in wal_a_row.items()},
    title="Write-ahead log of one inserted booking", x="bytes", text="{:.0f}".format,
)

# %%
claim("transactions_indexes.each_index", "each of five indexes adds 50 to 110 bytes of WAL per row on average",
      (wal_a_row[5] - wal_a_row[0]) / 5, between=(50, 110), unit="bytes a row and index", baseline=wal_a_row[0])
claim("transactions_indexes.five_indexes", "with five indexes a booking writes more than three times the WAL of one without",
      wal_a_row[5] / wal_a_row[0], at_least=3, unit="×", proves={"transactions_indexes.q17": "c"}, baseline=wal_a_row[0])

# %% [markdown]
# **Why.** The row is one WAL record, and each index entry is another one. It has 24 bytes of header, the page's
# address, and the entry itself. For a key of four bytes that is some 70 bytes. (Each entry also needs a descent, a lock
# on a leaf page, and sometimes a page split.)
#
# An **update** writes a new version of the row, so every index gets a new entry, even if its column did not change.
# There is one exception, with two conditions: none of the changed columns is in an index (BRIN does not count from
# version 16 on), and the new version fits into the same page. Then PostgreSQL does not touch the indexes and chains the
# versions inside the page. This is a *heap-only tuple*
# ([HOT](https://www.postgresql.org/docs/current/storage-hot.html)).
#
# Now confirm every booking in three cases: without an index on `status`, with one, and with one that only *mentions*
# the column. The last is a partial index for cancelled bookings, and it is empty.

# %%
def confirmed(*wanted):
    """The share of HOT updates, and the WAL of one, when half of the bookings change their status."""
    run("drop table if exists held")
    run("create table held with (fillfactor = 45) as select booking_id, 'pending' as status from sold")
    run("create index on held (booking_id)")
    for index in wanted:
        run(f"create index on held {index}")
    changed = explain(db, "update held set status = 'confirmed'", wal=True)
    run("select pg_stat_force_next_flush()")
    hot, all_of_it = run("select n_tup_hot_upd, n_tup_upd from pg_stat_user_tables where relname = 'held'").one()
    return hot / all_of_it, changed.wal_bytes / all_of_it


hot_without, wal_without = confirmed()
hot_with, wal_with = confirmed("(status)")
hot_partial, wal_partial = confirmed("(booking_id) where status = 'cancelled'")

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"index beside booking_id's": beside, "HOT updates, %": 100 * hot, "WAL of one update, bytes": written}
        for beside, hot, written in [
            ("none", hot_without, wal_without),
            ("on status", hot_with, wal_with),
            ("partial, where status = 'cancelled'", hot_partial, wal_partial),
        ]
    ]
)

# %%
claim("transactions_indexes.hot", "nearly all updates are HOT while no index uses the column, and none is when one does",
      (hot_without >= 0.9, hot_with, hot_partial), equals=(True, 0, 0))
claim("transactions_indexes.hot_wal", "one index on the updated column at least doubles the WAL of an update",
      wal_with / wal_without, at_least=2, unit="×")

# %% [markdown]
# **In production.** An index on `status` or `updated_at`, made for one dashboard, can be the most expensive of all. No
# update of this column can be HOT any more. This is true of an empty partial index too, because the columns of its
# condition count as indexed. Look at `n_tup_hot_upd / n_tup_upd`. Give tables with many updates a `fillfactor` below
# 100, so that the new version finds room. Drop indexes that no query uses (see the exercise below).

# %% [markdown] also=["transactions_indexes.five_indexes"] claim="transactions_indexes.each_index" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no indexes while the rows come in</summary>
#
# This is why imports drop the indexes first and build them at the end. Then an index is sorted and written page by
# page. (The figure here does not include that work.)
#
# ```diff
# -    for column in FIELDS[:indexes]:
# -        run(f"create index on ledger ({column})")
# +    for column in FIELDS[:0]:
# +        run(f"create index on ledger ({column})")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.each_index")`

# %% [markdown] also=["transactions_indexes.hot_wal"] claim="transactions_indexes.hot" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: full pages</summary>
#
# If the pages are full, the new version must go to another page, and every index gets a new entry. The first condition
# of HOT is met, but the second is not.
#
# ```diff
# -    run("create table held with (fillfactor = 45) as select booking_id, 'pending' as status from sold")
# +    run("create table held with (fillfactor = 100) as select booking_id, 'pending' as status from sold")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.hot")`

# %% [markdown] also=["transactions_indexes.hot"] claim="transactions_indexes.hot_wal" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: two indexes that do not mention the status</summary>
#
# There are as many indexes as before. No update changes a column of theirs.
#
# ```diff
# -hot_with, wal_with = confirmed("(status)")
# +hot_with, wal_with = confirmed("(booking_id desc)")
# @@
# -hot_partial, wal_partial = confirmed("(booking_id) where status = 'cancelled'")
# +hot_partial, wal_partial = confirmed("(booking_id) where booking_id < 0")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.hot_wal")`

# %% [markdown] minutes=4
# ## A random key and a timed key
#
# The payment service gives its rows a UUID as primary key. Version 4 has 122 random bits. Version 7 ([RFC
# 9562](https://www.rfc-editor.org/rfc/rfc9562#section-5.7)) begins with 48 bits of milliseconds, and most of the rest
# is random. Python 3.14 has `uuid.uuid7`, and PostgreSQL 18 has `uuidv7()`. For older versions it is a few lines:

# %%
def uuid7(milliseconds):
    """48 bits of time, version, 12 random bits, variant, 62 random bits."""
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | randbits(12) << 64 | 2 << 62 | randbits(62))


def wal_of_keys(keys, more):
    """WAL of each of the last `more` rows, written right after a checkpoint; and the index's bytes a key."""
    run("drop table if exists payments")
    run("create table payments (id uuid primary key, amount_cents int)")
    run("create temporary table if not exists arriving (nr serial, id uuid)")
    run("truncate arriving restart identity")
    lab.copy_in(db, "arriving", keys.to_frame("id"))
    run(f"insert into payments select id, 100 from arriving where nr <= {len(keys) - more}")
    run("checkpoint")
    last = explain(db, f"insert into payments select id, 100 from arriving where nr > {len(keys) - more} order by nr", wal=True)
    return last.wal_bytes / more, size("payments_pkey") / len(keys)


# %% [markdown] predict="transactions_indexes.q18"
# **Predict.** 60,000 payments are inserted, then comes a checkpoint, then 1,000 more payments. How does the WAL of one
# of the last compare for UUID v4 and v7?
#
# - **a** the same: both are 16 bytes
# - **b** v4 some 20 % more, for page splits
# - **c** v4 several times as much

# %%
answer("transactions_indexes.q18", None)  # "a", "b" or "c"

# %%
PAYMENTS, MORE = (60_000, 1_000) if scale == "quick" else (1_000_000, 10_000)
start = 1_356_998_400_000  # 2013-01-01, in milliseconds

random_keys = pd.Series([str(uuid.uuid4()) for _ in range(PAYMENTS + MORE)])
timed_keys = pd.Series([str(uuid7(start + 10 * n)) for n in range(PAYMENTS + MORE)])
v4_wal, v4_size = wal_of_keys(random_keys, MORE)
v7_wal, v7_size = wal_of_keys(timed_keys, MORE)

# %% tags=["nbval-ignore-output"]
show_bars({"UUID v4": v4_wal, "UUID v7": v7_wal}, title="WAL of one payment, right after a checkpoint", x="bytes", text="{:,.0f}".format)
show_bars({"UUID v4": v4_size, "UUID v7": v7_size}, title="The primary key's index", x="bytes a key", text="{:.1f}".format)

# %%
claim("transactions_indexes.random_keys", "after a checkpoint a uuidv4 key writes at least four times the WAL of a uuidv7 key",
      v4_wal / v7_wal, at_least=4, unit="×", proves={"transactions_indexes.q18": "c"})
claim("transactions_indexes.random_size", "an index of random keys is at least a sixth larger",
      v4_size / v7_size, at_least=1.17, unit="×")

# %% [markdown]
# **Why.** The first change to a page after a checkpoint writes the *whole page* to the WAL. With it PostgreSQL can
# restore a page that a crash left half-written
# ([full_page_writes](https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-FULL-PAGE-WRITES)). A thousand
# random keys touch nearly every leaf of the index, and a thousand timed keys fill the last few leaves. Also, leaves
# that split in the middle stay some 70 % full, while the rightmost leaf is filled to 90 % before a new one begins.
#
# **In production.** Reads pay too. Recent payments are all over a v4 index, so all of it should be in memory. Version 7
# has drawbacks. Anybody who sees the key knows when the row was made. And all writers insert into the same leaf, which
# can become a point of contention. In MySQL the choice matters more, because the index of the primary key *is* the
# table.

# %% [markdown] claim="transactions_indexes.random_keys" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no checkpoint</summary>
#
# Between two checkpoints, each page is written whole only once. For all of them this happened when the 60,000 came.
#
# ```diff
# -    run("checkpoint")
# +    run("select 'no checkpoint'")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.random_keys")`

# %% [markdown] also=["transactions_indexes.random_keys"] claim="transactions_indexes.random_size" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the time at the end, and random keys that come sorted</summary>
#
# It is the order of arrival that counts. So a batch of version 4 keys is cheap if it is sorted before it is inserted into an empty table.
#
# ```diff
# -    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | randbits(12) << 64 | 2 << 62 | randbits(62))
# +    return uuid.UUID(int=randbits(48) << 80 | 7 << 76 | randbits(12) << 64 | 2 << 62 | milliseconds)
# @@
# -random_keys = pd.Series([str(uuid.uuid4()) for _ in range(PAYMENTS + MORE)])
# +random_keys = pd.Series(sorted(str(uuid.uuid4()) for _ in range(PAYMENTS + MORE)))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.random_size")`

# %% [markdown] minutes=10
# ## One wide table
#
# A colleague wants to avoid joins and puts everything into one table: each flight has the airline's name, the airports'
# names, and the maker and model of the aircraft. The same facts are also in four tables.

# %%
airports = data.airports()[["faa", "name", "tzone"]]
only()
run("drop table if exists airlines, airports, planes, wide")
run("create table airlines (carrier text primary key, name text not null)")
run("create table airports (faa text primary key, name text not null, tzone text)")
run("create table planes (tailnum text primary key, manufacturer text, model text, seats int)")
lab.copy_in(db, "airlines", data.airlines())
lab.copy_in(db, "airports", airports)
lab.copy_in(db, "planes", data.planes()[["tailnum", "manufacturer", "model", "seats"]])
run("vacuum (analyze) airlines, airports, planes")
run("""
    create table wide as
    select f.*, a.name as airline, o.name as origin_name, d.name as dest_name, d.tzone as dest_zone,
           p.manufacturer, p.model, p.seats
    from flights f
    join airlines a using (carrier)
    left join airports o on o.faa = f.origin
    left join airports d on d.faa = f.dest
    left join planes p using (tailnum)
    order by flight_id""")
run("alter table wide add primary key (flight_id)")
run("set default_statistics_target = 100")
run("vacuum (analyze) wide")
run("reset default_statistics_target")

# %% [markdown]
# **Which column depends on which?** A *functional dependency* `X → Y` says that rows with equal X have equal Y. Data
# can refute a dependency, but they cannot prove it. Look for refutations before you design the schema: how many values
# of X come with several values of Y?

# %%
def exceptions(x, y):
    """How many values of x come with more than one y."""
    return run(f"select count(*) from (select from wide where ({x}) is not null group by {x} "
               f"having count(distinct ({y})) > 1) several").scalar_one()


supposed = {
    ("carrier", "airline"): exceptions("carrier", "airline"),
    ("tailnum", "model"): exceptions("tailnum", "model"),
    ("tailnum", "carrier"): exceptions("tailnum", "carrier"),
}
twice = run("select count(*) from (select from wide group by carrier, flight, departs having count(*) > 1) again").scalar_one()
show_table([{"X": x, "Y": y, "values of X with several Y": count} for (x, y), count in supposed.items()], left=2)
print(f"combinations of carrier, flight and departs that occur more than once: {twice}")

# %% [markdown]
# The data do not refute the first two. The airline's name depends on the carrier and the model depends on the aircraft,
# so each belongs in its own table. The dependency of the last line looks right, but it is refuted: 17 aircraft flew for
# two carriers. A column `planes.carrier` would be wrong.
#
# **The normal forms by name.** A *key* is a set of columns, as small as possible, whose values no two rows share. This
# table has two: `flight_id`, and `(carrier, flight, departs)`.
#
# | form | forbids | here |
# |---|---|---|
# | first, 1NF | a list in one column | `rotations.dests` above, an array |
# | second, 2NF | a column outside of the keys that depends on a *part* of a key | `carrier → airline` |
# | third, 3NF | a column outside of the keys that depends on something that is not a key | `tailnum → model` |
# | Boyce-Codd, BCNF | any column that depends on something that is not a key | agents who each work at one airport, in a table with the key (airline, airport): `agent → airport` |
#
# Each form includes the ones above it. Third and Boyce-Codd differ only where the dependent column is part of a key, as
# `airport` is in the last line.
#
# Between tables, the rule is a *foreign key*: every carrier, destination and tail number of a flight is in the table
# that describes it. When you declare one, PostgreSQL checks the data.

# %%
def refused(statement):
    """The class of the error that a statement ends in; None if it ends in none."""
    try:
        run(statement)
    except sqlalchemy.exc.DBAPIError as error:
        return type(error.orig).__name__


REFERENCES = {"carrier": "airlines", "dest": "airports", "tailnum": "planes"}
declared = {
    column: refused(f"alter table flights add constraint of_{column} foreign key ({column}) references {table}")
    for column, table in REFERENCES.items()
}
show_table(
    [
        {"column": column, "references": REFERENCES[column], "answer": error or "declared"}
        for column, error in declared.items()
    ],
    left=3,
)

# %% [markdown]
# Four destinations are missing in the list of airports (all in Puerto Rico and the Virgin Islands), and 721 aircraft
# are missing in the list of planes. A wide table, made with left joins, has NULL there, and nobody notices.
#
# The one key that holds works in both directions. When you delete an airline, PostgreSQL looks for its flights. How
# many rows of `flights` does it read to delete an airline without flights?

# %%
def read_to_delete():
    """Rows of flights that a sequential scan reads when an airline without flights is deleted."""
    READ = "select seq_tup_read from pg_stat_user_tables where relname = 'flights'"
    run("select pg_stat_force_next_flush()")
    before = run(READ).scalar_one()
    run("insert into airlines values ('SY', 'Sun Country Airlines')")
    run("delete from airlines where carrier = 'SY'")
    run("select pg_stat_force_next_flush()")
    return run(READ).scalar_one() - before


bare = read_to_delete()
only("of_carrier on flights (carrier)")
indexed = read_to_delete()
only()
for column in REFERENCES:
    run(f"alter table flights drop constraint if exists of_{column}")

# %%
claim("transactions_indexes.dependencies_hold", "a carrier has one name; 17 aircraft have two carriers; (carrier, flight, departs) is a key",
      [*supposed.values(), twice], equals=[0, 0, 17, 0])
claim("transactions_indexes.foreign_keys", "of three foreign keys the data allow one",
      declared, equals={"carrier": None, "dest": "ForeignKeyViolation", "tailnum": "ForeignKeyViolation"})
claim("transactions_indexes.foreign_key_reads", "deleting an airline without flights reads all flights unless the referencing column has an index",
      (bare, indexed), equals=(336_776, 0), baseline=indexed)

# %% [markdown]
# **Reading it.** PostgreSQL requires a unique index on the referenced side, and makes no index on the referring side
# ([Foreign keys](https://www.postgresql.org/docs/current/ddl-constraints.html#DDL-CONSTRAINTS-FK)). InnoDB makes one if
# it is missing. The scan runs inside the delete, once for each deleted row, and the plan shows it only as *Trigger for
# constraint*. On a live table declare such a key `NOT VALID`, clean up, then `VALIDATE` it (3.5).

# %% [markdown] also=["transactions_indexes.foreign_keys", "transactions_indexes.foreign_key_reads"] claim="transactions_indexes.dependencies_hold" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: suppose less; do not check the rows that are there; make the index before</summary>
#
# ```diff
# -    ("tailnum", "carrier"): exceptions("tailnum", "carrier"),
# +    ("tailnum, carrier", "model"): exceptions("tailnum, carrier", "model"),
# @@
# -twice = run("select count(*) from (select from wide group by carrier, flight, departs having count(*) > 1) again").scalar_one()
# +twice = run("select count(*) from (select from wide group by carrier, flight having count(*) > 1) again").scalar_one()
# @@
# -    column: refused(f"alter table flights add constraint of_{column} foreign key ({column}) references {table}")
# +    column: refused(f"alter table flights add constraint of_{column} foreign key ({column}) references {table} not valid")
# @@
# -bare = read_to_delete()
# -only("of_carrier on flights (carrier)")
# +only("of_carrier on flights (carrier)")
# +bare = read_to_delete()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.dependencies_hold")`

# %% [markdown]
# ### Three anomalies
#
# Three things happen. Endeavor Air is renamed, month by month to keep locks short, and the job dies in July. A new
# airline must be entered before its first flight. And the cancelled flights are removed.

# %%
RENAMED = "carrier = '9E'"
in_place = explain(db, f"update airlines set name = 'Endeavor Air' where {RENAMED}", wal=True)
row_by_row = explain(db, f"update wide set airline = 'Endeavor Air' where {RENAMED} and departs < '2013-07-01'", wal=True)
names = {
    table: run(f"select count(distinct {column}) from {table} where {RENAMED}").scalar_one()
    for table, column in {"airlines": "name", "wide": "airline"}.items()
}

# %%
entered = {
    "airlines": refused("insert into airlines (carrier, name) values ('SY', 'Sun Country Airlines')"),
    "wide": refused("insert into wide (carrier, airline) values ('SY', 'Sun Country Airlines')"),
}

# %%
KNOWS_LAGUARDIA = {
    "airports": "select exists (select from airports where faa = 'LGA')",
    "wide": "select exists (select from wide where dest = 'LGA')",
}
before = {table: run(known).scalar_one() for table, known in KNOWS_LAGUARDIA.items()}
run("delete from wide where dep_time is null")
after = {table: run(known).scalar_one() for table, known in KNOWS_LAGUARDIA.items()}

# %%
show_table(
    [
        {
            "table": "wide" if table == "wide" else "a table of its own",
            "names of 9E after the rename": names[airline],
            "a new airline without a flight": entered[airline] or "entered",
            "LGA as a destination known": f"{before[table]}, then {after[table]}",
        }
        for table, airline in (("wide", "wide"), ("airports", "airlines"))
    ]
)

# %%
claim("transactions_indexes.update_anomaly", "after an incomplete update one airline has two names in the wide table",
      (names["airlines"], names["wide"]), equals=(1, 2), baseline=names["airlines"])
claim("transactions_indexes.insert_anomaly", "an airline without a flight cannot be inserted into the wide table",
      (entered["airlines"], entered["wide"]), equals=(None, "NotNullViolation"))
claim("transactions_indexes.delete_anomaly", "deleting the last flight to LaGuardia deletes all that the wide table knew of it as a destination",
      (after["airports"], after["wide"]), equals=(True, False), baseline=after["airports"])

# %% [markdown]
# **Reading it.** A fact that is stored more than once can get different values. A fact that can only be stored together
# with another cannot be entered without it, and is lost with it. If each fact has one place, this cannot happen,
# without triggers and without discipline.
#
# What is the price of four tables? The next table compares four costs.

# %%
REPORT = {
    "wide": "select airline, count(*) from wide group by airline",
    "four tables": "select a.name, count(*) from flights join airlines a using (carrier) group by a.name",
}
CARD = {
    "wide": "select flight, airline, dest_name, model from wide where flight_id = 1234",
    "four tables": """
        select flight, a.name, d.name, model from flights
        join airlines a using (carrier) left join airports d on d.faa = dest left join planes using (tailnum)
        where flight_id = 1234""",
}
report = {how: explain(db, sql).buffers for how, sql in REPORT.items()}
card = {how: explain(db, sql).buffers for how, sql in CARD.items()}
rename = {"wide": row_by_row.wal_bytes, "four tables": in_place.wal_bytes}

# %% tags=["nbval-ignore-output"]
MIB = 2**20
stored = {"wide": size("wide") / MIB, "four tables": sum(map(size, ("flights", "airlines", "airports", "planes"))) / MIB}
show_table(
    [
        {"": what, **{how: values[how] for how in ("wide", "four tables")}}
        for what, values in [
            ("MiB", stored), ("pages for a report over the year", report),
            ("pages for one flight's card", card), ("bytes of WAL for renaming an airline", rename),
        ]
    ]
)

# %%
claim("transactions_indexes.report_pages", "a report over the year reads more than 1.5 times the pages from the wide table",
      report["wide"] / report["four tables"], at_least=1.5, unit="×", baseline=report["four tables"])
claim("transactions_indexes.card_pages", "one flight's card reads more than twice as many pages from the four tables as from the wide one",
      card["four tables"] / card["wide"], at_least=2, unit="×", baseline=card["wide"])
claim("transactions_indexes.rename_wal", "renaming an airline writes at least 500 times the WAL in the wide table",
      rename["wide"] / rename["four tables"], at_least=500, unit="×", baseline=rename["four tables"])

# %% [markdown]
# **Why.** A sequential scan reads whole rows, whether it needs the columns or not. So the report over the wide table
# reads more. The hash join adds only the pages of the small table, here one page. The card needs three more descents.
# All its pages are in memory, so this is a matter of microseconds.
#
# **When to denormalise.** Do it when a measured query needs it, and give the copy an owner. It may be a column that
# never changes later (the fare *as sold* is a fact of the booking, and not a copy of the price list). It may be a
# summary that one job or trigger writes (a materialised view: 3.2), or a read model fed by events (6.1). A rule of
# thumb: normalise until a measured query is too slow, denormalise only this query, and write down who keeps the copies
# in step.

# %% [markdown] also=["transactions_indexes.insert_anomaly", "transactions_indexes.delete_anomaly"] claim="transactions_indexes.update_anomaly" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: rename in one transaction; enter the airline with a flight; keep the flights to LaGuardia</summary>
#
# Discipline works as long as every client has it.
#
# ```diff
# -row_by_row = explain(db, f"update wide set airline = 'Endeavor Air' where {RENAMED} and departs < '2013-07-01'", wal=True)
# +row_by_row = explain(db, f"update wide set airline = 'Endeavor Air' where {RENAMED}", wal=True)
# @@
# -    "wide": refused("insert into wide (carrier, airline) values ('SY', 'Sun Country Airlines')"),
# +    "wide": refused("insert into wide (flight_id, carrier, airline) values (-1, 'SY', 'Sun Country Airlines')"),
# @@
# -run("delete from wide where dep_time is null")
# +run("delete from wide where dep_time is null and dest <> 'LGA'")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.update_anomaly")`

# %% [markdown] also=["transactions_indexes.card_pages", "transactions_indexes.rename_wal"] claim="transactions_indexes.report_pages" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a covering index for the report; a card without joins; no rename of the wide table</summary>
#
# With one more index, the wide table's report reads the index alone. The width of rows matters only if the heap is
# read.
#
# ```diff
# -report = {how: explain(db, sql).buffers for how, sql in REPORT.items()}
# +run("create index on wide (airline)")
# +run("vacuum wide")
# +report = {how: explain(db, sql).buffers for how, sql in REPORT.items()}
# @@
# -        select flight, a.name, d.name, model from flights
# -        join airlines a using (carrier) left join airports d on d.faa = dest left join planes using (tailnum)
# +        select flight, carrier, dest, tailnum from flights
# @@
# -rename = {"wide": row_by_row.wal_bytes, "four tables": in_place.wal_bytes}
# +rename = {"wide": in_place.wal_bytes, "four tables": in_place.wal_bytes}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.report_pages")`

# %% [markdown] minutes=25
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the
# worked answer after an attempt. Each check makes its own database, with the table `flights` as above (`analyze` was
# run, `vacuum` was not), and drops it at the end.
#
# ### From the index alone, and a small one (10 minutes)
#
# The board of long delays sends this query, for one airport at a time and with thresholds of 120 minutes and more:
#
# ```sql
# select flight, dep_delay from flights where origin = 'LGA' and dep_delay >= 180
# ```
#
# Return SQL statements. After them the query must run as an Index Only Scan with `Heap Fetches: 0`, for every airport
# and every such threshold. All your indexes together may take 1 MiB. Data, columns, rules and settings stay as they
# are.

# %% exercise="transactions_indexes.board_of_delays" tags=["exercise"]
def board_of_delays():
    """A list of SQL statements; each runs outside a transaction, in order."""
    raise NotImplementedError


# %%
check("transactions_indexes.board_of_delays", board_of_delays)

# %% [markdown]
# ### What can go (15 minutes)
#
# Over the years colleagues have added many indexes to a table. The workload of a whole month has run, and the server's
# statistics (`pg_stat_user_indexes`) show it. `connection` is a psycopg connection in autocommit. Return the names of
# all indexes of the table `flights` that can be dropped. These are the indexes that no query used, and those that
# another index makes redundant. No query of the workload may get slower, and no rule on the data may be lost. The check
# drops the indexes, runs the workload again, and compares pages. It does this with two databases that have different
# indexes, so read the catalog and do not return a fixed list.

# %% exercise="transactions_indexes.useless_indexes" tags=["exercise"]
def useless_indexes(connection):
    """Names of the indexes of flights that can be dropped."""
    raise NotImplementedError


# %%
check("transactions_indexes.useless_indexes", useless_indexes)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>In which order do you put the columns of an index?</summary>
#
# Columns with equality first, then the one with the range or the order (`transactions_indexes.equality_first`,
# `transactions_indexes.no_sort`). "The most selective first" is not the rule. Version 18 can skip a first column with
# few values (`transactions_indexes.skip_scan`).
#
# </details>
#
# <details>
# <summary>Does a foreign key need an index?</summary>
#
# The referenced side always has a unique index. The referring side needs one if referenced rows are deleted or change
# their key (`transactions_indexes.foreign_key_reads`). PostgreSQL does not make it, and InnoDB does.
#
# </details>
#
# <details>
# <summary>UUIDs as primary keys?</summary>
#
# Yes, but timed ones (v7). Right after a checkpoint random ones write several times the WAL, and they leave a larger
# index (`transactions_indexes.random_keys`, `transactions_indexes.random_size`). In InnoDB this matters more, because
# there the index is the table.
#
# </details>
#
# <details>
# <summary>What do five more indexes cost a table?</summary>
#
# Each adds some 70 bytes of WAL to an insert (`transactions_indexes.each_index`). And no update of an indexed column
# can be HOT (`transactions_indexes.hot`, `transactions_indexes.hot_wal`).
#
# </details>
#
# <details>
# <summary>When would you denormalise?</summary>
#
# When a measured query needs it and the copy has an owner. You risk copies that differ
# (`transactions_indexes.update_anomaly`), facts that you cannot enter (`transactions_indexes.insert_anomaly`), and
# facts that you lose (`transactions_indexes.delete_anomaly`). And a wide table may even read more pages
# (`transactions_indexes.report_pages`).
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. Without an index a query reads every page. Through an index it reads about one page per row. From an index alone it
#    reads none of the table's pages, once `VACUUM` has marked them.
# 2. A partial index is small and serves only conditions that imply its own. A condition on an expression needs an index
#    on this expression. Columns with equality come before the range.
# 3. MySQL, MariaDB and SQLite keep the primary key in every index, and PostgreSQL keeps an address.
# 4. Each index adds its bytes to every insert. An index on an updated column prevents HOT updates, and random keys
#    write whole pages after a checkpoint.
# 5. In a wide table facts can contradict each other, cannot be entered, or get lost. Four tables make reports and
#    renames cheaper, and one flight's card more expensive.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `transactions_indexes.whole_table`, `transactions_indexes.through_index`, `transactions_indexes.index_only`,
#    `transactions_indexes.not_vacuumed`, `transactions_indexes.fetches_return`, `transactions_indexes.scan_grows`,
#    `transactions_indexes.lookup_stays`
# 2. `transactions_indexes.partial_size`, `transactions_indexes.partial_use`, `transactions_indexes.expression`,
#    `transactions_indexes.expression_known`, `transactions_indexes.equality_first`, `transactions_indexes.no_sort`,
#    `transactions_indexes.skip_scan`, `transactions_indexes.airports_named`, `transactions_indexes.brin_small`,
#    `transactions_indexes.brin_order`, `transactions_indexes.gin`, `transactions_indexes.hash`
# 3. `transactions_indexes.in_mysql`, `transactions_indexes.in_mariadb`, `transactions_indexes.in_sqlite`,
#    `transactions_indexes.in_postgres`
# 4. `transactions_indexes.each_index`, `transactions_indexes.five_indexes`, `transactions_indexes.hot`,
#    `transactions_indexes.hot_wal`, `transactions_indexes.random_keys`, `transactions_indexes.random_size`
# 5. `transactions_indexes.update_anomaly`, `transactions_indexes.insert_anomaly`,
#    `transactions_indexes.delete_anomaly`, `transactions_indexes.dependencies_hold`,
#    `transactions_indexes.foreign_keys`, `transactions_indexes.foreign_key_reads`, `transactions_indexes.report_pages`,
#    `transactions_indexes.rename_wal`, `transactions_indexes.card_pages`
#
# </details>
#
# **Further reading.** [Index-only scans](https://www.postgresql.org/docs/current/indexes-index-only-scans.html) ·
# [Heap-only tuples](https://www.postgresql.org/docs/current/storage-hot.html) ·
# [Markus Winand, *Use the index, Luke*](https://use-the-index-luke.com/), for all engines ·
# [RFC 9562](https://www.rfc-editor.org/rfc/rfc9562), on UUIDs.

# %% [markdown] footer=true
# ← [3.1a Transactions, indexes, plans](01a_transactions_indexes.ipynb) · [Section 3](00_section.ipynb) · [Board](../00_start_here.ipynb) · [3.1c Transactions, indexes, plans](01c_transactions_indexes.ipynb) →
