# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.2 Beyond tables
#
# > PostgreSQL, MySQL, SQLite — JSONB, CTE, materialized views.
# >
# > PostgreSQL, MySQL, SQLite: JSONB, CTEs, materialised views.
#
# 90 minutes. Needs PostgreSQL, 15 or later. If MySQL and MariaDB are there too, one experiment asks them as well.
#
# The check-in desk keeps everything about a booking in one JSONB document of 64 kB. A passenger checks in, and one key of
# the document changes from `false` to `true`. Each change of a table goes into PostgreSQL's write-ahead log (WAL), so
# this log tells what the change costs.

# %% [markdown] predict="beyond_tables.q1"
# **Predict.** `update … set doc = jsonb_set(doc, '{checked_in}', 'true')` changes one key of a document of 64 kB. How much
# WAL is written?
#
# - **a** about 100 bytes: the changed key and a header
# - **b** about 2 kB: the one piece of the document that has the key
# - **c** more than 64 kB

# %%
from helpers import answer

answer("beyond_tables.q1", None)  # "a", "b" or "c"

# %% [markdown]
# **You will be able to show that …**
#
# 1. a change inside a document has a price in bytes, and the price depends on where a fact is kept;
# 2. the spelling of a condition on a document matters, to its index and to the planner's estimate;
# 3. a document, or a change of it, can get lost without an error;
# 4. a CTE is computed in one of two ways, and a recursive one must be given a reason to end;
# 5. a window has a frame even if you do not write one, and `LATERAL` is one lookup per group;
# 6. each way to keep a summary fresh has its own locks and writes.

# %%
from helpers import check, claim, explain, services, stamp
from helpers import show_bars, show_plan, show_source, show_table
from helpers.labs.databases import beyond_tables as lab

pg = lab.postgres()
db = pg.connect(autocommit=True)  # psycopg; each statement is a transaction of its own
stamp()


# %%
def run(*statements):
    """Send statements; the rows of the last one."""
    for sql in statements:
        cursor = db.execute(sql)
    return cursor.fetchall() if cursor.description else None


def value(sql):
    return run(sql)[0][0]


# %% [markdown] core=true minutes=4
# ## One key of a document
#
# Four bookings have a document each, with a history of about 200 bytes to 64 kB: random hex strings, which PostgreSQL
# does not compress. We count the bytes that one `UPDATE` adds to the WAL. `EXPLAIN (ANALYZE, WAL)` reports them.
# The setting `full_page_writes = off` keeps out the page images that a first change after a checkpoint would add. (On
# your own server leave it on.)

# %%
SIZES = (200, 2_000, 16_000, 64_000)
run("drop table if exists dossiers",
    "create table dossiers (id int primary key, seat text, doc jsonb)")
for size in SIZES:
    run(f"""insert into dossiers select {size}, '12A', jsonb_build_object('checked_in', false, 'history',
            (select jsonb_agg(md5(i::text || '-{size}')) from generate_series(1, {size} / 32) i))""")

# %%
stored, by_key, by_column = {}, {}, {}
for size in SIZES:
    stored[size] = value(f"select pg_column_size(doc) from dossiers where id = {size}")
    by_key[size] = explain(db, f"""
        update dossiers set doc = jsonb_set(doc, '{{checked_in}}', 'true') where id = {size}""", wal=True).wal_bytes
    by_column[size] = explain(db, f"""
        update dossiers set seat = '12B' where id = {size}""", wal=True).wal_bytes

toasted = [size for size in SIZES if stored[size] > 2_000]

# %% tags=["nbval-ignore-output"]
show_table(
    [{"bytes of the document": stored[size], "WAL, one key": by_key[size], "WAL, the column beside it": by_column[size]} for size in SIZES],
    left=0,
)
show_bars({f"{stored[size]:,} bytes: one key": by_key[size] for size in SIZES}
          | {f"{stored[SIZES[-1]]:,} bytes: the column beside it": by_column[SIZES[-1]]},
          title="WAL of one UPDATE", x="bytes")

# %%
claim("beyond_tables.wal_key", "to change one key of a document above 2 kB writes at least the whole document",
      min(by_key[size] / stored[size] for size in toasted), at_least=1, unit="×", proves={"beyond_tables.q1": "c"},
      baseline=(stored, toasted))
claim("beyond_tables.wal_column", "to change a column beside the document writes less than 512 bytes, at each size",
      max(by_column.values()), at_most=512, unit="B", did=list(stored.values()))

# %% [markdown]
# **Why.** A value is one datum, and an `UPDATE` writes a new version of the row. If a row is longer than about 2 kB, long
# values are compressed or moved to a second table, the TOAST table, in chunks. `jsonb_set` builds a new document, all
# its chunks are new rows, and the old chunks are marked as deleted. A change of `seat` keeps the old value of `doc`,
# which is only a pointer in the row: *values of unchanged fields are normally preserved as-is* ([manual,
# TOAST](https://www.postgresql.org/docs/17/storage-toast.html)). The smallest document is in the row itself, and its WAL
# record is shorter than the document: if both versions of a row are on one page, the record omits what they have in
# common at the beginning and the end, unless a page image or logical decoding needs the row (`log_heap_update` in
# [`heapam.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/access/heap/heapam.c)).
#
# **In production.** Keep what changes often in columns (a status, a counter, a time), and keep in JSONB what is written
# once and read whole. Physical replicas and the WAL archive receive the same bytes. MySQL is different: it can log only
# the changed part of a JSON document, if `binlog_row_value_options=PARTIAL_JSON` is set
# ([MySQL](https://dev.mysql.com/doc/refman/8.4/en/replication-features-json.html)).

# %% [markdown] claim="beyond_tables.wal_key" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the key becomes a column</summary>
#
# ```diff
# -    "create table dossiers (id int primary key, seat text, doc jsonb)")
# +    "create table dossiers (id int primary key, seat text, doc jsonb, checked_in boolean default false)")
# @@
# -        update dossiers set doc = jsonb_set(doc, '{{checked_in}}', 'true') where id = {size}""", wal=True).wal_bytes
# +        update dossiers set checked_in = true where id = {size}""", wal=True).wal_bytes
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.wal_key")`

# %% [markdown] claim="beyond_tables.wal_column" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: write the document back as well</summary>
#
# `doc || '{}'` is an equal document, but PostgreSQL does not compare. An ORM that updates all columns of a row does the
# same.
#
# ```diff
# -        update dossiers set seat = '12B' where id = {size}""", wal=True).wal_bytes
# +        update dossiers set seat = '12B', doc = doc || '{{}}' where id = {size}""", wal=True).wal_bytes
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.wal_column")`

# %% [markdown] minutes=6
# ## Seven conditions, four indexes
#
# 20,000 bookings have a document each. Here is one of the rare ones, with the return direction and a wheelchair. The
# fare of every 1,000th booking is `first`. An index of a document is usually a GIN index, and there are two *operator
# classes* for it: the default `jsonb_ops`, and `jsonb_path_ops`. A B-tree on an expression is another way.

# %%
run("drop table if exists bookings",
    """create table bookings as
       select i as id, jsonb_build_object(
           'from', case when i % 50 = 0 then 'LAX' else 'JFK' end,
           'to',   case when i % 50 = 0 then 'JFK' else 'LAX' end,
           'fare', case when i % 1000 = 0 then 'first' else 'basic' end,
           'legs', jsonb_build_array(jsonb_build_object('flight', 'UA' || i % 1500, 'seat', i % 60 || 'A')),
           'code', 'C' || i)
           || case when i % 50 = 0 then '{"wheelchair": true}' else '{}' end::jsonb as doc
       from generate_series(1, 20000) i""")
value("select doc from bookings where id = 50")

# %%
CONDITIONS = (
    """doc @> '{"fare": "first"}'""",
    """doc @? '$.legs[*] ? (@.flight == "UA1000")'""",
    "doc ? 'wheelchair'",
    "doc ->> 'fare' = 'first'",
    """doc -> 'fare' = '"first"'""",
    """doc['fare'] = '"first"'""",
    """jsonb_path_exists(doc, '$.legs[*] ? (@.flight == "UA1000")')""",
)
INDEXES = {
    "jsonb_ops": "using gin (doc)",
    "jsonb_path_ops": "using gin (doc jsonb_path_ops)",
    "doc ->> 'fare'": "((doc ->> 'fare'))",
    "doc -> 'fare'": "((doc -> 'fare'))",
}

