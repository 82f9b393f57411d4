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
# The sitting on plans, 77 minutes: what the planner expects, what it chooses, and what it does not know. Take
# [the one on indexes](01b_transactions_indexes.ipynb) before it. Needs PostgreSQL, 15 or later.
#
# A page lists the 125 flights of one aircraft in order of time. Another page needs only the first of them, so its query
# adds `LIMIT 1`. Both columns of the query have an index, and the statistics are fresh. Does the second query read
# fewer pages than the first? Can a plan show you the reason?
#
# **You will be able to show that …**
#
# 1. the text of a plan mixes figures per loop with figures of all loops;
# 2. the planner is often right to ignore an index, and sometimes wrong about the rows;
# 3. a plan that is good for most values can be bad for one;
# 4. three join algorithms differ in how their pages grow;
# 5. a sort needs more memory than its file on disk, and `work_mem` holds for each node of each process;
# 6. the statement that costs the server most need not be a slow one.

# %%
import contextlib
import re

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


run("drop table if exists flights, weather, planes")
run(lab.CREATE_FLIGHTS)
run("create table weather (time_hour timestamptz, origin text, temp float, wind_speed float, visib float)")
run("create table planes (tailnum text primary key, model text, seats int)")
lab.copy_in(db, "flights", lab.flights())
lab.copy_in(db, "weather", data.weather()[["time_hour", "origin", "temp", "wind_speed", "visib"]])
lab.copy_in(db, "planes", data.planes()[["tailnum", "model", "seats"]])
run("alter table flights add primary key (flight_id)")
run("create index at_hour on weather (origin, time_hour)")
run("vacuum (analyze) flights, weather, planes")

PAGES = size("flights") // 8192
show_source(lab.copy_in)

# %% [markdown]
# Each experiment starts from the bare table and says which indexes it wants. `without` makes the planner avoid a kind
# of plan node for a while. So you can ask *what would the index have cost?* `nodes_of` returns the nodes of an executed
# plan as dictionaries.

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
def setting(**values):
    """The session's settings for a while."""
    for name, value in values.items():
        run(f"set {name} = '{value}'")
    try:
        yield
    finally:
        for name in values:
            run(f"reset {name}")


def without(*kinds):
    """Make the planner avoid these kinds for a while: "seqscan", "bitmapscan", "indexscan" …"""
    return setting(**{f"enable_{kind}": "off" for kind in kinds})


def nodes_of(sql):
    """All nodes of an executed plan, top down, with everything that the server says of them."""
    below = [run(f"explain (analyze, buffers, format json) {sql}").scalar_one()[0]["Plan"]]
    for node in below:
        below += node.get("Plans", [])
    return below


# %% [markdown] core=true minutes=6
# ## The text of a plan
#
# [The sitting on indexes](01b_transactions_indexes.ipynb#What-a-plan-says) drew its plans as tables. In `psql`, in a log
# of `auto_explain`, or in a colleague's ticket you get text. This query asks for all departures of the aircraft with
# more than 350 seats.

# %%
LARGE = "select f.departs, p.model from planes p join flights f using (tailnum) where p.seats > 350"

only("of_tail on flights (tailnum)")
with without("hashjoin", "mergejoin"):
    explain(db, LARGE)  # once before, so that the pages are in memory
    printed = "\n".join(line for (line,) in run(f"explain (analyze, buffers) {LARGE}"))
    drawn = explain(db, LARGE)

# %% tags=["nbval-ignore-output"]
print(printed)

# %% [markdown]
# **How to read it.** Each `->` is a node, and the nodes that it asks for rows are indented below it.
#
# - `cost=A..B` is the planner's estimate: A until the first row, B until the last. The unit is about the price of
#   reading one page in sequence (`seq_page_cost = 1`). It is not a time.
# - The first `rows=` is the *expected* number of rows, and `width=` is the expected size of one row in bytes.
# - `actual time=A..B` is in milliseconds. The second `rows=` is the number of rows that came.
# - `loops=` says how often the node ran. The actual time and the actual rows are averages **per loop**.
# - `Buffers:` is the sum over **all** loops, and includes the nodes below.
#
# This is how a slow node hides. A line with `rows=39 loops=83` took 83 times as long as it says, and returned 83 times as
# many rows. To check the two rules we read the text with a regular expression.

# %%
NODE = re.compile(
    r" *(?:->  )?(?P<name>\S.*?)  \(cost=(?P<first>[\d.]+)\.\.(?P<cost>[\d.]+) rows=(?P<expected>\d+) width=\d+\)"
    r" \(actual time=[\d.]+\.\.[\d.]+ rows=(?P<rows>[\d.]+) loops=(?P<loops>\d+)\)"
)


