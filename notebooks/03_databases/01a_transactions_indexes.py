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
# The sitting on transactions, 83 minutes: what transactions keep apart, and what that costs. (The other sittings of 3.1
# are about indexes, time, [locks](01d_transactions_indexes.ipynb) and plans.) Needs PostgreSQL. If MySQL and MariaDB are there too, it measures them as well.
#
# Two pilots are on call, and one of them must stay on call. Both feel ill, and both press *off call* at the same
# moment. The service checks the rule and changes the row in one transaction, at `REPEATABLE READ`. Can both go? And
# does your answer depend on the database system?
#
# **You will be able to show that …**
#
# 1. one isolation level means different things in four database systems;
# 2. after a refusal, the whole transaction must be repeated;
# 3. the server can tell you which session waits for which, and it ends a circle of waiting sessions;
# 4. some rules belong in an index and not in a check;
# 5. one open transaction can keep all old rows alive.

# %%
import re
import sqlite3
import tempfile
import time
from pathlib import Path

import sqlalchemy

from helpers import answer, check, claim, data, services, stamp
from helpers import show_bars, show_source, show_table
from helpers.labs.databases import transactions as lab

pg = lab.postgres()
mysql = services.mysql(required=False)
mariadb = services.mariadb(required=False)
stamp()

# %% [markdown]
# The access layer is SQLAlchemy Core, and you can see all of the SQL, because `exec_driver_sql` sends a string as it
# is. In `AUTOCOMMIT` mode, SQLAlchemy and the drivers under it (psycopg, pymysql, sqlite3) begin no transaction by
# themselves. So you can read every `begin` and `commit` below.

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


def copy_in(table, rows):
    """COPY rows into a table: one statement, one stream."""
    into = f"copy {table} from stdin"
    with pg.connect(autocommit=True) as connection, connection.cursor() as cursor, cursor.copy(into) as copy:
        for row in rows:
            copy.write_row(row)


airline = pg.engine(isolation_level="AUTOCOMMIT")

# %% [markdown]
# A bug of isolation needs two clients in an unlucky order. You cannot hope for this order, and `sleep` makes it likely
# but not certain. Here the order is *written down* in a script. `A:` and `B:` are two connections, each with its own
# thread. The next line is sent when every session has answered, or when **the server itself says** that the others wait
# for a lock. A line for a waiting session queues in its thread.

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
# The crew desk has a rule: at least one pilot must be on call. Ada and Barbara are on call, and both press *off call*
# at the same moment. For each of them the service begins a transaction at `REPEATABLE READ`. It reads the names of the
# pilots on call, sees two, and takes the one that asked off call.

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
claim("transactions_indexes.pilots_snapshot", "at REPEATABLE READ both pilots' transactions commit, and nobody is on call",
      [left_by_snapshot, snapshot.errors], equals=[0, []], proves={"transactions_indexes.q1": "c"})
claim("transactions_indexes.pilots_serializable", "at SERIALIZABLE one transaction fails with 40001, and one pilot stays on call",
      [left_by_serializable, serializable.errors], equals=[1, ["40001"]])

# %% [markdown]
# **Reading it.** No statement is wrong, no row was written twice, and no session waited. Each transaction is right
# *alone*. If they run one after the other, the second reads one name and stays. But the rule spans two rows, and each
# transaction writes one of them and relies on the other. This is a **write skew**, and a snapshot does not prevent it.
#
# **Why.** `REPEATABLE READ` in PostgreSQL is *snapshot isolation*. The first statement fixes the data that the
# transaction sees, and only a second write of the *same row* is refused. `SERIALIZABLE` takes the same snapshots and
# adds bookkeeping. Reads leave `SIReadLock` entries, which block no other session. A write that meets such an entry
# notes that this reader must come before this writer. Every anomaly of snapshots contains two such edges in a row, so
# PostgreSQL then refuses one of the transactions. ([Manual,
# 13.2.3](https://www.postgresql.org/docs/17/transaction-iso.html#XACT-SERIALIZABLE); [Ports and
# Grittner](https://arxiv.org/abs/1208.4179), the paper of the people that built it.) Look at the step where the refusal
# came: it is **the commit**. Code that only catches errors around its statements misses it.
#
# **In production.** An incident of this kind has no error, no log line and no slow query. You find it when a pilot is
# needed and none is on call. Look for code that *reads a set, decides, and writes something else*: seats left over
# several fare classes, limits over several accounts, "no two meetings in one room".

# %% [markdown] claim="transactions_indexes.pilots_snapshot" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: lock the rows that you read</summary>
#
# `for update` locks each row as a write does. Now both transactions want the same rows, and the snapshot's own rule
# refuses the second. (At `SERIALIZABLE` one of them is refused as before.)
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
# Only serialisable transactions leave these entries and look at them. If one service writes at a lower level, the
# others lose the guarantee too. So set `default_transaction_isolation` for the database or the role.
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
# The SQL standard defines its levels by the anomalies that must *not* happen. It does not say what happens instead, and
# systems differ in this. Here are five scripts, each a short one for its anomaly. `inventory` has the seats left of
# UA1545 (10), `waitlist` has the customers that wait for a seat, and `pilots` says which pilots are on call.

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
# An anomaly has happened if the rows that were read, or the rows that are left, show it. (In *lost update* A sells one
# seat and B two, so 7 must remain.)

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
# **Predict.** At REPEATABLE READ, two clerks overwrite each other's seat count. Where is the first sale lost?
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
# | in the picture | means |
# |---|---|
# | *happens* | the anomaly happened, without any error |
# | *waits* | prevented: one session had to wait for the other |
# | a code | prevented: one of the two was refused with this error |
# | – | prevented: the session was shown an older version, or only committed data |
#
# Now compare with the manuals, one line per level, with the columns in the order of the picture.

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
claim("transactions_indexes.iso_mysql", "MySQL's REPEATABLE READ loses the update; its SERIALIZABLE locks and deadlocks",
      {level: " ".join(row) for level, row in matrix.get("MySQL", {}).items()}, equals=documented,
      unmeasured=mysql, proves={"transactions_indexes.q2": "b"})