# %% [markdown] predict="beyond_tables.q2"
# **Predict.** The table has an index on `(doc ->> 'fare')` and no other. Which of these three conditions can use it?
# `doc ->> 'fare' = 'first'`; `doc @> '{"fare": "first"}'`; `doc['fare'] = '"first"'`
#
# - **a** the first
# - **b** the first and the third: both take one key out of the document
# - **c** all three: they select the same rows

# %%
answer("beyond_tables.q2", None)  # "a", "b" or "c"

# %% [markdown]
# One index at a time. Sequential scans are off, so that the planner takes the index wherever it can.

# %%
served, bytes_of = {condition: {} for condition in CONDITIONS}, {}
for name, definition in INDEXES.items():
    run("drop index if exists tried", f"create index tried on bookings {definition}", "vacuum analyze bookings")
    bytes_of[name] = value("select pg_relation_size('tried')")
    run("set enable_seqscan = off")
    for condition in CONDITIONS:
        served[condition][name] = explain(db, f"select id from bookings where {condition}").indexes == ["tried"]
    run("reset enable_seqscan")

# %% tags=["nbval-ignore-output"]
lab.draw_served(served)
show_table([{"index": name, "bytes": size} for name, size in bytes_of.items()], caption="Size of each index")

# %%
claim("beyond_tables.served", "each condition is served by the indexes that know its expression and operator, and no other",
      {name: [n for n, condition in enumerate(CONDITIONS, 1) if served[condition][name]] for name in INDEXES},
      equals={"jsonb_ops": [1, 2, 3], "jsonb_path_ops": [1, 2], "doc ->> 'fare'": [4], "doc -> 'fare'": [5]},
      proves={"beyond_tables.q2": "a"})

# %% [markdown]
# Now we look for the bookings from `LAX`, once with each operator class. All other bookings have `LAX` too, but under
# `to`.

# %%
CLASSES = {"default": "jsonb_ops", "by paths": "jsonb_path_ops"}
thrown_away, found = {}, {}
for name, operator_class in CLASSES.items():
    run("drop index if exists tried", f"create index tried on bookings using gin (doc {operator_class})",
        "vacuum analyze bookings", "set enable_seqscan = off")
    plan = explain(db, """select id from bookings where doc @> '{"from": "LAX"}'""")
    run("reset enable_seqscan")
    thrown_away[name], found[name] = plan.scan.rows_removed, plan.rows

# %%
show_table([{"index": name, "rows found": found[name], "read and thrown away": thrown_away[name]} for name in CLASSES])
claim("beyond_tables.gin_recheck", "the default index finds LAX under the wrong key as well, the other does not",
      thrown_away, equals={"default": 19_600, "by paths": 0}, did=found)

# %% [markdown]
# **Why.** The planner matches an index by its operator and its expression, and does not ask what a condition *means*.
# `->`, `->>` and `[ ]` are three different expressions. A function can use an index only if a [support
# function](https://www.postgresql.org/docs/17/xfunc-optimization.html) says how, and `jsonb_path_exists` has none.
# `jsonb_ops` makes an index entry for each key and for each value, so a search for `{"from": "LAX"}` takes all documents
# that have both, and then checks each row. `jsonb_path_ops` makes one entry for each value: a hash of the value and of
# the keys that lead to it. It knows the key, it is smaller here, and it has no entry for a key alone, so `?` cannot use
# it ([manual, 8.14.4](https://www.postgresql.org/docs/17/datatype-json.html#JSON-INDEXING)).
#
# **An incident.** What does SQLAlchemy send for a key of a document?

# %%
from sqlalchemy import cast, column
from sqlalchemy.dialects import postgresql

doc = column("doc", postgresql.JSONB)
for condition in (
    doc["fare"] == cast("first", postgresql.JSONB),
    doc["fare"].astext == "first",
    doc["trip"]["fare"].astext == "first",
):
    print(condition.compile(dialect=postgresql.dialect()))

# %% [markdown]
# From version 2.0.42 on it sends `doc['fare']` to PostgreSQL 14 and later, where it had sent `doc -> 'fare'`. One key as
# text is still `doc ->> 'fare'`. A key inside a key begins with `[ ]`, also as text. So indexes on `doc -> 'fare'` and on
# `doc -> 'trip' ->> 'fare'` were no longer used after an upgrade of a library
# ([sqlalchemy#12868](https://github.com/sqlalchemy/sqlalchemy/issues/12868),
# [#13067](https://github.com/sqlalchemy/sqlalchemy/issues/13067)).
#
# **In production.** Compare the text of the index with the SQL that the driver really sends. If all your conditions
# are `@>` or `@?`, take `jsonb_path_ops`. If you ask for one key only, take a B-tree on `doc ->> 'fare'`: it has a tenth
# of the bytes here. The one on `doc -> 'fare'` is larger, because a B-tree [does not
# deduplicate](https://www.postgresql.org/docs/17/btree.html#BTREE-DEDUPLICATION) `jsonb`. MySQL cannot index a JSON column
# itself. There you index an expression or a generated column
# ([MySQL](https://dev.mysql.com/doc/refman/8.4/en/json.html)).

# %% [markdown] claim="beyond_tables.served" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: index the spelling that SQLAlchemy sends</summary>
#
# ```diff
# -    "doc -> 'fare'": "((doc -> 'fare'))",
# +    "doc -> 'fare'": "((doc['fare']))",
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.served")`

# %% [markdown] claim="beyond_tables.gin_recheck" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: exchange the two operator classes</summary>
#
# ```diff
# -CLASSES = {"default": "jsonb_ops", "by paths": "jsonb_path_ops"}
# +CLASSES = {"default": "jsonb_path_ops", "by paths": "jsonb_ops"}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.gin_recheck")`

# %% [markdown] minutes=4
# ## How many have flown
#
# The `status` of half of all bookings is `flown`. It is a key of the document. A report joins these bookings with
# 200,000 customers. `ANALYZE` has just read both tables.

# %%
run("drop table if exists trips, customers",
    """create table trips as
       select i as id, i * 7919 % 200000 as customer,
              jsonb_build_object('status', case when i % 2 = 0 then 'flown' else 'open' end) as doc
       from generate_series(1, 20000) i""",
    "create table customers as select i as id, 'customer ' || i as name from generate_series(0, 199999) i",
    "alter table customers add primary key (id)",
    "vacuum analyze trips", "vacuum analyze customers")

REPORT = "select count(name) from trips join customers on customers.id = customer where {status} = 'flown'"

# %% [markdown] predict="beyond_tables.q3"
# **Predict.** 10,000 of the 20,000 rows match `doc ->> 'status' = 'flown'`. How many does the planner expect, right
# after `ANALYZE`?
#
# - **a** about 10,000
# - **b** 100
# - **c** 20,000: it cannot look into the document

# %%
answer("beyond_tables.q3", None)  # "a", "b" or "c"

# %%
blind = explain(db, REPORT.format(status="doc ->> 'status'"))
run("alter table trips add status text generated always as (doc ->> 'status') stored", "vacuum full analyze trips")
known = explain(db, REPORT.format(status="status"))


def of_trips(plan):
    return next(node for node in plan.nodes if node.relation == "trips")


# %% tags=["nbval-ignore-output"]
show_plan(blind, "the key of the document")
show_plan(known, "the generated column")

# %%
claim("beyond_tables.blind", "the estimate for a key of a document is wrong by a factor of 100",
      of_trips(blind).off_by, between=(90, 110), unit="×", proves={"beyond_tables.q3": "b"})
claim("beyond_tables.known", "for a generated column the estimate is right, and the report reads a tenth of the pages or less",
      [of_trips(known).off_by < 1.1, known.buffers / blind.buffers <= 0.1], equals=[True, True],
      did={"key": blind.scan.rows > 0, "column": known.scan.rows > 0})

