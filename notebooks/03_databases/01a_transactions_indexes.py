# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans: transactions
#
# > PostgreSQL, MySQL, SQLite — Транзакции, индексы, нормализация, EXPLAIN ANALYZE.
# >
# > PostgreSQL, MySQL, SQLite: transactions, indexes, normalisation, EXPLAIN ANALYZE.
#
# First of two sittings, 105 minutes: what transactions keep apart, and what that costs. (The second is about indexes,
# plans and normalisation.) Needs PostgreSQL; with MySQL and MariaDB beside it, it measures these too.
#
# **You will be able to show that …**
#
# 1. what each isolation level of four database systems lets through, and what its name does not tell you;
# 2. what has to be repeated after a refusal, and what a half-finished transaction can leave behind;
# 3. who waits for whom, and how a circle of waiting sessions ends;
# 4. which rule belongs into an index rather than into a check;
# 5. where old rows live, who removes them, and what keeps them alive;
# 6. what a clock on the wall cannot tell you about a flight.

# %%
import re
import sqlite3
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy

from helpers import answer, check, claim, data, services, stamp
from helpers import show_bars, show_source, show_table
from helpers.labs.databases import transactions as lab

pg = lab.postgres()
mysql = services.mysql(required=False)
mariadb = services.mariadb(required=False)
stamp()

# %% [markdown]
# The access layer is SQLAlchemy Core, and the SQL stays in sight: `exec_driver_sql` sends a string as it is. In
# `AUTOCOMMIT` mode SQLAlchemy and the drivers under it (psycopg, pymysql, sqlite3) begin nothing by themselves, so
# every `begin` and `commit` below is one that you can read.

# %%
FILES = tempfile.TemporaryDirectory(prefix="course-")  # goes when the notebook ends


def new_file():
    """Where nothing is yet."""
    return Path(tempfile.mkdtemp(dir=FILES.name)) / "airline.db"


def sqlite(journal):
    """An engine on an SQLite file of its own, in this journal mode; nobody waits for a lock."""
    path = new_file()
    engine = sqlalchemy.create_engine(
        f"sqlite:///{path}", isolation_level="AUTOCOMMIT", connect_args={"timeout": 0}
    )
    run(engine, f"pragma journal_mode = {journal}")
    return engine


def run(engine, *statements):
    """Send statements over one connection; the rows of the last one."""
    with engine.connect() as connection:
        for sql in statements:
            result = connection.exec_driver_sql(sql)
        return result.all() if result.returns_rows else []


def value(engine, sql):
    return run(engine, sql)[0][0]


def session_in(zone):
    """An engine whose sessions have this time zone."""
    return pg.engine(isolation_level="AUTOCOMMIT", connect_args={"options": f"-c timezone={zone}"})


def copy_in(table, rows):
    """COPY rows into a table: one statement, one stream."""
    into = f"copy {table} from stdin"
    with pg.connect(autocommit=True) as connection, connection.cursor() as cursor, cursor.copy(into) as copy:
        for row in rows:
            copy.write_row(row)


airline = session_in("UTC")

# %% [markdown]
# Bugs of isolation need two clients in an unlucky order. Hoping for it proves nothing, and `sleep` makes the order
# likely, not certain. Here it is *written down*: a script of lines, `A:` and `B:` are two connections, each with a
# thread of its own. The next line is sent when every session has answered, or when **the server itself says** that
# those which have not are waiting for a lock. What is given to a waiting session queues in its thread.

# %%
show_source(lab.Session, lab.interleave, lab.settle)
print(lab.WAITING["PostgreSQL"])


# %%
def on_postgres(script, level="read committed", go_on=False):
    """Play a script on PostgreSQL; the lines `A: begin` begin at this level."""
    return lab.play(airline, script, level, lab.WAITING["PostgreSQL"], go_on)


# %% [markdown] core=true minutes=4
# ## Two pilots on call
#
# The rule of the crew desk: somebody must be on call. Ada and Barbara both are, both feel ill, both press *off call* at
# the same moment. The service reads who is on call, sees two, and lets the one who asked go. One transaction each,
# at `REPEATABLE READ`.

# %%
OFF_CALL = """
    A: begin
    B: begin
    A: select name from rota where on_call
    B: select name from rota where on_call
    A: update rota set on_call = false where name = 'Ada'
    B: update rota set on_call = false where name = 'Barbara'
    A: commit
    B: commit
"""

# %% [markdown] predict="transactions_indexes.q1"
# **Predict.** Both transactions run at REPEATABLE READ in PostgreSQL. How does it end?
#
# - **a** B waits for A, then reads again and stays on call
# - **b** one of the two is refused with an error
# - **c** both commit, nobody is on call

# %%
answer("transactions_indexes.q1", None)  # "a", "b" or "c"

# %%
def both_press(level):
    run(airline, "drop table if exists rota",
        "create table rota (name text primary key, on_call boolean)",
        "insert into rota values ('Ada', true), ('Barbara', true)")
    story = on_postgres(OFF_CALL, level)
    return story, value(airline, "select count(*) from rota where on_call")


snapshot, left_by_snapshot = both_press("repeatable read")
serializable, left_by_serializable = both_press("serializable")
show_table(snapshot.table(), caption="REPEATABLE READ", left=3)
show_table(serializable.table(), caption="SERIALIZABLE (✗ the SQLSTATE of the error)", left=3)

# %%
claim("transactions_indexes.pilots_snapshot", "at REPEATABLE READ both commit, and nobody is on call",
      [left_by_snapshot, snapshot.errors], equals=[0, []], proves={"transactions_indexes.q1": "c"})
claim("transactions_indexes.pilots_serializable", "at SERIALIZABLE one of them gets 40001, and one pilot stays",
      [left_by_serializable, serializable.errors], equals=[1, ["40001"]])

# %% [markdown]
# **Reading it.** No statement is wrong, no row was written twice, nobody waited. Each transaction is right *alone*: in
# either order, one after the other, the second would have read one name and stayed. The rule spans two rows, each
# transaction writes one of them and relies on the other. That is a **write skew**, and it is what a snapshot lets through.
#
# **Why.** `REPEATABLE READ` in PostgreSQL is *snapshot isolation*: the first statement fixes what the transaction
# sees, and only a second write of the *same row* is refused. `SERIALIZABLE` takes the same snapshots and adds
# bookkeeping: reads leave `SIReadLock` entries, which block nobody; a write that meets one notes that this reader must
# come before this writer. Two such edges in a row are the pattern without which no anomaly of snapshots exists, and one
# of the transactions is refused. ([Manual, 13.2.3](https://www.postgresql.org/docs/17/transaction-iso.html#XACT-SERIALIZABLE);
# [Ports and Grittner](https://arxiv.org/abs/1208.4179), the paper of the people who built it.) Note the step at which the
# refusal came: **the commit**. Code that catches errors around its statements only never sees it.
#
# **In production.** An incident of this kind has no error, no log line and no slow query; it is found by the person who
# phones and reaches nobody. Look for the shape *read a set, decide, write something else*: seats left over
# several fare classes, limits over several accounts, "no two meetings in one room".

# %% [markdown] claim="transactions_indexes.pilots_snapshot" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: lock what you read</summary>
#
# `for update` turns the read into a write of each row: now both write the same rows, and the snapshot's own rule
# refuses the second. (Serialisable stays as it was: refused is refused.)
#
# ```diff
# -    A: select name from rota where on_call
# -    B: select name from rota where on_call
# +    A: select name from rota where on_call for update
# +    B: select name from rota where on_call for update
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.pilots_snapshot")`

# %% [markdown] claim="transactions_indexes.pilots_serializable" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one client forgets the level</summary>
#
# Only serialisable transactions leave and heed the marks. One service that writes at a lower level is enough, and the
# guarantee is gone for those that do everything right: set `default_transaction_isolation` for the database or role.
#
# ```diff
# -    B: begin
# -    A: select name from rota where on_call
# +    B: begin isolation level repeatable read
# +    A: select name from rota where on_call
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.pilots_serializable")`

# %% [markdown] core=true minutes=8
# ## One name, four systems
#
# The SQL standard defines its levels by what must *not* happen, and systems differ in what they do instead. Five scripts
# now, each the smallest that can show its anomaly. `inventory` holds the seats left of UA1545 (10), `waitlist` who waits
# for one, `pilots` who is on call.

# %%
ANOMALIES = {
    "dirty read": """
        A: begin
        B: begin
        A: update inventory set seats_left = 7
        B: select seats_left from inventory
        A: rollback
        B: commit
    """,
    "non-repeatable": """
        A: begin
        B: begin
        B: select seats_left from inventory
        A: update inventory set seats_left = 7
        A: commit
        B: select seats_left from inventory
        B: commit
    """,
    "phantom": """
        A: begin
        B: begin
        B: select count(*) from waitlist where flight = 'UA1545'
        A: insert into waitlist values ('UA1545', 'Grace')
        A: commit
        B: select count(*) from waitlist where flight = 'UA1545'
        B: commit
    """,
    "lost update": """
        A: begin
        B: begin
        A: select seats_left from inventory
        B: select seats_left from inventory
        A: update inventory set seats_left = 10 - 1
        B: update inventory set seats_left = 10 - 2
        A: commit
        B: commit
    """,
    "write skew": """
        A: begin
        B: begin
        A: select count(*) from pilots where on_call = 1
        B: select count(*) from pilots where on_call = 1
        A: update pilots set on_call = 0 where name = 'Ada'
        B: update pilots set on_call = 0 where name = 'Barbara'
        A: commit
        B: commit
    """,
}

# %% [markdown]
# What counts as having happened is judged by what was read and what is left. (In *lost update* A sells one seat, B two, so
# 7 must remain.)

# %%
HAPPENED = {
    "dirty read": lambda engine, story: 7 in story.read("B"),
    "non-repeatable": lambda engine, story: len(set(story.read("B"))) > 1,
    "phantom": lambda engine, story: len(set(story.read("B"))) > 1,
    "lost update": lambda engine, story: not story.errors and value(engine, "select seats_left from inventory") != 7,
    "write skew": lambda engine, story: value(engine, "select sum(on_call) from pilots") == 0,
}