def read(plan):
    """The nodes of a plan's text, top down: name, rows per loop, loops, pages."""
    found = []
    for line in plan.partition("\nPlanning")[0].splitlines():
        if node := NODE.fullmatch(line):
            found.append({"name": node["name"], "rows": float(node["rows"]), "loops": int(node["loops"])})
        elif "Buffers: shared" in line:
            shared = line.partition("temp")[0]
            found[-1]["pages"] = sum(map(int, re.findall(r"(?:hit|read)=(\d+)", shared)))
    return found


from_text = read(printed)
join, large, trips = from_text[:3]
totals = {"rows": trips["rows"] * trips["loops"] / join["rows"], "pages": large["pages"] + trips["pages"]}

only()
priced = explain(db, "select * from flights where distance > 2000")
by_hand = PAGES * 1.0 + 336_776 * (0.01 + 0.0025)
BUFFERS_BY_DEFAULT = int(pg.version.split(".")[0]) >= 18
unasked = "\n".join(line for (line,) in run("explain (analyze) select * from flights where distance > 2000"))

# %% tags=["nbval-ignore-output"]
show_table(from_text)

# %%
claim("transactions_indexes.text_agrees", "the figures read from the text are those of the JSON that this course draws",
      [(node["rows"], node["loops"], node["pages"]) for node in from_text],
      equals=[(round(node.rows_per_loop, 2), node.loops, node.buffers) for node in drawn.nodes])
claim("transactions_indexes.per_loop", "rows times loops of the inner node are the join's rows; its pages need no factor",
      (round(totals["rows"], 1), totals["pages"] == join["pages"]), equals=(1.0, True), baseline=join["pages"])
claim("transactions_indexes.cost_by_hand", "the cost of a sequential scan with one condition: pages × 1 + rows × (0.01 + 0.0025)",
      round(priced.root.cost, 2), equals=round(by_hand, 2), baseline=by_hand)
claim("transactions_indexes.buffers_default", "EXPLAIN ANALYZE shows buffers without being asked from version 18 on",
      "Buffers:" in unasked, equals=BUFFERS_BY_DEFAULT, baseline=BUFFERS_BY_DEFAULT)

# %% [markdown]
# **Why.** A sequential scan pays `seq_page_cost` (1.0) for each page, `cpu_tuple_cost` (0.01) for each row, and
# `cpu_operator_cost` (0.0025) for each operator of its condition ([Using
# EXPLAIN](https://www.postgresql.org/docs/current/using-explain.html) computes the same sum). So a cost says nothing
# about your disk unless you set these prices.
#
# **In production.** Write `buffers` when you ask for a plan. Up to version 17 you must
# ([release notes of 18](https://www.postgresql.org/docs/18/release-18.html)). `EXPLAIN ANALYZE` *runs* the statement: put
# an `update` between `begin` and `rollback`.

# %% [markdown] also=["transactions_indexes.per_loop", "transactions_indexes.cost_by_hand", "transactions_indexes.buffers_default"] claim="transactions_indexes.text_agrees" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: read the pages as if they were per loop, too; another price; ask for what is not the default</summary>
#
# ```diff
# -            found[-1]["pages"] = sum(map(int, re.findall(r"(?:hit|read)=(\d+)", shared)))
# +            found[-1]["pages"] = found[-1]["loops"] * sum(map(int, re.findall(r"(?:hit|read)=(\d+)", shared)))
# @@
# -priced = explain(db, "select * from flights where distance > 2000")
# +with setting(cpu_tuple_cost=0.02):
# +    priced = explain(db, "select * from flights where distance > 2000")
# @@
# -unasked = "\n".join(line for (line,) in run("explain (analyze) select * from flights where distance > 2000"))
# +other = "off" if BUFFERS_BY_DEFAULT else "on"
# +unasked = "\n".join(line for (line,) in run(f"explain (analyze, buffers {other}) select * from flights where distance > 2000"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.text_agrees")`

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
claim("transactions_indexes.limit_served", "an index on (tailnum, departs) serves LIMIT 1 with at most ten pages",
      served.buffers, at_most=10, unit="pages")

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
      either_way.buffers, at_most=10, unit="pages")

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
# **In production.** Users of asyncpg ([#76](https://github.com/MagicStack/asyncpg/issues/76)) and of Go's pgx
# ([#1158](https://github.com/jackc/pgx/issues/1158)) have reported it: fast in every test, slow after five calls. Look at
# the plan on the connection where it runs, with `auto_explain` or with `explain execute`. If
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

# %% [markdown] minutes=5
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

# %% [markdown] minutes=4
# ## An estimate that costs
#
# A colleague's report looks for the departure that follows each departure of United. He does not trust the data, so he
# compares in lower case.