# %%
refuses = mariadb and tuple(map(int, mariadb.version.split("."))) >= (11, 6, 2)
documented = documented | {"REPEATABLE READ": f"– – – {'1020' if refuses else 'happens'} happens"}
claim("transactions_indexes.iso_mariadb", "MariaDB does the same, but from 11.6.2 on it refuses the lost update with 1020",
      {level: " ".join(row) for level, row in matrix.get("MariaDB", {}).items()}, equals=documented,
      unmeasured=mariadb)

# %%
busy = "SQLITE_BUSY SQLITE_BUSY"
claim("transactions_indexes.iso_journal", "SQLite with a rollback journal shows no anomaly: a writer is refused while others read",
      " ".join(matrix["SQLite, rollback journal"]["(its only one)"]), equals=f"– {busy} {busy}")
claim("transactions_indexes.iso_wal", "SQLite with a write-ahead log shows no anomaly: readers keep their snapshot, and one session writes",
      " ".join(matrix["SQLite, WAL"]["(its only one)"]), equals=f"– – – {busy}")

# %% [markdown]
# **Reading it.** First look at one column. For *lost update* at `REPEATABLE READ`, PostgreSQL refuses the update and
# MySQL loses it. MariaDB loses it up to 11.6.1 and refuses it since. Then look at one line. `SERIALIZABLE` prevents all
# five in each of the three servers: PostgreSQL by *snapshots and refusals*, InnoDB by *waiting and deadlocks*. An
# application on either needs the retry of the next experiments, for different codes.
#
# **Why.**
#
# - **PostgreSQL** has three behaviours for four names, because `READ UNCOMMITTED` is `READ COMMITTED` ([Table
#   13.1](https://www.postgresql.org/docs/17/transaction-iso.html)). A dirty read would need an uncommitted version of
#   another transaction, and the visibility rules never show one. The manual's table does not name lost update and write
#   skew. See [13.2.2](https://www.postgresql.org/docs/17/transaction-iso.html#XACT-REPEATABLE-READ) for the refused
#   update and [13.2.3](https://www.postgresql.org/docs/17/transaction-iso.html#XACT-SERIALIZABLE) for the refused skew.
# - **InnoDB** has two kinds of reads in one transaction: a plain `select` reads the snapshot, while `update`, `delete`
#   and `select … for update` read *the newest committed row*. So B's `update` at `REPEATABLE READ` overwrites a row
#   that B has never seen. `SERIALIZABLE` turns plain reads inside a transaction into `for share`. Then two readers that
#   both want to write wait for each other
#   ([manual](https://dev.mysql.com/doc/refman/9.5/en/innodb-transaction-isolation-levels.html)).
# - **MariaDB** closes this gap by
#   [`innodb_snapshot_isolation`](https://mariadb.com/docs/server/server-usage/storage-engines/innodb/innodb-system-variables#innodb_snapshot_isolation):
#   with it, locking a row that is newer than your snapshot gives error 1020. The variable is also in 10.6.18 and
#   10.11.8. Since 11.6.2 it is *on*.
# - **SQLite** allows one writer at a time and has no such levels. With a rollback journal, the writer must wait at its
#   commit until no session reads ([locking](https://www.sqlite.org/lockingv3.html)). With a WAL, readers go on with the
#   old pages ([isolation](https://www.sqlite.org/isolation.html)). These scripts run with a timeout of 0, so a session
#   that would have to wait is refused.
#
# **In production.** The cheapest cure of a lost update is a relative update. `set seats_left = seats_left - 1` lets the
# database read the newest row under the lock that the write takes anyway (the *Mend it* below does this). If the new
# value is computed outside, use `select … for update`, or a version column in the `where` and a look at the row count.
# After a move from MySQL to PostgreSQL, or from MariaDB 10.11 to 11.8, you may see errors that "never happened before".
# The conflicts happened before too, but there was no error.

# %% [markdown] also=["transactions_indexes.iso_mysql", "transactions_indexes.iso_mariadb"] claim="transactions_indexes.iso_postgres" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: let the database compute</summary>
#
# Where the update was lost, it is no longer lost: B waits for A and subtracts from the seats that A left. In SQLite
# nothing changes, because B was refused before and still is.
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
# Without them each statement is its own transaction, and SQLite lets every anomaly through. Even the "dirty" read seems
# to happen, although A's update is committed at once. If your matrix for SQLite looks like this, you have tested the
# driver.
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
# ## Database is locked
#
# The gate application keeps its state in SQLite, in WAL mode. It has a generous timeout, so a session that finds the
# database locked should wait. Support forwards a stack trace: `database is locked`.

# %% [markdown] predict="transactions_indexes.q3"
# **Predict.** A has read in its transaction. B writes and commits, and holds no lock any more. Now A writes, with a
# timeout of 4 s. What happens?
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
# For comparison, B now *holds* the write lock and keeps it. In the first case A has read before, in the second it has
# not.

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
claim("transactions_indexes.busy_snapshot", "A's upgrade fails with SQLITE_BUSY_SNAPSHOT, since its snapshot is out of date",
      error, equals="SQLITE_BUSY_SNAPSHOT", proves={"transactions_indexes.q3": "c"})
claim("transactions_indexes.busy_at_once", "SQLITE_BUSY_SNAPSHOT comes at once, although the timeout is 4 s",
      after, at_most=2, unit="s", did=error)