def outcome(engine, anomaly, level, waiting):
    run(engine, "delete from inventory", "insert into inventory values ('UA1545', 10)",
        "delete from waitlist", "insert into waitlist values ('UA1545', 'Ken')",
        "delete from pilots", "insert into pilots values ('Ada', 1), ('Barbara', 1)")
    script = ANOMALIES[anomaly]
    story = lab.play(engine, script, level, waiting)
    if HAPPENED[anomaly](engine, story):
        return "happens"
    return " ".join(story.errors) or ("waits" if story.waited else "–")


# %% [markdown] predict="transactions_indexes.q2"
# **Predict.** REPEATABLE READ, and two clerks overwrite each other's seat count. Where is the first sale lost?
#
# - **a** nowhere: that is what the level is for
# - **b** in MySQL, not in PostgreSQL
# - **c** in PostgreSQL, not in MySQL
# - **d** in both

# %%
answer("transactions_indexes.q2", None)  # "a", "b", "c" or "d"

# %%
LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


def matrix_of(engine, levels, waiting=None):
    run(engine, "create table inventory (flight varchar(9) primary key, seats_left int)")
    run(engine, "create table waitlist (flight varchar(9), name varchar(20))")
    run(engine, "create table pilots (name varchar(20) primary key, on_call int)")
    return {level: [outcome(engine, anomaly, level, waiting) for anomaly in ANOMALIES] for level in levels}


def of_server(server):
    return server and matrix_of(server.engine(isolation_level="AUTOCOMMIT"), LEVELS, lab.WAITING[server.label])


matrix = {server.label: of_server(server) for server in (pg, mysql, mariadb) if server}
matrix["SQLite, rollback journal"] = matrix_of(sqlite("delete"), ["(its only one)"])
matrix["SQLite, WAL"] = matrix_of(sqlite("wal"), ["(its only one)"])

# %% tags=["nbval-ignore-output"]
lab.draw_matrix(matrix, list(ANOMALIES))

# %% [markdown]
# *happens*: the anomaly is there, and nobody was told. *waits*: prevented, since one session had to wait for the other. A
# code: prevented by refusing one of the two. –: prevented by showing an older version; nobody noticed anything.
#
# Now against the manuals, a line a level, the columns in the order of the picture.

# %%
NEVER, ALWAYS = "– – – 40001", "happens happens happens"
documented = {
    "READ UNCOMMITTED": f"– {ALWAYS} happens",
    "READ COMMITTED": f"– {ALWAYS} happens",
    "REPEATABLE READ": f"{NEVER} happens",
    "SERIALIZABLE": f"{NEVER} 40001",
}
claim("transactions_indexes.iso_postgres", "PostgreSQL does at each level what its manual says",
      {level: " ".join(row) for level, row in matrix["PostgreSQL"].items()}, equals=documented)

# %%
documented = {
    "READ UNCOMMITTED": f"happens {ALWAYS} happens",
    "READ COMMITTED": f"– {ALWAYS} happens",
    "REPEATABLE READ": "– – – happens happens",
    "SERIALIZABLE": "waits waits waits 1213 1213",
}
claim("transactions_indexes.iso_mysql", "MySQL's REPEATABLE READ loses the update, its SERIALIZABLE locks and deadlocks",
      {level: " ".join(row) for level, row in matrix.get("MySQL", {}).items()}, equals=documented,
      unmeasured=mysql, proves={"transactions_indexes.q2": "b"})

# %%
refuses = mariadb and tuple(map(int, mariadb.version.split("."))) >= (11, 6, 2)
documented = documented | {"REPEATABLE READ": f"– – – {'1020' if refuses else 'happens'} happens"}
claim("transactions_indexes.iso_mariadb", "MariaDB does the same, but from 11.6.2 on refuses the lost update with 1020",
      {level: " ".join(row) for level, row in matrix.get("MariaDB", {}).items()}, equals=documented,
      unmeasured=mariadb)

# %%
busy = "SQLITE_BUSY SQLITE_BUSY"
claim("transactions_indexes.iso_journal", "SQLite with a rollback journal lets no anomaly through: who writes is refused while others read",
      " ".join(matrix["SQLite, rollback journal"]["(its only one)"]), equals=f"– {busy} {busy}")
claim("transactions_indexes.iso_wal", "SQLite with a write-ahead log neither: readers keep their snapshot, one writes",
      " ".join(matrix["SQLite, WAL"]["(its only one)"]), equals=f"– – – {busy}")

# %% [markdown]
# **Reading it.** Go down one column. *Lost update* at `REPEATABLE READ` has three answers under one name: PostgreSQL refuses
# it, MySQL loses it, MariaDB did the latter until 11.6.1 and has refused it since. Then along one line: `SERIALIZABLE`
# prevents all five everywhere, by *refusing* in PostgreSQL and by *waiting and deadlocks* in InnoDB. An application that
# moves between them needs the retry of the next experiments in both cases, for different codes.
#
# **Why.**
#
# - **PostgreSQL** has three behaviours for four names: `READ UNCOMMITTED` is `READ COMMITTED`
#   ([Table 13.1](https://www.postgresql.org/docs/17/transaction-iso.html)). A dirty read would need a version that nobody
#   has committed, and its visibility rules never look at one. The table has no row for lost update or write skew: see
#   [13.2.2](https://www.postgresql.org/docs/17/transaction-iso.html#XACT-REPEATABLE-READ) for the refused update and
#   [13.2.3](https://www.postgresql.org/docs/17/transaction-iso.html#XACT-SERIALIZABLE) for the refused skew.
# - **InnoDB** has two kinds of reads in one transaction: a plain `select` reads the snapshot, while `update`, `delete` and
#   `select … for update` read *the newest committed row*. So B's `update` at `REPEATABLE READ` writes over a row that B has
#   never seen. `SERIALIZABLE` turns plain reads into `for share` inside a transaction: two readers who both want to
#   write wait for each other ([manual](https://dev.mysql.com/doc/refman/9.5/en/innodb-transaction-isolation-levels.html)).
# - **MariaDB** closes that gap by
#   [`innodb_snapshot_isolation`](https://mariadb.com/docs/server/server-usage/storage-engines/innodb/innodb-system-variables#innodb_snapshot_isolation):
#   to lock a row newer than the own snapshot is error 1020. The variable is in 10.6.18 and 10.11.8 too; since 11.6.2 it is *on*.
# - **SQLite** knows one writer at a time and no level. With a rollback journal the writer must wait at its commit until nobody
#   reads ([locking](https://www.sqlite.org/lockingv3.html)); with a WAL readers go on with the old pages
#   ([isolation](https://www.sqlite.org/isolation.html)). These scripts run with a timeout of 0, so *wait* is *refused*.
#
# **In production.** The cheapest cure of a lost update is to have none: `set seats_left = seats_left - 1` lets the database
# read the newest row under the lock that the write takes anyway (the *Break it* does that). When the new value is computed
# outside: `select … for update`, or a version column in the `where` and a look at the row count. (A plague of systems moved from
# MySQL to PostgreSQL, or from MariaDB 10.11 to 11.8: errors that "never happened before". They did; nobody was told.)

# %% [markdown] also=["transactions_indexes.iso_mysql", "transactions_indexes.iso_mariadb"] claim="transactions_indexes.iso_postgres" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: let the database compute</summary>
#
# At the lower levels the update is no longer lost; B waits for A and subtracts from what A left. In SQLite nothing changes: B was
# refused before, and still is.
#
# ```diff
# -        A: update inventory set seats_left = 10 - 1
# -        B: update inventory set seats_left = 10 - 2
# +        A: update inventory set seats_left = seats_left - 1
# +        B: update inventory set seats_left = seats_left - 2
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.iso_postgres")`

# %% [markdown] also=["transactions_indexes.iso_wal"] claim="transactions_indexes.iso_journal" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a driver that swallows BEGIN and COMMIT</summary>
#
# Without them each statement is a transaction of its own, and SQLite lets everything through, even the "dirty" read
# (which is clean: A's update is committed at once). If your matrix for SQLite looks like this, you tested the driver.
#
# ```diff
# -    script = ANOMALIES[anomaly]
# +    script = ANOMALIES[anomaly]
# +    if engine.dialect.name == "sqlite":
# +        kept = [line for line in script.splitlines() if "begin" not in line and "commit" not in line]
# +        script = "\n".join(line for line in kept if "rollback" not in line)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.iso_journal")`

# %% [markdown] minutes=6
# ## Busy at once
#
# The gate application keeps its state in SQLite, in WAL mode, with a generous timeout: whoever finds the database locked waits.
# Support forwards a stack trace, `database is locked`, from a gate where nobody waited for anything.

# %% [markdown] predict="transactions_indexes.q3"
# **Predict.** A has read in its transaction. B writes and commits, and holds no lock any more. Now A writes,
# timeout 4 s. And then?
#
# - **a** it works: nobody holds a lock
# - **b** it waits for 4 s, then fails
# - **c** it fails at once

# %%
answer("transactions_indexes.q3", None)  # "a", "b" or "c"

# %%
PATIENCE = 4  # seconds


def gate_file():
    """An SQLite file in WAL mode with one gate; and how to connect to it without the driver's help."""
    path = new_file()
    with sqlite3.connect(path) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table gates (gate text, flight text)")
        connection.execute("insert into gates values ('B3', 'UA1545')")
    connection.close()
    return path


def attempt(connection, sql):
    """The name of the error, if any, and the seconds that it took."""
    begin = time.monotonic()
    try:
        connection.execute(sql)
        return None, time.monotonic() - begin
    except sqlite3.OperationalError as error:
        return error.sqlite_errorname, time.monotonic() - begin


# %%
path = gate_file()
a = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
b = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
a.execute("begin")
a.execute("select flight from gates").fetchall()
b.execute("update gates set flight = 'AA1141'")
error, after = attempt(a, "update gates set flight = 'B6725'")
a.close(), b.close()
print(error)

# %% [markdown]
# For comparison B *holds* the write lock and keeps it: once A has read before, once it has not.

# %%
def beside_a_writer(patience, *before):
    """The error of A's update and the seconds it took, while B is in the middle of a write transaction."""
    path = gate_file()
    a = sqlite3.connect(path, isolation_level=None, timeout=patience)
    b = sqlite3.connect(path, isolation_level=None)
    b.execute("begin immediate")
    for sql in before:
        a.execute(sql).fetchall()
    met = attempt(a, "update gates set flight = 'B6725'")
    a.close(), b.close()
    return met