# %%
NEXT = """
    select count(g.tailnum) from flights f join flights g on g.flight_id = f.flight_id + 1
    where lower(f.carrier) = 'ua'"""

# %% [markdown] predict="transactions_indexes.q60"
# **Predict.** United made 58,665 of 336,776 departures, and the planner has fresh statistics of the column `carrier`.
# How many rows does it expect for `lower(f.carrier) = 'ua'`?
#
# - **a** about 58,665: the statistics list each carrier with its share
# - **b** about 21,000: a sixteenth, because there are 16 carriers
# - **c** 1,684: half a per cent, whatever the value is

# %%
answer("transactions_indexes.q60", None)  # "a", "b" or "c"

# %%
only()
unknown = explain(db, NEXT)
run("create statistics lowered on lower(carrier) from flights")
run("analyze flights (carrier)")
measured = explain(db, NEXT)
of_united = [next(node for node in plan.nodes if node.relation == "flights" and node.conditions) for plan in (unknown, measured)]

# %% tags=["nbval-ignore-output"]
show_plan(unknown, "the planner knows nothing about the expression")
show_plan(measured, "with statistics on the expression")

# %%
claim("transactions_indexes.unknown_expression", "without statistics on the expression the estimate is half a per cent of the table",
      of_united[0].rows_estimated / 336_776, between=(0.0049, 0.0051), unit="of the rows", proves={"transactions_indexes.q60": "c"})
claim("transactions_indexes.costly_estimate", "the plan for the wrong estimate touches at least 20 times the pages",
      unknown.buffers / measured.buffers, at_least=20, unit="×")
claim("transactions_indexes.estimate_cured", "statistics on the expression bring the estimate within a tenth, and a hash join",
      (round(of_united[1].off_by, 1) <= 1.1, "Hash Join" in measured.kinds), equals=(True, True))

# %% [markdown]
# **Why.** The planner has no statistics for `lower(carrier)`. It takes a constant for an equality of which it knows
# nothing (`DEFAULT_EQ_SEL`, 0.005; see *[An index on a part, an index on an
# expression](01b_transactions_indexes.ipynb#An-index-on-a-part,-an-index-on-an-expression)*). For 1,684 rows a nested
# loop with an index is the cheaper plan. But 58,665 rows came, and each of them needed about four pages.
#
# Look at the milliseconds before you conclude too much. Here all pages are in memory, and the two plans take similar
# times. From a disk, 30 times the pages can be 30 times as slow, and other sessions lose their pages from the cache.
#
# **In production.** `CREATE STATISTICS … ON (expression)` costs no index and no rewriting of the query
# ([CREATE STATISTICS](https://www.postgresql.org/docs/current/sql-createstatistics.html), from version 14). Better still:
# store the carrier in one spelling, with a `check`.

# %% [markdown] also=["transactions_indexes.costly_estimate"] claim="transactions_indexes.unknown_expression" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: compare the column itself</summary>
#
# ```diff
# -    where lower(f.carrier) = 'ua'"""
# +    where f.carrier = 'UA'"""
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.unknown_expression")`

# %% [markdown] also=["transactions_indexes.costly_estimate"] claim="transactions_indexes.estimate_cured" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: statistics on another expression</summary>
#
# ```diff
# -run("create statistics lowered on lower(carrier) from flights")
# +run("create statistics lowered on upper(carrier) from flights")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.estimate_cured")`

# %% [markdown] core=true minutes=7
# ## Three joins
#
# The planner has three algorithms for a join. All three give the same rows.
#
# - **Nested loop**: for each row of the outer side, look for its partners on the inner side, if possible by an index.
# - **Hash join**: read one side whole into a hash table, then look up each row of the other.
# - **Merge join**: read both sides in the order of the key, side by side. What is not in this order must be sorted.
#
# The query joins the first *n* departures of the year with the weather at departure. The weather has 26,115 rows and an
# index on `(origin, time_hour)`.

# %%
def weather_of(n):
    """The join of the first n departures with the weather."""
    return f"""
        select count(w.temp) from flights f
        join weather w on w.origin = f.origin and w.time_hour = date_trunc('hour', f.departs, 'UTC')
        where f.flight_id < {n}"""


# %% [markdown] predict="transactions_indexes.q61"
# **Predict.** *n* grows from 10 to 10,000. How do the pages grow that each algorithm reads?
#
# - **a** all three about a thousandfold: there are a thousand times as many rows to join
# - **b** the nested loop nearly a thousandfold, the other two less than twofold
# - **c** the nested loop and the merge join nearly a thousandfold, the hash join less than twofold

# %%
answer("transactions_indexes.q61", None)  # "a", "b" or "c"

# %%
ALGORITHMS = {"Nested Loop": "nestloop", "Hash Join": "hashjoin", "Merge Join": "mergejoin"}
OUTER = (10, 100, 1_000, 10_000)