# %% [markdown]
# **Reading it.** The planner expects 100 rows, so it looks up each customer through the index. It makes 10,000 of these
# lookups, four pages each. With the right number it reads both tables once and joins them by a hash table.
#
# **Why.** `ANALYZE` collects statistics for columns, and `doc` is one column. For `expression = constant` without
# statistics the planner assumes 200 different values (`DEFAULT_NUM_DISTINCT` in
# [`selfuncs.h`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/include/utils/selfuncs.h)), and 20,000 / 200
# = 100. Engineers of Heap describe the same trap as the first hidden cost of JSONB ([*When to avoid JSONB in a PostgreSQL
# schema*](https://contentsquare.com/blog/when-to-avoid-jsonb-in-a-postgresql-schema)).
#
# **In production.** Three things give the planner statistics of an expression: a stored generated column, an index on the
# expression, and `create statistics s on (doc ->> 'status') from trips` (from version 14). Each needs an `ANALYZE`. The
# last one leaves the query's text as it is. Adding a *stored* generated column rewrites the table under an exclusive
# lock. Version 18 makes generated columns *virtual* unless you write `stored`, and a virtual column never has statistics
# of its own ([manual, ALTER TABLE](https://www.postgresql.org/docs/18/sql-altertable.html)).

# %% [markdown] also=["beyond_tables.known"] claim="beyond_tables.blind" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: statistics of the expression</summary>
#
# Then both reports have the good plan, and the second one no longer reads fewer pages.
#
# ```diff
# -    "vacuum analyze trips", "vacuum analyze customers")
# +    "create statistics status_of on (doc ->> 'status') from trips", "vacuum analyze trips", "vacuum analyze customers")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.blind")`

# %% [markdown] claim="beyond_tables.known" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: add the column, keep the old text of the query</summary>
#
# PostgreSQL does not see that the expression and the column have the same value.
#
# ```diff
# -known = explain(db, REPORT.format(status="status"))
# +known = explain(db, REPORT.format(status="doc ->> 'status'"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.known")`

# %% [markdown] minutes=5
# ## A seat that is not known yet
#
# A service writes the seat into the document of a passenger. For Ken the seat comes from an outer join, and there is
# none.

# %%
run("drop table if exists passengers, seats",
    "create table passengers (name text primary key, doc jsonb)",
    """insert into passengers values ('Ada', '{"meal": "vegan", "paid": 300}'), ('Ken', '{"meal": "fish", "paid": 250}')""",
    "create table seats (name text, seat text)",
    "insert into seats values ('Ada', '12A')")

# %% [markdown] predict="beyond_tables.q4"
# **Predict.** `set doc = jsonb_set(doc, '{seat}', to_jsonb(seat))`, and `seat` is NULL. What is Ken's `doc` afterwards?
#
# - **a** `{"meal": "fish", "paid": 250}`
# - **b** `{"meal": "fish", "paid": 250, "seat": null}`
# - **c** NULL

# %%
answer("beyond_tables.q4", None)  # "a", "b" or "c"

# %%
run("""
    update passengers set doc = jsonb_set(passengers.doc, '{seat}', to_jsonb(seat))
    from passengers p left join seats using (name) where p.name = passengers.name""")
after = dict(run("select name, doc from passengers"))
show_table([{"passenger": name, "doc": str(after[name])} for name in sorted(after)], left=2)
claim("beyond_tables.erased", "a value that is NULL erases the whole document, without an error",
      after["Ken"] is None, equals=True, did=[after["Ada"]], proves={"beyond_tables.q4": "c"})

# %% [markdown]
# **Why.** `jsonb_set` is *strict*: if any argument is NULL, PostgreSQL does not call it and the result is NULL.
# `jsonb_set_lax` (from version 13) is not strict, and its fifth argument says what a NULL means: `use_json_null` (the
# default), `delete_key`, `return_target` or `raise_exception`
# ([manual, 9.16](https://www.postgresql.org/docs/17/functions-json.html)). `doc not null` in the table turns the loss
# into an error.
#
# The second half of this experiment is the opposite: a change that is never written. SQLAlchemy maps one JSONB column
# plainly and one as `MutableDict`.

# %%
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = pg.engine()


class Base(DeclarativeBase):
    pass


class Profile(Base):
    __tablename__ = "profiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    plain = mapped_column(JSONB)
    tracked = mapped_column(MutableDict.as_mutable(JSONB))


def updates(change):
    """How many UPDATEs SQLAlchemy sends for one change of a loaded profile."""
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Profile(id=1, plain={"a": 1}, tracked={"a": 1, "seat": {"row": 12}}))
        session.commit()
        with lab.updates_sent(engine) as sent:
            change(session.get(Profile, 1))
            session.commit()
    return len(sent)


CHANGES = {
    "plain['a'] = 2": lambda profile: profile.plain.update(a=2),
    "plain['a'] = 2; plain = dict(plain)":
        lambda profile: (profile.plain.update(a=2), setattr(profile, "plain", dict(profile.plain))),
    "plain = {…, 'a': 2}": lambda profile: setattr(profile, "plain", profile.plain | {"a": 2}),
    "tracked['a'] = 2": lambda profile: profile.tracked.update(a=2),
    "tracked['seat']['row'] = 14": lambda profile: profile.tracked["seat"].update(row=14),
}
sent = {text: updates(change) for text, change in CHANGES.items()}

# %%
show_table([{"change of a loaded object": text, "UPDATEs sent by commit()": count} for text, count in sent.items()])
claim("beyond_tables.untracked", "a change inside a plain dict, or one level deeper in a MutableDict, is not written",
      list(sent.values()), equals=[0, 0, 1, 1, 0])

# %% [markdown]
# **Why.** SQLAlchemy learns of a change when an attribute is *set*. A plain `dict` does not report what happens to it.
# `MutableDict` reports its own changes, and the values in it are ordinary dicts and lists again
# ([documentation](https://docs.sqlalchemy.org/en/20/orm/extensions/mutable.html)). If an attribute is set, SQLAlchemy
# compares the new value with the one it holds, and sends nothing if they are equal. In the second row the held dict was
# changed first, so its copy is equal to it. A user reported this as a bug, and it is the expected behaviour
# ([sqlalchemy#11001](https://github.com/sqlalchemy/sqlalchemy/issues/11001)).
#
# **In production.** Leave the loaded dict as it is and set a new one (`profile.plain = {**profile.plain, "a": 2}`), or
# call `flag_modified`.

# %% [markdown] claim="beyond_tables.erased" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: say what a NULL means</summary>
#
# ```diff
# -    update passengers set doc = jsonb_set(passengers.doc, '{seat}', to_jsonb(seat))
# +    update passengers set doc = jsonb_set_lax(passengers.doc, '{seat}', to_jsonb(seat), true, 'return_target')
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.erased")`

# %% [markdown] claim="beyond_tables.untracked" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: tell SQLAlchemy about the plain dict as well, and set the inner dict anew</summary>
#
# ```diff
# -    plain = mapped_column(JSONB)
# +    plain = mapped_column(MutableDict.as_mutable(JSONB))
# @@
# -    "tracked['seat']['row'] = 14": lambda profile: profile.tracked["seat"].update(row=14),
# +    "tracked['seat'] = {…}": lambda profile: profile.tracked.update(seat={"row": 14}),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.untracked")`

# %% [markdown] minutes=5
# ## The same text in four systems
#
# A partner sends this document, with a key that occurs twice: `{"b": 1, "a": 2, "a": 3, "n": 1.50}`. [RFC
# 8259](https://www.rfc-editor.org/rfc/rfc8259#section-4) calls the behaviour of software that receives such an object
# unpredictable. Each system stores it in a column of type `json` (PostgreSQL: `jsonb`), and is asked for the text and for
# the value of `a`. SQLite has no such type. It accepts any name of a type, and keeps a text like
# this one as it is.

# %%
import sqlite3

DOCUMENT = '{"b": 1, "a": 2, "a": 3, "n": 1.50}'
mysql = services.mysql(required=False)
mariadb = services.mariadb(required=False)