upgrade_error, upgrade_after = beside_a_writer(PATIENCE, "begin", "select flight from gates")
locked_error, locked_after = beside_a_writer(0.3)
print(upgrade_error, locked_error)

# %%
claim("transactions_indexes.busy_snapshot", "A's snapshot is out of date, and no waiting could cure that",
      error, equals="SQLITE_BUSY_SNAPSHOT", proves={"transactions_indexes.q3": "c"})
claim("transactions_indexes.busy_at_once", "so it fails without using its timeout of 4 s",
      after, at_most=2, unit="s", did=error)
claim("transactions_indexes.busy_upgrade", "who has read does not wait for a busy writer either, whatever its timeout",
      upgrade_after, at_most=2, unit="s", did=upgrade_error)
claim("transactions_indexes.busy_patient", "who has read nothing waits for the whole timeout",
      locked_after, at_least=0.3, unit="s")

# %% [markdown]
# **Why.** In WAL mode a read transaction remembers the last frame of the log that it may see. To write it must append
# *behind the newest* frame, which would make B's change disappear from a history that A never read. SQLite
# refuses ([`SQLITE_BUSY_SNAPSHOT`](https://www.sqlite.org/rescode.html#busy_snapshot)). It is SQLite's 40001, and the cure is the
# same: roll back, begin again, read again.
#
# And the timeout? It is a *busy handler*, which SQLite asks only where waiting cannot end in a circle. A reader that wants to
# write while another one writes is half of such a circle (in a rollback journal the writer waits for the readers to go), so
# it gets the error at once ([`sqlite3_busy_handler`](https://www.sqlite.org/c3ref/busy_handler.html)). The timeout protects the
# *first* statement of a transaction. So say beforehand that you will write: `begin immediate` takes the write lock before the
# first read, with patience.
#
# The second trap is the driver. `sqlite3` in its default mode sends a `begin` of its own before `insert`, `update` and `delete`,
# not before `select`. Two reads that look like one transaction are two:

# %%
path = gate_file()
reader = sqlite3.connect(path)
writer = sqlite3.connect(path, isolation_level=None)
READ = "select flight from gates"
with reader:  # commits at the end; begins nothing
    before = reader.execute(READ).fetchall()
    writer.execute("update gates set flight = 'AA1141'")
    behind = reader.execute(READ).fetchall()
reader.close(), writer.close()
claim("transactions_indexes.driver_begin", "in the driver's default mode two reads under one `with` see two states",
      len({*before, *behind}), equals=2, baseline=before)

# %% [markdown]
# **In production.** Since Python 3.12, `sqlite3.connect(…, autocommit=False)` keeps a transaction open as PEP 249 wants it
# ([documentation](https://docs.python.org/3/library/sqlite3.html#sqlite3-transaction-control-autocommit)), and
# `autocommit=True` leaves all of it to your SQL. Choose one; the default is neither. For writers: `begin immediate`, a timeout,
# short transactions, and a retry for what remains.

# %% [markdown] also=["transactions_indexes.busy_at_once"] claim="transactions_indexes.busy_snapshot" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: A reads outside of a transaction, and B is still busy</summary>
#
# A has no snapshot to be out of date, so it is the ordinary `SQLITE_BUSY`, and the four seconds are used up.
#
# ```diff
# -a.execute("begin")
# -a.execute("select flight from gates").fetchall()
# +b.execute("begin immediate")
# +a.execute("select flight from gates").fetchall()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.busy_snapshot")`

# %% [markdown] also=["transactions_indexes.busy_upgrade", "transactions_indexes.driver_begin"] claim="transactions_indexes.busy_patient" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no patience; a transaction that has not read; and a driver that begins</summary>
#
# ```diff
# -upgrade_error, upgrade_after = beside_a_writer(PATIENCE, "begin", "select flight from gates")
# -locked_error, locked_after = beside_a_writer(0.3)
# +upgrade_error, upgrade_after = beside_a_writer(PATIENCE, "begin")
# +locked_error, locked_after = beside_a_writer(0)
# @@
# -reader = sqlite3.connect(path)
# +reader = sqlite3.connect(path, autocommit=False)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.busy_patient")`

# %% [markdown] minutes=6
# ## What to repeat
#
# A refusal is part of the contract: *this transaction cannot be fitted in, do it again*. The crew desk has read so, and
# added a retry. The question is: a retry of what?

# %% [markdown] predict="transactions_indexes.q4"
# **Predict.** Barbara's transaction got 40001. A new one repeats its `update`, alone, at SERIALIZABLE. And
# then?
#
# - **a** 40001 again: Ada's transaction still conflicts
# - **b** it commits, and one pilot stays on call
# - **c** it commits, and nobody is on call

# %%
answer("transactions_indexes.q4", None)  # "a", "b" or "c"

# %%
REPEATED = """
    A: begin
    B: begin
    A: select name from standby where on_call
    B: select name from standby where on_call
    A: update standby set on_call = false where name = 'Ada'
    A: commit
    B: savepoint before_the_update
    B: update standby set on_call = false where name = 'Barbara'
    B: update standby set on_call = false where name = 'Barbara'
    B: commit
"""


def refused():
    """Both press again; B's transaction is refused, and B sends its statement once more."""
    run(airline, "drop table if exists standby",
        "create table standby (name text primary key, on_call boolean)",
        "insert into standby values ('Ada', true), ('Barbara', true)")
    return on_postgres(REPEATED, "serializable", go_on=True)


def left():
    return value(airline, "select count(*) from standby where on_call")


# %% [markdown]
# **The statement**, in the same transaction. Look at the last line as well: what does `commit` say of a transaction that has
# failed?

# %%
by_statement = refused()
show_table(by_statement.table()[-5:], left=3)

# %% [markdown]
# **The writes**, in a new transaction: what was read before is remembered, and so is the decision.

# %%
refused()
WRITE_AGAIN = "update standby set on_call = false where name = 'Barbara'"
run(airline, "begin isolation level serializable", WRITE_AGAIN, "commit")
left_by_writes = left()


# %% [markdown]
# **The whole transaction**: read again, decide again, write if that is still right.

# %%
def go_off_call(name):
    with airline.connect() as connection:
        connection.exec_driver_sql("begin isolation level serializable")
        on_call = connection.exec_driver_sql("select name from standby where on_call").all()
        if len(on_call) >= 2:
            connection.exec_driver_sql(f"update standby set on_call = false where name = '{name}'")
        connection.exec_driver_sql("commit")


refused()
go_off_call("Barbara")
left_by_whole = left()

# %%
claim("transactions_indexes.retry_statement", "after 40001 the same transaction accepts no statement, and its commit raises nothing",
      by_statement.errors, equals=["40001", "25P02"])
claim("transactions_indexes.retry_decision", "repeating the writes alone commits what the refusal had prevented",
      left_by_writes, equals=0, proves={"transactions_indexes.q4": "c"})
claim("transactions_indexes.retry_whole", "repeating everything keeps a pilot on call",
      left_by_whole, equals=1)

# %% [markdown]
# **Why.** The refusal protects a *decision*. The second transaction read nothing, so there is nothing that its write could
# contradict, and it is perfectly serialisable. What must be repeated is everything from the first read on, on a fresh
# snapshot ([manual, 13.5](https://www.postgresql.org/docs/17/mvcc-serialization-failure-handling.html)). A `commit` in a failed
# transaction is answered by `ROLLBACK`, a success; code that swallowed the error believes that it has committed.
#
# MySQL and MariaDB have the opposite trap. Barbara's booking charges a card, then takes a seat, and the seat's row is locked:

# %%
HALF = """
    A: begin
    A: update seat_12a set holder = 'Ada'
    B: set innodb_lock_wait_timeout = 1
    B: begin
    B: insert into charges values ('Barbara', 9900)
    B: update seat_12a set holder = 'Barbara'
    B: commit
"""


def half_booking(server):
    """The error that B got, and the charges that are left; None without a server."""
    if not server:
        return None
    engine = server.engine(isolation_level="AUTOCOMMIT")
    run(engine, "create table seat_12a (holder varchar(9))", "insert into seat_12a values ('nobody')",
        "create table charges (customer varchar(9), cents int)")
    story = lab.play(engine, HALF, "repeatable read", lab.WAITING[server.label], go_on=True)
    return [*story.errors, value(engine, "select count(*) from charges")]


claim("transactions_indexes.half_mysql", "in MySQL a lock timeout undoes the statement, and the commit keeps the rest: charged, no seat",
      half_booking(mysql), equals=["1205", 1], unmeasured=mysql)
claim("transactions_indexes.half_mariadb", "in MariaDB as well",
      half_booking(mariadb), equals=["1205", 1], unmeasured=mariadb)

# %% [markdown]
# **Why.** InnoDB rolls back *the statement* on a lock timeout (1205) and *the transaction* on a deadlock (1213)
# ([manual](https://dev.mysql.com/doc/refman/9.5/en/innodb-error-handling.html)). A handler that logs and goes on commits half a
# booking after the former. After the latter it is worse: the transaction is gone, and every further statement is one of its
# own.
#
# **In production.** One rule for all systems: *an error inside a transaction ends the transaction*. Roll back, and
# if the code says *again* (40001 and 40P01 in PostgreSQL; 1213, 1205 and, in MariaDB, 1020 in InnoDB; `SQLITE_BUSY` in SQLite), repeat
# the whole, a few times, with a pause that grows and is not the same for everyone. So nothing inside may have effects outside:
# the mail, the card, the message go out after the commit (6.3 shows the outbox).

# %% [markdown] claim="transactions_indexes.retry_statement" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: back to a savepoint</summary>
#
# A savepoint makes the transaction accept statements again. The snapshot stays, and so does the conflict: 40001 once more.
#
# ```diff
# -    B: update standby set on_call = false where name = 'Barbara'
# -    B: update standby set on_call = false where name = 'Barbara'
# +    B: update standby set on_call = false where name = 'Barbara'
# +    B: rollback to savepoint before_the_update
# +    B: update standby set on_call = false where name = 'Barbara'
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.retry_statement")`