def joined(algorithm, n):
    """The plan of the join if this algorithm is the only one."""
    with without("memoize", *(kind for name, kind in ALGORITHMS.items() if name != algorithm)):
        return explain(db, weather_of(n))


only()
by_algorithm = {name: [joined(name, n) for n in OUTER] for name in ALGORITHMS}
free = [explain(db, weather_of(n)) for n in OUTER]
with without("hashjoin", "mergejoin", "indexscan", "bitmapscan", "indexonlyscan"):
    no_index = next(node for node in nodes_of(weather_of(100)) if node["Node Type"] == "Nested Loop")
compared = no_index["Rows Removed by Join Filter"] + round(no_index["Actual Rows"])

# %% tags=["nbval-ignore-output"]
show_lines(
    {name: (OUTER, [plan.buffers for plan in plans]) for name, plans in by_algorithm.items()},
    title="One join, three algorithms", x="rows of the outer side", y="pages touched", log="xy",
)
show_table(
    [
        {"n": n, **{name: plans[at].buffers for name, plans in by_algorithm.items()},
         "loops of the nested loop's inner side": by_algorithm["Nested Loop"][at].nodes[-1].loops, "the planner's choice": free[at].kinds[1]}
        for at, n in enumerate(OUTER)
    ]
)
print(f"without an index, n = 100: the nested loop compared {compared:,} pairs")

# %%
growth = {name: plans[-1].buffers / plans[0].buffers for name, plans in by_algorithm.items()}
claim("transactions_indexes.nested_grows", "from 10 to 10,000 outer rows a nested loop touches more than 500 times the pages",
      growth["Nested Loop"], at_least=500, unit="×", proves={"transactions_indexes.q61": "b"})
claim("transactions_indexes.hash_stays", "a hash join and a merge join touch less than twice the pages",
      max(growth["Hash Join"], growth["Merge Join"]), at_most=2, unit="×")
claim("transactions_indexes.join_chosen", "left alone the planner takes a nested loop for 10 rows and a hash join for 10,000",
      (free[0].kinds[1], free[-1].kinds[1]), equals=("Nested Loop", "Hash Join"))
claim("transactions_indexes.join_pairs", "without an index a nested loop compares each outer row with each inner row",
      compared, equals=100 * 26_115)

# %% [markdown]
# **Why.** A lookup in the index costs about three pages here, and a nested loop pays for it once per outer row: `loops`
# of the inner side is *n*. A hash join and a merge join read the weather once, and their price for the pages hardly
# depends on *n*. They pay in memory: the hash table, and the sort. In this merge join only the departures are sorted. The
# weather comes in order from its index, so it touches more pages than the hash join, which reads the table.
#
# | algorithm | good for | needs |
# |---|---|---|
# | nested loop | few outer rows; a `LIMIT`; conditions other than `=` | an index on the inner side, or a small one |
# | hash join | many rows on both sides, `=` | memory for one side |
# | merge join | inputs that are in order already; huge ones | an order on both sides, from an index or a sort |
#
# **In production.** A nested loop is not bad, and a hash join is not good. A nested loop with `loops=200000` is a sign
# that the planner expected few rows. Look at the estimate of its *outer* side.

# %% [markdown] also=["transactions_indexes.join_chosen"] claim="transactions_indexes.nested_grows" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the outer side does not grow</summary>
#
# ```diff
# -        where f.flight_id < {n}"""
# +        where f.flight_id < least({n}, 100)"""
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.nested_grows")`

# %% [markdown] also=["transactions_indexes.join_pairs", "transactions_indexes.join_chosen"] claim="transactions_indexes.hash_stays" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: join without the hash join and the merge join; no nested loop for the planner; with an index after all</summary>
#
# ```diff
# -    with without("memoize", *(kind for name, kind in ALGORITHMS.items() if name != algorithm)):
# +    with without("memoize", "hashjoin", "mergejoin"):
# @@
# -free = [explain(db, weather_of(n)) for n in OUTER]
# +with without("nestloop"):
# +    free = [explain(db, weather_of(n)) for n in OUTER]
# @@
# -with without("hashjoin", "mergejoin", "indexscan", "bitmapscan", "indexonlyscan"):
# +with without("hashjoin", "mergejoin", "seqscan", "memoize"):
# @@
# -compared = no_index["Rows Removed by Join Filter"] + round(no_index["Actual Rows"])
# +compared = no_index.get("Rows Removed by Join Filter", 0) + round(no_index["Actual Rows"])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.hash_stays")`

# %% [markdown] core=true minutes=7
# ## A sort on disk
#
# A report sorts 100,000 departures by their delay. `work_mem` is 1 MB, and the plan says `Sort Method: external merge`
# and so many kilobytes of `Disk`. A colleague wants to give the session as much `work_mem` as the plan says that the sort
# needed on disk, and a tenth more.