claim("transactions_indexes.busy_upgrade", "a session that has read does not wait for a busy writer, whatever its timeout",
      upgrade_after, at_most=2, unit="s", did=upgrade_error)
claim("transactions_indexes.busy_patient", "a session that has read nothing waits for the whole timeout",
      locked_after, at_least=0.3, unit="s")

# %% [markdown]
# **Why.** In WAL mode a read transaction remembers the last frame of the log that it may see. A write must append
# *after the newest* frame. But A has not read B's change, so A would write on top of data that it has never seen.
# SQLite refuses this ([`SQLITE_BUSY_SNAPSHOT`](https://www.sqlite.org/rescode.html#busy_snapshot)). It is SQLite's
# 40001, and the cure is the same: roll back, begin again, read again.
#
# And the timeout? It is a *busy handler*, and SQLite calls it only where waiting cannot end in a circle. A reader that
# wants to write while another session writes is half of such a circle (with a rollback journal, the writer waits until
# the readers end). So it gets the error at once
# ([`sqlite3_busy_handler`](https://www.sqlite.org/c3ref/busy_handler.html)). In WAL mode, the timeout protects the
# *first* statement of a transaction. So say early that you will write: `begin immediate` takes the write lock before
# the first read, and it waits for it.
#
# The driver is a second trap. `sqlite3` in its default mode sends its own `begin` before `insert`, `update` and
# `delete`, but not before `select`. These two reads look like one transaction, and they are two:

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
claim("transactions_indexes.driver_begin", "in the driver's default mode two reads in one `with` block see two states",
      len({*before, *behind}), equals=2, baseline=before)

# %% [markdown]
# **In production.** Since Python 3.12, `sqlite3.connect(…, autocommit=False)` keeps a transaction open as PEP 249
# requires ([documentation](https://docs.python.org/3/library/sqlite3.html#sqlite3-transaction-control-autocommit)), and
# `autocommit=True` leaves all of it to your SQL. Choose one of them, because the default is neither. Writers need
# `begin immediate`, a timeout, short transactions, and a retry for the errors that remain.

# %% [markdown] also=["transactions_indexes.busy_at_once"] claim="transactions_indexes.busy_snapshot" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: A does not read, and B is still busy</summary>
#
# A has no snapshot that could be out of date. So it gets the ordinary `SQLITE_BUSY`, after the four seconds.
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
# <summary><b>Break it</b>: no timeout; a transaction that has not read; a driver that begins</summary>
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
# A refusal is part of the contract. It says: *this transaction does not fit, do it again*. So the crew desk adds a
# retry. What exactly must it repeat?

# %% [markdown] predict="transactions_indexes.q4"
# **Predict.** Barbara's transaction got 40001. A new transaction at SERIALIZABLE repeats only its `update`. What
# happens?
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
# First repeat **the statement**, in the same transaction. Look at the last line too: what does `commit` say in a
# transaction that has failed?

# %%
by_statement = refused()
show_table(by_statement.table()[-5:], left=3)

# %% [markdown]
# Then repeat **the writes**, in a new transaction. The service remembers the rows that it read, and its decision.

# %%
refused()
WRITE_AGAIN = "update standby set on_call = false where name = 'Barbara'"
run(airline, "begin isolation level serializable", WRITE_AGAIN, "commit")
left_by_writes = left()
off_call = value(airline, "select count(*) from standby where not on_call")


# %% [markdown]
# Finally repeat **the whole transaction**: read again, decide again, and write if that is still right.

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
claim("transactions_indexes.retry_statement", "after 40001 the transaction accepts no further statement, and its commit raises nothing",
      by_statement.errors, equals=["40001", "25P02"])
claim("transactions_indexes.retry_decision", "repeating only the writes commits what the refusal had prevented",
      left_by_writes, equals=0, did=off_call, proves={"transactions_indexes.q4": "c"})
claim("transactions_indexes.retry_whole", "repeating the whole transaction keeps a pilot on call",
      left_by_whole, equals=1)

# %% [markdown]
# **Why.** The refusal protects a *decision*. The second transaction did not read the rota, so its write cannot
# contradict such a read, and the transaction is serialisable. You must repeat everything from the first read on, with a
# new snapshot ([manual, 13.5](https://www.postgresql.org/docs/17/mvcc-serialization-failure-handling.html)). PostgreSQL
# answers a `commit` in a failed transaction with `ROLLBACK`, and this is not an error. Code that swallowed the first
# error believes that it has committed.
#
# MySQL and MariaDB have the opposite trap. Barbara's booking charges a card and then takes a seat, but the row of the
# seat is locked:

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


claim("transactions_indexes.half_mysql", "in MySQL a lock timeout undoes only the statement, and the commit keeps the charge without the seat",
      half_booking(mysql), equals=["1205", 1], unmeasured=mysql)
claim("transactions_indexes.half_mariadb", "in MariaDB too a lock timeout undoes only the statement",
      half_booking(mariadb), equals=["1205", 1], unmeasured=mariadb)

# %% [markdown]
# **Why.** By default, InnoDB rolls back *the statement* on a lock timeout (1205) and *the transaction* on a deadlock
# (1213) ([manual](https://dev.mysql.com/doc/refman/9.5/en/innodb-error-handling.html)). A handler that logs the error
# and goes on commits half a booking after a 1205. After a 1213 the transaction is gone. In autocommit mode, as here,
# each further statement is then committed by itself.
#
# **In production.** Use one rule for all systems: *an error inside a transaction ends the transaction*. Roll back. If
# the code says *again* (40001 and 40P01 in PostgreSQL; 1213, 1205 and, in MariaDB, 1020 in InnoDB; `SQLITE_BUSY` in
# SQLite), repeat the whole transaction a few times, with a growing and random pause. So no step inside may have effects
# outside. The mail, the charge and the message go out after the commit (6.3 will show the outbox).

