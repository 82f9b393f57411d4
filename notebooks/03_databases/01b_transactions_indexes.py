# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans: indexes, plans, normalisation
#
# > PostgreSQL, MySQL, SQLite — Транзакции, индексы, нормализация, EXPLAIN ANALYZE.
# >
# > PostgreSQL, MySQL, SQLite: transactions, indexes, normalisation, EXPLAIN ANALYZE.
#
# Second of two sittings, 105 minutes: what a query reads, what an index spares it, and what both cost. (The first is about
# transactions; neither needs the other.) Needs PostgreSQL, 15 or later; with MySQL and MariaDB beside it, it reads their
# plans too. SQLite comes with Python.
#
# **You will be able to show that …**
#
# 1. what a plan says, and how many pages a query reads without an index, through one, and from one alone;
# 2. which index a condition can use: partial, on an expression, in which order of columns, of which kind;
# 3. when the planner is right to leave an index alone, and three ways in which it is wrong;
# 4. how the same query runs in PostgreSQL, MySQL, MariaDB and SQLite;
# 5. what an index costs whoever writes, and what a random key costs;
# 6. what a wide table does to your data, and what it saves and costs to take it apart.

# %%
import contextlib
import json
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
# One server, all 336,776 departures of 2013 in one table. The settings keep plans from wandering: nothing happens
# in the background, no query is split among workers, and `ANALYZE` looks at every row. (It samples 300 rows for each
# unit of the statistics target, [`analyze.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/commands/analyze.c);
# 300 × 1,200 is more than the table has.) On a real server leave autovacuum on.

# %%
pg = services.postgres(settings=lab.SETTINGS)
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
# Each experiment starts from the bare table and says which indexes it wants. `without` takes a kind of plan node away
# from the planner for a while: an instrument for questions such as *what would the index have cost?*

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
# **How to read it.** Each line is a node; a node asks the nodes below it for rows, one at a time, and the topmost
# line is the result. *Rows per loop* come in two columns: what the planner *estimated*, and what *actually* came, on average.
# *Loops* says how often the node ran, and the planner does not print how often it expected that. (Up to version 17 the
# server rounds the actual rows per loop to a whole number, which hides a node that returned three rows in ten loops.)
# *Buffers* are pages of 8 KiB, found in shared memory (*hit*) or fetched from the operating system (*read*), each node's
# figure including those below it. Milliseconds come last because they are the one column that changes when you look
# again. A long condition is folded; click on it.
#
# This notebook counts pages, hit plus read: they are what an index saves, on your laptop as on the server.

# %% [markdown] predict="transactions_indexes.q12"
# **Predict.** An index on `tailnum`. The aircraft made 111 of 336,776 departures, all through the year. How
# many pages will the query read?
#
# - **a** 3 or 4: the height of the index
# - **b** about 110: one for each row
# - **c** about a third of the table

# %%
answer("transactions_indexes.q12", None)  # "a", "b" or "c"

# %%
only("tails on flights (tailnum)")
looked_up = explain(db, TRIPS)

# %% tags=["nbval-ignore-output"]
show_plan(looked_up, "the same query, with an index on tailnum")

# %%
claim("transactions_indexes.whole_table", "without an index, 111 rows cost every page of the table",
      whole.buffers, equals=PAGES)
claim("transactions_indexes.through_index", "through the index they cost about a page a row",
      looked_up.buffers / looked_up.rows, between=(0.8, 1.3), unit="pages a row", proves={"transactions_indexes.q12": "b"},
      baseline=looked_up.rows)

# %% [markdown]
# **Why.** PostgreSQL keeps a table as a *heap*: rows lie where there was room, and an index entry holds a key and the
# row's address, (page, slot). Three pages lead down the B-tree to the 111 entries; then each row has to be fetched
# from its page of the heap, and an aircraft that flies about every third day finds its rows on 111 different pages. A
# *Bitmap* scan first collects the addresses, sorts them by page, and reads each page once.
# ([Using EXPLAIN](https://www.postgresql.org/docs/current/using-explain.html) in the manual.)
#
# **In production.** *It uses an index* is half of the answer. The other half is how many heap pages stand behind the
# index entries: 111 pages from a cold disk are 111 separate reads.

# %% [markdown] also=["transactions_indexes.through_index"] claim="transactions_indexes.whole_table" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: stop at the first row; and put the columns into the index</summary>
#
# A sequential scan that nobody asks for a second row stops reading. And an index that holds what the query selects
# saves the visit to the table: the next experiment.
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
# An index can carry columns that it does not sort by: `INCLUDE`. Then the query finds everything in the index, and the
# plan says *Index Only Scan*. The night's import has just loaded the first quarter.

# %%
run("drop table if exists quarter")
run("create table quarter as select * from flights where departs < '2013-04-01'")
run("create index covering on quarter (tailnum) include (departs, origin, dest)")
run("analyze quarter")

BUSIEST = "select departs, origin, dest from quarter where tailnum = 'N725MQ'"

# %% [markdown] predict="transactions_indexes.q13"
# **Predict.** The index holds all four columns of the query. For how many of the rows does an Index Only Scan
# read the *table*, right after the import?
#
# - **a** none: hence its name
# - **b** all
# - **c** those that changed since the index was made

# %%
answer("transactions_indexes.q13", None)  # "a", "b" or "c"

# %% [markdown]
# Three looks: after the import, after a `VACUUM`, and after a batch has corrected the delay of every 50th flight,
# a column that is not in the index. (Bitmap scans are off so that we see the same node three times. Of its own accord
# the planner would avoid the first: it knows that no page is marked yet.)

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
claim("transactions_indexes.not_vacuumed", "after an import an Index Only Scan visits the table for every row",
      imported.heap_fetches / imported.rows, equals=1, unit="fetches a row", proves={"transactions_indexes.q13": "b"}, baseline=imported.rows)
claim("transactions_indexes.index_only", "after VACUUM for none",
      vacuumed.heap_fetches, equals=0)
claim("transactions_indexes.fetches_return", "one changed row in 50, and it visits it for nearly every row again",
      corrected.heap_fetches / corrected.rows, at_least=0.9, unit="fetches a row", baseline=corrected.rows)

# %% [markdown]
# **Why.** An index entry does not say which transactions may see its row; that stands in the row's header, in the heap.
# What saves the visit is the *visibility map*: two bits for each page of the heap, one of which says that every row on
# it is visible to everybody. `VACUUM` sets it; the first change to any row of the page clears it. One page holds some 95
# flights, so one correction in 50 leaves no page untouched.
# ([Index-only scans](https://www.postgresql.org/docs/current/indexes-index-only-scans.html),
# [visibility map](https://www.postgresql.org/docs/current/storage-vm.html).)
#
# **In production.** The report that was index-only in the test and is slow in the morning: look at `Heap Fetches`, and
# then at `last_autovacuum` in `pg_stat_user_tables`. Autovacuum comes after a fifth of the table changed or was inserted
# (`autovacuum_vacuum_scale_factor` and `…_insert_scale_factor`, 0.2); for a table that is read index-only, lower them, or
# end the import with a `VACUUM`.

# %% [markdown] also=["transactions_indexes.fetches_return"] claim="transactions_indexes.not_vacuumed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: end the import with a VACUUM; and correct one flight only</summary>
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
# <summary><b>Break it</b>: ANALYZE in place of VACUUM</summary>
#
# It reads the pages, but it does not mark them.
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
# The desk for stranded passengers looks at cancelled flights only: 8,255 of 336,776 have no departure time. An index
# may have a `WHERE` of its own.

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
claim("transactions_indexes.partial_size", "the partial index takes less than a tenth of the full one",
      part_of_full, at_most=0.1, unit="×", did=size("cancelled"))