# %%
BY_DELAY = "select flight_id, departs, tailnum from flights where flight_id < 100000 order by arr_delay, flight_id"


def sorted_with(work_mem):
    """The Sort node of the report with so many kB of work_mem: method, memory or disk, kB, blocks of temporary files."""
    with setting(work_mem=f"{work_mem}kB"):
        node = next(node for node in nodes_of(BY_DELAY) if node["Node Type"] == "Sort")
    return {
        "work_mem, kB": work_mem, "Sort Method": node["Sort Method"], "in": node["Sort Space Type"],
        "kB": node["Sort Space Used"], "temp blocks written": node["Temp Written Blocks"], "rows": round(node["Actual Rows"]),
    }


# %% [markdown] predict="transactions_indexes.q62"
# **Predict.** With `work_mem` a tenth above the size on disk, where does PostgreSQL sort?
#
# - **a** in memory: it is the same data, and there is room for it
# - **b** on disk again

# %%
answer("transactions_indexes.q62", None)  # "a" or "b"

# %%
only()
small = sorted_with(1024)
as_on_disk = sorted_with(round(1.1 * small["kB"]))
ample = sorted_with(65_536)
fits = min(factor for factor in (1.1, 1.5, 2, 2.5, 3, 4, 6) if sorted_with(round(factor * small["kB"]))["in"] == "Memory")

# %% tags=["nbval-ignore-output"]
show_table([small, as_on_disk, ample], left=3)
print(f"the first factor of the size on disk with which it fits: {fits}")

# %%
claim("transactions_indexes.spill_again", "with work_mem a tenth above the size on disk the sort goes to disk again",
      (as_on_disk["in"], as_on_disk["rows"]), equals=("Disk", 100_000), proves={"transactions_indexes.q62": "b"})
claim("transactions_indexes.spill_factor", "the sort fits into memory at one and a half to four times its size on disk",
      fits, between=(1.5, 4), unit="×")
claim("transactions_indexes.spill_blocks", "with 1 MB the sort writes its data twice to disk, with 4 MB once, and in memory not at all",
      [round(8 * sort["temp blocks written"] / small["kB"]) for sort in (small, as_on_disk, ample)], equals=[2, 1, 0],
      baseline=small["kB"])

# %% [markdown]
# **Why.** In memory each row has a header, is rounded up by the allocator, and has a `SortTuple` beside it that points to
# it ([`tuplesort.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/utils/sort/tuplesort.c)). On disk
# the rows stand packed one after the other. So `Disk:` is no measure of the memory that the sort needs. `Memory:` of a
# sort that fitted is one. A sort on disk writes sorted *runs*, as long as `work_mem` allows, and merges them. With 1 MB
# there are more runs than it can merge at once (six), so it merges them into longer runs first, and writes everything a
# second time. The size under `Disk:` does not show this, but the temporary blocks do.
#
# ### Twice as much for a hash
#
# A hash join that does not fit divides both sides into *batches* and writes all but the first to temporary files.
# (Hash tables may take `hash_mem_multiplier` times `work_mem`, and this is 2 since version 15.)

# %%
PAIRS = "select count(g.tailnum) from flights f join flights g on g.flight_id = f.flight_id + 1 where g.flight_id < 100000"


def hashed_with(work_mem, multiplier=2):
    """Batches and peak memory of the hash join's table, in kB."""
    with without("nestloop", "mergejoin"), setting(work_mem=f"{work_mem}kB", hash_mem_multiplier=multiplier):
        node = next(node for node in nodes_of(PAIRS) if node["Node Type"] == "Hash")
    return {"work_mem, kB": work_mem, "Hash Batches": node["Hash Batches"], "peak memory, kB": node["Peak Memory Usage"]}


needed = hashed_with(65_536)["peak memory, kB"]
three_quarters = round(0.75 * needed)
in_one, in_several = hashed_with(three_quarters), hashed_with(three_quarters, multiplier=1)
show_bound = [{"hash_mem_multiplier": m, **found} for m, found in ((2, in_one), (1, in_several))]

# %% tags=["nbval-ignore-output"]
show_table(show_bound)

# %%
claim("transactions_indexes.hash_twice", "with three quarters of the memory that it needs as work_mem a hash join stays in memory",
      (in_one["Hash Batches"], in_one["peak memory, kB"] > three_quarters), equals=(1, True), baseline=three_quarters)
claim("transactions_indexes.hash_once", "with hash_mem_multiplier = 1 the same join goes to disk in several batches",
      in_several["Hash Batches"], at_least=2)

