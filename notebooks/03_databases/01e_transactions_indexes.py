# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans: how the planner decides
#
# > PostgreSQL, MySQL, SQLite — Транзакции, индексы, нормализация, EXPLAIN ANALYZE.
# >
# > PostgreSQL, MySQL, SQLite: transactions, indexes, normalisation, EXPLAIN ANALYZE.
#
# The sitting on plans, MINUTES minutes: what the planner expects, what it chooses, and what it does not know. Take
# [the one on indexes](01b_transactions_indexes.ipynb) before it. Needs PostgreSQL, 15 or later.
#
# A page lists the 125 flights of one aircraft in order of time. Another page needs only the first of them, so its query
# adds `LIMIT 1`. Both columns of the query have an index, and the statistics are fresh. Does the second query read
# fewer pages than the first? Can a plan show you the reason?
#
# **You will be able to show that …**
#
# 1. the planner is often right to ignore an index, and sometimes wrong about the rows;
# 2. a plan that is good for most values can be bad for one.

# %%
import contextlib

from sqlalchemy import text

from helpers import answer, check, claim, data, explain, show_lines, show_plan, show_source, show_table, stamp
from helpers.labs.databases import indexes as lab

# %% [markdown]
# One server has all 336,776 departures of 2013 in one table. The settings keep the plans stable: there is no autovacuum
# in the background, no query is split among workers, and `ANALYZE` looks at every row. (It samples 300 rows for each
# unit of the statistics target,
# [`analyze.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/commands/analyze.c). 300 × 1,200 is
# more than the table has.) On a real server leave autovacuum on.

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


# %% [markdown] minutes=4
# ## The first row only
#
# Aircraft N827JB made 125 flights. One page shows them in order of time, and another page shows only the first of them.
# Both `tailnum` and `departs` have an index.

# %%
AIRCRAFT = "N827JB"
ITS_FLIGHTS = f"select departs, origin, dest from flights where tailnum = '{AIRCRAFT}' order by departs"

# %% [markdown] predict="transactions_indexes.q13"
# **Predict.** The whole list reads 128 pages. How many pages does the same query read with `LIMIT 1`?
#
# - **a** about 4: the first row of the index on departs
# - **b** the same 128: to know the first it must see all
# - **c** more than a thousand

# %%
answer("transactions_indexes.q13", None)  # "a", "b" or "c"

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

claim("transactions_indexes.limit_walks", "with LIMIT 1 the query reads more than ten times the pages that the whole list needs",
      first_only.buffers / all_of_them.buffers, at_least=10, unit="×", proves={"transactions_indexes.q13": "c"})
claim("transactions_indexes.limit_served", "an index on (tailnum, departs) serves LIMIT 1 with at most five pages",
      served.buffers, at_most=5, unit="pages")

# %% [markdown]
# **Reading it.** The planner chose another plan. It walks the index on `departs` from New Year on, looks at every
# flight, and waits for this aircraft. It expects that the 125 flights are spread evenly over the year. Then the first
# would come after 336,776 / 125 ≈ 2,700 rows, and rows in order of time are side by side, so this would be cheap. But
# N827JB was delivered in July. 186,678 rows were read and thrown away before its first flight.
#
# **Why.** The planner scales the cost for a `LIMIT`. If a plan gives N rows at cost C, it counts about k / N × C for k
# rows (`adjust_limit_rows_costs` in
# [`pathnode.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/optimizer/util/pathnode.c)). This
# assumes that the rows you want are spread evenly over the order in which they come. If the two columns are correlated,
# they are not. No statistics of PostgreSQL describe *where* in an order the matches are.
# `select min(departs) … where tailnum = …` gets the same plan.
#
# **In production.** Such a page is fast for most customers, and slow for new ones or for those that left long ago. The
# cure is an index that serves filter and order together. If you may not add one, `order by departs + interval '0'`
# hides the order from the index, and a `MATERIALIZED` CTE separates the filter from it. A second column in the
# `ORDER BY` does not help any more. Since version 13 an *Incremental Sort* can use the half-sorted index (measured on
# 18: the same 2,261 pages and five more).