# %% [markdown] predict="beyond_tables.q5"
# **Predict.** Which value of `a` do the systems return?
#
# - **a** all 3: the last one wins, as in Python
# - **b** PostgreSQL and MySQL 3, MariaDB and SQLite 2
# - **c** PostgreSQL 2, the others 3

# %%
answer("beyond_tables.q5", None)  # "a", "b" or "c"

# %%
def kept_by(server):
    """The text and the value of `a` that MySQL or MariaDB give back."""
    with server.engine(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("create table partners (doc json)")
        connection.exec_driver_sql("insert into partners values (%s)", (DOCUMENT,))
        row = connection.exec_driver_sql("select cast(doc as char), json_extract(doc, '$.a') from partners").one()
        connection.exec_driver_sql("drop table partners")
    return [row[0], str(row[1])]


run("drop table if exists partners", "create table partners (doc jsonb)")
db.execute("insert into partners values (%s)", (DOCUMENT,))
kept = {"PostgreSQL": list(run("select doc::text, doc ->> 'a' from partners")[0])}
kept |= {server.label: kept_by(server) for server in (mysql, mariadb) if server}
with sqlite3.connect(":memory:") as lite:
    lite.execute("create table partners (doc json)")
    lite.execute("insert into partners values (?)", (DOCUMENT,))
    text, a = lite.execute("select doc, json_extract(doc, '$.a') from partners").fetchone()
kept["SQLite"] = [text, str(a)]

# %%
show_table([{"system": name, "the text that comes back": text, "a": a} for name, (text, a) in kept.items()], left=2)
claim("beyond_tables.kept_postgres", "PostgreSQL's jsonb keeps the last value, SQLite the text, and finds the first",
      {name: kept[name] for name in ("PostgreSQL", "SQLite")},
      equals={"PostgreSQL": ['{"a": 3, "b": 1, "n": 1.50}', "3"], "SQLite": [DOCUMENT, "2"]},
      proves={"beyond_tables.q5": "b"})
claim("beyond_tables.kept_mysql", "MySQL keeps the last value, sorts the keys, and returns 1.5 for 1.50",
      kept.get("MySQL"), equals=['{"a": 3, "b": 1, "n": 1.5}', "3"], unmeasured=mysql)
claim("beyond_tables.kept_mariadb", "MariaDB keeps the text as it came, and finds the first value",
      kept.get("MariaDB"), equals=[DOCUMENT, "2"], unmeasured=mariadb)

# %% [markdown]
# **Why.** `jsonb` and MySQL's `JSON` are binary formats that are parsed when you insert; duplicates and spaces are gone,
# and `jsonb` stores numbers as `numeric`, so `1.50` keeps its digits. In MariaDB `JSON` is an alias of `LONGTEXT` with a
# check that the text is valid ([MariaDB](https://mariadb.com/kb/en/json-data-type/)).
# SQLite has no JSON column type, its functions read text (and from 3.45 on a binary form of its own,
# [SQLite](https://www.sqlite.org/json1.html)). PostgreSQL's `json`, without *b*, keeps the text too.
#
# **In production.** Validate before you store. A check that reads the first `a` and a service that uses the last one is
# a way around the check. A signature over the text does not survive `jsonb` and MySQL's `JSON`.
#
# The standard has a function that turns JSON into rows: `JSON_TABLE`. PostgreSQL has it from version 17 on; before that, use
# `jsonb_to_recordset`. The text of this query is accepted by three of the systems. It reads three seats as numbers: one is
# no number, and one is missing.

# %%
SEATS = """
    select seat
    from json_table('[{"seat": 12}, {"seat": "12A"}, {}]', '$[*]' columns (
        place for ordinality,
        seat int path '$.seat')) as leg
    order by place"""


def seats_of(server):
    with server.engine().connect() as connection:
        return [seat for (seat,) in connection.exec_driver_sql(SEATS)]


HAS_IT = int(pg.version.split(".")[0]) >= 17
seats = {server.label: seats_of(server) for server in (mysql, mariadb) if server}
if HAS_IT:
    seats["PostgreSQL"] = [seat for (seat,) in run(SEATS)]

# %%
claim("beyond_tables.table_postgres", "PostgreSQL's JSON_TABLE gives NULL for a seat that is no number, as for one that is missing",
      seats.get("PostgreSQL"), equals=[12, None, None], unmeasured=None if HAS_IT else "JSON_TABLE came with PostgreSQL 17")
claim("beyond_tables.table_mysql", "MySQL's JSON_TABLE gives NULL for both too: the seat that is no number, and the missing one",
      seats.get("MySQL"), equals=[12, None, None], unmeasured=mysql)
claim("beyond_tables.table_mariadb", "MariaDB's JSON_TABLE reads 12A as the number 12",
      seats.get("MariaDB"), equals=[12, 12, None], unmeasured=mariadb)

# %% [markdown]
# **Why.** A value that cannot be converted is an *error*, a missing one is *empty*, and the default for both is NULL
# ([manual, 9.16.4](https://www.postgresql.org/docs/17/functions-json.html#FUNCTIONS-SQLJSON-TABLE)). MariaDB
# converts the text as far as it goes, with warning 1265. `error on error` makes PostgreSQL and MySQL refuse `12A`; MariaDB
# still returns 12 (measured by the authors: PostgreSQL 17.12, MySQL 9.7.4, MariaDB 11.8.9). So where bad data must not pass as
# missing data, read the value as text and check it.

# %% [markdown] also=["beyond_tables.kept_mysql", "beyond_tables.kept_mariadb"] claim="beyond_tables.kept_postgres" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: parse and write the document once before you store it</summary>
#
# Python's `json` keeps the last value. Then all systems agree on `a`.
#
# ```diff
# -DOCUMENT = '{"b": 1, "a": 2, "a": 3, "n": 1.50}'
# +DOCUMENT = __import__("json").dumps(__import__("json").loads('{"b": 1, "a": 2, "a": 3, "n": 1.25}'))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.kept_postgres")`

# %% [markdown] also=["beyond_tables.table_mysql", "beyond_tables.table_mariadb"] claim="beyond_tables.table_postgres" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: read the seat as text</summary>
#
# ```diff
# -        seat int path '$.seat')) as leg
# +        seat varchar(9) path '$.seat')) as leg
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.table_postgres")`

# %% [markdown] minutes=4
# ## A name for a subquery
#
# `WITH` gives a subquery a name (a *common table expression*, CTE). The same lookup of one flight, written in four ways,
# over 100,000 flights with an index on `id`.

# %%
run("drop table if exists flights",
    "create table flights as select i as id, i % 100 as gate from generate_series(1, 100000) i",
    "create index on flights (id)", "vacuum analyze flights")
PAGES = value("select pg_relation_size('flights') / 8192")

SPELLINGS = {
    "used once": "with f as (select * from flights) select id from f where id = 77",
    "used twice": "with f as (select * from flights) select a.id from f a join f b using (id) where a.id = 77",
    "used twice, not materialized":
        "with f as not materialized (select * from flights) select a.id from f a join f b using (id) where a.id = 77",
    "used once, with random()": "with f as (select *, random() from flights) select id from f where id = 77",
}

# %% [markdown] predict="beyond_tables.q6"
# **Predict.** The first one uses the index and reads 3 pages. What does the second one do, where the CTE is used twice?
#
# - **a** two lookups through the index
# - **b** it reads all of the table, and then keeps one row
# - **c** one lookup, and its row is used twice

# %%
answer("beyond_tables.q6", None)  # "a", "b" or "c"

# %%
plans = {name: explain(db, sql) for name, sql in SPELLINGS.items()}

# %% tags=["nbval-ignore-output"]
show_table([{"CTE": name, "nodes, top down": " › ".join(plan.kinds), "pages": plan.buffers} for name, plan in plans.items()],
           left=2)

# %%
claim("beyond_tables.fence", "a CTE that is used twice, or calls a volatile function, reads the whole table; used once, it does not",
      {name: plan.buffers >= PAGES for name, plan in plans.items()},
      equals={"used once": False, "used twice": True, "used twice, not materialized": False, "used once, with random()": True},
      proves={"beyond_tables.q6": "b"})

# %% [markdown]
# **Why.** Up to version 11 PostgreSQL computed each CTE separately, and no condition from outside went into it. It was a
# *fence*, and people used it as one. From version 12 on, a CTE that is not recursive, has no side effects and is used
# once is folded into the query. `materialized` and `not materialized` decide otherwise ([manual,
# 7.8.3](https://www.postgresql.org/docs/17/queries-with.html#QUERIES-WITH-CTE-MATERIALIZATION)). A second use keeps the
# fence, since the result could be expensive to compute twice. Behind a fence, rows are still computed only as far as the
# query asks for them: under a `limit` the scan stops early.
#
# **In production.** A report gets slow on the day on which somebody uses its CTE a second time. Look for `CTE Scan` in
# the plan, with a filter in it.

# %% [markdown] claim="beyond_tables.fence" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: put the fence back</summary>
#
# ```diff
# -    "used once": "with f as (select * from flights) select id from f where id = 77",
# +    "used once": "with f as materialized (select * from flights) select id from f where id = 77",
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.fence")`

# %% [markdown] core=true minutes=6
# ## All airports from JFK
#
# Which airports can a passenger reach from JFK, with any number of connections? `legs` has each pair of airports of
# 2013's flights, in both directions. (The real data has flights from New York only; the flights back are synthetic.)
# So the network is full of circles.

# %%
run("drop table if exists legs", "create table legs (origin text, dest text)")
with db.cursor() as cursor, cursor.copy("copy legs from stdin") as copy:
    for leg in lab.legs():
        copy.write_row(leg)
AIRPORTS = value("select count(distinct origin) from legs")

REACHED = """
    with recursive reached (airport) as (
        select 'JFK'
        union
        select dest from reached join legs on origin = airport)
    select count(*) from reached"""

COUNTED = """
    with recursive reached (airport, connections) as (
        select 'JFK', 0
        union
        select dest, connections + 1 from reached join legs on origin = airport where connections < 12)
    select connections, count(*) from reached group by connections order by connections"""

# %% [markdown] predict="beyond_tables.q7"
# **Predict.** `REACHED` ends, and gives each of the airports once. `COUNTED` also counts the connections. What
# would it do without the `where connections < 12`?
#
# - **a** end as well: `union` removes what is already there
# - **b** never end
# - **c** end with an error: PostgreSQL detects the circle

# %%
answer("beyond_tables.q7", None)  # "a", "b" or "c"

# %%
reached = value(REACHED)
levels = dict(run(COUNTED))

# %% tags=["nbval-ignore-output"]
show_bars({f"{level} legs from JFK": count for level, count in levels.items()},
          title="New rows at each level, with a counter in the row", x="rows")

# %%
claim("beyond_tables.reached", "UNION has each airport once; with a counter in the row, each level from 5 to 12 has all of them again",
      [AIRPORTS, reached, *(levels.get(level, 0) for level in range(5, 13))], equals=[107] * 10, baseline=AIRPORTS,
      proves={"beyond_tables.q7": "b"})

# %% [markdown]
# **Why.** A recursive CTE is a loop: it runs the second part on the rows that the last round brought, until a round
# brings none. `union` drops a row that was there before, and compares *whole* rows. `('LAX', 1)` and `('LAX', 3)` are
# two different rows. PostgreSQL has no limit of rounds: without `statement_timeout` the loop goes on until memory or disk
# runs out. MySQL stops after `cte_max_recursion_depth` rounds, 1,000 by default, with error 3636
# ([MySQL](https://dev.mysql.com/blog-archive/a-new-simple-way-to-figure-out-why-your-recursive-cte-is-running-away/)).
# MariaDB stops after `max_recursive_iterations`, 1,000 by default too, and *returns the rows it has*, with warning 1931
# and no error (measured by the authors: MariaDB 11.8.9 and 10.11.19, 2 cores of x86-64).
#
# From version 14 on you can let PostgreSQL keep the path of each row: `cycle airport set seen using path` marks a row
# whose airport is on its own path, and does not go on from there. We check it against a search in Python, on a small
# network of seven airports. (The counter `hops` is for the *Break it* only.)

# %%
run("drop table if exists few", """
    create table few as select * from legs
    where origin in ('JFK', 'EWR', 'LGA', 'ATL', 'BOS', 'MIA', 'ORD') and dest in ('JFK', 'EWR', 'LGA', 'ATL', 'BOS', 'MIA', 'ORD')""")
PATHS = """
    with recursive trip (airport, hops) as (
        select 'JFK', 0
        union all
        select dest, hops + 1 from trip join few on origin = airport)
    search breadth first by airport set in_order
    cycle airport set seen using path
    select path, seen from trip order by in_order, path"""
trips = [(" › ".join(step[0] for step in path), seen) for path, seen in run(PATHS)]
simple = [path for path, seen in trips if not seen]
by_python = [" › ".join(path) for path in lab.simple_paths(run("select * from few"), "JFK")]

# %% tags=["nbval-ignore-output"]
show_table([{"path": path, "seen": seen} for path, seen in trips[:12]], caption=f"The first 12 of {len(trips)} rows", left=1)
show_source(lab.simple_paths)

# %%
claim("beyond_tables.cycle", "CYCLE ends by itself and gives the 141 paths that visit no airport twice, each once",
      [len(simple), sorted(simple) == sorted(by_python)], equals=[141, True], baseline=by_python)

# %% [markdown]
# **In production.** To know *what* is reachable, keep the row small and use `union`. To know *how far*, stop at a number
# of rounds that you can defend: a shortest path has fewer legs than there are airports. All *paths* are many: seven
# airports have 141 of them, and the 107 of the full network have 457,753 (counted once by the authors). MariaDB has
# `CYCLE … RESTRICT`, MySQL and SQLite have no `CYCLE`.

# %% [markdown] claim="beyond_tables.reached" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: no counter in the row; and break the other half: only one round</summary>
#
# ```diff
# -        select dest, connections + 1 from reached join legs on origin = airport where connections < 12)
# +        select dest, connections from reached join legs on origin = airport where connections < 12)
# @@
# -        select dest from reached join legs on origin = airport)
# +        select dest from reached join legs on origin = airport where airport = 'JFK')
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.reached")`

# %% [markdown] claim="beyond_tables.cycle" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the counter is part of what is compared</summary>
#
# Then no row comes again, and the query would not end. A limit stops it.
#
# ```diff
# -    cycle airport set seen using path
# +    cycle airport, hops set seen using path
# @@
# -        select dest, hops + 1 from trip join few on origin = airport)
# +        select dest, hops + 1 from trip join few on origin = airport where hops < 8)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.cycle")`

# %% [markdown] minutes=3
# ## A running total
#
# The accountant wants the takings up to each booking, in order of the day, and the last amount beside each row. Two
# bookings were made on the 2nd, two on the 3rd.

# %%
TAKINGS = "(values (1, 1, 100), (2, 2, 40), (3, 2, 60), (4, 3, 10), (5, 3, 90))"
TOTALS = """
    with takings (id, day, amount) as {takings}
    select id, day, amount,
           sum(amount) over (order by day) as running,
           sum(amount) over (order by day rows unbounded preceding) as by_rows,
           last_value(amount) over (order by day, id) as last
    from takings order by id"""

# %% [markdown] predict="beyond_tables.q8"
# **Predict.** Booking 2 is the first one of the 2nd. Which values do `running` and `last` have in its row?
#
# - **a** 140 and 90
# - **b** 200 and 90
# - **c** 200 and 40

# %%
answer("beyond_tables.q8", None)  # "a", "b" or "c"

# %%
def totals(execute):
    return [tuple(map(int, row)) for row in execute(TOTALS.format(takings=TAKINGS)).fetchall()]


windows = {"PostgreSQL": totals(db.execute), "SQLite": totals(sqlite3.connect(":memory:").execute)}
show_table([dict(zip(("id", "day", "amount", "running", "by_rows", "last"), row, strict=True)) for row in windows["PostgreSQL"]], left=0)
claim("beyond_tables.frame", "without a frame, rows of one day share a total, and the last value is the row's own; SQLite agrees",
      {name: [list(column) for column in list(zip(*rows, strict=True))[3:]] for name, rows in windows.items()},
      equals={name: [[100, 200, 200, 300, 300], [100, 140, 200, 210, 300], [100, 40, 60, 10, 90]] for name in ("PostgreSQL", "SQLite")},
      proves={"beyond_tables.q8": "c"})

# %% [markdown]
# **Why.** With an `order by`, the default frame is `range between unbounded preceding and current row`. `range` counts
# in *peers*: the frame ends at the last row that is equal in the order. `rows` counts rows. And `last_value` sees only the
# frame, so without ties it returns the current row ([manual,
# 4.2.8](https://www.postgresql.org/docs/17/sql-expressions.html#SYNTAX-WINDOW-FUNCTIONS)). Without `order by` all rows of
# the partition are peers.
#
# **In production.** Write the frame, always: `rows between unbounded preceding and current row` for a running total with
# an order that is unique, and `rows between unbounded preceding and unbounded following` for first and last. A test with
# one booking a day does not see the difference.

# %% [markdown] claim="beyond_tables.frame" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: write both frames</summary>
#
# ```diff
# -           sum(amount) over (order by day) as running,
# +           sum(amount) over (order by day, id rows unbounded preceding) as running,
# @@
# -           last_value(amount) over (order by day, id) as last
# +           last_value(amount) over (order by day, id rows between unbounded preceding and unbounded following) as last
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.frame")`

# %% [markdown] minutes=4
# ## The last two of each
#
# A page shows the last two rides of each of 20 carriers. Another page shows the last two of each of 50,000 customers. The
# table has 200,000 rides, and an index for each page. One way is to number the rows of each group with a window. The other
# way is `LATERAL`: a subquery in `FROM` that sees the columns of the tables before it.

# %%
run("drop table if exists rides",
    """create table rides as
       select i as id, i % 20 as carrier, i % 50000 as customer,
              timestamp '2013-01-01' + i * 7919 % 200000 * interval '1 minute' as departs
       from generate_series(1, 200000) i""",
    "create index on rides (carrier, departs desc, id)", "create index on rides (customer, departs desc, id)",
    "vacuum analyze rides")

GROUPS = {"carrier": 20, "customer": 50_000}
WINDOW = """
    select {key}, id
    from (select *, row_number() over (partition by {key} order by departs desc) as n from rides) as numbered
    where n <= 2"""
LATERAL = """
    select {key}, id
    from generate_series(0, {groups} - 1) as one (of),
         lateral (select {key}, id from rides where {key} = one.of order by departs desc limit 2) as latest"""

# %% [markdown] predict="beyond_tables.q9"
# **Predict.** Which way reads fewer pages?
#
# - **a** `LATERAL` on both pages: it takes two entries of the index per group
# - **b** the window on both pages: one pass is better than many lookups
# - **c** `LATERAL` for the carriers, the window for the customers

# %%
answer("beyond_tables.q9", None)  # "a", "b" or "c"

# %%
pages, loops, results = {}, {}, {"window": [], "lateral": []}
for key, groups in GROUPS.items():
    for way, sql in (("window", WINDOW), ("lateral", LATERAL)):
        asked = sql.format(key=key, groups=groups)
        plan = explain(db, asked)
        pages[key, way], loops[key, way] = plan.buffers, plan.scan.loops
        results[way].append(sorted(run(asked)))


def winner(key):
    """The way that reads a tenth of the other's pages or less."""
    return next((way for way in results if pages[key, way] * 10 <= max(pages[key, other] for other in results)), "neither")


# %%
show_table([{"last two of each": key, "way": way, "scans of rides": loops[key, way], "pages": pages[key, way]}
            for key, way in pages], left=2)
claim("beyond_tables.lateral", "LATERAL scans once per group: at most a tenth of the window's pages for 20 groups, at least ten times as many for 50,000",
      {key: [loops[key, "lateral"], winner(key)] for key in GROUPS},
      equals={"carrier": [20, "lateral"], "customer": [50_000, "window"]}, did=results, proves={"beyond_tables.q9": "c"})

# %% [markdown]
# **Why.** For each row before it the subquery is evaluated again ([manual,
# 7.2.1.5](https://www.postgresql.org/docs/17/queries-table-expressions.html#QUERIES-LATERAL)). Each evaluation goes down the index
# from its root, takes two entries and stops at the `limit`. The window reads every row of the table, also those that
# `n <= 2` drops, so its cost follows the table and not the groups.
#
# **In production.**
#
# | | reads | take it if |
# |---|---|---|
# | `LATERAL` with `limit` | a few pages per group | there are few groups with many rows each, and an index on group and order |
# | window | all rows, once | there are many small groups, or no such index |
#
# MySQL has `LATERAL` [from 8.0.14 on](https://dev.mysql.com/doc/refman/8.4/en/lateral-derived-tables.html). MariaDB 11.8.9 and
# SQLite 3.40 refuse it (tried by the authors).

# %% [markdown] claim="beyond_tables.lateral" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: an index without the order; and 2,000 customers</summary>
#
# Without the order in the index, each scan reads all rides of its carrier.
#
# ```diff
# -    "create index on rides (carrier, departs desc, id)", "create index on rides (customer, departs desc, id)",
# +    "create index on rides (carrier)", "create index on rides (customer, departs desc, id)",
# @@
# -       select i as id, i % 20 as carrier, i % 50000 as customer,
# +       select i as id, i % 20 as carrier, i % 2000 as customer,
# @@
# -GROUPS = {"carrier": 20, "customer": 50_000}
# +GROUPS = {"carrier": 20, "customer": 2_000}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.lateral")`

# %% [markdown] core=true minutes=7
# ## A refresh at noon
#
# The sales board reads a materialised view: seats sold per flight. A job refreshes it at noon. Here the job has run its
# `REFRESH` and has not committed yet. It holds the same locks as a refresh that takes a minute. Then a reader comes, and
# waits for a lock for 100 ms at most.

# %%
SALES = "select flight, sum(seats) as seats from sales group by flight"
run("drop table if exists sales cascade",
    "create table sales (flight text, seats int)",
    "insert into sales select 'UA' || i % 500, i % 4 from generate_series(1, 5000) i",
    f"create materialized view board as {SALES}", "create unique index on board (flight)")

# %% [markdown] predict="beyond_tables.q10"
# **Predict.** What happens to the reader while the job refreshes?
#
# - **a** it reads the old rows, with or without `concurrently`
# - **b** without `concurrently` it waits; with `concurrently` it reads the old rows
# - **c** it waits in both cases

# %%
answer("beyond_tables.q10", None)  # "a", "b" or "c"

# %%
def refresh_beside_a_reader(how):
    """The lock of a refresh that is under way, what a reader gets, and what a second refresh gets."""
    with pg.connect() as job, pg.connect(autocommit=True) as reader:
        reader.execute("set lock_timeout = '100ms'")
        job.execute(f"refresh materialized view {how} board")
        mode = value("select min(mode) from pg_locks where relation = 'board'::regclass and mode like '%Exclusive%'")
        seen = lab.outcome(reader, "select count(*) from board")
        second = lab.outcome(reader, "refresh materialized view concurrently board")
        job.rollback()
    return [mode, seen, second]


during = {how: refresh_beside_a_reader(how) for how in ("", "concurrently")}
show_table([{"refresh": how or "plain", "lock": mode, "a reader gets": seen, "a second refresh gets": second}
            for how, (mode, seen, second) in during.items()], caption="55P03 is a timeout of a lock", left=4)
claim("beyond_tables.refresh_locks", "a plain refresh stops readers, a concurrent one does not; two refreshes exclude each other",
      list(during.values()), equals=[["AccessExclusiveLock", "55P03", "55P03"], ["ExclusiveLock", 500, "55P03"]],
      proves={"beyond_tables.q10": "b"})

# %% [markdown]
# **Why.** A plain refresh fills a new file and exchanges it for the old one, under `AccessExclusiveLock`. A concurrent
# one fills a temporary table, compares it with the view, and deletes and inserts only what differs. So it needs a unique
# index, to know which row corresponds to which, and dead rows remain
# ([`matview.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/commands/matview.c)). How many rows
# does it write if nothing has changed? Each row has a system column `xmin`, the transaction that wrote it. In the next view
# half of the flights have no gate yet.

# %%
SECOND_INDEX = "create unique index on gates (flight, gate)"


def rewritten():
    """Rows of the view gates that a refresh writes, though no data has changed; and all rows."""
    run("drop materialized view if exists gates",
        "create materialized view gates as select flight, case when right(flight, 1) < '5' then 'B1' end as gate, sum(seats)"
        " from sales group by flight",
        "create unique index on gates (flight)", SECOND_INDEX)
    run("create temporary table before as select flight, xmin::text as x from gates",
        "refresh materialized view concurrently gates")
    changed = run("select count(*) filter (where gates.xmin::text <> x), count(*) from gates join before using (flight)")[0]
    run("drop table before")
    return list(changed)


null_gates = rewritten()
claim("beyond_tables.refresh_nulls", "a concurrent refresh writes an unchanged row again if it has a NULL in a column of any unique index, and no other row",
      null_gates, equals=[250, 500])

# %% [markdown]
# **Why.** The comparison joins the old and the new rows on the columns of *all* its usable unique indexes (without
# expressions or a `where`). NULL is not equal to NULL,
# so such a row finds no partner. It is deleted and inserted again. ([A report of February
# 2026](https://hackorum.dev/topics/73472) shows the same with a million rows.)
#
# A last surprise concerns upgrades. A view calls a function, and the function names a table without its schema. The
# session's `search_path` has the schema.

# %%
run("drop schema if exists fares cascade", "create schema fares", "set search_path = fares, public",
    "create table tariff (flight text, price int)", "insert into tariff values ('UA1', 300)")
run("create function price() returns int language sql stable as 'select price from tariff'")
run("create materialized view prices as select price() with no data")
selected = value("select price()")
refreshed = lab.outcome(db, "refresh materialized view prices")
run("reset search_path")

MAJOR = int(pg.version.split(".")[0])
claim("beyond_tables.search_path", "from version 17 on REFRESH does not find the table, though the session does; before, it did",
      [selected, refreshed], equals=[300, "42P01" if MAJOR >= 17 else "done"])

# %% [markdown]
# **Why.** From version 17 on, `REFRESH`, `CREATE MATERIALIZED VIEW`, `CREATE INDEX`, `ANALYZE`, `VACUUM` and other
# maintenance commands run with a `search_path` of `pg_catalog, pg_temp` ([release notes of
# 17](https://www.postgresql.org/docs/17/release-17.html)). A project noticed when it could not create its views after the
# upgrade ([fwapg#163](https://github.com/smnorris/fwapg/issues/163)).
#
# **In production.** Refresh concurrently, from one scheduler, with an alert on the age of the data. Let no unique index of
# the view have a column that can be NULL. Write the schema's name in the body of each function, or give the function
# `set search_path` (then PostgreSQL does not inline it). A body between `begin atomic` and `end` (from version 14 on) finds
# its tables when the function is created, so it needs neither.

# %% [markdown] claim="beyond_tables.refresh_locks" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: wait until the job has committed</summary>
#
# ```diff
# -        job.execute(f"refresh materialized view {how} board")
# +        job.execute(f"refresh materialized view {how} board"); job.commit()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.refresh_locks")`

# %% [markdown] claim="beyond_tables.refresh_nulls" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the second index is not unique</summary>
#
# ```diff
# -SECOND_INDEX = "create unique index on gates (flight, gate)"
# +SECOND_INDEX = "create index on gates (flight, gate)"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.refresh_nulls")`

# %% [markdown] claim="beyond_tables.search_path" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the function brings its own path; and the tariff rises</summary>
#
# ```diff
# -    "create table tariff (flight text, price int)", "insert into tariff values ('UA1', 300)")
# +    "create table tariff (flight text, price int)", "insert into tariff values ('UA1', 310)")
# @@
# -run("create function price() returns int language sql stable as 'select price from tariff'")
# +run("create function price() returns int language sql stable set search_path = fares as 'select price from tariff'")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.search_path")`

# %% [markdown] minutes=5
# ## A board that is never stale
#
# Another team keeps its board in a table and lets a trigger add each sale to it. The board is always fresh. What does a
# sale cost? One statement inserts 1,000 sales of one flight. The column `writes` counts how often the board's row was
# written.

# %%
run("drop table if exists orders, totals cascade",
    "create table orders (flight text, seats int)",
    "create table totals (flight text primary key, seats bigint, writes int default 1)")
ADD = """insert into totals {rows} on conflict (flight)
         do update set seats = totals.seats + excluded.seats, writes = totals.writes + 1;"""
run(f"""create function add_row() returns trigger language plpgsql as
        $$ begin {ADD.format(rows="values (new.flight, new.seats)")} return null; end $$""",
    f"""create function add_batch() returns trigger language plpgsql as
        $$ begin {ADD.format(rows="select flight, sum(seats) from added group by flight order by flight")} return null; end $$""")
TRIGGERS = {
    "for each row": "create trigger t after insert on orders for each row execute function add_row()",
    "for each statement":
        "create trigger t after insert on orders referencing new table as added for each statement execute function add_batch()",
}

# %% [markdown] predict="beyond_tables.q11"
# **Predict.** The triggers differ in `for each row` and `for each statement`. How often is the row of `totals` written?
#
# - **a** once in both cases: PostgreSQL combines the changes of one transaction
# - **b** 1,000 times and once
# - **c** 1,000 times in both cases

# %%
answer("beyond_tables.q11", None)  # "a", "b" or "c"

# %%
fresh, writes = {}, {}
for name, trigger in TRIGGERS.items():
    run("drop trigger if exists t on orders", "truncate orders, totals", trigger,
        "insert into orders select 'UA1', i % 4 from generate_series(1, 1000) i")
    fresh[name] = run("select flight, seats from totals") == run("select flight, sum(seats) from orders group by flight")
    writes[name] = value("select writes from totals")

# %%
show_table([{"trigger": name, "board is right": fresh[name], "writes of its row": writes[name]} for name in TRIGGERS])
claim("beyond_tables.trigger_writes", "a row trigger writes the board's row once per sale, a statement trigger once per statement",
      list(writes.values()), equals=[1_000, 1], did=fresh, proves={"beyond_tables.q11": "b"})

# %% [markdown]
# Now two clerks sell at the same time. The first has not committed yet. The second waits for a lock for 100 ms at most.

# %%
def beside(flight):
    """What a second clerk gets who sells this flight, while UA1 is being sold."""
    with pg.connect() as first, pg.connect(autocommit=True) as second:
        second.execute("set lock_timeout = '100ms'")
        first.execute("insert into orders values ('UA1', 2)")
        got = lab.outcome(second, f"insert into orders values ('{flight}', 1)")
        first.rollback()
    return got


clerks = {flight: beside(flight) for flight in ("UA1", "UA2")}
claim("beyond_tables.trigger_waits", "sales of one flight now wait for each other until the commit, sales of two flights do not",
      clerks, equals={"UA1": "55P03", "UA2": "done"})

# %% [markdown]
# **Why.** Each write of a row makes a new version of it, also within one transaction, and none of the old versions can be
# removed before the transaction has ended. A transition table (`referencing new table`) gives the trigger all new rows at once. An insert into `orders`
# alone takes no lock that another insert waits for, but both triggers update *the same row* of `totals`, and a row lock
# lasts until the end of the transaction. The `order by flight` in the second trigger is there for batches with several
# flights: if two batches lock the same rows in different orders, they can deadlock.
#
# **In production.**
#
# | | reads | freshness | price |
# |---|---|---|---|
# | plain view | computes each time | always | each reader |
# | materialised view | a table | the last refresh | the whole query, at each refresh |
# | trigger | a table | always | each writer; writers of one key queue |
#
# The trigger here sees inserts only. A real one needs `update`, `delete` and `truncate` as well. If many writers share
# a key, insert the differences into a second table and sum them up now and then. MySQL 8.4, MariaDB and SQLite have no
# materialised views. There a job or triggers must keep a table up to date.

# %% [markdown] claim="beyond_tables.trigger_writes" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one statement per sale</summary>
#
# The client sends 1,000 statements, so a statement trigger does not help.
#
# ```diff
# -    run("drop trigger if exists t on orders", "truncate orders, totals", trigger,
# -        "insert into orders select 'UA1', i % 4 from generate_series(1, 1000) i")
# +    run("drop trigger if exists t on orders", "truncate orders, totals", trigger,
# +        *[f"insert into orders values ('UA1', {i % 4})" for i in range(1000)])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.trigger_writes")`

# %% [markdown] claim="beyond_tables.trigger_waits" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the first clerk sells both flights</summary>
#
# ```diff
# -        first.execute("insert into orders values ('UA1', 2)")
# +        first.execute("insert into orders values ('UA1', 2), ('UA2', 2)")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("beyond_tables.trigger_waits")`

# %% [markdown] minutes=32
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the
# worked answer after an attempt. The checks use the server of this notebook, in a database of their own.
#
# ### The fewest legs (12 minutes)
#
# `legs (origin text, dest text)` has one row per leg, in one direction. Return one SQL query with the parameter
# `%(start)s`. It gives one row for each airport that a passenger can reach from there: the airport, and the fewest legs.
# The start itself is 0 legs away. The network may have circles, lines of many airports, a leg twice, and a leg
# whose `dest` is not known yet (NULL). The query ends within 3 seconds on each of
# the networks, which have 60 airports at most.

# %% exercise="beyond_tables.fewest_legs" tags=["exercise"]
def fewest_legs():
    """One SQL query with %(start)s: rows of (airport, legs)."""
    raise NotImplementedError


# %%
check("beyond_tables.fewest_legs", fewest_legs)

# %% [markdown]
# ### Indexes for documents (12 minutes)
#
# `documents (id int, doc jsonb)` has 20,000 rows like this one:
# `{"legs": [{"flight": "UA7", "seat": "7A"}], "refused": [{"flight": "UA7"}], "price": 49, "name": "N7"}`. 40 of them
# have the key `wheelchair` too. The service asks with other constants every time:
#
# - `doc @> '{"legs": [{"flight": "UA7"}]}'`
# - `(doc ->> 'price')::int >= 4990`, or `between 120 and 122`
# - `doc ? 'wheelchair'`
#
# Return a list of SQL statements that make each of them use an index and throw few rows away. Your indexes have 3 MiB
# in all. Rows, columns and settings stay as they are.

# %% exercise="beyond_tables.document_indexes" tags=["exercise"]
def document_indexes():
    """A list of SQL statements; each runs outside a transaction, in order."""
    raise NotImplementedError


# %%
check("beyond_tables.document_indexes", document_indexes)

# %% [markdown]
# ### The last three of each carrier (8 minutes)
#
# `carriers (code, name)` has 20 rows. `departures (id, carrier, departs)` has 60,000 rows and an index on
# `(carrier, departs desc, id desc)`. Return one SQL query for the last three departures of each carrier: `code`,
# `departs`, `id`, ordered by `code`, then the latest first (of two at the same time, the one with the larger id). A
# carrier without departures has one row, with NULLs. The query may read 300 pages.

# %% exercise="beyond_tables.last_three" tags=["exercise"]
def last_three():
    """One SQL query: rows of (code, departs, id)."""
    raise NotImplementedError


# %%
check("beyond_tables.last_three", last_three)

# %% [markdown] minutes=4
# ## Asked in interviews
#
# <details>
# <summary>A table has an id and one JSONB column with everything. What do you expect to go wrong?</summary>
#
# Each change writes the whole document again (`beyond_tables.wal_key`), a change of a column beside it does not
# (`beyond_tables.wal_column`). The planner has no statistics of the keys (`beyond_tables.blind`). And a NULL in
# `jsonb_set` erases the document (`beyond_tables.erased`).
#
# </details>
#
# <details>
# <summary>Which index do you take for a JSONB column?</summary>
#
# It depends on the operators that the service really sends (`beyond_tables.served`). `jsonb_path_ops` for `@>` and
# paths, as it knows the key above a value (`beyond_tables.gin_recheck`); the default if you look for keys; a B-tree on
# an expression for one key, with exactly the spelling of the query.
#
# </details>
#
# <details>
# <summary>Is a CTE an optimisation fence?</summary>
#
# Up to PostgreSQL 11 always. From 12 on if it calls a volatile function, changes or locks rows, is recursive, or says
# `materialized`, and also if it is used twice and does not say `not materialized` (`beyond_tables.fence`).
#
# </details>
#
# <details>
# <summary>Your recursive query does not end. Why, and what do you do?</summary>
#
# There is a circle, and each round brings a row that is new as a whole, because of a counter or a path in it
# (`beyond_tables.reached`). Drop the counter, bound it by the number of nodes, or let `CYCLE` watch the node
# (`beyond_tables.cycle`).
#
# </details>
#
# <details>
# <summary>A running total shows the same value on two rows. A bug of the database?</summary>
#
# No. The default frame is `RANGE`, and rows that are equal in the order are peers (`beyond_tables.frame`). Write
# `ROWS`, with an order that is unique.
#
# </details>
#
# <details>
# <summary>The last three orders of each customer: how do you write it?</summary>
#
# With a window if nearly every row is read anyway. With `LATERAL` and a `limit` if the groups are few and large and an
# index has the group and the order: it is one lookup per group (`beyond_tables.lateral`).
#
# </details>
#
# <details>
# <summary>Materialised view or trigger?</summary>
#
# Ask how old the data may be, and who pays. A plain refresh stops readers, a concurrent one does not
# (`beyond_tables.refresh_locks`) and may write more than you think (`beyond_tables.refresh_nulls`). A trigger is always
# fresh, and makes the writers of one key wait for each other (`beyond_tables.trigger_waits`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. A change of one key writes the whole document again, if it is longer than about 2 kB. A change of a column beside
#    it does not.
# 2. An index serves a condition by its operator and expression. The planner has no statistics of a key until an
#    expression index, a generated column or `CREATE STATISTICS` gives it some.
# 3. `jsonb_set` with a NULL returns NULL. SQLAlchemy does not see a change inside a plain dict. Four systems keep one JSON
#    text in three ways, and `JSON_TABLE` reads one text in two.
# 4. A CTE that is used once is folded into the query. With `union` a recursive one ends if no round brings a row that
#    is new as a whole.
# 5. The default frame of an ordered window ends at the last peer of the current row. `LATERAL` is one lookup per group:
#    it wins with few large groups, and loses with many small ones.
# 6. A plain refresh locks readers out, a concurrent one compares rows by all unique indexes, and a trigger moves the
#    cost to the writers.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `beyond_tables.wal_key`, `beyond_tables.wal_column`
# 2. `beyond_tables.served`, `beyond_tables.gin_recheck`, `beyond_tables.blind`, `beyond_tables.known`
# 3. `beyond_tables.erased`, `beyond_tables.untracked`, `beyond_tables.kept_postgres`, `beyond_tables.kept_mysql`,
#    `beyond_tables.kept_mariadb`, `beyond_tables.table_postgres`, `beyond_tables.table_mysql`,
#    `beyond_tables.table_mariadb`
# 4. `beyond_tables.fence`, `beyond_tables.reached`, `beyond_tables.cycle`
# 5. `beyond_tables.frame`, `beyond_tables.lateral`
# 6. `beyond_tables.refresh_locks`, `beyond_tables.refresh_nulls`, `beyond_tables.search_path`,
#    `beyond_tables.trigger_writes`, `beyond_tables.trigger_waits`
#
# </details>
#
# **Further reading.** PostgreSQL's manual on [JSON types](https://www.postgresql.org/docs/17/datatype-json.html), on [WITH
# queries](https://www.postgresql.org/docs/17/queries-with.html) and on [materialised
# views](https://www.postgresql.org/docs/17/rules-materializedviews.html): short, and exact about versions.

# %% [markdown] footer=true
# ← [3.1e Transactions, indexes, plans](01e_transactions_indexes.ipynb) · [Section 3](00_section.ipynb) · [Board](../00_start_here.ipynb) · [3.3 Connections](03_connections.ipynb) →