claim("transactions_indexes.partial_use", "it serves a query whose condition implies the index's, and no other",
      [plan.indexes for plan in by_partial.values()], equals=[["cancelled"], [], []])

# %% [markdown]
# **Why.** At planning time PostgreSQL tries to *prove* that every row the query wants is in the index: from `dep_time is
# null` it can, from `coalesce(dep_time, -1) = -1`, which selects the same rows, it cannot; it is a planner, not a theorem
# prover ([`predtest.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/optimizer/util/predtest.c)). Nor
# can it from `status = $1` when it plans without the value (a *generic* plan: *The eleventh time*, below).
#
# **In production.** Partial indexes pay twice: they are small, and the other 98 % of the writes do not touch them.
# Work queues (`where done_at is null`), soft deletes (`where deleted_at is null`), *at most one active booking a seat*
# (`unique … where active`).

# %% [markdown] also=["transactions_indexes.partial_use"] claim="transactions_indexes.partial_size" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a condition that every row fulfils</summary>
#
# Then the index is as large as the full one, and serves everybody who asks for a time of departure.
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
# The next query asks for a day as New York's wall calendar has it. There is an index on `departs`. The condition
# does not use it: an index is sorted by the values of its column, and the condition asks about values of a function.

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
claim("transactions_indexes.expression", "a function round the column hides it from its index, not from one on the expression",
      [wrapped.indexes, guessed.indexes], equals=[[], ["new_york_day"]])
claim("transactions_indexes.expression_known", "after the next ANALYZE the planner knows how many rows the expression selects",
      known.scan.off_by, at_most=1.1, unit="× off")

# %% [markdown]
# **Reading it.** The first two estimates are the same, and a constant: half a per cent of the table
# (`DEFAULT_EQ_SEL`, 0.005, in
# [`selfuncs.h`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/include/utils/selfuncs.h)), which is what the
# planner says about an equality of which it knows nothing. An index on an expression makes `ANALYZE` collect statistics of
# the expression's values; that alone can repair a plan that has nothing to do with the index. (Without the index:
# `CREATE STATISTICS … ON (expression)`, from version 14.)
#
# **In production.** Often no such index is needed: write the condition so that the column stands alone,
# `departs >= '2013-02-08 05:00Z' and departs < '2013-02-09 05:00Z'`. If the function must stay, it must be immutable to be
# indexed: `departs::date` depends on the session's time zone and is refused, `at time zone` with a name is accepted.

# %% [markdown] also=["transactions_indexes.expression_known"] claim="transactions_indexes.expression" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: index the expression from the start; and do not ANALYZE</summary>
#
# ```diff
# -only("departing on flights (departs)")
# +only("departing on flights (((departs at time zone 'America/New_York')::date))")
# @@
# -run("analyze flights")
# +print("later")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.expression")`

# %% [markdown] core=true minutes=5
# ## Which column first
#
# How many departures to Honolulu are still to come, on the 1st of July? Two conditions, `dest = 'HNL'` and `departs >=
# '2013-07-01'`; an index on two columns can have them in either order.

# %% [markdown] predict="transactions_indexes.q14"
# **Predict.** 707 of 336,776 flights go to HNL; half of all flights are later than 1 July. Which index reads
# fewer pages?
#
# - **a** (departs, dest)
# - **b** (dest, departs)
# - **c** both the same: each holds both columns

# %%
answer("transactions_indexes.q14", None)  # "a", "b" or "c"

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
claim("transactions_indexes.equality_first", "with the range first the index is read from July on: at least 20 times the pages",
      range_first.buffers / equality_first.buffers, at_least=20, unit="×", proves={"transactions_indexes.q14": "b"})
claim("transactions_indexes.no_sort", "behind the equality the index is in order of departure: ten rows are read, none sorted",
      ("Sort" in next_ten.kinds, int(next_ten.scan.rows)), equals=(False, 10))

# %% [markdown]
# **Why.** A B-tree on two columns is a telephone book: sorted by the first, and by the second among equals of the first. The rows of one
# destination from July on are *one* stretch of `(dest, departs)`. In `(departs, dest)` they are sprinkled over half of
# the book. The rule: columns compared by `=` first, then the one with the range or the `ORDER BY`. How selective
# each of them is alone does not matter
# ([Multicolumn indexes](https://www.postgresql.org/docs/current/indexes-multicolumn.html)).

# %% [markdown] also=["transactions_indexes.no_sort"] claim="transactions_indexes.equality_first" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: take the time out of the second index</summary>
#
# The destination alone finds the rows; then the table must be read for the times, and the ten sorted.
#
# ```diff
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
# There is an index on `(origin, tailnum)`. The query knows the tail number, and not the airport. The table has three
# airports of departure. Up to version 17 such an index was read from end to end, if at all; version 18 can *skip*.
# (`Index Only Scan`, so that all pages counted are the index's.)

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
claim("transactions_indexes.skip_scan", "without its first column the index is skipped through from version 18 on, and read whole before",
      "skipped through" if read_of_index <= 0.25 else "read whole", equals="skipped through" if SKIPS else "read whole")
claim("transactions_indexes.airports_named", "with the three airports named, every version takes a few pages for each",
      airports_named.buffers, at_most=30, unit="pages")

# %% [markdown]
# **Reading it.** On version 18 the plan shows `Index Searches`: the scan descends once for each airport it
# finds (and a few times to find that there is no next one), as if you had written `origin in (…)` yourself. On 15 to 17
# the same node reads all of the index's some 300 pages, and an honest planner often takes another plan.
# ([Release notes of 18](https://www.postgresql.org/docs/18/release-18.html): *skip scan*.)
#
# **In production.** Skipping costs a descent for each distinct value of the columns left out. Three airports: a bargain.
# 96,000 times of departure: no gain. It makes a forgotten query bearable; it is no reason to order the columns
# carelessly.

# %% [markdown] also=["transactions_indexes.airports_named"] claim="transactions_indexes.skip_scan" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a first column with too many values to skip</summary>
#
# Where nothing is skipped anyway (15 to 17), put the known column first instead: then nothing is read whole. And to
# "name" the values of the first column helps only where you name them.
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
# ## The first row only
#
# Aircraft N827JB made 125 flights. A page shows them in order of time; another page shows only the first of them. Both
# `tailnum` and `departs` have an index.

# %%
AIRCRAFT = "N827JB"
ITS_FLIGHTS = f"select departs, origin, dest from flights where tailnum = '{AIRCRAFT}' order by departs"

# %% [markdown] predict="transactions_indexes.q15"
# **Predict.** The whole list reads 128 pages. The same query with `LIMIT 1`?
#
# - **a** about 4: the first row of the index on departs
# - **b** the same 128: to know the first it must see all
# - **c** more than a thousand

# %%
answer("transactions_indexes.q15", None)  # "a", "b" or "c"

# %%
only("of_tail on flights (tailnum)", "of_time on flights (departs)")
all_of_them = explain(db, ITS_FLIGHTS)
first_only = explain(db, f"{ITS_FLIGHTS} limit 1")

# %% tags=["nbval-ignore-output"]
show_plan(all_of_them, "all flights of one aircraft")
show_plan(first_only, "the first of them: LIMIT 1")