# %% [markdown] also=["transactions_indexes.limit_served"] claim="transactions_indexes.limit_walks" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: an aircraft that flew on New Year's Day; the columns the other way round</summary>
#
# N14228 made the first departure of the file, so the walk ends after one step. With `(departs, tailnum)` the long walk
# comes back, now inside the index.
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
# The page of a destination shows its first flight: `where dest = … order by departs limit 1`. Customers ask for Chicago
# all day. Lexington has one flight in the whole year and is asked for now and then. Its page is *sometimes* slow, and
# nobody can reproduce this on a new connection.
#
# The driver is psycopg with its defaults. `lexington(times)` opens a connection, asks it for Chicago so many times, and
# then looks at the plan that *this connection* has for Lexington.

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


# %% [markdown] predict="transactions_indexes.q14"
# **Predict.** `dest` and `departs` each have an index. On a fresh connection Lexington costs a handful of pages. How
# many does it cost on a connection that was asked for Chicago ten times?
#
# - **a** the same handful: it is the same query on the same data
# - **b** fewer: the statement is prepared, its plan is cached
# - **c** more than a thousand

# %%
answer("transactions_indexes.q14", None)  # "a", "b" or "c"

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

claim("transactions_indexes.eleventh", "the eleventh execution on one connection reads at least 100 times the pages of the tenth",
      asked[10][0].buffers / asked[9][0].buffers, at_least=100, unit="×", proves={"transactions_indexes.q14": "c"},
      baseline=asked[9][0].buffers)
claim("transactions_indexes.custom_plan", "with plan_cache_mode = force_custom_plan the eleventh execution reads as few pages as the first",
      planned_anew.buffers, at_most=20, unit="pages")
claim("transactions_indexes.either_way", "with an index on (dest, departs) the generic plan is a good one too",
      either_way.buffers, at_most=5, unit="pages")

# %% [markdown]
# **Why.** There are two counters, and each counts to five. psycopg sends the first five executions of a text as they
# are, and *prepares* the sixth (`prepare_threshold`,
# [psycopg](https://www.psycopg.org/psycopg3/docs/advanced/prepare.html)). The server plans the first five executions of
# a prepared statement with the value (*custom*). Then it makes a plan without the value (*generic*), for an average
# destination. It keeps the generic plan if its estimated cost is below the average of the custom plans, with the
# effort of planning added ([PREPARE](https://www.postgresql.org/docs/current/sql-prepare.html#SQL-PREPARE-NOTES),
# `choose_custom_plan` in
# [`plancache.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/utils/cache/plancache.c)). An
# average destination has 3,200 flights per year. For it the right plan walks the index on `departs`, because it meets
# such a flight soon. For Lexington this plan throws away 303,478 flights before it finds the one in November. (On a
# fresh connection, three pages of the handful are its first look into the catalog.)
#
# **In production.** Look at the plan on the connection where it runs, with `auto_explain` or with `explain execute`. If
# you paste the query with its values into a console, you see the other plan. Drivers count differently (asyncpg
# prepares at once, so there it is the sixth execution), and pools keep connections for hours. Try the cures in this
# order. First, add an index that makes one plan good for every value. Second, set `plan_cache_mode` for the role or the
# transaction. Third, do not prepare (`prepare_threshold=None`), and pay for planning each time.

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
# <summary><b>Break it</b>: leave the choice to the server; put the columns in the other order</summary>
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
# ## An index that is not used
#
# A colleague has put an index on `arr_delay`. The query asks for *flights that arrived on time or early*, which are
# more than half of the table. He complains that PostgreSQL does not use the index, and he would like to force it.

# %% [markdown] predict="transactions_indexes.q15"
# **Predict.** There is an index on `arr_delay`. A query asks for the 2 % of the flights that arrived earliest, and they
# can be anywhere in the table. What share of the table's pages has at least one of them?
#
# - **a** about 2 %
# - **b** about 10 %
# - **c** about half

# %%
answer("transactions_indexes.q15", None)  # "a", "b" or "c"

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
claim("transactions_indexes.scattered", "2 % of the rows are on more than 40 % of the pages",
      by_bitmap[0.02].buffers / PAGES, at_least=0.4, unit="of the pages", proves={"transactions_indexes.q15": "c"})
claim("transactions_indexes.declined", "for 60 % of the rows the planner scans the table and does not use the index",
      chosen[0.6].scan.kind, equals="Seq Scan")