# %% [markdown] claim="transactions_indexes.retry_statement" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: back to a savepoint</summary>
#
# After a rollback to a savepoint the transaction accepts statements again. But the snapshot stays, and so does the
# conflict: 40001 once more.
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
# <summary><b>Mend it</b>: the decision inside the write; no decision; an error that ends the transaction</summary>
#
# If the write contains the condition, repeating the write repeats the decision. If the code ignores the rows that it
# read, repeating everything is no better than repeating the write. A client that rolls back leaves no half booking.
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
# The seat map hangs. Three clerks want seat 12A, and one of them went for a coffee with an open transaction. Whom do
# you call? Each of the three servers has the answer in its catalog. In the script, O is the observer.

# %% [markdown] predict="transactions_indexes.q5"
# **Predict.** A holds the row, B waits for it, then C wants it too. Which session does PostgreSQL name as blocking C?
#
# - **a** A, which holds the row
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
claim("transactions_indexes.waits_postgres", "PostgreSQL names for each session the one before it in the queue",
      who_waits(pg), equals=["B waits for A", "C waits for B"], proves={"transactions_indexes.q5": "b"})
claim("transactions_indexes.waits_mysql", "MySQL names every session that is before C in the queue",
      who_waits(mysql), equals=["B waits for A", "C waits for A", "C waits for B"], unmeasured=mysql)
claim("transactions_indexes.waits_mariadb", "MariaDB names every session that is before C, too",
      who_waits(mariadb), equals=["B waits for A", "C waits for A", "C waits for B"], unmeasured=mariadb)

# %% [markdown]
# **Why.** A row lock of PostgreSQL is not in a lock table. It is the transaction's number in the row itself (`xmax`, in
# *A row has versions*). B waits for *transaction A* to end. Meanwhile B holds a lock on the tuple, which is its place
# in the queue, and C waits for this lock. So the culprit is at the end of a chain. If you end B, C only moves up.
# ([`pg_blocking_pids`](https://www.postgresql.org/docs/17/functions-info.html#FUNCTIONS-INFO-SESSION);
# [README.tuplock](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/access/heap/README.tuplock).)
# InnoDB keeps record locks in memory, in a queue for each record, and lists all sessions that are ahead
# ([`sys.innodb_lock_waits`](https://dev.mysql.com/doc/refman/9.5/en/sys-innodb-lock-waits.html)).
#
# Now a circle. Two clerks each seat a family of two, in a different order of seats:

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
claim("transactions_indexes.deadlock_report", "the deadlock report names a cycle of two processes",
      [len(waits), {one for one, _ in waits} == {other for _, other in waits}], equals=[2, True])
claim("transactions_indexes.deadlock_retried", "the refused transaction succeeds when it is started again",
      seated == {{"A": "Hopper", "B": "Lovelace"}.get(loser)}, equals=True)
claim("transactions_indexes.deadlock_order", "if both sides lock in the same order, one waits and none is refused",
      [ordered.errors, ordered.waited], equals=[[], ["B"]])

# %% [markdown]
# **Reading it.** The report says which process waited for which, and on which row. The statements are in the server's
# log, as the hint says. (MySQL and MariaDB keep the last deadlock: `show engine innodb status`, *LATEST DETECTED
# DEADLOCK*.) The manual does not promise which of the sessions is refused.
#
# **Why.** PostgreSQL looks for circles only after a session has waited for `deadlock_timeout` (1 s; 0.1 s in this
# notebook), because the search is expensive and most waits end by themselves
# ([manual](https://www.postgresql.org/docs/17/runtime-config-locks.html#GUC-DEADLOCK-TIMEOUT)). InnoDB looks at each
# wait.
#
# **In production.** If all code paths take these locks in one order, such as by primary key, they form no circle: first
# `select … where seat in (…) order by seat for update`, then the updates. But a foreign key, a trigger, or an `update`
# with another plan may take locks in an order that you do not see in your code. So keep the retry. The victim is rolled
# back and repeats as after any other refusal. The other session notices nothing.

# %% [markdown] also=["transactions_indexes.waits_mysql", "transactions_indexes.waits_mariadb", "transactions_indexes.deadlock_order"] claim="transactions_indexes.waits_postgres" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: C takes another seat; each clerk has another order</summary>
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
# ## One seat, two customers
#
# In the airline's bookings, a customer may give a seat back and another customer may buy it. So *one row for each
# flight and seat* is the wrong rule. *One active row* is the right one. The sale checks this rule in the same statement
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
# **Predict.** Check and insert are one statement. Two clients sell a free seat at READ COMMITTED. How many active rows
# are there?
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
# A seat that is given back must also be for sale again, with the index:

# %%
run(airline, "update seats set active = false where booking_id > 90000", sale(90003))
again = run(airline, f"""
    select count(*), count(*) filter (where active) from seats
    where flight_id = {FLIGHT} and seat = '{SEAT}' and booking_id > 90000""")[0]

# %%
claim("transactions_indexes.seat_history", "some seats rightly have several rows, so a plain unique index cannot be built",
      resold, at_least=1, unit="seats")
claim("transactions_indexes.seat_checked", "if the inserting statement checks the seat, it is still sold twice",
      checked, equals=2, proves={"transactions_indexes.q6": "b"})
claim("transactions_indexes.seat_indexed", "with a unique index on active rows the second sale waits and then fails with 23505",
      [indexed, by_index.waited, by_index.errors], equals=[1, ["B"], ["23505"]])