# %% [markdown]
# ### For each node, and for each worker
#
# `work_mem` is not a limit for a query, and not for a session. The next query numbers the departures in three orders, so
# its plan has three sorts. The last one is the report from above, with two parallel workers.

# %%
RANKS = """
    select row_number() over (order by distance, flight_id), row_number() over (order by dep_delay, flight_id),
           row_number() over (order by arr_delay, flight_id)
    from flights where flight_id < 100000"""

with setting(work_mem="16MB"):
    three_sorts = [node["Sort Space Used"] for node in nodes_of(RANKS) if node["Node Type"] == "Sort"]

workers = 2
with setting(work_mem="16MB", max_parallel_workers_per_gather=workers, parallel_setup_cost=0, parallel_tuple_cost=0,
             min_parallel_table_scan_size=0, enable_indexscan="off", enable_bitmapscan="off"):
    parallel = next(node for node in nodes_of(BY_DELAY) if node["Node Type"] == "Sort")
in_processes = [parallel["Sort Space Used"], *(worker["Sort Space Used"] for worker in parallel.get("Workers", []))]

# %% tags=["nbval-ignore-output"]
show_table([{"plan": "three sorts, one process", "kB of each sort": str(three_sorts)},
            {"plan": "one sort, three processes", "kB of each sort": str(in_processes)}], left=2)

# %%
claim("transactions_indexes.per_node", "three sorts of one query each stay below work_mem, and together take more than work_mem",
      (len(three_sorts), max(three_sorts) <= 16_384, sum(three_sorts) > 16_384), equals=(3, True, True))
claim("transactions_indexes.per_worker", "one sort with two parallel workers is three sorts, each with its own memory",
      (len(in_processes), min(in_processes) > 0), equals=(3, True))

# %% [markdown]
# **In production.** The upper limit is connections × nodes × (workers + 1) × `work_mem`, and hash tables may take twice
# that ([Resource
# consumption](https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-WORK-MEM)). 64 MB for everybody
# on a server with 200 connections can be far more memory than it has. Leave the server's value low. Set a higher one for
# the report, with `set local work_mem`, or for its role. `log_temp_files = 0` logs each temporary file, and
# `pg_stat_database.temp_bytes` adds them up. If an index has the order, there is nothing to sort.

# %% [markdown] also=["transactions_indexes.spill_factor", "transactions_indexes.spill_blocks"] claim="transactions_indexes.spill_again" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: four times the size on disk, and more</summary>
#
# ```diff
# -as_on_disk = sorted_with(round(1.1 * small["kB"]))
# +as_on_disk = sorted_with(round(4 * small["kB"]))
# @@
# -fits = min(factor for factor in (1.1, 1.5, 2, 2.5, 3, 4, 6) if sorted_with(round(factor * small["kB"]))["in"] == "Memory")
# +fits = min(factor for factor in (6, 8) if sorted_with(round(factor * small["kB"]))["in"] == "Memory")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.spill_again")`

# %% [markdown] also=["transactions_indexes.hash_twice", "transactions_indexes.hash_once", "transactions_indexes.per_node", "transactions_indexes.per_worker"] claim="transactions_indexes.spill_blocks" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: other sizes of work_mem; swap the multipliers; one order for all; no workers</summary>
#
# ```diff
# -small = sorted_with(1024)
# +small = sorted_with(65_536) | {"kB": sorted_with(1024)["kB"]}
# @@
# -in_one, in_several = hashed_with(three_quarters), hashed_with(three_quarters, multiplier=1)
# +in_one, in_several = hashed_with(three_quarters, multiplier=1), hashed_with(three_quarters)
# @@
# -    select row_number() over (order by distance, flight_id), row_number() over (order by dep_delay, flight_id),
# +    select row_number() over (order by arr_delay, flight_id), row_number() over (order by arr_delay, flight_id),
# @@
# -workers = 2
# +workers = 0
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.spill_blocks")`

# %% [markdown] minutes=6
# ## Which query first
#
# The server is busy, and you have one afternoon. One statement reads the whole table for a report, once a day. Another
# looks up one departure by its number, thousands of times. `pg_stat_statements` counts both. (It is in `contrib`, and the
# server must load it at its start, `shared_preload_libraries`.)

# %%
LOADED = "select 1 from pg_settings where name = 'shared_preload_libraries' and setting like '%pg_stat_statements%'"
no_statements = None if run(LOADED).first() else "this server has no pg_stat_statements; Docker's or your system's has"
REPORT = "select carrier, avg(arr_delay) from flights group by carrier"
LOOKUP = "select departs, dest from flights where flight_id = {number}"
LOOKUPS = 2_000