claim("transactions_indexes.forced", "forced to use the index, the server touches more than ten times as many pages",
      by_index[0.6].buffers / chosen[0.6].buffers, at_least=10, unit="×")

# %% [markdown]
# **Reading it.** The flat line is one pass over the table. The Index Scan takes the rows in the order of delay, and it
# visits a page for nearly every row, often the same page again. Its line crosses the table's at about 1 % of the rows.
# The Bitmap Scan visits no page twice. At worst it reads the whole table and the index.
#
# **Why.** 95 rows share a page. If a condition selects a share p of the rows at random, a page has none of them with
# probability (1 − p)⁹⁵. For p = 2 % that is 0.15. (Here about four pages in ten have none, because early arrivals come
# together on some days.) The planner knows how well the order of a column and the order of the heap agree,
# `pg_stats.correlation`, and estimates the cost accordingly.
#
# **In production.** If the planner ignores your index, it is usually right. Before you force anything, run both plans
# and compare the buffers. The default price of a random page, `random_page_cost = 4`, is too high for many servers with
# SSDs, and 1.1 to 2 is common. Change this setting once, with measurements, rather than force single queries.

# %% [markdown] also=["transactions_indexes.declined", "transactions_indexes.forced"] claim="transactions_indexes.scattered" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a column that agrees with the order of the table</summary>
#
# The flights were loaded in order of departure. The first 60 % of the year's flights are on the first 60 % of the
# pages, and the index leads to them in this order.
#
# ```diff
# -COLUMN = "arr_delay"
# +COLUMN = "departs"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.scattered")`

# %% [markdown] core=true minutes=5
# ## Two conditions on one airline
#
# Hawaiian Airlines flies from New York to Honolulu and to no other place. A report joins its flights with the weather
# at departure.

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

# %% [markdown] predict="transactions_indexes.q16"
# **Predict.** HA has 342 flights, and 707 flights go to HNL. How many rows does the planner expect for both conditions
# together?
#
# - **a** 342
# - **b** about 1
# - **c** 707

# %%
answer("transactions_indexes.q16", None)  # "a", "b" or "c"

# %% [markdown]
# We run the query without further help, and then with two kinds of *extended statistics*: functional dependencies, and
# a list of the most common combinations (MCV).

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
claim("transactions_indexes.multiplied", "the estimate for two correlated conditions is off by more than a hundred times",
      expected["none"].off_by, at_least=100, unit="× off", proves={"transactions_indexes.q16": "b"})
claim("transactions_indexes.mcv", "with extended statistics on common combinations (mcv) the estimate is right",
      expected["mcv"].off_by, at_most=1.5, unit="× off")
claim("transactions_indexes.dependencies", "with functional-dependency statistics alone the estimate is off by more than ten times",
      expected["dependencies"].off_by, at_least=10, unit="× off")
claim("transactions_indexes.other_join", "the right estimate leads to another join, which touches at most half as many pages",
      (joins["none"], joins["mcv"], statistics["none"].buffers >= 2 * statistics["mcv"].buffers),
      equals=("Nested Loop", "Hash Join", True))

# %% [markdown]
# **Why.** PostgreSQL keeps statistics for each column alone, and the planner multiplies: 342 / 336,776 × 707 / 336,776
# of the rows is less than one row. For *one* row a nested loop is right, with one lookup in the weather. But 342 rows
# came, and it looked 342 times. The hash join reads the small weather table once and touches fewer pages. It is not
# faster here, as the milliseconds of the two plans show. All pages are in memory, and it must hash the whole table. If
# the pages come from a disk, they cost more than hashing. With three such pairs in one query, the estimate can be off
# by a factor of millions.
#
# The middle row of the table is a surprise. *Functional dependencies* are one number for each direction of the pair of
# columns: how often, over the **whole** table, does one column decide the other? Hawaiian Airlines has only one
# destination, but almost no other carrier has, so the number is small. This kind suits pairs like (postcode, city). The
# MCV list counts the most common combinations, so it also gives small estimates to pairs that do **not** occur
# together. It suits other pairs, as long as they do not have too many combinations ([how the planner uses
# statistics](https://www.postgresql.org/docs/current/planner-stats.html#PLANNER-STATS-EXTENDED)).
#
# **In production.** Read a slow plan from the leaves up, and stop at the first node with an estimate that is off by
# ten. All nodes above it were chosen with a wrong number. Then ask *why* it is wrong: correlated columns, an
# expression, statistics from before the import, or a value that is too rare for the sample. A higher statistics target
# cures only the last.