# %%
only("of_tail_and_time on flights (tailnum, departs)")
served = explain(db, f"{ITS_FLIGHTS} limit 1")

claim("transactions_indexes.limit_walks", "LIMIT 1 reads more than ten times the pages of the whole list",
      first_only.buffers / all_of_them.buffers, at_least=10, unit="×", proves={"transactions_indexes.q15": "c"})
claim("transactions_indexes.limit_served", "an index on (tailnum, departs) answers it in a descent and one page of the table",
      served.buffers, at_most=5, unit="pages")

# %% [markdown]
# **Reading it.** The planner changed its mind. It walks the index on `departs` from New Year on, looks every flight
# up, and waits to meet this aircraft. It believes that the 125 flights are spread evenly over the year, so that it will meet
# one after 336,776 / 125 ≈ 2,700 rows, and rows in order of time lie side by side: that *is* cheap. But N827JB was
# delivered in July. 186,678 rows were read and thrown away before its first flight.
#
# **Why.** A `LIMIT` is planned for by scaling: of a plan that yields N rows at cost C, k rows cost about k / N × C
# (`adjust_limit_rows_costs` in
# [`pathnode.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/optimizer/util/pathnode.c)). This assumes that
# the rows you want are spread evenly over the order in which they come. Where two columns are correlated, they
# are not, and no statistics of PostgreSQL describe *where* in an order the matches lie. `select min(departs) … where
# tailnum = …` is turned into the same plan.
#
# **In production.** The page that is fast for every customer but the new ones, or for those who left long ago. The cure is an index that
# serves filter and order together. If you may not add one: `order by departs + interval '0'` hides the order from the
# index, a `MATERIALIZED` CTE fences the filter off. A second column in the `ORDER BY` no longer does: since
# version 13 an *Incremental Sort* makes do with the half-sorted index (measured on 18: the same 2,261 pages and five more).

# %% [markdown] also=["transactions_indexes.limit_served"] claim="transactions_indexes.limit_walks" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: an aircraft that flew on New Year's Day; and the columns the other way round</summary>
#
# N14228 made the very first departure of the file, so the walk ends after one step. With `(departs, tailnum)` the walk
# is back, inside the index.
#
# ```diff
# -ITS_FLIGHTS = f"select departs, origin, dest from flights where tailnum = '{AIRCRAFT}' order by departs"
# +ITS_FLIGHTS = "select departs, origin, dest from flights where tailnum = 'N14228' order by departs"
# @@
# -only("of_tail_and_time on flights (tailnum, departs)")
# +only("of_tail_and_time on flights (departs, tailnum)")
# +ITS_FLIGHTS = ITS_FLIGHTS.replace("N14228", AIRCRAFT)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.limit_walks")`

# %% [markdown] minutes=4
# ## The eleventh time
#
# The page of a destination shows its first flight: `where dest = … order by departs limit 1`. Chicago is asked for all
# day. Lexington, with one flight in the whole year, is asked for now and then, and *sometimes* takes a thousand times as long; on
# a new connection nobody can reproduce it.
#
# The driver is psycopg, as it comes. `lexington(times)` opens a connection, asks it for Chicago so many times, and then
# looks at the plan that *this connection* has for Lexington.

# %%
FIRST_TO = "select departs, flight from flights where dest = %s order by departs limit 1"
SEEN = "select name, custom_plans, generic_plans from pg_prepared_statements where statement like 'select departs%'"


def lexington(times, **options):
    with pg.connect(autocommit=True, **options) as desk:
        for _ in range(times):
            desk.execute(FIRST_TO, ["ORD"])
        if prepared := desk.execute(SEEN).fetchone():
            name, custom, generic = prepared
            return explain(desk, f"execute {name} ('LEX')"), custom, generic
        return explain(desk, FIRST_TO, ["LEX"]), 0, 0


# %% [markdown] predict="transactions_indexes.q16"
# **Predict.** `dest` and `departs` have an index each. Lexington costs a handful of pages on a fresh
# connection. And on one that has been asked for Chicago ten times?
#
# - **a** the same handful: it is the same query on the same data
# - **b** fewer: the statement is prepared, its plan is cached
# - **c** more than a thousand

# %%
answer("transactions_indexes.q16", None)  # "a", "b" or "c"

# %%
only("of_dest on flights (dest)", "of_time on flights (departs)")
asked = {times: lexington(times) for times in (0, 5, 6, 9, 10, 11)}

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {
            "asked for Chicago": times, "prepared": custom + generic > 0, "custom plans": custom,
            "generic plans": generic, "Lexington then reads, pages": plan.buffers,
        }
        for times, (plan, custom, generic) in asked.items()
    ]
)
show_plan(asked[10][0], "Lexington, the eleventh time")

# %%
planned_anew = lexington(10, options="-c plan_cache_mode=force_custom_plan")[0]
only("of_dest_and_time on flights (dest, departs)")
either_way = lexington(10)[0]

claim("transactions_indexes.eleventh", "the eleventh time on one connection reads at least 100 times the pages of the tenth",
      asked[10][0].buffers / asked[9][0].buffers, at_least=100, unit="×", proves={"transactions_indexes.q16": "c"},
      baseline=asked[9][0].buffers)
claim("transactions_indexes.custom_plan", "with plan_cache_mode = force_custom_plan the eleventh is like the first",
      planned_anew.buffers, at_most=20, unit="pages")
claim("transactions_indexes.either_way", "with an index on (dest, departs) the plan without the value is a good one too",
      either_way.buffers, at_most=5, unit="pages")

# %% [markdown]
# **Why.** Two counters, five each. psycopg sends the first five executions of a text as they are, and *prepares* the sixth
# (`prepare_threshold`, [psycopg](https://www.psycopg.org/psycopg3/docs/advanced/prepare.html)). The server plans the first
# five executions of a prepared statement with the value (*custom*), then makes a plan without it (*generic*), for an
# average destination, and keeps that if its estimated cost is below the custom ones' average with the effort of
# planning added ([PREPARE](https://www.postgresql.org/docs/current/sql-prepare.html#SQL-PREPARE-NOTES), `choose_custom_plan` in
# [`plancache.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/utils/cache/plancache.c)). For an
# average destination, with 3,200 flights a year, the right plan walks the index on `departs`: it meets one soon. That
# plan serves Lexington by throwing away 303,478 flights, until the one in November comes. (Of the handful of a fresh
# connection three pages are its first look into the catalog.)
#
# **In production.** Ask for the plan where it runs: `auto_explain`, or `explain execute` on such a connection; pasting the
# query with its values into a console shows the other plan. Drivers count differently (asyncpg prepares at once, so there it is
# the sixth), pools keep connections for hours. Cures in this order: an index that makes one plan good for every
# value; `plan_cache_mode` for the role or the transaction; no preparing (`prepare_threshold=None`), which costs a planning
# each time.

# %% [markdown] claim="transactions_indexes.eleventh" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a driver that does not prepare</summary>
#
# ```diff
# -asked = {times: lexington(times) for times in (0, 5, 6, 9, 10, 11)}
# +asked = {times: lexington(times, prepare_threshold=None) for times in (0, 5, 6, 9, 10, 11)}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.eleventh")`