# %% [markdown] also=["transactions_indexes.retry_whole", "transactions_indexes.half_mysql", "transactions_indexes.half_mariadb"] claim="transactions_indexes.retry_decision" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the decision inside the write; no decision; and an error that ends the transaction</summary>
#
# If the condition travels with the write, repeating the write repeats the decision. If the code does not look at what it
# read, repeating everything is no better than repeating the write. And a client that rolls back leaves no half.
#
# ```diff
# -WRITE_AGAIN = "update standby set on_call = false where name = 'Barbara'"
# +WRITE_AGAIN = """update standby set on_call = false
# +                 where name = 'Barbara' and (select count(*) from standby where on_call) >= 2"""
# @@
# -        if len(on_call) >= 2:
# +        if len(on_call) >= 1:
# @@
# -    story = lab.play(engine, HALF, "repeatable read", lab.WAITING[server.label], go_on=True)
# +    story = lab.play(engine, HALF, "repeatable read", lab.WAITING[server.label])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.retry_decision")`

# %% [markdown] minutes=7
# ## Who waits for whom
#
# The seat map hangs. Three clerks want 12A, one of them went for a coffee with a transaction open. Whom do you call? Every
# server keeps the answer in its catalog; O is the observer.

# %% [markdown] predict="transactions_indexes.q5"
# **Predict.** A holds the row, B waits for it, then C wants it too. Whom does PostgreSQL name as blocking C?
#
# - **a** A, who holds the row
# - **b** B, who is next in line
# - **c** A and B

# %%
answer("transactions_indexes.q5", None)  # "a", "b" or "c"

# %%
QUEUE = """
    A: {me}
    B: {me}
    C: {me}
    A: begin
    B: begin
    C: begin
    A: update seat_map set holder = 'Ada' where seat = '12A'
    B: update seat_map set holder = 'Barbara' where seat = '12A'
    C: update seat_map set holder = 'Ken' where seat = '12A'
    O: {who}
    A: rollback
    B: rollback
    C: rollback
"""
ASK = {
    "PostgreSQL": ("select pg_backend_pid()",
                   "select pid, unnest(pg_blocking_pids(pid)) from pg_locks where not granted"),
    "MySQL": ("select connection_id()", "select waiting_pid, blocking_pid from sys.innodb_lock_waits"),
    "MariaDB": ("select connection_id()", "select waiting_pid, blocking_pid from sys.innodb_lock_waits"),
}


def seat_map(server):
    engine = server.engine(isolation_level="AUTOCOMMIT")
    run(engine, "drop table if exists seat_map",
        "create table seat_map (seat varchar(3) primary key, holder varchar(9))",
        "insert into seat_map values ('12A', ''), ('14C', '')")
    return engine


def who_waits(server):
    """Each session that waits, and for which; None without a server."""
    if not server:
        return None
    me, who = ASK[server.label]
    story = lab.play(seat_map(server), QUEUE.format(me=me, who=who), waiting=lab.WAITING[server.label])
    name = {story.read(session)[0]: session for session in "ABC"}
    return sorted(f"{name[waits]} waits for {name[blocks]}" for waits, blocks in story.rows("O"))


# %%
claim("transactions_indexes.waits_postgres", "PostgreSQL names the next in line: a chain",
      who_waits(pg), equals=["B waits for A", "C waits for B"], proves={"transactions_indexes.q5": "b"})
claim("transactions_indexes.waits_mysql", "MySQL names everybody who stands before C",
      who_waits(mysql), equals=["B waits for A", "C waits for A", "C waits for B"], unmeasured=mysql)
claim("transactions_indexes.waits_mariadb", "MariaDB does, too",
      who_waits(mariadb), equals=["B waits for A", "C waits for A", "C waits for B"], unmeasured=mariadb)

# %% [markdown]
# **Why.** A row lock of PostgreSQL is not in any lock table: it is the transaction's number in the row itself (`xmax`, two
# experiments on). B waits for *transaction A* to end, and holds a lock on the tuple meanwhile, its place in the queue; C waits for
# that. So the culprit is at the end of a chain, and ending B only moves C up.
# ([`pg_blocking_pids`](https://www.postgresql.org/docs/17/functions-info.html#FUNCTIONS-INFO-SESSION);
# [README.tuplock](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/access/heap/README.tuplock).)
# InnoDB keeps record locks in memory, in a queue for each record, and lists all that are ahead
# ([`sys.innodb_lock_waits`](https://dev.mysql.com/doc/refman/9.5/en/sys-innodb-lock-waits.html)).
#
# Now a circle. Two clerks seat two families of two, in different order:

# %%
CROSSED = """
    A: begin
    B: begin
    A: update seat_map set holder = 'Hopper' where seat = '12A'
    B: update seat_map set holder = 'Lovelace' where seat = '14C'
    A: update seat_map set holder = 'Hopper' where seat = '14C'
    B: update seat_map set holder = 'Lovelace' where seat = '12A'
    A: commit
    B: commit
"""
ORDERED = """
    A: begin
    B: begin
    A: update seat_map set holder = 'Turing' where seat = '12A'
    B: update seat_map set holder = 'Dijkstra' where seat = '12A'
    A: update seat_map set holder = 'Turing' where seat = '14C'
    B: update seat_map set holder = 'Dijkstra' where seat = '14C'
    A: commit
    B: commit
"""

# %%
seat_map(pg)
crossed, ordered = on_postgres(CROSSED), on_postgres(ORDERED)
report = "\n".join(step.detail for step in crossed.steps if step.detail)
waits = re.findall(r"Process (\d+) waits .* blocked by process (\d+)", report)

loser = "".join(crossed.refused)
if again := [step.sql for step in crossed.steps if step.session == loser]:
    run(airline, *again)
seated = {holder for (holder,) in run(airline, "select holder from seat_map")}

# %% tags=["nbval-ignore-output"]
show_table(crossed.table(), left=3)
print(report)

# %%
claim("transactions_indexes.deadlock_one", "of two sessions that wait for each other one is refused",
      crossed.errors, equals=["40P01"])
claim("transactions_indexes.deadlock_report", "the report names a closed circle of two processes",
      [len(waits), {one for one, _ in waits} == {other for _, other in waits}], equals=[2, True])
claim("transactions_indexes.deadlock_retried", "begun again as it was, the refused transaction goes through",
      seated == {{"A": "Hopper", "B": "Lovelace"}.get(loser)}, equals=True)
claim("transactions_indexes.deadlock_order", "in the same order on both sides one waits, and none is refused",
      [ordered.errors, ordered.waited], equals=[[], ["B"]])

# %% [markdown]
# **Reading it.** The report says who waited for whom and on which row; the statements are in the server's log, which the hint
# points to. (MySQL and MariaDB keep the last one: `show engine innodb status`, *LATEST DETECTED DEADLOCK*.) Who is the victim
# is not promised.
#
# **Why.** PostgreSQL looks for circles only after a session has waited for `deadlock_timeout` (1 s; 0.1 s in this notebook),
# because the search is dear and most waits end by themselves
# ([manual](https://www.postgresql.org/docs/17/runtime-config-locks.html#GUC-DEADLOCK-TIMEOUT)). InnoDB looks at each wait.
#
# **In production.** One order for all code paths, such as by primary key, makes circles impossible:
# `select … where seat in (…) order by seat for update` first, then the updates. A foreign key, a trigger, or an `update`
# whose plan walks another index takes locks in orders that no line of your code shows, so the retry stays. The victim is rolled
# back and repeats like any other refusal; the survivor never notices.

# %% [markdown] also=["transactions_indexes.waits_mysql", "transactions_indexes.waits_mariadb", "transactions_indexes.deadlock_order"] claim="transactions_indexes.waits_postgres" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: C takes another seat; and an order for each clerk</summary>
#
# ```diff
# -    C: update seat_map set holder = 'Ken' where seat = '12A'
# +    C: update seat_map set holder = 'Ken' where seat = '14C'
# @@
# -    B: update seat_map set holder = 'Dijkstra' where seat = '12A'
# -    A: update seat_map set holder = 'Turing' where seat = '14C'
# -    B: update seat_map set holder = 'Dijkstra' where seat = '14C'
# +    B: update seat_map set holder = 'Dijkstra' where seat = '14C'
# +    A: update seat_map set holder = 'Turing' where seat = '14C'
# +    B: update seat_map set holder = 'Dijkstra' where seat = '12A'
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.waits_postgres")`

# %% [markdown] also=["transactions_indexes.deadlock_report", "transactions_indexes.deadlock_retried"] claim="transactions_indexes.deadlock_one" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: all locks first, in order</summary>
#
# ```diff
# -    A: update seat_map set holder = 'Hopper' where seat = '12A'
# -    B: update seat_map set holder = 'Lovelace' where seat = '14C'
# +    A: select seat from seat_map order by seat for update
# +    B: select seat from seat_map order by seat for update
# +    A: update seat_map set holder = 'Hopper' where seat = '12A'
# +    B: update seat_map set holder = 'Lovelace' where seat = '14C'
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.deadlock_one")`

# %% [markdown] core=true minutes=5
# ## A seat that is sold twice
#
# The sold seats of the airline's bookings include some that a customer gave back and another one bought. So *one
# row for each flight and seat* is the wrong rule; *one active row* is the right one. The sale checks it in the very statement
# that inserts:

# %%
rows = data.bookings().seats[["flight_id", "seat", "booking_id", "active"]]
run(airline, "create table seats (flight_id int, seat text, booking_id int, active boolean)")
copy_in("seats", rows.itertuples(index=False))

resold = value(airline, """
    select count(*) from (select from seats group by flight_id, seat having count(*) > 1) as more""")
FLIGHT, SEAT = run(airline, """
    select flight_id, seat from seats group by flight_id, seat
    having not bool_or(active) order by flight_id, seat limit 1""")[0]

# %%
TAKEN = f"select from seats where flight_id = {FLIGHT} and seat = '{SEAT}' and active"


def sale(booking):
    return f"insert into seats select {FLIGHT}, '{SEAT}', {booking}, true where not exists ({TAKEN})"


SALES = f"""
    A: begin
    B: begin
    A: {sale(90001)}
    B: {sale(90002)}
    A: commit
    B: commit
"""

# %% [markdown] predict="transactions_indexes.q6"
# **Predict.** Check and insert are one statement. Two sales of a free seat at READ COMMITTED: how many active
# rows?
#
# - **a** 1: a statement is atomic
# - **b** 2
# - **c** 1, and the other one gets an error

# %%
answer("transactions_indexes.q6", None)  # "a", "b" or "c"