claim("transactions_indexes.seat_again", "after a cancellation the seat is sold again: two rows, one of them active",
      list(again), equals=[2, 1])

# %% [markdown]
# **Why.** A statement at `READ COMMITTED` sees the rows that were committed when it began. A's row is not committed
# yet, so `not exists` is true for B: the check reads *the past*. The index does not depend on snapshots. A's entry is
# in the tree before A commits. B's insertion finds it, sees that A is still at work, and waits for A's end. If A
# commits, B gets 23505. If A rolls back, B's sale goes through
# ([`_bt_check_unique`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/access/nbtree/nbtinsert.c)).
# A [partial index](https://www.postgresql.org/docs/17/indexes-partial.html) holds only the rows of its `where`, so it
# is small.
#
# **In production.** If a constraint can express a rule, use the constraint. `check` is for a rule about one row.
# Unique, partial unique, `exclude` (no two aircraft at one gate at the same time) and foreign keys are rules *between*
# rows. They hold at every level, for every client, and for a script that somebody runs by hand. If no constraint can
# express the rule (the pilots), you need a lock or `SERIALIZABLE`. SQLite has partial indexes too. MySQL and MariaDB
# have none. There you can put a generated column that is null for inactive rows into a unique index, because it treats
# nulls as different. Do not report 23505 as a server error. It means that *somebody was faster*.

# %% [markdown] also=["transactions_indexes.seat_indexed"] claim="transactions_indexes.seat_checked" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: one at a time, by an advisory lock</summary>
#
# Both first take a lock on the flight's number. B gets it when A has committed. B's `insert` is a new statement with a
# new snapshot, and it finds the seat taken. (Without the index this works only if *every* client takes the lock. With
# the index, no client here gets a 23505 any more.)
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
# UA1545 moves from gate B3 to B7. Until this is committed, one clerk sees B7 and another sees B3, and neither waits. So
# both rows must be somewhere. In PostgreSQL every version of a row has an address, `ctid` (page, line). It also records
# the transaction that wrote it, `xmin`, and the one that ended it, `xmax`.

# %% [markdown] predict="transactions_indexes.q7"
# **Predict.** The change of gate is rolled back. What is `xmax` of the old version, which is now valid again?
#
# - **a** 0: no transaction ended it, and the rollback has restored it
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
# `pageinspect` shows all versions on the page, visible or not. It comes with the server's contrib modules.

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
claim("transactions_indexes.two_versions", "at the same time A and B see two versions of the row at two addresses",
      [[row[0], row[3]] for row in (seen_by_a, seen_by_b)], equals=[["(0,2)", "B7"], ["(0,1)", "B3"]])
claim("transactions_indexes.same_writer", "A's transaction id is xmin of the new version and xmax of the old one",
      [seen_by_b[2] == seen_by_a[1], seen_by_b[2] != "0"], equals=[True, True])
claim("transactions_indexes.rolled_back_mark", "after the rollback the old version still has the transaction's id as xmax",
      [seen_after[0], seen_after[2] == seen_by_a[1]], equals=["(0,1)", True], proves={"transactions_indexes.q7": "b"})
claim("transactions_indexes.on_page", "after the rollback the new version is still on the page: two line pointers",
      None if no_pageinspect else len(on_page), equals=2, unmeasured=no_pageinspect)

# %% [markdown]
# **Why.** An `update` writes a new version and puts its transaction's number into `xmax` of the old one. The old values
# are not overwritten. A reader sees a version or not, depending on these numbers, its snapshot, and `pg_xact`.
# `pg_xact` has two bits per transaction that say committed or aborted
# ([`heapam_visibility.c`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/access/heap/heapam_visibility.c)).
# A rollback sets these two bits and touches no row, so it is quick even after an update of ten million rows.
#
# InnoDB does it the other way round. It changes the row in place and puts the *old* version into the undo log. A reader
# of the past walks back along this log, and a rollback must undo all changes one by one
# ([manual](https://dev.mysql.com/doc/refman/9.5/en/innodb-multi-versioning.html)).
#
# **In production.** An `update` that changes no value (an ORM that writes every column, a heartbeat every second) still
# writes a whole new version. When no transaction can see the old version any more, it must be found and removed. The
# next experiment shows how.

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

# %% [markdown] claim="transactions_indexes.rolled_back_mark" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: A commits</summary>
#
# ```diff
# -    A: rollback
# -    B: select ctid::text, xmin::text, xmax::text, gate from gates
# +    A: commit
# +    B: select ctid::text, xmin::text, xmax::text, gate from gates
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.rolled_back_mark")`

# %% [markdown] minutes=4
# ## Ninety-nine per cent deleted
#
# The disk of the gate board's database is nearly full. An operator deletes 99 of every 100 rows and runs `VACUUM`
# to clean up.

# %% [markdown] predict="transactions_indexes.q8"
# **Predict.** 9,900 of 10,000 rows are deleted, and VACUUM has run. How large is the table's file?
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
claim("transactions_indexes.file_after", "VACUUM returns no page if the remaining rows are on the last page",
      pages["9,900 deleted, VACUUM"] / full, equals=1, proves={"transactions_indexes.q8": "a"}, baseline=full)
claim("transactions_indexes.file_refilled", "the next inserts reuse the freed space, and the file does not grow",
      pages["9,900 inserted"] / full, at_most=1.05, unit="×", baseline=full, did=pages["9,900 inserted"])
claim("transactions_indexes.file_rewritten", "VACUUM FULL writes a new, small file",
      pages["9,900 deleted, VACUUM FULL"] / full, at_most=0.1, unit="×",
      baseline=full, did=pages["9,900 deleted, VACUUM FULL"])