# %% [markdown] also=["transactions_indexes.dependencies", "transactions_indexes.other_join"] claim="transactions_indexes.multiplied" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: two columns that are nearly independent</summary>
#
# United has about one flight in six, among punctual departures and among all.
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
# <summary><b>Break it</b>: count distinct combinations instead of listing them</summary>
#
# `ndistinct` helps the estimate of a `GROUP BY`, but not that of a `WHERE`.
#
# ```diff
# -        run(f"create statistics carrier_dest_{kind} ({kind}) on carrier, dest from flights")
# +        run(f"create statistics carrier_dest_{kind} ({kind.replace('mcv', 'ndistinct')}) on carrier, dest from flights")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.mcv")`

# %% [markdown] minutes=10
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the
# worked answer after an attempt. Each check makes its own database, with the table `flights` as above (`analyze` was
# run, `vacuum` was not), and drops it at the end.
#
# ### Why does it expect that? (10 minutes)
#
# Two estimates of the planner are wrong by more than a factor of three:
#
# ```sql
# select * from flights where origin = 'EWR' and carrier = 'MQ' and dest = 'ORD'   -- how many rows?
# select carrier, origin, dest from flights group by carrier, origin, dest          -- how many groups?
# ```
#
# Return SQL statements that bring both within a factor of 1.5. Do not change data, queries or settings.

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
# At the plan with `ANALYZE, BUFFERS`. From the leaves up, I look for the first node with an estimate that is off by ten
# (`transactions_indexes.multiplied`). Then I look for rows that were read and thrown away by a filter
# (`transactions_indexes.limit_walks`), for the heap pages behind the index entries
# (`transactions_indexes.through_index`), and for `Heap Fetches` (`transactions_indexes.not_vacuumed`). I also check
# that the condition can use the index at all (`transactions_indexes.expression`).
#
# </details>
#
# <details>
# <summary>Why does PostgreSQL not use my index?</summary>
#
# Perhaps reading the table is cheaper (`transactions_indexes.forced`). Perhaps the condition hides the column
# (`transactions_indexes.expression`), or it does not imply the index's predicate (`transactions_indexes.partial_use`).
# Or an estimate is wrong. To find out, switch `enable_seqscan` off for one session and compare the buffers.
#
# </details>
#
# <details>
# <summary>A query is fast in the console and slow in the service, for the same values. Why?</summary>
#
# Probably the service's connection has prepared it and uses a generic plan (`transactions_indexes.eleventh`).
# `explain execute` on such a connection shows it, and `plan_cache_mode` cures it (`transactions_indexes.custom_plan`).
# With a fitting index the generic plan is good too (`transactions_indexes.either_way`). My next guesses are another
# `search_path`, settings of the role, or a cold cache.
#
# </details>

# %% [markdown] minutes=2
# ## Recap
#
# You have shown that …
#
# 1. The planner is right to ignore an index if the rows are all over the table.
# 2. It can be wrong about correlated columns, about the place of rows in an order, and about a value that it does not
#    know when it plans.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `transactions_indexes.scattered`, `transactions_indexes.declined`, `transactions_indexes.forced`
# 2. `transactions_indexes.multiplied`, `transactions_indexes.other_join`, `transactions_indexes.mcv`,
#    `transactions_indexes.dependencies`, `transactions_indexes.limit_walks`, `transactions_indexes.limit_served`,
#    `transactions_indexes.eleventh`, `transactions_indexes.custom_plan`, `transactions_indexes.either_way`
#
# </details>
#
# **Further reading.** [Using EXPLAIN](https://www.postgresql.org/docs/current/using-explain.html) and
# [Row estimation examples](https://www.postgresql.org/docs/current/row-estimation-examples.html), the manual's two best
# pages on plans.

# %% [markdown] footer=true
# ← [3.1d Transactions, indexes, plans](01d_transactions_indexes.ipynb) · [Section 3](00_section.ipynb) · [Board](../00_start_here.ipynb) · [3.2 Beyond tables](02_beyond_tables.ipynb) →