# %% [markdown] also=["transactions_indexes.either_way"] claim="transactions_indexes.custom_plan" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: leave the choice to the server; and the columns in the other order</summary>
#
# ```diff
# -planned_anew = lexington(10, options="-c plan_cache_mode=force_custom_plan")[0]
# +planned_anew = lexington(10, options="-c plan_cache_mode=auto")[0]
# @@
# -only("of_dest_and_time on flights (dest, departs)")
# +only("of_dest_and_time on flights (departs, dest)")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.custom_plan")`

# %% [markdown] minutes=4
# ## When the index is the slower way
#
# A colleague has put an index on `arr_delay` and complains that PostgreSQL does not use it: *flights that arrived on time
# or early*, more than half of the table. He would like to force it.

# %% [markdown] predict="transactions_indexes.q17"
# **Predict.** An index on `arr_delay`; a query for the earliest 2 % of the flights, who knows where in the
# table. What share of the table's pages has one of them?
#
# - **a** about 2 %
# - **b** about 10 %
# - **c** about half

# %%
answer("transactions_indexes.q17", None)  # "a", "b" or "c"

# %%
COLUMN = "arr_delay"
SHARES = (0.0001, 0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)

only(f"ordered on flights ({COLUMN})")
cuts = {
    share: run(f"select percentile_disc({share}) within group (order by {COLUMN}) from flights").scalar_one()
    for share in SHARES
}


def earliest(share):
    return explain(db, f"select sum(distance) from flights where {COLUMN} <= '{cuts[share]}'")


chosen = {share: earliest(share) for share in SHARES}
with without("seqscan", "bitmapscan"):
    by_index = {share: earliest(share) for share in SHARES}
with without("seqscan", "indexscan"):
    by_bitmap = {share: earliest(share) for share in SHARES}

# %% tags=["nbval-ignore-output"]
show_lines(
    {
        "Index Scan": ([100 * s for s in SHARES], [plan.buffers for plan in by_index.values()]),
        "Bitmap Heap Scan": ([100 * s for s in SHARES], [plan.buffers for plan in by_bitmap.values()]),
        "Seq Scan": ([100 * s for s in SHARES], [PAGES for _ in SHARES]),
    },
    title="Three ways to the same rows", x="share of the table's rows, %", y="pages touched", log="xy",
)
show_table([{"share of the rows, %": 100 * s, "the planner's choice": plan.scan.kind, "pages": plan.buffers} for s, plan in chosen.items()])

# %%
claim("transactions_indexes.scattered", "2 % of the rows lie on more than 40 % of the pages",
      by_bitmap[0.02].buffers / PAGES, at_least=0.4, unit="of the pages", proves={"transactions_indexes.q17": "c"})
claim("transactions_indexes.declined", "for 60 % of the rows the planner reads the table and leaves the index alone",
      chosen[0.6].scan.kind, equals="Seq Scan")
claim("transactions_indexes.forced", "forced to use it, the server touches more than ten times as many pages",
      by_index[0.6].buffers / chosen[0.6].buffers, at_least=10, unit="×")

# %% [markdown]
# **Reading it.** The flat line is the table, once. The Index Scan takes the rows in the order of delay, and visits a
# page for nearly every row, the same page again and again: its line crosses the table's at about 1 % of the rows. The
# Bitmap Scan visits no page twice, so the worst it can do is the whole table and the index on top.
#
# **Why.** 95 rows share a page. If a condition selects a share p of them at random, a page is spared with probability
# (1 − p)⁹⁵; for p = 2 % that is 0.15. (Delays come in bad days, so here 46 % are spared.) The planner knows how the order of a
# column and the order of the heap agree, `pg_stats.correlation`, and prices the visits accordingly.
#
# **In production.** *The planner ignores my index* is usually a compliment to the planner. Before forcing anything, run
# both and compare buffers. On SSDs the price of a random page, `random_page_cost = 4`, is set too high by default for many
# servers; 1.1 to 2 is common. That is a setting to change once, with figures, not a reason for hints.

# %% [markdown] also=["transactions_indexes.declined", "transactions_indexes.forced"] claim="transactions_indexes.scattered" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a column that agrees with the order of the table</summary>
#
# The flights were loaded in order of departure. The first 60 % of the year are the first 60 % of the pages, and the
# index leads to them in that order.
#
# ```diff
# -COLUMN = "arr_delay"
# +COLUMN = "departs"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.scattered")`

# %% [markdown] minutes=4
# ## Not every index is a B-tree
#
# Three other kinds, each for what it was made for. **BRIN** keeps the least and greatest value of each range of 128
# pages, nothing else. To see what it lives on, the same rows once more in a shuffled table.

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
claim("transactions_indexes.brin_order", "one day reads a few per cent of the ordered table, and the shuffled one whole",
      (brin_reads[0] <= 0.1, brin_reads[1] >= 0.95), equals=(True, True))