# %% [markdown]
# **Why.** `VACUUM` notes the freed space of each page in the *free space map* and removes index entries. It shortens
# the file only by empty pages *at its end*, and only if no other session's lock is in the way. Rows do not move,
# because indexes refer to their addresses. `VACUUM FULL` copies the living rows into a new file. Meanwhile it holds
# `ACCESS EXCLUSIVE`, so other sessions can neither read nor write the table
# ([manual](https://www.postgresql.org/docs/17/routine-vacuuming.html#VACUUM-FOR-SPACE-RECOVERY)).
#
# **In production.** A table's file keeps the size of its worst day. That is fine if such days come again. After a
# one-time purge, `pg_repack` or `pg_squeeze` can rewrite it with short locks. If you purge by date, use partitions:
# `drop table` of a month deletes its files and leaves no dead row. Autovacuum (off in this notebook, for reproducible
# pages) starts at about 20 % dead rows. This is late for a table of 500 million, so lower
# `autovacuum_vacuum_scale_factor` there.

# %% [markdown] claim="transactions_indexes.file_after" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: delete the other 9,900</summary>
#
# Now the hundred remaining rows are on the first page. All empty pages are *at the end*, and VACUUM cuts them off. The
# command and the number of deleted rows are the same.
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
# The dead rows keep their places, because no VACUUM has put them into the free space map. The file nearly doubles. This
# is called bloat.
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
# An analyst opens a transaction, counts the airline's fare classes (six rows), and goes to lunch. Meanwhile the board
# updates each of its 10,000 rows five times. This makes 50,000 dead versions of *another table*. `VACUUM` runs after
# each round.

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
# `VACUUM (VERBOSE)` reports its work in a notice. We need one sentence of it: *… are dead but not yet removable*.

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
UPDATED = "select count(*) from live_board where gate = 'C4'"


def after_lunch(*analyst, database=airline):
    """Dead versions and pages while the analyst is away, the dead ones after her return, and the rows updated."""
    new_board()
    session = database.connect()
    for sql in analyst:
        session.exec_driver_sql(sql)
    for update in FIVE_TIMES:
        run(airline, update, "vacuum live_board")
    away = dead_after_vacuum(), value(airline, LIVE_PAGES)
    session.close()
    return *away, dead_after_vacuum(), value(airline, UPDATED)


# %% [markdown]
# There are five variants: no analyst; the analyst of the question; an analyst that reads at `READ COMMITTED`; one that
# has written a row; and one that is connected to *another database* of this server.

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
        for who, (left, pages, later, _) in lunches.items()
    ]
)

# %%
dead = {who: left for who, (left, *_) in lunches.items()}
updated = {who: rows for who, (*_, rows) in lunches.items()}
claim("transactions_indexes.horizon_nobody", "if no transaction is open, VACUUM leaves no dead row",
      dead["nobody"], equals=0, did=updated["nobody"])
claim("transactions_indexes.horizon_snapshot", "a snapshot of six other rows keeps all 50,000 dead rows, even those that it cannot see",
      dead["REPEATABLE READ"], equals=50_000, proves={"transactions_indexes.q9": "c"})
claim("transactions_indexes.horizon_committed", "an idle reader at READ COMMITTED keeps no dead rows",
      dead["READ COMMITTED"], equals=0, did=updated["READ COMMITTED"])
claim("transactions_indexes.horizon_writer", "a transaction that wrote one row, in any table, keeps all dead rows even at READ COMMITTED",
      dead["READ COMMITTED, wrote a row"], equals=50_000)
claim("transactions_indexes.horizon_database", "a transaction in another database keeps no dead rows",
      dead["REPEATABLE READ, other database"], equals=0, did=updated["REPEATABLE READ, other database"])
claim("transactions_indexes.horizon_pages", "the table grows to about three times the size that the same updates need without the open report",
      lunches["REPEATABLE READ"][1] / lunches["nobody"][1], between=(2.5, 3.5), unit="×")
claim("transactions_indexes.horizon_released", "after the report's transaction ends the next VACUUM removes all dead rows",
      lunches["REPEATABLE READ"][2], equals=0, did=updated["REPEATABLE READ"])

# %% [markdown]
# **Reading it.** The answer *10,000* would be right for a system that compares each version with each snapshot. Four of
# five versions were made and replaced after the analyst's snapshot, so no transaction can ever read them. PostgreSQL
# keeps them too, because it compares the end of every version with *one* number.
#
# Whom do you call? The catalog says which session holds this number back. A setting can also end such a session without
# a call:

# %%
CULPRIT = """select pid from pg_stat_activity where starts_with(state, 'idle in transaction')
             order by greatest(age(backend_xmin), age(backend_xid)) desc nulls last limit 1"""


def gone(pid, seconds=3):
    """Whether a session has ended, or ends within some seconds."""
    deadline = time.monotonic() + seconds
    while value(airline, f"select count(*) from pg_stat_activity where pid = {pid}"):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


new_board()
analyst = pg.connect(autocommit=True)
her_pid = analyst.info.backend_pid
analyst.execute(SNAPSHOT)
analyst.execute(COUNT)
named = run(airline, CULPRIT)
analyst.execute("set idle_in_transaction_session_timeout = '50ms'")
run(airline, *FIVE_TIMES)
ended = gone(her_pid)
left_by_timeout = dead_after_vacuum()
analyst.close()

# %%
claim("transactions_indexes.horizon_culprit", "the oldest snapshot in pg_stat_activity is the analyst's",
      [pid == her_pid for (pid,) in named], equals=[True])
claim("transactions_indexes.horizon_timeout", "with idle_in_transaction_session_timeout her session is ended, and no dead row is kept",
      (ended, left_by_timeout), equals=(True, 0))