# %% [markdown] predict="transactions_indexes.q63"
# **Predict.** The application writes each number into the text of its query: `… where flight_id = 97`, `… where
# flight_id = 194` and so on, 2,000 different texts. How many lines of `pg_stat_statements` do they make?
#
# - **a** 2,000, so the view is of no use for this application
# - **b** one

# %%
answer("transactions_indexes.q63", None)  # "a" or "b"

# %%
only()
if not no_statements:
    run("create extension if not exists pg_stat_statements")
    run("select pg_stat_statements_reset()")
    with pg.connect(autocommit=True) as application, application.pipeline():
        application.execute(REPORT)
        for n in range(LOOKUPS):
            application.execute(LOOKUP.format(number=97 * n), prepare=False)
    lines = run("""
        select query, calls, rows, shared_blks_hit + shared_blks_read as pages, total_exec_time, mean_exec_time
        from pg_stat_statements where query like 'select % from flights%'""").mappings().all()
    report = next(line for line in lines if "avg" in line["query"])
    lookups = [line for line in lines if "avg" not in line["query"]]

# %% tags=["nbval-ignore-output"]
if not no_statements:
    show_table(
        [
            {"query": line["query"], "calls": line["calls"], "pages": line["pages"], "pages per call": line["pages"] / line["calls"],
             "ms": line["total_exec_time"], "ms per call": line["mean_exec_time"]}
            for line in (report, *lookups[:3])
        ],
        left=1,
    )

# %%
claim("transactions_indexes.one_line", "2,000 texts that differ in a number are one line with 2,000 calls",
      None if no_statements else (len(lookups), lookups[0]["calls"] == LOOKUPS), equals=(1, True),
      proves={"transactions_indexes.q63": "b"}, unmeasured=no_statements)
claim("transactions_indexes.rank_mean", "per call the report reads more than 500 times the pages of a lookup",
      None if no_statements else (report["pages"] / report["calls"]) / (lookups[0]["pages"] / lookups[0]["calls"]),
      at_least=500, unit="×", unmeasured=no_statements, baseline=None if no_statements else report["calls"])
claim("transactions_indexes.rank_total", "in all the lookups read more than one and a half times the pages of the report",
      None if no_statements else sum(line["pages"] for line in lookups) / report["pages"],
      at_least=1.5, unit="×", unmeasured=no_statements)

# %% [markdown]
# **Why.** The server computes a *query identifier* from the parsed statement, where constants count as placeholders
# ([pg_stat_statements](https://www.postgresql.org/docs/current/pgstatstatements.html)). So the view shows
# `where flight_id = $1`. A mean, be it of pages or of milliseconds, puts the report first. A total puts the lookup first
# as soon as it is called often enough. (Compare the two totals in the table. In pages the lookups are ahead already. In
# milliseconds they may not be: their pages are in memory, and the report has 336,776 rows to add up.)
#
# **In production.** Sort by `total_exec_time` to relieve the *server*: it is calls × mean. Sort by `mean_exec_time` or
# `max_exec_time` to help the *user* who waits for one page. Read `rows / calls` and pages per call beside them, because
# they stay the same on a busy machine. The way from a total to its cause leads through the application: 2,000 lookups
# are often one loop ([3.6](06_lazy_nested.ipynb)). The view has room for `pg_stat_statements.max = 5000` statements, and
# the rarest go first. Take differences of two looks, not the sum since the last reset.

# %% [markdown] also=["transactions_indexes.rank_mean", "transactions_indexes.rank_total"] claim="transactions_indexes.one_line" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: give each of 20 texts a sum of its own length; a report on the first month</summary>
#
# The number of constants is part of the statement's shape, and their values are not. (Neither are the names of the
# result's columns: `select departs as at_97` and `select departs as at_194` are one line.)
#
# ```diff
# -REPORT = "select carrier, avg(arr_delay) from flights group by carrier"
# +REPORT = "select carrier, avg(arr_delay) from flights where flight_id < 30000 group by carrier"
# @@
# -LOOKUPS = 2_000
# +LOOKUPS = 20
# @@
# -            application.execute(LOOKUP.format(number=97 * n), prepare=False)
# +            application.execute(LOOKUP.format(number="0 + " * n + str(97 * n)), prepare=False)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.one_line")`

# %% [markdown] minutes=25
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

# %% [markdown]
# ### Where did the pages go? (15 minutes)
#
# A ticket holds the text of `EXPLAIN (ANALYZE, BUFFERS)`. Return a list with one tuple for each node, in the order of the
# text: its name (`Seq Scan on planes p`), the rows that it returned in **all** loops, as a whole number, and the pages
# that it took **itself**, `hit` and `read`, without those of the nodes below it. A node that was never executed has 0 and
# 0. The text ends with `Planning Time` and `Execution Time`, and may have a part `Planning:` before. No server is needed.