# %%
def sell_twice():
    story = on_postgres(SALES)
    return value(airline, f"select count(*) from ({TAKEN}) as taken"), story


checked, _ = sell_twice()
run(airline, "delete from seats where booking_id > 90000",
    "create unique index one_active on seats (flight_id, seat) where active")
indexed, by_index = sell_twice()
show_table(
    [{"client": step.session, "waited": step.waited, "refused with": step.error} for step in by_index.steps[2:4]],
    caption="The two inserts, with the index",
)

# %% [markdown]
# And a seat that is given back must be for sale again, index or not:

# %%
run(airline, "update seats set active = false where booking_id > 90000", sale(90003))
again = run(airline, f"""
    select count(*), count(*) filter (where active) from seats
    where flight_id = {FLIGHT} and seat = '{SEAT}' and booking_id > 90000""")[0]

# %%
claim("transactions_indexes.seat_history", "seats have several rows for good reasons, so a plain unique index cannot be built",
      resold, at_least=1, unit="seats")
claim("transactions_indexes.seat_checked", "checked inside the statement that inserts, the seat is sold twice",
      checked, equals=2, proves={"transactions_indexes.q6": "b"})
claim("transactions_indexes.seat_indexed", "with a unique index on active rows the second sale waits, then gets 23505",
      [indexed, by_index.waited, by_index.errors], equals=[1, ["B"], ["23505"]])
claim("transactions_indexes.seat_again", "after a cancellation the seat is sold again: two rows, one active",
      list(again), equals=[2, 1])

# %% [markdown]
# **Why.** A statement at `READ COMMITTED` sees what was committed when it began. A's row is not yet, so `not exists` is true for
# B: the check reads *the past*. An index entry is in another position: it is in the tree before A commits, whatever anybody's
# snapshot says. B's insertion finds it, sees that its writer is still at work, and waits for A's end: committed, then
# 23505; rolled back, then B's sale goes through
# ([`_bt_check_unique`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/access/nbtree/nbtinsert.c)). A
# [partial index](https://www.postgresql.org/docs/17/indexes-partial.html) holds only the rows of its `where`, so it is small
# as well.
#
# **In production.** A rule that a constraint can express belongs in one. `check` is for a rule about one row. Unique, partial
# unique, `exclude` (no two stays of one aircraft at a gate at the same time) and foreign keys are rules *between* rows.
# They hold at every level, for every client, and for a script that somebody runs by hand. A rule that no constraint
# can express (the pilots) needs a lock or `SERIALIZABLE`. SQLite has partial indexes too; MySQL and
# MariaDB have none: a generated column that is null for inactive rows, in a unique index, does it, since nulls are never equal.
# And 23505 is no server error: it is the answer *somebody was faster*.

# %% [markdown] also=["transactions_indexes.seat_indexed"] claim="transactions_indexes.seat_checked" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one at a time, by an advisory lock</summary>
#
# Both take a lock of the flight's number first. B gets it when A has committed, and its `insert`, a new statement with a new
# snapshot, finds the seat taken. (Without the index this works as long as *every* client thinks of it. With it, nobody gets as far
# as 23505.)
#
# ```diff
# -    A: {sale(90001)}
# -    B: {sale(90002)}
# +    A: select pg_advisory_xact_lock({FLIGHT})
# +    B: select pg_advisory_xact_lock({FLIGHT})
# +    A: {sale(90001)}
# +    B: {sale(90002)}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.seat_checked")`

# %% [markdown] also=["transactions_indexes.seat_history", "transactions_indexes.seat_again"] claim="transactions_indexes.seat_indexed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the index without <i>unique</i>; only active rows counted; nothing given back</summary>
#
# ```diff
# -    "create unique index one_active on seats (flight_id, seat) where active")
# +    "create index one_active on seats (flight_id, seat) where active")
# @@
# -    select count(*) from (select from seats group by flight_id, seat having count(*) > 1) as more""")
# +    select count(*) from (select from seats where active group by flight_id, seat having count(*) > 1) as more""")
# @@
# -run(airline, "update seats set active = false where booking_id > 90000", sale(90003))
# +run(airline, sale(90003))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.seat_indexed")`

# %% [markdown] minutes=4
# ## A row has versions
#
# UA1545 moves from gate B3 to B7. Until that is committed, one clerk sees B7 and another one B3, and neither waits. So both rows
# must be somewhere. Every row of PostgreSQL carries its address and its dates of birth and death: `ctid` (page, line), `xmin` (the
# transaction that wrote it) and `xmax` (the one that ended it).

# %% [markdown] predict="transactions_indexes.q7"
# **Predict.** The change of gate is rolled back. What does `xmax` of the old, now again only version say?
#
# - **a** 0: nobody ended it, the rollback has restored it
# - **b** still the number of the transaction that was rolled back
# - **c** the row is a new one, with a new xmin

# %%
answer("transactions_indexes.q7", None)  # "a", "b" or "c"

# %%
MOVE = """
    A: begin
    A: update gates set gate = 'B7'
    A: select ctid::text, xmin::text, xmax::text, gate from gates
    B: select ctid::text, xmin::text, xmax::text, gate from gates
    A: rollback
    B: select ctid::text, xmin::text, xmax::text, gate from gates
"""
run(airline, "create table gates (flight text primary key, gate text)",
    "insert into gates values ('UA1545', 'B3')")
moved = on_postgres(MOVE)
seen_by_a, seen_by_b, seen_after = [step.rows[0] for step in moved.steps if step.rows]

# %% tags=["nbval-ignore-output"]
columns = ["ctid", "xmin", "xmax", "gate"]
show_table(
    [
        {"who": who} | dict(zip(columns, row, strict=True))
        for who, row in {"A": seen_by_a, "B, meanwhile": seen_by_b, "B, after A's rollback": seen_after}.items()
    ]
)

# %% [markdown]
# `pageinspect` shows what is on the page, visible or not. It comes with the server's contrib modules.

# %%
CONTRIB = "select count(*) from pg_available_extensions where name = 'pageinspect'"
no_pageinspect = None if value(airline, CONTRIB) else "this server has no pageinspect; Docker's or your system's has"
if not no_pageinspect:
    run(airline, "create extension if not exists pageinspect")
    on_page = run(airline, """
        select lp, t_ctid::text, t_xmin::text, t_xmax::text
        from heap_page_items(get_raw_page('gates', 0))""")

# %% tags=["nbval-ignore-output"]
if not no_pageinspect:
    show_table([dict(zip(["line", "t_ctid", "t_xmin", "t_xmax"], row, strict=True)) for row in on_page])

# %%
claim("transactions_indexes.two_versions", "at the same time A and B see two versions at two addresses",
      [[row[0], row[3]] for row in (seen_by_a, seen_by_b)], equals=[["(0,2)", "B7"], ["(0,1)", "B3"]])
claim("transactions_indexes.same_writer", "A's number is the birth of the one and the death of the other",
      [seen_by_b[2] == seen_by_a[1], seen_by_b[2] != "0"], equals=[True, True])
claim("transactions_indexes.rolled_back_mark", "after the rollback the mark of the transaction is still there",
      [seen_after[0], seen_after[2] == seen_by_a[1]], equals=["(0,1)", True], proves={"transactions_indexes.q7": "b"})
claim("transactions_indexes.on_page", "and so is the version that never came to be: two lines on the page",
      None if no_pageinspect else len(on_page), equals=2, unmeasured=no_pageinspect)

# %% [markdown]
# **Why.** An `update` writes a new version and puts its number into the old one's `xmax`; nothing is overwritten. Who may see
# what follows from the numbers, the reader's snapshot, and `pg_xact`, two bits a transaction that say committed or aborted
# ([`heapam_visibility.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/access/heap/heapam_visibility.c)). A
# rollback sets those two bits and touches no row, which is why it takes no time after an update of ten million rows. In InnoDB
# it is the other way round: the row is changed in place, the *old* version goes to the undo log, reading the past means walking
# back along it, and a rollback must do all work again, backwards
# ([manual](https://dev.mysql.com/doc/refman/9.5/en/innodb-multi-versioning.html)).
#
# **In production.** An `update` that changes nothing (an ORM that writes every column, a heartbeat every second) writes a whole
# version all the same. And the version that nobody can see any more has to be found and removed by somebody: the next
# experiment.

# %% [markdown] also=["transactions_indexes.same_writer", "transactions_indexes.rolled_back_mark", "transactions_indexes.on_page"] claim="transactions_indexes.two_versions" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: A writes nothing</summary>
#
# ```diff
# -    A: update gates set gate = 'B7'
# +    A: savepoint nothing_written
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.two_versions")`

# %% [markdown] minutes=4
# ## Ninety-nine per cent deleted
#
# The disk of the gate board's database is nearly full. Somebody deletes 99 % of a table and runs `VACUUM`, which, as everybody
# knows, cleans up.

# %% [markdown] predict="transactions_indexes.q8"
# **Predict.** 9,900 of 10,000 rows deleted, VACUUM has run. How large is the table's file?
#
# - **a** as before
# - **b** about 1 % of it
# - **c** about half

# %%
answer("transactions_indexes.q8", None)  # "a", "b" or "c"

# %%
ROWS = 10_000
BOARD = "select n, 'B' || mod(n, 40) from generate_series(1, {rows}) as n"
PAGES = "select pg_relation_size('board') / current_setting('block_size')::int"

run(airline, "create table board (flight_id int primary key, gate text)",
    "insert into board " + BOARD.format(rows=ROWS))
pages = {"10,000 rows": value(airline, PAGES)}
run(airline, "delete from board where flight_id <= 9900")
run(airline, "vacuum board")
pages["9,900 deleted, VACUUM"] = value(airline, PAGES)
run(airline, "insert into board " + BOARD.format(rows=ROWS) + " on conflict do nothing")
pages["9,900 inserted"] = value(airline, PAGES)
run(airline, "delete from board where flight_id <= 9900", "vacuum full board")
pages["9,900 deleted, VACUUM FULL"] = value(airline, PAGES)

# %% tags=["nbval-ignore-output"]
show_bars(pages, title="The table's file, step by step", x="pages of 8 KiB", text="{:.0f}".format)