# %% [markdown]
# **Why.** Each session publishes two numbers: `backend_xid`, its own transaction if it has written, and `backend_xmin`,
# the oldest transaction that was still at work when its snapshot was taken. The smallest number over all sessions of a
# database is the *horizon*
# ([`ComputeXidHorizons`](https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/storage/ipc/procarray.c)).
# A version that ended after the horizon may still be needed. To know whether it really is, PostgreSQL would have to
# look at every snapshot for every row.
#
# At `READ COMMITTED` a snapshot lives as long as its statement, so the idle reader publishes nothing. The idle *writer*
# does: her transaction is still at work in every snapshot that was taken since. Tables belong to one database, and this
# explains the last line. (Catalogs that all databases share have a horizon over all.)
#
# **In production.** You do not notice the report itself. You notice a small, busy table (a queue, sessions, a board)
# that gets slower by the hour while autovacuum runs again and again. Look at the age of `backend_xmin` and
# `backend_xid` in `pg_stat_activity`; a long `pg_dump` is such a session too. Then look at three other holders of the
# horizon: prepared transactions, replication slots, and a standby with `hot_standby_feedback`. Set
# `idle_in_transaction_session_timeout` for every role that is a service
# ([manual](https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-IDLE-IN-TRANSACTION-SESSION-TIMEOUT); 17
# adds `transaction_timeout`), and give analysts a standby. The timeout has a price: the session ends with 25P03, and
# its client must connect and begin again. In InnoDB the same lunch makes the undo log grow (*History list length* in
# `show engine innodb status`), and readers of old versions walk back along it.

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
# <summary><b>Break it</b>: a cursor; an analyst after all; a write that matches no row; the same database</summary>
#
# An open cursor has a snapshot, at `READ COMMITTED` too. If you read a result in portions all day, its snapshot is open
# all day. An update that matches no row takes no transaction number.
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
# <summary><b>Break it</b>: look for writers only; VACUUM before her return; no timeout</summary>
#
# ```diff
# -             order by greatest(age(backend_xmin), age(backend_xid)) desc nulls last limit 1"""
# +             and backend_xid is not null limit 1"""
# @@
# -    session.close()
# -    return *away, dead_after_vacuum(), value(airline, UPDATED)
# +    still = dead_after_vacuum()
# +    session.close()
# +    return *away, still, value(airline, UPDATED)
# @@
# -analyst.execute("set idle_in_transaction_session_timeout = '50ms'")
# +analyst.execute("set idle_in_transaction_session_timeout = 0")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("transactions_indexes.horizon_culprit")`

# %% [markdown] minutes=25
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the
# worked answer after an attempt. The checks call your functions from two threads against the server of this notebook.
# They let the two send one statement each in turn, so the unlucky order comes every time.
#
# The table is `crew (name, base, on_call)`, and each base must keep a pilot on call. `engine` is an SQLAlchemy engine
# at `READ COMMITTED`. `with engine.begin() as connection:` is one transaction, committed at its end.
# `connection.exec_driver_sql(sql, (name,))` sends SQL with `%s` for a value.
#
# ### Off call, by locks (10 minutes)
#
# Take a pilot off call and return `True`. If no other pilot of the same base would be left on call, change nothing and
# return `False`. Stay at `READ COMMITTED`. No caller may get an error, even if several press at the same moment. Pilots
# of different bases must not wait for each other.

# %% exercise="transactions_indexes.skew_locked" tags=["exercise"]
def off_call(engine, name):
    """Take a pilot off call if the base keeps one; whether it was done. By a lock: nobody gets an error."""
    raise NotImplementedError


# %%
check("transactions_indexes.skew_locked", off_call)

# %% [markdown]
# ### Off call, by repeating (15 minutes)
#
# Keep the same rule without any lock. Work at `SERIALIZABLE` and repeat a refused transaction, with at most `tries`
# attempts in all. Repeat for 40001 and 40P01. Every other error, and the last refusal, go on to the caller.
# (`lab.code_of(error)` gives the code of a `sqlalchemy.exc.DBAPIError`.)

# %% exercise="transactions_indexes.skew_retried" tags=["exercise"]
def off_call_again(engine, name, tries=5):
    """Take a pilot off call if the base keeps one; whether it was done. No locks: repeat what was refused."""
    raise NotImplementedError


# %%
check("transactions_indexes.skew_retried", off_call_again)