# %% [markdown]
# **Why.** In an ordered table a range of pages covers about half a day, and all but a few ranges can be ruled out. In a
# shuffled one every range spans the year. BRIN is for what only grows: events, logs, measurements, in tables of
# hundreds of gigabytes, where a B-tree on the time would not fit into memory
# ([BRIN](https://www.postgresql.org/docs/current/brin.html)).
#
# **GIN** turns the column inside out: for each *element* of an array, a document or a text, the list of rows that
# contain it. Here: on which days did one aircraft leave New York for both Los Angeles and Boston? **Hash** keeps 32 bits of the
# key's hash and answers `=`, nothing else.

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
claim("transactions_indexes.gin", "GIN finds two elements in an array without reading a fifth of the table's pages",
      contained.buffers / (size("rotations") // 8192), at_most=0.2, unit="of the pages")
claim("transactions_indexes.hash", "a hash index serves equality, and nothing with an order in it",
      [plan.indexes for plan in hashed], equals=[["of_hash"], []])

# %% [markdown]
# **In production.**
#
# | kind | for | not for |
# |---|---|---|
# | B-tree | `=`, `<`, `between`, `order by`, uniqueness; `like 'N1%'` in the C collation or with `text_pattern_ops` | elements of a value |
# | GIN | `@>` on arrays and JSONB, full text; with `pg_trgm` `like '%…%'` | many small writes: one row is many entries |
# | BRIN | huge tables in the order of the column | tables that are updated or loaded out of order |
# | Hash | `=` on long values | anything else; a B-tree that stores each repeated key once is often smaller (tail numbers here: 2.3 MiB against 12.4, measured) |
#
# GiST and SP-GiST serve geometry, ranges and *nearest first*; an exclusion constraint (no two bookings of one gate
# that overlap) needs GiST.

# %% [markdown] also=["transactions_indexes.brin_small"] claim="transactions_indexes.brin_order" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: shuffle in order of time; and ranges of one page</summary>
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
# It sorts arrays as wholes, which helps nobody who looks for an element; and it serves the range.
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

# %% [markdown] core=true minutes=5
# ## Two columns that know each other
#
# Hawaiian Airlines flies from New York to Honolulu, and nowhere else. A report joins its flights with the weather at
# departure.

# %%
PAIR = "carrier = 'HA' and dest = 'HNL'"
WITH_WEATHER = f"""
    select f.flight_id, w.temp from flights f
    join weather w on w.origin = f.origin and w.time_hour = date_trunc('hour', f.departs, 'UTC')
    where {PAIR}"""

run("drop table if exists weather")
run("create table weather (time_hour timestamptz, origin text, temp float, wind_speed float, visib float)")
lab.copy_in(db, "weather", data.weather()[["time_hour", "origin", "temp", "wind_speed", "visib"]])
run("create index at_hour on weather (origin, time_hour)")
run("vacuum (analyze) weather")

# %% [markdown] predict="transactions_indexes.q18"
# **Predict.** 342 flights are HA's, 707 go to HNL. How many rows does the planner expect for both conditions?
#
# - **a** 342
# - **b** about 1
# - **c** 707

# %%
answer("transactions_indexes.q18", None)  # "a", "b" or "c"

# %% [markdown]
# Then two kinds of *extended statistics*: functional dependencies, and a list of the most common combinations.

# %%
only("of_carrier on flights (carrier)")
statistics = {}
for kind in ("", "dependencies", "mcv"):
    if kind:
        run(f"create statistics carrier_dest_{kind} ({kind}) on carrier, dest from flights")
        run("analyze flights (carrier, dest)")
    statistics[kind or "none"] = explain(db, WITH_WEATHER)

expected = {
    kind: next(node for node in plan.nodes if node.relation == "flights") for kind, plan in statistics.items()
}
joins = {kind: plan.root.kind for kind, plan in statistics.items()}

# %% tags=["nbval-ignore-output"]
for kind in ("none", "mcv"):
    show_plan(statistics[kind], f"extended statistics: {kind}")
show_table(
    [
        {"statistics": kind, "rows estimated": node.rows_estimated, "rows": node.rows, "join": joins[kind], "pages": statistics[kind].buffers}
        for kind, node in expected.items()
    ]
)

# %%
claim("transactions_indexes.multiplied", "the estimate for both conditions is off by more than a hundred times",
      expected["none"].off_by, at_least=100, unit="× off", proves={"transactions_indexes.q18": "b"})
claim("transactions_indexes.mcv", "with a list of common combinations it is right",
      expected["mcv"].off_by, at_most=1.5, unit="× off")
claim("transactions_indexes.dependencies", "with functional dependencies alone it is still off by more than ten times",
      expected["dependencies"].off_by, at_least=10, unit="× off")
claim("transactions_indexes.other_join", "the right estimate brings another join, which touches half as many pages or fewer",
      (joins["none"], joins["mcv"], statistics["none"].buffers >= 2 * statistics["mcv"].buffers),
      equals=("Nested Loop", "Hash Join", True))

# %% [markdown]
# **Why.** Statistics are kept for each column alone, and the planner multiplies: 342 / 336,776 × 707 / 336,776 of the rows
# is less than one. For *one* row a nested loop is right: one lookup in the weather. It got 342 rows and looked 342 times.
# The hash join reads the small weather table once and touches fewer pages. It is not faster here: compare the
# milliseconds of the two plans. All pages are in memory, and it must hash the whole table. Pages cost
# more than hashing when they come from a disk. With three such pairs in a query the error is a factor of millions.
#
# The surprise is the middle row of the table. *Functional dependencies* are one number for the pair of columns: how
# often, over the **whole** table, does the one decide the other? A carrier decides its destination for Hawaiian Airlines and
# almost nobody else, so the number is small. It suits (postcode, city). The MCV list counts combinations, also those
# that do **not** occur together, and suits all else, as long as there are not too many
# ([how the planner uses statistics](https://www.postgresql.org/docs/current/planner-stats.html#PLANNER-STATS-EXTENDED)).
#
# **In production.** Read a slow plan from the leaves up and stop at the first node whose estimate is off by ten: all
# above it was decided on false premises. Then ask *why*: correlated columns, an expression, statistics from before the
# import, or a value that is too rare for the sample. Raising the statistics target cures only the last.

# %% [markdown] also=["transactions_indexes.dependencies", "transactions_indexes.other_join"] claim="transactions_indexes.multiplied" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: two columns that know little of each other</summary>
#
# One flight in six is United's, whether it arrives on time or not.
#
# ```diff
# -PAIR = "carrier = 'HA' and dest = 'HNL'"
# +PAIR = "carrier = 'UA' and dep_delay <= 5"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.multiplied")`

# %% [markdown] also=["transactions_indexes.other_join"] claim="transactions_indexes.mcv" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: count distinct combinations in place of listing them</summary>
#
# `ndistinct` helps the estimate of a `GROUP BY`, not that of a `WHERE`.
#
# ```diff
# -        run(f"create statistics carrier_dest_{kind} ({kind}) on carrier, dest from flights")
# +        run(f"create statistics carrier_dest_{kind} ({kind.replace('mcv', 'ndistinct')}) on carrier, dest from flights")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.mcv")`

# %% [markdown] minutes=2
# ## A table that grows
#
# The airline's bookings, 20,000 of them, or three million with `course run 3.1 --scale full`. The same look-up by booking
# reference in a sixteenth, a quarter, and all of them, with the unique index and without.

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
claim("transactions_indexes.scan_grows", "16 times the bookings, and a scan touches about 16 times the pages",
      by_scan[-1].buffers / by_scan[0].buffers, between=(12, 20), unit="×")
claim("transactions_indexes.lookup_stays", "through the index it touches two pages more at most",
      by_reference[-1].buffers - by_reference[0].buffers, at_most=2, unit="pages")

# %% [markdown]
# **Why.** A page of a B-tree holds some hundreds of keys, so each further level multiplies what it can hold by hundreds:
# two levels for tens of thousands of references, three for millions, four for a billion. The look-up reads one page a level, and
# the row's own.

# %% [markdown] also=["transactions_indexes.lookup_stays"] claim="transactions_indexes.scan_grows" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a scan that may stop; and an index on another column</summary>
#
# The booking stands early in the table: with `limit 1` the scan ends when it has met it, however long the table is.
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

# %% [markdown] minutes=5
# ## The same query in four engines
#
# January's 27,004 departures go into each engine. Three questions: the trips of an aircraft without an index, the same
# with an index on the tail number, and only the flights' *primary keys* by that index.

# %%
mysql = services.mysql(required=False)
mariadb = services.mariadb(required=False)
stamp()

CREATE = "create table january (flight_id integer primary key, tailnum varchar(6), dest varchar(3))"
INDEX = "create index january_tails on january (tailnum)"
QUERY = "select {columns} from january where tailnum = 'N14228'"
january = lab.flights()[["flight_id", "tailnum", "dest"]].head(27_004)
january_rows = [[flight_id, tail or None, dest] for flight_id, tail, dest in january.fillna("").values.tolist()]

# %% [markdown]
# Each engine explains itself in a language of its own. A translation into three phrases: the *whole table* was read,
# the *index and table*, or the *index alone*. Every function returns the phrase and the engine's own words.

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
claim("transactions_indexes.in_postgres", "in PostgreSQL an index entry holds an address: for the key it goes to the table",
      found["PostgreSQL"], equals=["whole table", "index and table", "index and table"])
claim("transactions_indexes.in_mysql", "in MySQL it holds the primary key: for the key the index is enough",
      found["MySQL"], equals=["whole table", "index and table", "index alone"], unmeasured=mysql)
claim("transactions_indexes.in_mariadb", "in MariaDB too",
      found["MariaDB"], equals=["whole table", "index and table", "index alone"], unmeasured=mariadb)
claim("transactions_indexes.in_sqlite", "in SQLite too",
      found["SQLite"], equals=["whole table", "index and table", "index alone"])

# %% [markdown]
# **Why.** InnoDB keeps the rows *in* the B-tree of the primary key, and the entries of all other indexes end in that key
# ([Clustered and secondary indexes](https://dev.mysql.com/doc/refman/8.4/en/innodb-index-types.html)); SQLite does the
# same with its rowid, which an `integer primary key` is
# ([rowid tables](https://www.sqlite.org/rowidtable.html)). There a look-up by a secondary index descends *two* trees,
# and a long primary key makes every index longer. PostgreSQL descends one and goes to an address; in return, an update that moves a row
# needs a new entry in every index, unless it can avoid it (below).
#
# **In production.** Words for the same things: PostgreSQL's `rows=… loops=…`, MySQL's `EXPLAIN ANALYZE` (actual rows
# and time of each iterator), MariaDB's `ANALYZE FORMAT=JSON` (`r_rows` beside `rows`). SQLite's `EXPLAIN QUERY PLAN` has
# no row counts: `SCAN` is the word to look for. Only PostgreSQL counts pages for each node.

# %% [markdown] also=["transactions_indexes.in_mysql", "transactions_indexes.in_mariadb", "transactions_indexes.in_sqlite"] claim="transactions_indexes.in_postgres" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no primary key, and the key in the index after all</summary>
#
# Without a primary key the three others number their rows in secret, and `flight_id` is a column like any other: they must fetch it. An
# index on both columns answers PostgreSQL from the index alone.
#
# ```diff
# -CREATE = "create table january (flight_id integer primary key, tailnum varchar(6), dest varchar(3))"
# +CREATE = "create table january (flight_id integer, tailnum varchar(6), dest varchar(3))"
# @@
# -    "PostgreSQL": three_questions(in_postgres, db, run),
# +    "PostgreSQL": three_questions(in_postgres, db, lambda index: run(index.replace("(tailnum)", "(tailnum, flight_id)"))),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.in_postgres")`

# %% [markdown] minutes=6
# ## What an index costs
#
# Every index is written by whoever writes the table. The measure is the **write-ahead log**: every change
# goes there first, all replicas and backups get it from there, and `EXPLAIN (ANALYZE, WAL)` counts its bytes.

# %% [markdown] predict="transactions_indexes.q19"
# **Predict.** Bookings are inserted into a table with no index, and into one with five. How much more WAL does
# the second write?
#
# - **a** some 10 %: an entry is much smaller than a row
# - **b** about half as much again
# - **c** more than three times as much in all

# %%
answer("transactions_indexes.q19", None)  # "a", "b" or "c"

# %% [markdown]
# Half of the bookings are there already, in indexes that have grown; the inserting of the other half is measured.

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
claim("transactions_indexes.each_index", "an index adds 50 to 110 bytes of WAL to a row, on average over five",
      (wal_a_row[5] - wal_a_row[0]) / 5, between=(50, 110), unit="bytes a row and index", baseline=wal_a_row[0])
claim("transactions_indexes.five_indexes", "with five indexes a booking writes more than three times the WAL",
      wal_a_row[5] / wal_a_row[0], at_least=3, unit="×", proves={"transactions_indexes.q19": "c"}, baseline=wal_a_row[0])

# %% [markdown]
# **Why.** The row is one WAL record. Each index entry is one more: 24 bytes of header, the page's address, and the entry
# itself; some 70 bytes for a key of four. (And each is a descent, a lock on a leaf page, sometimes a page split.)
#
# An **update** is a new version of the row, so every index gets a new entry, also those whose column did not change:
# unless none of the changed columns is in an index (BRIN does not count from version 16 on), and the new version fits into the same page. Then PostgreSQL leaves
# the indexes alone and chains the versions inside the page: a *heap-only tuple*
# ([HOT](https://www.postgresql.org/docs/current/storage-hot.html)). Confirm every booking, without an index on `status`,
# with one, and with one that only *mentions* it: a partial index for cancelled bookings, of which there are none.

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
claim("transactions_indexes.hot", "nearly all updates leave the indexes alone while none knows the column, and no update when one does",
      (hot_without >= 0.9, hot_with, hot_partial), equals=(True, 0, 0))
claim("transactions_indexes.hot_wal", "one index on the updated column doubles the WAL of an update at least",
      wal_with / wal_without, at_least=2, unit="×")

# %% [markdown]
# **In production.** The index on `status` or `updated_at`, made for one dashboard, is the dearest of all: it takes
# HOT from every update of the column. A partial index does so too, were it empty: its condition's columns count as
# indexed. Look at `n_tup_hot_upd / n_tup_upd`; give tables that are updated a `fillfactor` below 100, so that the new
# version finds room; and drop indexes that nobody uses (an exercise below).

# %% [markdown] also=["transactions_indexes.five_indexes"] claim="transactions_indexes.each_index" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: make the indexes when the rows are in</summary>
#
# That is why imports drop the indexes first: built at the end, an index is written page by page, sorted. (Here it is not
# even in the figure.)
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
# With pages filled to the brim the new version must go to another page, and every index must hear of it: the first
# half of HOT's condition is met, the second is not.
#
# ```diff
# -    run("create table held with (fillfactor = 45) as select booking_id, 'pending' as status from sold")
# +    run("create table held with (fillfactor = 100) as select booking_id, 'pending' as status from sold")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.hot")`

# %% [markdown] minutes=4
# ## A key that is born anywhere
#
# The payment service gives its rows a UUID as primary key. Version 4 is 122 random bits. Version 7
# ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#section-5.7)) begins with 48 bits of milliseconds, the rest is random.
# Python 3.14 has `uuid.uuid7` and PostgreSQL 18 `uuidv7()`; for all others it is a few lines:

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


# %% [markdown] predict="transactions_indexes.q20"
# **Predict.** 60,000 payments, then a checkpoint, then 1,000 more. How does the WAL of one of these compare,
# UUID v4 with v7?
#
# - **a** the same: both are 16 bytes
# - **b** v4 some 20 % more, for page splits
# - **c** v4 several times as much

# %%
answer("transactions_indexes.q20", None)  # "a", "b" or "c"

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
claim("transactions_indexes.random_keys", "after a checkpoint a random key writes at least four times the WAL of a timed one",
      v4_wal / v7_wal, at_least=4, unit="×", proves={"transactions_indexes.q20": "c"})
claim("transactions_indexes.random_size", "and leaves an index at least a sixth larger",
      v4_size / v7_size, at_least=1.17, unit="×")

# %% [markdown]
# **Why.** The first change to a page after a checkpoint writes the *whole page* to the WAL, so that a page which a crash left
# half-written can be restored
# ([full_page_writes](https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-FULL-PAGE-WRITES)). A thousand random keys touch
# nearly every leaf of the index; a thousand timed ones fill the last few. And leaves that split in the middle stay
# some 70 % full, while the rightmost is filled to 90 % before a new one is begun.
#
# **In production.** The reads pay as well: the recent payments lie all over a v4 index, so all of it must be in memory. Against v7:
# it tells everybody when the row was made, and neighbours in time are neighbours in the index (which a single hot leaf
# under many writers can feel). In MySQL it matters more: the primary key's index *is* the table.

# %% [markdown] claim="transactions_indexes.random_keys" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no checkpoint</summary>
#
# Between checkpoints a page is written whole once. All were, when the 60,000 came.
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
# <summary><b>Break it</b>: the time at the end</summary>
#
# ```diff
# -    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | randbits(12) << 64 | 2 << 62 | randbits(62))
# +    return uuid.UUID(int=randbits(48) << 80 | 7 << 76 | randbits(12) << 64 | 2 << 62 | milliseconds)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.random_size")`

# %% [markdown] minutes=10
# ## One wide table
#
# Somebody found joins tiresome and put everything into one table: with each flight the airline's name, the airports' names,
# the aircraft's maker and model. Beside it the same facts in four tables.

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
# **What depends on what?** A *functional dependency* `X → Y` says that equal X have equal Y. Data can only refute one,
# never prove it, but a refutation is worth having before the schema is drawn: for how many values of X does Y take several?

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
show_table([{"X": x, "Y": y, "values of X with several Y": count} for (x, y), count in supposed.items()], left=2)

# %% [markdown]
# The data do not refute the first two: the airline depends on the carrier, the model on the aircraft, and both belong in
# tables of their own. *Second* normal form forbids a column that depends on a part of the key, *third* normal form one
# that depends on a column outside it. The key of this table is `flight_id`, so it breaks the third. The dependency of the
# last line looks right and is refuted: 17 aircraft flew for two carriers. A column `planes.carrier` would have been wrong.
#
# Between tables the rule is a *foreign key*: every carrier, destination and tail number of a flight stands in the table
# that describes it. Declaring one asks the data.

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
# Four destinations are in no list of airports (all in Puerto Rico and the Virgin Islands), and 721 aircraft in no list of planes. A wide table,
# made with left joins, has NULL there, and nobody ever asks why.
#
# The one key that holds works in both directions: whoever deletes an airline has PostgreSQL look for its flights. How
# many rows of `flights` does it read to delete an airline that has none?

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
claim("transactions_indexes.dependencies_hold", "a carrier has one name; 17 aircraft have two carriers",
      list(supposed.values()), equals=[0, 0, 17])
claim("transactions_indexes.foreign_keys", "of three foreign keys the data allow one",
      declared, equals={"carrier": None, "dest": "ForeignKeyViolation", "tailnum": "ForeignKeyViolation"})
claim("transactions_indexes.foreign_key_reads", "deleting an airline without flights reads all flights, unless the key's column has an index",
      (bare, indexed), equals=(336_776, 0), baseline=indexed)

# %% [markdown]
# **Reading it.** PostgreSQL demands an index on the side that is referenced (it must be unique), and makes none on the side
# that refers ([Foreign keys](https://www.postgresql.org/docs/current/ddl-constraints.html#DDL-CONSTRAINTS-FK)); InnoDB
# makes one by itself. The scan runs inside the delete, once for each deleted row, and no plan shows it but as *Trigger for constraint*.
# On a live table declare such a key `NOT VALID`, clean up, then `VALIDATE` (3.5).

# %% [markdown] also=["transactions_indexes.foreign_keys", "transactions_indexes.foreign_key_reads"] claim="transactions_indexes.dependencies_hold" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: suppose less; do not ask the rows that are there; have the index before</summary>
#
# ```diff
# -    ("tailnum", "carrier"): exceptions("tailnum", "carrier"),
# +    ("tailnum, carrier", "model"): exceptions("tailnum, carrier", "model"),
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
# Three things happen. Endeavor Air is renamed, month by month so as not to lock for long, and the job dies in July. A new airline is to be
# entered before its first flight. And the cancelled flights are removed.

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
claim("transactions_indexes.update_anomaly", "in the wide table one airline now has two names",
      (names["airlines"], names["wide"]), equals=(1, 2), baseline=names["airlines"])
claim("transactions_indexes.insert_anomaly", "an airline without a flight cannot be entered there",
      (entered["airlines"], entered["wide"]), equals=(None, "NotNullViolation"))
claim("transactions_indexes.delete_anomaly", "and with the last flight to LaGuardia goes all that was known of it as a destination",
      (after["airports"], after["wide"]), equals=(True, False), baseline=after["airports"])

# %% [markdown]
# **Reading it.** Three anomalies, one cause: a fact that is stored more than once can be stored differently, and a fact that can only be
# stored with another is lost with it. No trigger and no discipline is needed where the fact has one place.
#
# And the price of taking it apart? Twice the answer is *less than nothing*, once it is not.

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
claim("transactions_indexes.report_pages", "a report over the year reads more than one and a half times the pages of the four tables",
      report["wide"] / report["four tables"], at_least=1.5, unit="×", baseline=report["four tables"])
claim("transactions_indexes.card_pages", "one flight's card reads more than twice as many pages from the four tables",
      card["four tables"] / card["wide"], at_least=2, unit="×", baseline=card["wide"])
claim("transactions_indexes.rename_wal", "the rename writes at least 500 times the WAL",
      rename["wide"] / rename["four tables"], at_least=500, unit="×", baseline=rename["four tables"])

# %% [markdown]
# **Why.** A sequential scan pays for the width of rows, whether it wants the columns or not; three small tables cost a
# hash join a few hundred pages at most, here one. The card pays for three more descents. All its pages are hot, so this
# is a matter of microseconds.
#
# **When to denormalise.** When a measured query needs it, and then so that the copy has an owner: a column that never changes
# after the fact (the fare *as sold* is a fact of the booking, not a copy of the price list), a summary that one job or
# trigger writes (a materialised view: 3.2), a read model fed by events (6.1). The rule of thumb of production: normalise until it
# hurts somebody you can name, denormalise until it stops, and write down who keeps the copies in step.

# %% [markdown] also=["transactions_indexes.insert_anomaly", "transactions_indexes.delete_anomaly"] claim="transactions_indexes.update_anomaly" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: rename in one transaction; enter the airline with a flight; keep the flights to LaGuardia</summary>
#
# Discipline works, as long as everybody has it.
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
# <summary><b>Break it</b>: a covering index for the report, a card without joins, a rename of nobody</summary>
#
# One more index and the wide table's report reads the index alone: width matters to those who read the heap.
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

# %% [markdown] minutes=35
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt. Each check works on a database of its own, with the table
# `flights` as above (`analyze` was run, `vacuum` was not), and drops it when it is done.
#
# ### From the index alone, and a small one (10 minutes)
#
# The board of long delays asks, for one airport at a time and with thresholds of 120 minutes and more:
#
# ```sql
# select flight, dep_delay from flights where origin = 'LGA' and dep_delay >= 180
# ```
#
# Return the SQL statements after which it runs as an Index Only Scan with `Heap Fetches: 0`, for every airport and every
# such threshold. All your indexes together may take 1 MiB; data, columns, rules and settings stay as they are.

# %% exercise="transactions_indexes.board_of_delays" tags=["exercise"]
def board_of_delays():
    """A list of SQL statements; each runs outside a transaction, in order."""
    raise NotImplementedError


# %%
check("transactions_indexes.board_of_delays", board_of_delays)

# %% [markdown]
# ### What can go (15 minutes)
#
# Years of helpful colleagues have left many indexes on a table. The workload of a whole month has run, and the server's
# statistics (`pg_stat_user_indexes`) know about it. `connection` is psycopg's, in autocommit. Return the names of all
# indexes of the table `flights` that can be dropped so that no query of the workload gets slower and no rule on the data
# is lost: those that nothing used, and those that another index makes redundant. The check drops them, runs
# the workload again, and compares pages. It does so with two databases whose indexes differ, so read the catalog, not a
# list of mine.

# %% exercise="transactions_indexes.useless_indexes" tags=["exercise"]
def useless_indexes(connection):
    """Names of the indexes of flights that can be dropped."""
    raise NotImplementedError


# %%
check("transactions_indexes.useless_indexes", useless_indexes)

# %% [markdown]
# ### Why does it expect that? (10 minutes)
#
# Two estimates of the planner are wrong by more than a factor of three:
#
# ```sql
# select * from flights where origin = 'EWR' and carrier = 'MQ' and dest = 'ORD'   -- how many rows?
# select carrier, origin, dest from flights group by carrier, origin, dest          -- how many groups?
# ```
#
# Return the SQL statements that bring both within a factor of 1.5, without touching data, queries or settings.

# %% exercise="transactions_indexes.right_estimates" tags=["exercise"]
def right_estimates():
    """A list of SQL statements; each runs outside a transaction, in order."""
    raise NotImplementedError


# %%
check("transactions_indexes.right_estimates", right_estimates)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>The query has an index and is slow. What do you look at, in which order?</summary>
#
# The plan with `ANALYZE, BUFFERS`. From the leaves up, the first node whose estimate is off by ten
# (`transactions_indexes.multiplied`); rows read and thrown away by a filter (`transactions_indexes.limit_walks`);
# heap pages behind the index entries (`transactions_indexes.through_index`); `Heap Fetches`
# (`transactions_indexes.not_vacuumed`); and whether the condition can use the index at all
# (`transactions_indexes.expression`).
#
# </details>
#
# <details>
# <summary>In which order do you put the columns of an index?</summary>
#
# Equality first, then the range or the order (`transactions_indexes.equality_first`, `transactions_indexes.no_sort`); not "the
# most selective first". Version 18 can skip a first column with few values (`transactions_indexes.skip_scan`).
#
# </details>
#
# <details>
# <summary>Why does PostgreSQL not use my index?</summary>
#
# Because the table is cheaper (`transactions_indexes.forced`), because the condition hides the column
# (`transactions_indexes.expression`) or does not imply the index's predicate (`transactions_indexes.partial_use`), or because an
# estimate is wrong. Which of them: switch `enable_seqscan` off for one session and compare buffers.
#
# </details>
#
# <details>
# <summary>A query is fast in the console and slow in the service, for the same values. Why?</summary>
#
# The service's connection has prepared it and goes by a generic plan (`transactions_indexes.eleventh`). `explain execute` on such a
# connection shows it, `plan_cache_mode` cures it (`transactions_indexes.custom_plan`), a fitting index makes it harmless
# (`transactions_indexes.either_way`). Next guesses: another `search_path` or role with settings, `LIMIT`
# (`transactions_indexes.limit_walks`), a cold cache.
#
# </details>
#
# <details>
# <summary>Does a foreign key need an index?</summary>
#
# The referenced side has one by force. The referring side needs one as soon as somebody deletes or re-keys what is referenced
# (`transactions_indexes.foreign_key_reads`); PostgreSQL makes none, InnoDB does.
#
# </details>
#
# <details>
# <summary>UUIDs as primary keys?</summary>
#
# Timed ones (v7). Random ones write several times the WAL after each checkpoint and leave a larger index
# (`transactions_indexes.random_keys`, `transactions_indexes.random_size`); in InnoDB, where the index is the table, more so.
#
# </details>
#
# <details>
# <summary>What do five more indexes cost a table?</summary>
#
# Each some 70 bytes of WAL an insert (`transactions_indexes.each_index`), and HOT for every update of an indexed column
# (`transactions_indexes.hot`, `transactions_indexes.hot_wal`).
#
# </details>
#
# <details>
# <summary>When would you denormalise?</summary>
#
# When a measured query needs it and somebody owns the copy. What you risk: `transactions_indexes.update_anomaly`,
# `transactions_indexes.insert_anomaly`, `transactions_indexes.delete_anomaly`. What you might not even gain:
# `transactions_indexes.report_pages`.
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. a plan says what was expected and what came; a query without an index reads every page (`transactions_indexes.whole_table`),
#    through one about a page a row (`transactions_indexes.through_index`), and from one alone none of the table's, once
#    VACUUM has marked them (`transactions_indexes.index_only`, `transactions_indexes.not_vacuumed`,
#    `transactions_indexes.fetches_return`), however large the table is (`transactions_indexes.scan_grows`,
#    `transactions_indexes.lookup_stays`);
# 2. a partial index is small and serves what implies it (`transactions_indexes.partial_size`,
#    `transactions_indexes.partial_use`), an expression needs an index and statistics of its own
#    (`transactions_indexes.expression`, `transactions_indexes.expression_known`), equality comes before range
#    (`transactions_indexes.equality_first`, `transactions_indexes.no_sort`), a column left out is skipped from version 18 on
#    (`transactions_indexes.skip_scan`) or can be named (`transactions_indexes.airports_named`), and BRIN, GIN and hash serve what they
#    were made for (`transactions_indexes.brin_small`, `transactions_indexes.brin_order`, `transactions_indexes.gin`,
#    `transactions_indexes.hash`);
# 3. the planner rightly declines an index that leads all over the table (`transactions_indexes.scattered`,
#    `transactions_indexes.declined`, `transactions_indexes.forced`), is wrong about columns that know each other
#    (`transactions_indexes.multiplied`, `transactions_indexes.other_join`) until a list of combinations tells it
#    (`transactions_indexes.mcv`, and not `transactions_indexes.dependencies`), about where in an order the rows lie
#    (`transactions_indexes.limit_walks`, `transactions_indexes.limit_served`), and about a value that it plans without
#    (`transactions_indexes.eleventh`, `transactions_indexes.custom_plan`, `transactions_indexes.either_way`);
# 4. MySQL, MariaDB and SQLite keep the primary key in every index, PostgreSQL an address (`transactions_indexes.in_mysql`,
#    `transactions_indexes.in_mariadb`, `transactions_indexes.in_sqlite`, `transactions_indexes.in_postgres`);
# 5. each index adds its bytes to every insert (`transactions_indexes.each_index`, `transactions_indexes.five_indexes`), one on an
#    updated column takes HOT from its updates (`transactions_indexes.hot`, `transactions_indexes.hot_wal`), and random keys cost whole pages
#    (`transactions_indexes.random_keys`, `transactions_indexes.random_size`);
# 6. a wide table lets facts contradict each other, refuses some and loses others (`transactions_indexes.update_anomaly`,
#    `transactions_indexes.insert_anomaly`, `transactions_indexes.delete_anomaly`, `transactions_indexes.dependencies_hold`); foreign keys keep
#    what they can (`transactions_indexes.foreign_keys`) and want an index of their own (`transactions_indexes.foreign_key_reads`); taken apart,
#    reports and renames get cheaper (`transactions_indexes.report_pages`, `transactions_indexes.rename_wal`) and the single
#    card dearer (`transactions_indexes.card_pages`).
#
# **Further reading.** [Using EXPLAIN](https://www.postgresql.org/docs/current/using-explain.html) and
# [Row estimation examples](https://www.postgresql.org/docs/current/row-estimation-examples.html), the manual's two best pages on
# plans · [Index-only scans](https://www.postgresql.org/docs/current/indexes-index-only-scans.html) ·
# [Heap-only tuples](https://www.postgresql.org/docs/current/storage-hot.html) ·
# [Markus Winand, *Use the index, Luke*](https://use-the-index-luke.com/), for all engines ·
# [RFC 9562](https://www.rfc-editor.org/rfc/rfc9562), on UUIDs.

# %% [markdown] footer=true
# ← [3.1a Transactions, indexes, plans](01a_transactions_indexes.ipynb) · [Board](../00_start_here.ipynb)