# %%
full = pages["10,000 rows"]
claim("transactions_indexes.file_after", "VACUUM gives no page back: the last hundred rows stand on the last page",
      pages["9,900 deleted, VACUUM"] / full, equals=1, proves={"transactions_indexes.q8": "a"}, baseline=full)
claim("transactions_indexes.file_refilled", "what it freed is used by the next inserts: the file does not grow",
      pages["9,900 inserted"] / full, at_most=1.05, unit="×", baseline=full, did=pages["9,900 inserted"])
claim("transactions_indexes.file_rewritten", "VACUUM FULL writes a new, small file",
      pages["9,900 deleted, VACUUM FULL"] / full, at_most=0.1, unit="×",
      baseline=full, did=pages["9,900 deleted, VACUUM FULL"])

# %% [markdown]
# **Why.** `VACUUM` notes the freed space of each page in the *free space map* and removes index entries. It shortens the file only by
# empty pages *at its end*, under a lock that it gets if nobody minds. Rows do not move, for their address is in
# every index. `VACUUM FULL` copies the living into a new file and holds `ACCESS EXCLUSIVE` for that long: no reader, no writer
# ([manual](https://www.postgresql.org/docs/17/routine-vacuuming.html#VACUUM-FOR-SPACE-RECOVERY)).
#
# **In production.** A table has the size of its worst day. That is fine if such days come again; after a one-time purge,
# `pg_repack` or `pg_squeeze` rewrite it with short locks. Purges by date want partitions: `drop table` of a month is a file
# deleted, no dead row anywhere. Autovacuum (off in this notebook, for reproducible pages) starts at 20 % dead rows, which is late for a
# table of 500 million: lower `autovacuum_vacuum_scale_factor` there.

# %% [markdown] claim="transactions_indexes.file_after" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: delete the other 9,900</summary>
#
# Now the hundred survivors are on the first page, all others are empty *at the end*, and VACUUM cuts them off. The same
# command, the same number of rows.
#
# ```diff
# -run(airline, "delete from board where flight_id <= 9900")
# +run(airline, "delete from board where flight_id > 100")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.file_after")`

# %% [markdown] claim="transactions_indexes.file_rewritten" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: VACUUM without FULL</summary>
#
# ```diff
# -run(airline, "delete from board where flight_id <= 9900", "vacuum full board")
# +run(airline, "delete from board where flight_id <= 9900", "vacuum board")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.file_rewritten")`

# %% [markdown] claim="transactions_indexes.file_refilled" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no VACUUM</summary>
#
# The dead rows keep their places, since nobody has told the free space map otherwise, and the file nearly doubles. That is
# bloat.
#
# ```diff
# -run(airline, "vacuum board")
# +run(airline, "analyze board")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.file_refilled")`

# %% [markdown] minutes=8
# ## The report that was left open
#
# An analyst has opened a transaction, counted the airline's fare classes (six rows), and gone to lunch. The board meanwhile
# updates each of its 10,000 rows five times, which makes 50,000 dead versions of *another table*. `VACUUM` runs after each round.

# %% [markdown] predict="transactions_indexes.q9"
# **Predict.** The analyst's transaction is at REPEATABLE READ and has never touched the board. How many dead
# rows are left?
#
# - **a** none: the analyst does not use this table
# - **b** 10,000: the version that the analyst could still ask for
# - **c** all 50,000

# %%
answer("transactions_indexes.q9", None)  # "a", "b" or "c"

# %% [markdown]
# `VACUUM (VERBOSE)` says by a notice what it did, and one sentence of it counts: *… are dead but not yet removable*.

# %%
LEFT_THERE = re.compile(r"(\d+) are dead but not yet removable")
LIVE_PAGES = "select pg_relation_size('live_board') / current_setting('block_size')::int"