# %% exercise="transactions_indexes.own_pages" tags=["exercise"]
def own_pages(text):
    """Name, rows of all loops, and the node's own pages, of every node, top down."""
    raise NotImplementedError


# %%
check("transactions_indexes.own_pages", own_pages)

# %% [markdown] minutes=3
# ## Asked in interviews
#
# <details>
# <summary>How do you read a line of EXPLAIN ANALYZE?</summary>
#
# Estimated cost, rows and width first, then what was measured. Rows and time are per loop
# (`transactions_indexes.per_loop`), buffers are of all loops and of the nodes below. The cost is in prices of pages and
# rows, and no time (`transactions_indexes.cost_by_hand`).
#
# </details>
#
# <details>
# <summary>Nested loop, hash join, merge join: when which?</summary>
#
# A nested loop for few outer rows and an index inside, because it pays per outer row
# (`transactions_indexes.nested_grows`). A hash join for many rows and `=`, a merge join where an order is there already;
# both read each side once (`transactions_indexes.hash_stays`). The planner changes from one to the other by its estimate
# (`transactions_indexes.join_chosen`, `transactions_indexes.costly_estimate`).
#
# </details>
#
# <details>
# <summary>A plan says "external merge Disk: 900 MB". What do you set work_mem to?</summary>
#
# Not to 900 MB: in memory the rows take more room (`transactions_indexes.spill_again`,
# `transactions_indexes.spill_factor`). And it holds for each node and each worker
# (`transactions_indexes.per_node`, `transactions_indexes.per_worker`), so I set it for this session only. First I ask
# whether an index has the order.
#
# </details>
#
# <details>
# <summary>Which query of a busy server do you optimise first?</summary>
#
# I sort `pg_stat_statements` by the total, because a statement that is fast and called very often can cost most
# (`transactions_indexes.rank_total`). For complaints about one slow page I sort by the mean
# (`transactions_indexes.rank_mean`).
#
# </details>
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
# 1. In the text of a plan, rows and times are averages per loop, and buffers are sums over all loops and all nodes below.
#    A cost is pages and rows, each times a price.
# 2. The planner is right to ignore an index if the rows are all over the table. It can be wrong about correlated columns,
#    and about an expression without statistics. Then it chooses the wrong join.
# 3. It does not know where in an order the rows are, and a generic plan does not know the value.
# 4. A nested loop pays per outer row. A hash join and a merge join read each side once.
# 5. A sort needs two to three times the memory of its size on disk. Each sort of a query has its own `work_mem`, and so has
#    each worker. A hash table may take twice as much.
# 6. `pg_stat_statements` puts texts that differ in constants into one line. The mean and the total give different orders.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `transactions_indexes.text_agrees`, `transactions_indexes.per_loop`, `transactions_indexes.cost_by_hand`,
#    `transactions_indexes.buffers_default`
# 2. `transactions_indexes.scattered`, `transactions_indexes.declined`, `transactions_indexes.forced`,
#    `transactions_indexes.multiplied`, `transactions_indexes.other_join`, `transactions_indexes.mcv`,
#    `transactions_indexes.dependencies`, `transactions_indexes.unknown_expression`,
#    `transactions_indexes.costly_estimate`, `transactions_indexes.estimate_cured`
# 3. `transactions_indexes.limit_walks`, `transactions_indexes.limit_served`, `transactions_indexes.eleventh`,
#    `transactions_indexes.custom_plan`, `transactions_indexes.either_way`
# 4. `transactions_indexes.nested_grows`, `transactions_indexes.hash_stays`, `transactions_indexes.join_chosen`,
#    `transactions_indexes.join_pairs`
# 5. `transactions_indexes.spill_again`, `transactions_indexes.spill_factor`, `transactions_indexes.spill_blocks`,
#    `transactions_indexes.hash_twice`, `transactions_indexes.hash_once`, `transactions_indexes.per_node`,
#    `transactions_indexes.per_worker`
# 6. `transactions_indexes.one_line`, `transactions_indexes.rank_mean`, `transactions_indexes.rank_total`
#
# </details>
#
# **Further reading.** [Using EXPLAIN](https://www.postgresql.org/docs/current/using-explain.html) and
# [Row estimation examples](https://www.postgresql.org/docs/current/row-estimation-examples.html), the manual's two best
# pages on plans · [Resource consumption](https://www.postgresql.org/docs/current/runtime-config-resource.html), on
# `work_mem` · [pg_stat_statements](https://www.postgresql.org/docs/current/pgstatstatements.html).

# %% [markdown] footer=true
# ← [3.1d Transactions, indexes, plans](01d_transactions_indexes.ipynb) · [Section 3](00_section.ipynb) · [Board](../00_start_here.ipynb) · [3.2 Beyond tables](02_beyond_tables.ipynb) →