# %% [markdown] minutes=5
# ## Asked in interviews
#
# <details>
# <summary>Which isolation level does your service run at, and what does it not protect you from?</summary>
#
# Name the system together with the level. PostgreSQL's default `READ COMMITTED` can lose updates, shows phantoms and
# allows write skew (`transactions_indexes.iso_postgres`). MySQL's default `REPEATABLE READ` shows no phantom to a plain
# `select` (a locking read or an update sees the new rows), but it loses the update too
# (`transactions_indexes.iso_mysql`). In MariaDB this depends on the version (`transactions_indexes.iso_mariadb`).
#
# </details>
#
# <details>
# <summary>Two transactions check a rule, both find it kept, both commit, and it is broken. How, and what do you do?</summary>
#
# This is write skew: each writes a row that the other one only read (`transactions_indexes.pilots_snapshot`). Use
# `SERIALIZABLE` for *all* writers, with a retry (`transactions_indexes.pilots_serializable`), or lock the rows that the
# decision depends on. If a constraint can express the rule, use one (`transactions_indexes.seat_indexed`).
#
# </details>
#
# <details>
# <summary><code>insert … where not exists (…)</code> is one statement. Is it safe?</summary>
#
# No. At `READ COMMITTED` it only sees rows that were committed when it began (`transactions_indexes.seat_checked`). An
# insertion into a unique index also finds uncommitted entries, and waits for their transaction
# (`transactions_indexes.seat_indexed`).
#
# </details>
#
# <details>
# <summary>What exactly do you retry after a serialisation failure?</summary>
#
# The whole transaction from its first read, on a new snapshot (`transactions_indexes.retry_whole`). The failed
# transaction does not accept the statement again (`transactions_indexes.retry_statement`). A new transaction accepts
# the writes alone, but then the decision is old and wrong (`transactions_indexes.retry_decision`).
#
# </details>
#
# <details>
# <summary>A lock timeout in MySQL was caught and logged, the request answered "failed", and yet the customer was charged. Why?</summary>
#
# Error 1205 undoes the statement and not the transaction, and a later commit keeps the rest
# (`transactions_indexes.half_mysql`). Treat any error as the end of the transaction, and roll back.
#
# </details>
#
# <details>
# <summary>How do you find who blocks whom, and what do you look for after a deadlock?</summary>
#
# In PostgreSQL `pg_blocking_pids` gives a chain, and the culprit is at its end (`transactions_indexes.waits_postgres`).
# InnoDB lists all sessions that are ahead (`transactions_indexes.waits_mysql`). The report of a deadlock names the
# circle (`transactions_indexes.deadlock_report`). One order of locks for all code paths prevents it
# (`transactions_indexes.deadlock_order`).
#
# </details>
#
# <details>
# <summary>SQLite says <code>database is locked</code> at once, with a timeout of several seconds. What happened?</summary>
#
# A transaction read first and then wanted to write, and another one had written in between. This is
# `SQLITE_BUSY_SNAPSHOT`, and waiting does not cure it (`transactions_indexes.busy_snapshot`,
# `transactions_indexes.busy_at_once`). Use `begin immediate`, or roll back and begin again.
#
# </details>
#
# <details>
# <summary>A small, busy table gets slower by the hour while autovacuum runs all the time. Your guess?</summary>
#
# I would look for an open transaction in that database. One snapshot keeps every version that has ended since, even in
# tables that it never touched (`transactions_indexes.horizon_snapshot`). A transaction that has written a row does the
# same, also at `READ COMMITTED` (`transactions_indexes.horizon_writer`). `pg_stat_activity` names it
# (`transactions_indexes.horizon_culprit`).
#
# </details>
#
# <details>
# <summary>You deleted 99 of every 100 rows of a table and the disk is as full as before. Why, and what now?</summary>
#
# `VACUUM` makes room inside the file (`transactions_indexes.file_after`, `transactions_indexes.file_refilled`), and it
# cuts off only empty pages at the end. `VACUUM FULL` rewrites the table into a small file
# (`transactions_indexes.file_rewritten`), under a lock that stops all readers and writers of the table.
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. One isolation level does different things in PostgreSQL, MySQL, MariaDB and SQLite. A snapshot allows write skew,
#    and PostgreSQL's `SERIALIZABLE` refuses it.
# 2. After a refusal, the whole transaction must be repeated, and not only the statement or the writes. SQLite refuses
#    at once if waiting cannot help, and a lock timeout of InnoDB can leave half a booking.
# 3. PostgreSQL shows waiting sessions as a chain, and InnoDB shows all that are ahead. In a circle one session is
#    refused and must begin again, and one order of locks prevents the circle.
# 4. A check inside an `insert` reads only committed rows, so it can sell a seat twice. A partial unique index prevents
#    this and still allows a history of the seat.
# 5. PostgreSQL keeps old versions beside new ones. `VACUUM` makes room inside the file, and one open transaction can
#    keep every dead version alive.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `transactions_indexes.iso_postgres`, `transactions_indexes.iso_mysql`, `transactions_indexes.iso_mariadb`,
#    `transactions_indexes.iso_journal`, `transactions_indexes.iso_wal`, `transactions_indexes.pilots_snapshot`,
#    `transactions_indexes.pilots_serializable`
# 2. `transactions_indexes.retry_whole`, `transactions_indexes.retry_statement`, `transactions_indexes.retry_decision`,
#    `transactions_indexes.busy_snapshot`, `transactions_indexes.half_mysql`, `transactions_indexes.half_mariadb`
# 3. `transactions_indexes.waits_postgres`, `transactions_indexes.waits_mysql`, `transactions_indexes.waits_mariadb`,
#    `transactions_indexes.deadlock_one`, `transactions_indexes.deadlock_retried`, `transactions_indexes.deadlock_order`
# 4. `transactions_indexes.seat_checked`, `transactions_indexes.seat_indexed`, `transactions_indexes.seat_again`
# 5. `transactions_indexes.two_versions`, `transactions_indexes.file_after`, `transactions_indexes.file_refilled`,
#    `transactions_indexes.horizon_snapshot`, `transactions_indexes.horizon_writer`
#
# </details>
#
# **Further reading.** PostgreSQL's manual, [chapter 13](https://www.postgresql.org/docs/17/mvcc.html), short and exact. Berenson and
# others, [*A Critique of ANSI SQL Isolation Levels*](https://www.microsoft.com/en-us/research/publication/a-critique-of-ansi-sql-isolation-levels/),
# where write skew got its name. Kleppmann's [Hermitage](https://github.com/ept/hermitage), the same question put to more systems. The
# [InnoDB chapter](https://dev.mysql.com/doc/refman/9.5/en/innodb-locking-transaction-model.html) on locking and transactions.

# %% [markdown] footer=true
# ← [2.8b gRPC and GraphQL](../02_web/08b_grpc_graphql.ipynb) · [Section 3](00_section.ipynb) · [Board](../00_start_here.ipynb) · [3.1b Transactions, indexes, plans](01b_transactions_indexes.ipynb) →