def dead_after_vacuum():
    """How many dead versions of the board VACUUM found and had to leave."""
    told = []
    with pg.connect(autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
        connection.execute("vacuum (verbose, process_toast false) live_board")
    return next(int(found[1]) for text in told if (found := LEFT_THERE.search(text)))


def new_board():
    run(airline, "drop table if exists live_board",
        "create table live_board (flight_id int primary key, gate text)",
        "insert into live_board select n, 'B7' from generate_series(1, 10000) as n",
        "vacuum live_board")


# %%
FIVE_TIMES = [f"update live_board set gate = 'C{n}'" for n in range(5)]


def after_lunch(*analyst, database=airline):
    """The dead versions and the pages while the analyst is away, and the dead ones after her return."""
    new_board()
    session = database.connect()
    for sql in analyst:
        session.exec_driver_sql(sql)
    for update in FIVE_TIMES:
        run(airline, update, "vacuum live_board")
    away = dead_after_vacuum(), value(airline, LIVE_PAGES)
    session.close()
    return *away, dead_after_vacuum()


# %% [markdown]
# The analyst in five variants: nobody; the one of the question; one who reads at `READ COMMITTED`; one who has also written a
# row; and one who is connected to *another database* of this server.

# %%
run(airline, "create table fares (class text, usd int)",
    "insert into fares values ('Y', 320), ('B', 280), ('M', 190), ('H', 150), ('Q', 120), ('K', 90)")
elsewhere = sqlalchemy.create_engine(pg.url_of("postgres"), isolation_level="AUTOCOMMIT")
SNAPSHOT, COUNT = "begin isolation level repeatable read", "select count(*) from fares"

lunches = {
    "nobody": after_lunch(),
    "REPEATABLE READ": after_lunch(SNAPSHOT, COUNT),
    "READ COMMITTED": after_lunch("begin isolation level read committed", COUNT),
    "READ COMMITTED, wrote a row": after_lunch("begin", "update fares set usd = 95 where class = 'K'"),
    "REPEATABLE READ, other database": after_lunch(SNAPSHOT, "select 1", database=elsewhere),
}

# %% tags=["nbval-ignore-output"]
show_table(
    [
        {"the open transaction": who, "dead rows left": left, "pages": pages, "left after its end": later}
        for who, (left, pages, later) in lunches.items()
    ]
)

# %%
dead = {who: left for who, (left, _, _) in lunches.items()}
claim("transactions_indexes.horizon_nobody", "with no transaction open VACUUM leaves no dead row",
      dead["nobody"], equals=0)
claim("transactions_indexes.horizon_snapshot", "a snapshot of six other rows keeps all 50,000, also those that no snapshot can see",
      dead["REPEATABLE READ"], equals=50_000, proves={"transactions_indexes.q9": "c"})
claim("transactions_indexes.horizon_committed", "a reader at READ COMMITTED keeps nothing between its statements",
      dead["READ COMMITTED"], equals=0)
claim("transactions_indexes.horizon_writer", "one row written, in any table, keeps everything at every level",
      dead["READ COMMITTED, wrote a row"], equals=50_000)
claim("transactions_indexes.horizon_database", "a transaction in another database keeps nothing",
      dead["REPEATABLE READ, other database"], equals=0)
claim("transactions_indexes.horizon_pages", "the table has grown to three times what the same updates cost without her",
      lunches["REPEATABLE READ"][1] / lunches["nobody"][1], between=(2.5, 3.5), unit="×")
claim("transactions_indexes.horizon_released", "when she is back, the next VACUUM removes all of it",
      lunches["REPEATABLE READ"][2], equals=0)

# %% [markdown]
# **Reading it.** The answer *10,000* would be right for a system that looks at each version and at each snapshot. Four of five
# versions were born after the analyst's snapshot and died under it; nobody can ever read them. PostgreSQL keeps them all the
# same, since it compares every death with *one* number.
#
# Whom to call? The catalog says whose number it is. And a setting ends such a session without a call:

# %%
CULPRIT = """select pid from pg_stat_activity where starts_with(state, 'idle in transaction')
             order by greatest(age(backend_xmin), age(backend_xid)) desc nulls last limit 1"""


def until_gone(pid, seconds=3):
    """Wait for the end of a session, at most for some seconds."""
    deadline = time.monotonic() + seconds
    while value(airline, f"select count(*) from pg_stat_activity where pid = {pid}"):
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


new_board()
analyst = pg.connect(autocommit=True)
her_pid = analyst.info.backend_pid
analyst.execute(SNAPSHOT)
analyst.execute(COUNT)
named = run(airline, CULPRIT)
analyst.execute("set idle_in_transaction_session_timeout = '50ms'")
run(airline, *FIVE_TIMES)
until_gone(her_pid)
left_by_timeout = dead_after_vacuum()
analyst.close()

# %%
claim("transactions_indexes.horizon_culprit", "the oldest snapshot in pg_stat_activity is the analyst's",
      [pid == her_pid for (pid,) in named], equals=[True])
claim("transactions_indexes.horizon_timeout", "with a timeout for idle transactions her session ends, and nothing is kept",
      left_by_timeout, equals=0)

# %% [markdown]
# **Why.** Each session publishes two numbers: `backend_xid`, its own transaction if it has written, and `backend_xmin`, the oldest
# transaction that was still at work when its snapshot was taken. The smallest over all sessions of a database is the *horizon*
# ([`ComputeXidHorizons`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/storage/ipc/procarray.c)); a version that died behind
# it may be needed by somebody, and whether it really is would cost a look at every snapshot for every row. At `READ COMMITTED` a
# snapshot lives as long as its statement, so the idle reader publishes nothing. The idle *writer* does: her number was still at work
# in every snapshot that anybody took since. Tables belong to one database, hence the last line (catalogs that all databases share have a
# horizon over all).
#
# **In production.** The symptom is never the report: it is a small, busy table (a queue, sessions, a board) that gets slower by
# the hour, while autovacuum runs and runs. Look at the age of `backend_xmin` and at four more holders of the
# horizon: prepared transactions, replication slots, a standby with `hot_standby_feedback`, a `pg_dump`. Set
# `idle_in_transaction_session_timeout` for every role that is a service
# ([manual](https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-IDLE-IN-TRANSACTION-SESSION-TIMEOUT); 17 adds
# `transaction_timeout`), and give analysts a standby. The price of the timeout: who is thrown out gets 25P03 with the next
# statement and has to begin again. In InnoDB the same lunch makes the undo log grow (*History list length* in
# `show engine innodb status`), and every reader walks back along it.

# %% [markdown] also=["transactions_indexes.horizon_pages"] claim="transactions_indexes.horizon_snapshot" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: commit before lunch</summary>
#
# ```diff
# -    "REPEATABLE READ": after_lunch(SNAPSHOT, COUNT),
# +    "REPEATABLE READ": after_lunch(SNAPSHOT, COUNT, "commit"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.horizon_snapshot")`

# %% [markdown] also=["transactions_indexes.horizon_nobody", "transactions_indexes.horizon_writer", "transactions_indexes.horizon_database", "transactions_indexes.horizon_pages"] claim="transactions_indexes.horizon_committed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a cursor; somebody after all; a write that finds nothing; the same database</summary>
#
# An open cursor has a snapshot, at `READ COMMITTED` too: a result that is read in portions all day is a snapshot of all day. An
# update that matches no row takes no number.
#
# ```diff
# -    "nobody": after_lunch(),
# +    "nobody": after_lunch(SNAPSHOT, COUNT),
# -    "REPEATABLE READ": after_lunch(SNAPSHOT, COUNT),
# -    "READ COMMITTED": after_lunch("begin isolation level read committed", COUNT),
# -    "READ COMMITTED, wrote a row": after_lunch("begin", "update fares set usd = 95 where class = 'K'"),
# -    "REPEATABLE READ, other database": after_lunch(SNAPSHOT, "select 1", database=elsewhere),
# +    "REPEATABLE READ": after_lunch(SNAPSHOT, COUNT),
# +    "READ COMMITTED": after_lunch("begin", "declare lines cursor for select * from fares", "fetch lines"),
# +    "READ COMMITTED, wrote a row": after_lunch("begin", "update fares set usd = 95 where class = 'Z'"),
# +    "REPEATABLE READ, other database": after_lunch(SNAPSHOT, "select 1", database=airline),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.horizon_committed")`

# %% [markdown] also=["transactions_indexes.horizon_released", "transactions_indexes.horizon_timeout"] claim="transactions_indexes.horizon_culprit" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: who has written, not who has read; VACUUM before her return; no timeout</summary>
#
# ```diff
# -             order by greatest(age(backend_xmin), age(backend_xid)) desc nulls last limit 1"""
# +             and backend_xid is not null limit 1"""
# @@
# -    session.close()
# -    return *away, dead_after_vacuum()
# +    still = dead_after_vacuum()
# +    session.close()
# +    return *away, still
# @@
# -analyst.execute("set idle_in_transaction_session_timeout = '50ms'")
# +analyst.execute("set idle_in_transaction_session_timeout = 0")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.horizon_culprit")`

# %% [markdown] minutes=6
# ## The flight that departs before it left
#
# The night to 3 November 2013 at JFK: the gate application notes *doors closed 01:50* and *pushed back 01:10*, both read from the
# clock on the wall. Twenty minutes lie between the two, for at two o'clock of that night the clocks went back to one. (Both
# events are invented; in the real data nothing moves in that hour.) One row, written down in two ways:

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

# %% [markdown] predict="transactions_indexes.q10"
# **Predict.** A session in New York's time zone reads both `timestamptz` columns. What is left_at - closed_at
# in Python?
#
# - **a** 20 minutes: both know their offset
# - **b** minus 40 minutes
# - **c** an error: the offsets differ

# %%
answer("transactions_indexes.q10", None)  # "a", "b" or "c"

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
claim("transactions_indexes.fold_wall", "by the clock on the wall the flight left 40 minutes before its doors closed",
      by_wall.total_seconds() / 60, equals=-40, unit="minutes")
claim("transactions_indexes.fold_instant", "as timestamptz PostgreSQL finds the 20 minutes",
      by_instant.total_seconds() / 60, equals=20, unit="minutes")
claim("transactions_indexes.fold_python", "Python subtracts the same two values, offsets and all, and gets minus 40",
      (left - closed).total_seconds() / 60, equals=-40, unit="minutes", proves={"transactions_indexes.q10": "b"})
claim("transactions_indexes.fold_utc", "from a session in UTC it gets 20",
      (left_utc - closed_utc).total_seconds() / 60, equals=20, unit="minutes")

# %% [markdown]
# **Reading it.** The two aware datetimes print `-04:00` and `-05:00`, and their difference ignores both. That is documented: if
# both sides have *the same* `tzinfo` object, Python subtracts and compares the wall clocks; only between different ones it goes
# through UTC ([`datetime`](https://docs.python.org/3/library/datetime.html#datetime.datetime), "supported operations";
# [PEP 495](https://peps.python.org/pep-0495/)). psycopg makes every `timestamptz` a datetime in the session's zone, so the bug
# sleeps in every service whose sessions are not in UTC, and wakes for two nights a year.
#
# What did the column store? Eight bytes, microseconds since 2000 in UTC, no zone
# ([`timestamp.h`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/include/datatype/timestamp.h)). The zone in which it prints is the
# reader's; the offset that you wrote is gone. And a text without an offset is read in the session's zone, also when it names an
# hour that came twice, or never:

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
claim("transactions_indexes.zone_not_stored", "noted in New York, London and Tokyo: one value of eight bytes, no zone in it",
      list(run(airline, THREE_NOTES)[0]), equals=[1, 8])
claim("transactions_indexes.hour_twice", "01:30, which came twice: PostgreSQL takes the second one, Python the first",
      [by_postgres(TWICE), by_python(TWICE)], equals=["06:30Z, shown as 01:30", "05:30Z, shown as 01:30"])
claim("transactions_indexes.hour_never", "02:30, which never was: both accept it, and show 03:30",
      [by_postgres(NEVER_WAS), by_python(NEVER_WAS)], equals=["07:30Z, shown as 03:30"] * 2)
claim("transactions_indexes.fold_equal", "in the repeated hour an aware time is not equal to itself in UTC",
      left == left.astimezone(UTC), equals=False)

# %% [markdown]
# **Why.** For PostgreSQL an ambiguous or impossible text means *standard time*
# ([manual, B.2](https://www.postgresql.org/docs/17/datetime-invalid-input.html)), for Python `fold=0`, the first of the two. Each choice is
# sensible; between them an hour is lost. The inequality is the price of hashes (PEP 495): within a zone `fold` does not count, so
# both 01:10 are equal to each other; if each were also equal to its own instant in UTC, two different instants would be.
#
# **In production.** What *has happened* (pushed back, paid, logged) is an instant: `timestamptz`, written with an offset, sessions in UTC
# (`alter role … set timezone = 'UTC'`), `DateTime(timezone=True)` in SQLAlchemy; convert where a person reads. What *shall happen* at a
# place (a departure next June at 08:00 in São Paulo) is a wall clock **and the name of a zone**, in two columns: governments change
# offsets between the sale and the flight, and an instant that was computed at the sale would be wrong by an hour. MySQL's
# `timestamp` is an instant as well, converted by the session's `time_zone`, and its `datetime` is a wall clock
# ([manual](https://dev.mysql.com/doc/refman/9.5/en/datetime.html)); SQLite stores what you give it.

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
# <summary><b>Break it</b>: two letters less; hours of an ordinary night</summary>
#
# A `timestamp` reads the same three texts without a word, drops the offsets, and makes three values of them.
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

# %% [markdown] minutes=6
# ## An hour longer in winter
#
# Two complaints about the reports. *San Juan takes an hour longer in winter than in summer*, says route planning. *Your daily totals
# are wrong*, says the station, and sends its own. Both reports are made of the real data of 2013, whose hours and minutes are
# those of the place where each was noted.

# %%
columns = ["year", "month", "day", "dep_time", "arr_time", "air_time", "dest"]
real = data.flights(columns)
same_day = real[(real.dest == "SJU") & real.air_time.notna() & (real.dep_time < real.arr_time)]
run(airline, "create table san_juan (year int, month int, day int, dep int, arr int, in_air int)")
copy_in("san_juan", same_day.drop(columns="dest").itertuples(index=False))

# %% [markdown] predict="transactions_indexes.q11"
# **Predict.** Puerto Rico has no summer time. The same flight, by the clocks of the two places: in which season
# is it longer?
#
# - **a** in neither: a duration has no time zone
# - **b** an hour longer in winter
# - **c** an hour longer in summer

# %%
answer("transactions_indexes.q11", None)  # "a", "b" or "c"

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
# The other complaint. The reporting query is one line, `departs::date`; the two offices run it from sessions in two time zones.

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
# And how long is a day? `interval '1 day'` and `interval '24 hours'` are two values, and an addition to a `timestamptz` happens in the
# session's zone.

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
claim("transactions_indexes.winter_wall", "by the clocks of the two places the flight to San Juan is an hour longer in winter",
      winter[3] - summer[3], between=(45, 75), unit="minutes", proves={"transactions_indexes.q11": "b"})
claim("transactions_indexes.winter_instant", "between instants it is not",
      abs(winter[4] - summer[4]), at_most=15, unit="minutes", did=summer[4])
claim("transactions_indexes.day_of_session", "the same query moves 38,444 departures to another day in one session, none in the other",
      [moved_utc, moved_ny], equals=[38_444, 0], baseline=moved_ny)
claim("transactions_indexes.day_length", "New York's days of 2013 have 23, 24 and 25 hours",
      list(hours.values()), equals=[23, 24, 25])
claim("transactions_indexes.day_hours", "a day and 24 hours later are an hour apart for a session in New York, not for one in UTC",
      apart, equals=[1, 0])

# %% [markdown]
# **Reading it.** The aircraft do not need longer in January: between instants they are 6 minutes faster. Puerto Rico's clock is an hour
# ahead of New York's in winter and equal to it in summer, and a difference of two wall clocks contains the difference of
# the walls. The daily totals agree in sum and disagree in every day: 11 % of the departures (those after seven or eight in the
# evening) are tomorrow's for a session in UTC.
#
# **Why.** `departed at time zone 'America/New_York'` turns a wall clock *of that place* into an instant; applied to a
# `timestamptz` it goes the other way, and gives the wall clock of that place ([manual,
# 9.9.4](https://www.postgresql.org/docs/17/functions-datetime.html#FUNCTIONS-DATETIME-ZONECONVERT)): one operator, two directions, the type
# decides. `departs::date` and `date_trunc('day', departs)` do the same with the session's zone, so the query has an argument that
# is not in its text. `interval` stores months, days and microseconds apart, because neither has a fixed length
# ([manual, 8.5.4](https://www.postgresql.org/docs/17/datatype-datetime.html#DATATYPE-INTERVAL-INPUT)).
#
# **In production.** Name the zone in the query: `(departs at time zone 'America/New_York')::date`, or the third argument of
# `date_trunc`. An index on that expression works, one on `departs::date` is refused, since its result depends on a setting (*functions in index
# expression must be marked IMMUTABLE*). A deadline *24 hours after booking* is `interval '24 hours'`; *the same time tomorrow* is
# `'1 day'` in the customer's zone. A rate per day divides by 23 or 25 twice a year, and a job at 02:30 runs twice or
# never.

# %% [markdown] claim="transactions_indexes.winter_wall" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: two months of summer</summary>
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
# An offset is not a zone: it has no summer time, and all its days have 24 hours. With the place named on both sides it does
# not matter whose session it is.
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

# %% [markdown] minutes=35
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints,
# `solution("…")` shows the worked answer after an attempt. The checks call your functions from two threads against the
# server of this notebook, and let them send one statement each in turn: the unlucky order, every time.
#
# The table is `crew (name, base, on_call)`; each base must keep a pilot on call. `engine` is one of SQLAlchemy at
# `READ COMMITTED`: `with engine.begin() as connection:` is one transaction, committed at its end, and
# `connection.exec_driver_sql(sql, (name,))` sends SQL with `%s` for a value.
#
# ### Off call, by locks (10 minutes)
#
# Take a pilot who is on call off call and return `True`, or return `False` if nobody else of the same base would be left.
# Stay at `READ COMMITTED`. Nobody may get an error, whoever presses at the same moment; and pilots of different bases must not
# wait for each other.

# %% exercise="transactions_indexes.skew_locked" tags=["exercise"]
def off_call(engine, name):
    """Take a pilot off call if the base keeps one; whether it was done. By a lock: nobody gets an error."""
    raise NotImplementedError


# %%
check("transactions_indexes.skew_locked", off_call)

# %% [markdown]
# ### Off call, by repeating (15 minutes)
#
# The same rule without any lock: at `SERIALIZABLE`, and what is refused is repeated, at most `tries` attempts in all. Repeat
# for 40001 and 40P01; every other error, and the last refusal, go on to the caller. (`lab.code_of(error)` gives the code of
# a `sqlalchemy.exc.DBAPIError`.)

# %% exercise="transactions_indexes.skew_retried" tags=["exercise"]
def off_call_again(engine, name, tries=5):
    """Take a pilot off call if the base keeps one; whether it was done. No locks: repeat what was refused."""
    raise NotImplementedError


# %%
check("transactions_indexes.skew_retried", off_call_again)

# %% [markdown]
# ### Days of a place (10 minutes)
#
# `gate_departures (departs timestamptz)` has departures of New York's airports. Return one row for each local day that has
# any, in order: the day as a date, how many departures, how many hours that day has. Your function gets a connection; in
# which time zone its session is, you do not know.

# %% exercise="transactions_indexes.local_days" tags=["exercise"]
def local_days(connection):
    """Rows of (day, departures, hours of that day) by New York's calendar, in order."""
    raise NotImplementedError


# %%
check("transactions_indexes.local_days", local_days)

# %% [markdown] minutes=5
# ## Asked in interviews
#
# <details>
# <summary>Which isolation level does your service run at, and what does it not protect you from?</summary>
#
# Name the system with the level. PostgreSQL's default `READ COMMITTED` loses updates, shows phantoms, allows write skew
# (`transactions_indexes.iso_postgres`). MySQL's default `REPEATABLE READ` shows no phantom to a plain `select` (a locking read
# or an update sees the new rows), and loses the update all the same (`transactions_indexes.iso_mysql`). MariaDB's depends on the version (`transactions_indexes.iso_mariadb`).
#
# </details>
#
# <details>
# <summary>Two transactions check a rule, both find it kept, both commit, and it is broken. How, and what do you do?</summary>
#
# Write skew: each writes a row that the other one only read (`transactions_indexes.pilots_snapshot`). `SERIALIZABLE` for
# *all* writers, with a retry (`transactions_indexes.pilots_serializable`), or a lock on what the decision depends on. If the
# rule can be written as a constraint, use one (`transactions_indexes.seat_indexed`).
#
# </details>
#
# <details>
# <summary><code>insert … where not exists (…)</code> is one statement. Is it safe?</summary>
#
# No: it checks what was committed when it began (`transactions_indexes.seat_checked`). A unique index sees entries that are not
# committed yet, and waits for them (`transactions_indexes.seat_indexed`).
#
# </details>
#
# <details>
# <summary>What exactly do you retry after a serialisation failure?</summary>
#
# The whole transaction from its first read, on a new snapshot (`transactions_indexes.retry_whole`). The statement alone is not
# accepted (`transactions_indexes.retry_statement`), the writes alone are accepted and wrong
# (`transactions_indexes.retry_decision`).
#
# </details>
#
# <details>
# <summary>A lock timeout in MySQL was caught and logged, the request answered "failed", and yet the customer was charged. Why?</summary>
#
# Error 1205 undoes the statement, not the transaction, and the commit kept the rest (`transactions_indexes.half_mysql`). Any
# error ends the transaction: roll back.
#
# </details>
#
# <details>
# <summary>How do you find who blocks whom, and what do you look for after a deadlock?</summary>
#
# `pg_blocking_pids` gives a chain, and the culprit is at its end (`transactions_indexes.waits_postgres`); InnoDB lists all who
# stand before (`transactions_indexes.waits_mysql`). A deadlock's report names the circle (`transactions_indexes.deadlock_report`);
# one order for all paths ends it (`transactions_indexes.deadlock_order`).
#
# </details>
#
# <details>
# <summary>SQLite says <code>database is locked</code> at once, with a timeout of several seconds. What happened?</summary>
#
# A transaction that had read wanted to write, and somebody had written since: `SQLITE_BUSY_SNAPSHOT`, which no waiting cures
# (`transactions_indexes.busy_snapshot`, `transactions_indexes.busy_at_once`). `begin immediate`, or begin again.
#
# </details>
#
# <details>
# <summary>A small, busy table gets slower by the hour while autovacuum runs all the time. Your guess?</summary>
#
# An open transaction somewhere in that database: one snapshot keeps every version that died since
# (`transactions_indexes.horizon_snapshot`), also for tables that it never touched, and a writer at any level does too
# (`transactions_indexes.horizon_writer`). `pg_stat_activity` names it (`transactions_indexes.horizon_culprit`).
#
# </details>
#
# <details>
# <summary>You deleted 99 % of a table and the disk is as full as before. Why, and what now?</summary>
#
# `VACUUM` makes room inside the file (`transactions_indexes.file_after`, `transactions_indexes.file_refilled`); only a rewrite
# makes the file small (`transactions_indexes.file_rewritten`), under a lock that stops everybody.
#
# </details>
#
# <details>
# <summary><code>timestamp</code> or <code>timestamptz</code>? And is UTC everywhere enough?</summary>
#
# `timestamptz` for what has happened: an instant, no zone stored (`transactions_indexes.zone_not_stored`), right across the change
# of the clocks (`transactions_indexes.fold_instant`). Sessions in UTC, or Python's arithmetic is wrong by an hour
# (`transactions_indexes.fold_python`). Not enough for plans: a wall clock and a zone's name; and days belong to a place
# (`transactions_indexes.day_of_session`, `transactions_indexes.day_length`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown …
#
# 1. what each level lets through, in PostgreSQL (`transactions_indexes.iso_postgres`), MySQL (`transactions_indexes.iso_mysql`),
#    MariaDB (`transactions_indexes.iso_mariadb`) and SQLite (`transactions_indexes.iso_journal`, `transactions_indexes.iso_wal`); that a
#    snapshot allows write skew (`transactions_indexes.pilots_snapshot`) and `SERIALIZABLE` refuses it
#    (`transactions_indexes.pilots_serializable`);
# 2. that the whole transaction has to be repeated (`transactions_indexes.retry_whole`), not the statement
#    (`transactions_indexes.retry_statement`) nor the writes (`transactions_indexes.retry_decision`); that SQLite refuses at once what no
#    waiting cures (`transactions_indexes.busy_snapshot`), and that a lock timeout of InnoDB can leave half a booking
#    (`transactions_indexes.half_mysql`, `transactions_indexes.half_mariadb`);
# 3. who waits for whom, as a chain (`transactions_indexes.waits_postgres`) or a list (`transactions_indexes.waits_mysql`,
#    `transactions_indexes.waits_mariadb`); that a circle costs one session a second attempt (`transactions_indexes.deadlock_one`,
#    `transactions_indexes.deadlock_retried`), and an order prevents it (`transactions_indexes.deadlock_order`);
# 4. that a check inside a statement reads the past (`transactions_indexes.seat_checked`), while a partial unique index sees what is
#    under way (`transactions_indexes.seat_indexed`) and leaves the history alone (`transactions_indexes.seat_again`);
# 5. that old rows live beside new ones (`transactions_indexes.two_versions`), that `VACUUM` makes room and no file smaller
#    (`transactions_indexes.file_after`, `transactions_indexes.file_refilled`), and that one open transaction keeps every version alive
#    (`transactions_indexes.horizon_snapshot`, `transactions_indexes.horizon_writer`);
# 6. that a wall clock runs backwards once a year (`transactions_indexes.fold_wall`), in aware datetimes too
#    (`transactions_indexes.fold_python`), that it makes a flight longer in winter (`transactions_indexes.winter_wall`), and that a
#    day belongs to a place (`transactions_indexes.day_of_session`, `transactions_indexes.day_length`).
#
# **Further reading.** PostgreSQL's manual, [chapter 13](https://www.postgresql.org/docs/17/mvcc.html), short and exact. Berenson and
# others, [*A Critique of ANSI SQL Isolation Levels*](https://www.microsoft.com/en-us/research/publication/a-critique-of-ansi-sql-isolation-levels/),
# where write skew got its name. Kleppmann's [Hermitage](https://github.com/ept/hermitage), the same question put to more systems. The
# [InnoDB chapter](https://dev.mysql.com/doc/refman/9.5/en/innodb-locking-transaction-model.html) on locking and transactions.

# %% [markdown] footer=true
# ← [2.1 FastAPI](../02_web/01_fastapi.ipynb) · [Board](../00_start_here.ipynb) · [3.1b Transactions, indexes, plans](01b_transactions_indexes.ipynb) →
