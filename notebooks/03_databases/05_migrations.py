# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.5 Migrations
#
# > SQLAlchemy, Alembic — Миграции, схемы, tablespaces.
# >
# > Migrations, schemas, tablespaces.
#
# 83 minutes. Needs PostgreSQL. A release of the airline adds a status to its model: bookings can be `refunded` from now on.
# The column is an `Enum` that SQLAlchemy keeps as text with a CHECK constraint, as in `helpers/airline`. The developer runs
# `alembic revision --autogenerate`, and the tests are green.
#
# **You will be able to show that …**
#
# 1. autogenerate compares some properties of a schema, and you can list those that it does not compare;
# 2. a merge, a downgrade and a stamp change less, or more, than their names say, and a killed migration can leave half of its changes;
# 3. a statement that takes a millisecond can stop a service, and what to do about it;
# 4. you can choose DDL by its lock and by the rows that it reads, and repair an index build that failed;
# 5. a backfill can be killed at each step, and a function with the owner's rights can be called safely.

# %%
import sqlalchemy as sa

from helpers import answer, check, claim, show_lines, show_table, stamp
from helpers.labs.databases import migrations as lab

pg = lab.postgres()
stamp()

# %% [markdown] core=true minutes=7
# ## A third status

# %% [markdown] predict="migrations.q1"
# **Predict.** What does autogenerate write into the new migration?
#
# - **a** a change of the constraint: drop the old one, add the new one
# - **b** nothing: `upgrade()` contains only `pass`
# - **c** nothing, and a warning that the constraint may differ

# %%
answer("migrations.q1", None)  # "a", "b" or "c"

# %% [markdown]
# Here is a small model. A keyword argument replaces one part of it, so each change can be tried alone.

# %%
def model(**changed):
    """The tables `flights`, `gates` and `bookings`; a keyword argument replaces a part."""
    part = {"statuses": ["pending", "confirmed"], "kinds": ["web", "desk"], "email": "email", "nullable": True,
            "note": sa.Text, "seats": "seats > 0", "default": "1", "indexed": "flight_id", "only": "seats > 1",
            "total": "seats * 49", "deleted": None, "gates": True, "more": tuple} | changed
    tables = sa.MetaData()
    sa.Table("flights", tables, sa.Column("flight_id", sa.BigInteger, primary_key=True))
    if part["gates"]:
        sa.Table("gates", tables, sa.Column("gate", sa.Text, primary_key=True))
    status = sa.Enum(*part["statuses"], name="status", native_enum=False, create_constraint=True, length=16)
    flight = sa.ForeignKey("flights.flight_id", name="flight", ondelete=part["deleted"])
    sa.Table(
        "bookings", tables,
        sa.Column("booking_id", sa.BigInteger, primary_key=True),
        sa.Column("flight_id", sa.BigInteger, flight),
        sa.Column("status", status, nullable=part["nullable"]),
        sa.Column("kind", sa.Enum(*part["kinds"], name="kind")),  # a type of its own in PostgreSQL
        sa.Column(part["email"], sa.Text, key="email"),
        sa.Column("note", part["note"]),
        sa.Column("seats", sa.Integer, server_default=part["default"]),
        sa.Column("total", sa.Integer, sa.Computed(part["total"], persisted=True)),
        sa.CheckConstraint(part["seats"], name="seats"),
        sa.Index("ix_bookings", part["indexed"], postgresql_where=sa.text(part["only"])),
        *part["more"](),
    )
    return tables


def compare(tables, **options):
    """The operations that autogenerate would write for this model, by name, and "a warning" for each warning."""
    assert lab.ddl(tables) != lab.ddl(model()), "this model is the old one"
    with engine.connect() as connection, lab.warned() as warnings:
        context = lab.MigrationContext.configure(connection, opts=options)
        found = lab.compare_metadata(context, tables)
    operations = [one[0] for entry in found for one in (entry if isinstance(entry, list) else [entry])]
    return operations + ["a warning" for _ in warnings]


# %%
engine = lab.database(pg, "autogenerate")
model().create_all(engine)
release = model(statuses=["pending", "confirmed", "refunded"])
written = compare(release)
first_refund = lab.refused(engine, "insert into bookings (booking_id, status) values (1, 'refunded')")
print(f"operations and warnings: {written}; the first refund in production: {first_refund}")

# %%
claim("migrations.status_unseen", "no operation, no warning, and the first refund is refused: 23514, check violation",
      [written, first_refund], equals=[[], "23514"], proves={"migrations.q1": "b"})

# %% [markdown]
# The tests were green because they create the tables from the model (`create_all`), and not by the migrations. What else does
# autogenerate not see?

# %%
CHANGES = {
    "a new column": {"more": lambda: [sa.Column("gate", sa.Text)]},
    "another type": {"note": sa.String(40)},
    "NOT NULL": {"nullable": False},
    "a new unique constraint": {"more": lambda: [sa.UniqueConstraint("flight_id", name="one")]},
    "an index on another column": {"indexed": "seats"},
    "ON DELETE CASCADE": {"deleted": "CASCADE"},
    "a table that the model does not have": {"gates": False},
    "a renamed column": {"email": "contact"},
    "a new CHECK": {"more": lambda: [sa.CheckConstraint("seats < 10", name="most")]},
    "another condition in a CHECK": {"seats": "seats >= 0"},
    "a member of an Enum, CHECK": {"statuses": ["pending", "confirmed", "refunded"]},
    "a member of an Enum, native": {"kinds": ["web", "desk", "app"]},
    "another WHERE of an index": {"only": "seats > 2"},
    "another generated expression": {"total": "seats * 59"},
    "another server default": {"default": "2"},
}
strict = {"compare_server_default": True}  # both are off unless env.py says so
if lab.CHECKS_BY_NAME:
    strict["autogenerate_plugins"] = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"]
seen = {change: compare(model(**parts)) for change, parts in CHANGES.items()}
seen_strictly = {change: compare(model(**parts), **strict) for change, parts in CHANGES.items()}
show_table([{"the change in the model": change, "autogenerate writes": ", ".join(seen[change]) or "—",
             "with both options": ", ".join(seen_strictly[change]) or "—"} for change in CHANGES], left=3)

# %%
missed = [change for change, operations in seen.items() if not operations]
claim("migrations.autogen_missed", "of fifteen changes of a model, autogenerate does not see seven by default",
      [len(CHANGES), missed], equals=[15, [*CHANGES][8:]])
claim("migrations.autogen_rename", "a rename becomes a new column and the removal of the old one",
      sorted(seen["a renamed column"]), equals=["add_column", "remove_column"])
claim("migrations.autogen_byname", "the plugin finds a new CHECK, and not a new condition under an old name",
      [len(seen_strictly[change]) for change in ("a new CHECK", "another condition in a CHECK")], equals=[1, 0],
      unmeasured=None if lab.CHECKS_BY_NAME else "this Alembic has no checkconstraint_byname: install 1.20")

# %% [markdown]
# **Why.** Autogenerate reads the catalog through SQLAlchemy's inspector and compares what it has a comparison for. The
# [documentation](https://alembic.sqlalchemy.org/en/latest/autogenerate.html#what-does-autogenerate-detect-and-what-does-it-not-detect)
# lists the rest. PostgreSQL stores a CHECK as a parsed expression and prints it in its own words (an IN list comes back as
# `= ANY (ARRAY[…])`). Two texts may mean the same, so Alembic does not compare them. The
# plugin (`alembic/ext/checkconstraint_byname.py`) compares the *names* only. For a changed generated column it
# writes nothing; with `compare_server_default` it warns.
#
# **In production.** Read what was generated; the rename is the dangerous line, because it runs without an error
# and the data of the old column are gone. A table that the
# model does not have is dropped, too, even if another team owns it (`include_object` filters). `alembic check` in CI is the same
# comparison: it finds a forgotten migration, and none of the seven. So run the tests on a database that the *migrations* have
# made. A test that saves a refund fails there.
#
# For a CHECK, put its version into the name (`status_3`), and turn on the plugin. Give every constraint a name, because a
# migration must say which one it drops. A `naming_convention` can name keys and indexes; a CHECK needs a name from you
# (`helpers/airline/models.py`). The `length=16` of the status matters, too: without a length, a longer member also changes the
# VARCHAR, and autogenerate writes that change, and still not the CHECK.

# %% [markdown] claim="migrations.status_unseen" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: write the change of the constraint by hand; and let the release change something that is compared</summary>
#
# ```diff
# -release = model(statuses=["pending", "confirmed", "refunded"])
# +release = model(statuses=["pending", "confirmed", "refunded"], note=sa.String(40))
# +lab.run(engine, "alter table bookings drop constraint status, add constraint status check (status <> '')")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.status_unseen")`

# %% [markdown] also=["migrations.autogen_rename", "migrations.autogen_byname"] claim="migrations.autogen_missed" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: use both options; leave the column's name; give the condition a name of its own</summary>
#
# ```diff
# -    "a renamed column": {"email": "contact"},
# +    "a renamed column": {"note": sa.String(40)},
# @@
# -    "another condition in a CHECK": {"seats": "seats >= 0"},
# +    "another condition in a CHECK": {"more": lambda: [sa.CheckConstraint("seats >= 0", name="seats_2")]},
# @@
# -seen = {change: compare(model(**parts)) for change, parts in CHANGES.items()}
# +seen = {change: compare(model(**parts), **strict) for change, parts in CHANGES.items()}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.autogen_missed")`

# %% [markdown] minutes=6
# ## Two branches, three pods
#
# Grace adds the status `refunded`, Ken adds `waiting`. Both start from revision `v1`, where a CHECK allows `pending` alone. Each
# migration drops the CHECK and creates it again with one status more. Then both branches are merged in Git, without a conflict: they are two files.

# %% [markdown] predict="migrations.q2"
# **Predict.** `alembic upgrade head` complains about two heads. The developer runs `alembic merge heads` and upgrades again.
# Which of the two new statuses does the table accept then?
#
# - **a** both: that is what a merge is for
# - **b** one of them
# - **c** none: Alembic finds the conflict and refuses to merge

# %%
answer("migrations.q2", None)  # "a", "b" or "c"

# %%
def one_more(status):
    """The body of a migration that allows one status more than `v1`."""
    return f"""
        op.drop_constraint("status", "bookings")
        op.create_check_constraint("status", "bookings", "status in ('pending', '{status}')")
    """


engine = lab.database(pg, "branches", "create table bookings (status text constraint status check (status = 'pending'))")
branches = lab.Migrations(engine)
branches.write("v1", None)
branches.write("grace", "v1", one_more("refunded"))
branches.write("ken", "v1", one_more("waiting"))
heads = branches.heads()
complaint = branches.problem("upgrade", "head")
branches.write("merged", ("grace", "ken"))  # what `alembic merge heads` writes: two parents, and nothing to do
branches.upgrade()
tries = {status: lab.refused(engine, f"insert into bookings values ('{status}')") for status in ("refunded", "waiting")}
print(complaint)
print(f"now at {branches.current()}; refused: {tries}")

# %%
claim("migrations.two_heads", "two files with one parent are two heads, and `upgrade head` refuses to choose",
      [heads, complaint.startswith("CommandError: Multiple head revisions")], equals=[["grace", "ken"], True])
claim("migrations.merge_graph", "after the merge one of the two statuses is refused by the CHECK",
      sorted(tries.values(), key=str), equals=["23514", None], proves={"migrations.q2": "b"})

# %% [markdown]
# **Why.** A revision knows its parents, and nothing else. `merge` writes an empty revision with two parents, so the *graph* has
# one head again. The branch that runs later replaces what the other one has written. The
# [documentation](https://alembic.sqlalchemy.org/en/latest/branches.html) says how to work with branches on purpose. For two
# that met by accident, it is safer to make the second one follow the first: change its `down_revision`, and read both bodies.
# Let CI count `alembic heads`.
#
# The second situation needs no second branch. Three pods of a release start at the same time, and each of them runs `alembic
# upgrade head` first. The migration raises all fares by 10 %, and one flight costs 1,000.

# %% [markdown] predict="migrations.q3"
# **Predict.** `env.py` is as `alembic init` writes it, and takes no lock. All three pods have read the version before one of
# them commits. What happens?
#
# - **a** three pods succeed, and the flight costs 1,331
# - **b** one pod succeeds, two fail, and it costs 1,100
# - **c** three pods succeed, and it costs 1,100: the others wait and find nothing to do

# %%
answer("migrations.q3", None)  # "a", "b" or "c"

# %%
RAISE = "update flights set fare = fare * 11 / 10"
MEET = "from helpers.labs.databases.migrations import all_pods_are_here as meet; meet(op.get_bind(), 3)"


def release(name, body, before=None):
    """A database at `v1` in which a flight costs 1,000, and a release with the migration `v2`."""
    fares = lab.database(pg, name, "create table flights (fare int)", "insert into flights values (1000)")
    migrations = lab.Migrations(fares, before=before)  # env.py executes `before` in its transaction
    migrations.write("v1", None)
    migrations.upgrade()
    migrations.write("v2", "v1", f"{MEET}\n{body}")
    return migrations


lock = "select pg_advisory_xact_lock(1545)"
releases = {
    "as it is": release("pods_1", f'op.execute("{RAISE}")'),
    "in an autocommit_block": release("pods_2", f'with op.get_context().autocommit_block():\n    op.execute("{RAISE}")'),
    "with a lock in env.py": release("pods_3", f'op.execute("{RAISE}")', before=lock),
}
problems = lab.pods(*releases.values(), count=3)  # `alembic upgrade head` in three processes at once


def outcome(problem):
    """What became of a pod; "no row v1" if its UPDATE of the version found no row."""
    return "ok" if problem is None else "no row v1" if "when updating 'v1'" in problem and "0 found" in problem else problem


rollouts = {how: [[outcome(problem) for problem in three], lab.ask(releases[how].engine, "select fare from flights")]
            for how, three in zip(releases, problems, strict=True)}
show_table([{"the migration": how, "the pods": ", ".join(pods), "the fare": fare} for how, (pods, fare) in rollouts.items()], left=2)
print(problems[0][0])

# %%
claim("migrations.pods_unlocked", "one pod of three succeeds, and the fare is raised once",
      rollouts["as it is"], equals=[["no row v1", "no row v1", "ok"], 1_100], proves={"migrations.q3": "b"})
claim("migrations.pods_autocommit", "outside of Alembic's transaction all three raise the fare before two of them fail",
      rollouts["in an autocommit_block"], equals=[["no row v1", "no row v1", "ok"], 1_331])
claim("migrations.pods_locked", "with a lock before the version is read, no pod fails",
      rollouts["with a lock in env.py"], equals=[["ok", "ok", "ok"], 1_100])

# %% [markdown]
# **Why.** Alembic takes no lock. The last statement of a revision is `UPDATE alembic_version SET version_num = 'v2' WHERE version_num = 'v1'`, in
# the same transaction as the migration. The two others had changed the fare as well, after they had waited for the row. Then
# their UPDATE of the version found no row, Alembic raised an error, and their transactions were rolled back. What an
# `autocommit_block` has committed stays. The maintainer's answer to
# [#633](https://github.com/sqlalchemy/alembic/issues/633) is: nothing that blocks is built in, configure it in `env.py`.
#
# **In production.** Run migrations as one job before the rollout, not in each pod. If every pod must do it, take an advisory lock in `env.py` before
# the version is read. The lock of this experiment ends with its transaction, and an `autocommit_block` commits that transaction. If any
# migration has such a block, hold a session's lock on a connection of its own. A later experiment shows what a lock does to `CREATE INDEX CONCURRENTLY`.

# %% [markdown] also=["migrations.merge_graph"] claim="migrations.two_heads" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: Ken's migration follows Grace's, and allows both</summary>
#
# ```diff
# -branches.write("ken", "v1", one_more("waiting"))
# +branches.write("ken", "grace", one_more("refunded', 'waiting"))
# @@
# -branches.write("merged", ("grace", "ken"))  # what `alembic merge heads` writes: two parents, and nothing to do
# +branches.write("next", "ken")
# @@
# -complaint = branches.problem("upgrade", "head")
# +complaint = str(branches.problem("upgrade", "head"))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.two_heads")`

# %% [markdown] also=["migrations.pods_autocommit", "migrations.pods_locked"] claim="migrations.pods_unlocked" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the lock for the first two; and, as a mistake, a lock of its own for each pod of the third</summary>
#
# ```diff
# -    "as it is": release("pods_1", f'op.execute("{RAISE}")'),
# +    "as it is": release("pods_1", f'op.execute("{RAISE}")', before=lock),
# @@
# -    "in an autocommit_block": release("pods_2", f'with op.get_context().autocommit_block():\n    op.execute("{RAISE}")'),
# +    "in an autocommit_block": release("pods_2", f'op.execute("{RAISE}")', before=lock),
# @@
# -    "with a lock in env.py": release("pods_3", f'op.execute("{RAISE}")', before=lock),
# +    "with a lock in env.py": release("pods_3", f'op.execute("{RAISE}")', before="select pg_advisory_xact_lock(pg_backend_pid())"),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.pods_unlocked")`

# %% [markdown] minutes=9
# ## Half a migration
#
# A migration creates a table, and its next statement has a typing error. The developer corrects the statement and runs `upgrade` again.

# %% [markdown] predict="migrations.q4"
# **Predict.** On which databases does the second run succeed?
#
# - **a** on PostgreSQL and on SQLite
# - **b** on PostgreSQL
# - **c** on neither

# %%
answer("migrations.q4", None)  # "a", "b" or "c"

# %%
def twice(engine):
    """Run the migration with the error, then the corrected one; the problem of each run."""
    vouchers = lab.Migrations(engine)
    create = "op.create_table('vouchers', sa.Column('code', sa.Text))"
    vouchers.write("v1", None, f"{create}\nop.execute(\"insert into vuochers values ('A')\")")
    first = vouchers.problem("upgrade", "head")
    vouchers.write("v1", None, f"{create}\nop.execute(\"insert into vouchers values ('A')\")")
    return first, vouchers.problem("upgrade", "head")


sqlite = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)  # one connection, in memory
runs = {"PostgreSQL": twice(lab.database(pg, "half")), "SQLite": twice(sqlite)}
show_table([{"database": name, "first run": first, "second run": second or "succeeds"} for name, (first, second) in runs.items()], left=3)

# %%
claim("migrations.half", "PostgreSQL has rolled the table back; on SQLite it is in the way",
      [runs["PostgreSQL"][1], runs["SQLite"][1]], equals=[None, "OperationalError: table vouchers already exists"],
      proves={"migrations.q4": "b"})

# %% [markdown]
# **Why.** In PostgreSQL nearly all DDL is part of the transaction. In MySQL a DDL statement commits, and
# Python's `sqlite3` by default opens a transaction before INSERT, UPDATE and DELETE, not before CREATE. Alembic knows it: its
# `transactional_ddl` is on for PostgreSQL and off for the two others (`alembic/ddl`). An incident is
# [mlflow#23721](https://github.com/mlflow/mlflow/issues/23721): a migration stopped half-way on MySQL, and
# each restart failed with *Table 'secrets' already exists*. Where DDL commits, write one statement per revision.
#
# A migration can also be killed: a pod is evicted, a job has a time limit. Here are two migrations that are killed (SIGKILL) before
# their first change, then before their second, … and before each commit. After each kill `alembic upgrade head` runs again. Before
# you read the second table: after which of its kills is the database neither old nor new?

# %%
engine = lab.database(pg, "interrupted", "create table bookings (booking_id int)")
RESTORE = ["drop table if exists bookings, gates", "create table bookings (booking_id int)", "insert into bookings values (1)",
           "update alembic_version set version_num = 'v1'"]
STATE = """
    select (select version_num from alembic_version),
           exists (select from pg_attribute where attrelid = 'bookings'::regclass and attname = 'gate'),
           to_regclass('gates') is not null, to_regclass('ix_gate') is not null"""
COLUMN = "op.add_column('bookings', sa.Column('gate', sa.Text))"
ATOMIC = f"{COLUMN}\nop.create_table('gates', sa.Column('gate', sa.Text))\nop.execute(\"update bookings set gate = 'C1'\")"
INDEX = f"""{COLUMN}
with op.get_context().autocommit_block():
    op.create_index('ix_gate', 'bookings', ['gate'], postgresql_concurrently=True)"""


def killed_at_each_step(body):
    """What the upgrade was about to do at each kill; what was there then; what stopped a second run; what is there in the end."""
    migrations = lab.Migrations(engine)
    migrations.write("v1", None)
    migrations.upgrade("v1")
    migrations.write("v2", "v1", body)
    kills = lab.interrupted(migrations, RESTORE, STATE)
    lab.run(engine, "drop table alembic_version")
    return [(what, state, again or "succeeds", end) for what, state, again, end in kills]


interrupted = {"in one transaction": killed_at_each_step(ATOMIC), "with CONCURRENTLY": killed_at_each_step(INDEX)}
for migration, found in interrupted.items():
    show_table([{migration + ", killed before": what[:40], "version": version, "column": column, "table": table, "index": index,
                 "upgrade again": again} for what, (version, column, table, index), again, _ in found], left=2)

# %%
old, new = ["v1", False, False, False], ["v2", True, True, False]
again = 'ProgrammingError: column "gate" of relation "bookings" already exists'
claim("migrations.killed_atomic", "killed before any of four changes or the commit, nothing is there, and a second run does it all",
      [kill[1:] for kill in interrupted["in one transaction"]], equals=[(old, "succeeds", new)] * 5)
claim("migrations.killed_block", "once the block has begun, the column is there under the old version, and no second run succeeds",
      [kill[1:3] for kill in interrupted["with CONCURRENTLY"]],
      equals=[(old, "succeeds")] * 2 + [(["v1", True, False, index], again) for index in (False, True, True, True)])

# %% [markdown]
# **Why.** `autocommit_block` commits what the migration has done so far, because `CREATE INDEX CONCURRENTLY` cannot run in a transaction
# block. The version is written after it. (A COMMIT inside of the block is SQLAlchemy's event; the server has committed already.)
#
# **In production.** Put such a statement into a revision of its own, and make it repeatable:
# `drop index concurrently if exists`, then build.
#
# A migration also stops if its role has too few rights. `deployer` may change rows, and does not own the table.

# %%
engine = lab.database(pg, "rights", "drop role if exists deployer", "create role deployer",
                      "create table bookings (fare int)", "insert into bookings values (49)")
rights = lab.Migrations(engine)
rights.write("v1", None)
rights.upgrade()
lab.run(engine, "grant select, update on bookings, alembic_version to deployer")
rights.before = "set local role deployer"  # executed by env.py
rights.write("v2", "v1", f"op.execute('update bookings set fare = fare * 100')\n{COLUMN}")
refusal = rights.problem("upgrade", "head")
kept = lab.ask(engine, "select fare, version_num from bookings, alembic_version")
print(f"{refusal}; afterwards: {kept}")

# %%
claim("migrations.no_rights", "the role may not add the column: its UPDATE is rolled back, and the version is the old one",
      [refusal, kept], equals=["ProgrammingError: must be owner of table bookings", [(49, "v1")]])

# %% [markdown]
# Only the owner of a table (or a member of the owning role) may alter it. No grant gives this right. So migrations run as the owner, and
# the service as a role that owns nothing.
#
# Three more commands promise more than they do. A release assigns gates, is taken back, and comes again. The script for the
# database administrators is made with `--sql`. And somebody stamps a database.

# %%
engine = lab.database(pg, "commands", "create table bookings (booking_id int)",
                      "insert into bookings select generate_series(1, 3)")
gates = lab.Migrations(engine)
gates.write("v1", None)
gates.write("gates", "v1", "op.add_column('bookings', sa.Column('gate', sa.Text))", "op.drop_column('bookings', 'gate')")
has_gates = "select count(gate) from bookings"

gates.upgrade("head")
lab.run(engine, "update bookings set gate = 'C' || booking_id")
before = lab.ask(engine, has_gates)
gates.downgrade("v1")
gates.upgrade("head")
after = lab.ask(engine, has_gates)

gates.write("numbers", "gates", "rows = op.get_bind().execute(sa.text('select booking_id from bookings'))\n"
            "for row in rows:\n    op.execute(f\"update bookings set gate = 'D{row.booking_id}' where booking_id = {row.booking_id}\")")
offline = gates.problem("upgrade", "gates:numbers", sql=True)
online = gates.problem("upgrade", "head")

gates.write("seats", "numbers", "op.add_column('bookings', sa.Column('seat', sa.Text))")
gates.command("stamp", "head")
gates.upgrade("head")
stamped = gates.current(), [column["name"] for column in sa.inspect(engine).get_columns("bookings")]
print(f"gates: {before}, after downgrade and upgrade {after}\nwith --sql: {offline}\nstamped: {stamped}")

# %%
claim("migrations.downgrade", "after downgrade and upgrade the column is there, and the three gates are not",
      [before, after], equals=[3, 0], baseline=before)
claim("migrations.offline", "a migration that reads rows runs online, and fails with --sql",
      [online, offline], equals=[None, "TypeError: 'NoneType' object is not iterable"])
claim("migrations.stamp", "after `stamp head`, `upgrade` has nothing to do, and the column is missing",
      stamped, equals=(["seats"], ["booking_id", "gate"]))

# %% [markdown]
# **Why.** A downgrade is one more change, and nobody keeps a copy for it. It restores the shape of a table and not its content. Offline,
# Alembic has no connection: statements are printed, and the result of a query is `None`. `stamp` writes the version and
# executes nothing.
#
# **In production.** After a release that has taken data, go forward: write a new migration. Keep downgrades for development. A data
# migration that must work offline is one SQL statement (`UPDATE … FROM`), not a loop. Use `stamp` for a database whose schema
# was made otherwise (`create_all`, a restored dump), and then run `alembic check`.

# %% [markdown] claim="migrations.half" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a table that may be there already</summary>
#
# ```diff
# -    create = "op.create_table('vouchers', sa.Column('code', sa.Text))"
# +    create = "op.create_table('vouchers', sa.Column('code', sa.Text), if_not_exists=True)"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.half")`

# %% [markdown] also=["migrations.killed_block", "migrations.no_rights"] claim="migrations.killed_atomic" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: let the first commit its column at once; and mend the others: steps that can be repeated, a role that owns the table</summary>
#
# ```diff
# -ATOMIC = f"{COLUMN}\nop.create_table('gates', sa.Column('gate', sa.Text))\nop.execute(\"update bookings set gate = 'C1'\")"
# +ATOMIC = f"with op.get_context().autocommit_block():\n    {COLUMN}\nop.create_table('gates', sa.Column('gate', sa.Text))"
# @@
# -INDEX = f"""{COLUMN}
# +INDEX = f"""op.add_column('bookings', sa.Column('gate', sa.Text), if_not_exists=True)
# @@
# -    op.create_index('ix_gate', 'bookings', ['gate'], postgresql_concurrently=True)"""
# +    op.create_index('ix_gate', 'bookings', ['gate'], postgresql_concurrently=True, if_not_exists=True)"""
# @@
# -lab.run(engine, "grant select, update on bookings, alembic_version to deployer")
# +lab.run(engine, "grant select, update on alembic_version to deployer", "alter table bookings owner to deployer")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.killed_atomic")`

# %% [markdown] also=["migrations.offline", "migrations.stamp"] claim="migrations.downgrade" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: keep the column; one statement for all rows; upgrade where it was stamped</summary>
#
# ```diff
# -gates.downgrade("v1")
# +lab.run(engine, "update bookings set gate = null where booking_id = 1")
# @@
# -gates.write("numbers", "gates", "rows = op.get_bind().execute(sa.text('select booking_id from bookings'))\n"
# -            "for row in rows:\n    op.execute(f\"update bookings set gate = 'D{row.booking_id}' where booking_id = {row.booking_id}\")")
# +gates.write("numbers", "gates", "op.execute(\"update bookings set gate = 'D' || booking_id\")")
# @@
# -gates.command("stamp", "head")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.downgrade")`

# %% [markdown] core=true minutes=7
# ## An instant ALTER on a Friday
#
# `alter table flights add column gate text` takes a millisecond: it changes the catalog and no row. While it is sent, an analyst's
# report has been reading `flights` for some time. It only reads, it has no lock that a reader would notice, and
# its transaction is open. Passengers search for flights: 25 requests per second, which are reads too.

# %% [markdown] predict="migrations.q5"
# **Predict.** The report goes on. How many of the next 40 searches get an answer?
#
# - **a** all 40: the searches and the report only read
# - **b** all but one or two, in the millisecond of the ALTER
# - **c** none

# %%
answer("migrations.q5", None)  # "a", "b" or "c"

# %%
from helpers import load

engine = lab.airline(pg, "searches")  # the tables of the bookings service, and one flight from Newark
ALTER = "alter table flights add column gate text"


def blocked_by():
    """Each waiting session and the sessions that it waits for, by application_name."""
    return dict(lab.ask(engine, """
        select waiting.application_name, string_agg(holder.application_name, ', ' order by holder.application_name)
        from pg_stat_activity waiting
        join pg_stat_activity holder on holder.pid = any(pg_blocking_pids(waiting.pid))
        where waiting.datname = current_database() group by waiting.pid, 1 order by 1"""))


def queue():
    """A report, the ALTER, then three searches: who waits for whom."""
    count = "select count(*) from flights"
    with lab.named(engine, "report") as report:
        report.exec_driver_sql(count)
        sessions = [lab.Background(lambda: lab.as_named(engine, "alter", ALTER))]
        lab.until(lambda: lab.waiting(engine) == 1)
        sessions += [lab.Background(lambda n=n: lab.as_named(engine, f"search {n}", count)) for n in (1, 2, 3)]
        lab.until(lambda: lab.waiting(engine) == 4)
        found = blocked_by()
    for session in sessions:  # the report has ended, so they go on
        session.end()
    lab.run(engine, "alter table flights drop column gate")
    return found


waits = queue()
show_table([{"waits": session, "for": holder} for session, holder in waits.items()], left=2)

# %% [markdown]
# Now the service itself. It gives up a statement after two seconds. `impatient` is the migration that everybody
# writes. `patient` waits for a lock for 50 ms at most, lets the others pass, and tries again.

# %%
import random
from time import sleep


def impatient():
    with engine.begin() as connection:
        connection.exec_driver_sql(ALTER)
    return 1


def patient():
    for attempt in range(1, 1_000):
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("set local lock_timeout = '50ms'")
                connection.exec_driver_sql(ALTER)
            return attempt
        except sa.exc.OperationalError as error:
            if lab.state_of(error) != "55P03":  # lock_not_available
                raise
        sleep(random.uniform(0.05, 0.15))  # other sessions go first; and not in step with another migration
    raise TimeoutError("the table was never free")


def under_load(url, migrate):
    """40 searches while a report is open and a migration wants the table: what became of them, its attempts, its column."""
    with lab.named(engine, "report") as report:
        report.exec_driver_sql("select count(*) from flights")
        migration = lab.Background(migrate)
        lab.until(lambda: lab.waiting(engine) or migration.ended)
        searches = load.run(url, load.fixed(rate=25, seconds=1.6), [load.Request("/flights?origin=EWR")])
    attempts = migration.end()  # the report has ended
    column = [column["name"] for column in sa.inspect(engine).get_columns("flights") if column["name"] == "gate"]
    lab.run(engine, "alter table flights drop column if exists gate")
    return searches, attempts, column


with lab.service(engine) as service:
    load.run(service.url, [0], [load.Request("/flights?origin=EWR")])  # the first request opens connections
    stopped, _, _ = under_load(service.url, impatient)
    served, attempts, added = under_load(service.url, patient)
print(f"impatient: {stopped.counts}\npatient:   {served.counts}, more than one attempt: {attempts > 1}")

# %% tags=["nbval-ignore-output"]
lines = {name: (result.due, [1_000 * s for s in result.latencies]) for name, result in
         {"impatient": stopped, "patient": served}.items()}
show_lines(lines, title="Each search, while a report is open and an ALTER waits", x="due, seconds", y="until the answer, ms", log="y")

# %%
claim("migrations.lock_queue", "the ALTER waits for the report, and each search waits for the ALTER",
      waits, equals={"alter": "report", "search 1": "alter", "search 2": "alter", "search 3": "alter"})
claim("migrations.instant_stops", "of 40 searches none is answered while the ALTER waits",
      stopped.counts, equals={"503": 40}, proves={"migrations.q5": "c"})
claim("migrations.patient", "with a short lock_timeout and retries all 40 are answered, and the ALTER succeeds in the end",
      [served.counts, attempts > 1], equals=[{"200": 40}, True], did=added)

# %% [markdown]
# **Why.** ADD COLUMN needs ACCESS EXCLUSIVE, which conflicts with the ACCESS SHARE of every SELECT. It has to wait for the report.
# A new request for a lock also queues behind *waiting* requests that it conflicts with, so that the ALTER does get its turn. The searches do not
# wait for the report; they wait for the ALTER. (The [table of lock
# modes](https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES), and `waitMask` in `LockAcquireExtended` of PostgreSQL's
# `lock.c`.) How long the service stands still depends on the longest transaction that has touched the table, even if that transaction is idle.
#
# **In production.** [GoCardless](https://gocardless.com/blog/zero-downtime-postgres-migrations-the-hard-parts/) lost 15 seconds of
# its API to a foreign key on an empty table, because a long query was reading the table that it refers to. (Up to 9.4 a new foreign key took
# ACCESS EXCLUSIVE there, too.) Set `lock_timeout` for each migration, shorter than what
# a request can wait, and retry with a random pause. One locking statement per transaction: a second one keeps the first
# lock while it waits. `statement_timeout` and `idle_in_transaction_session_timeout` limit the reports; a report of many short
# statements needs `transaction_timeout`, which PostgreSQL has from 17 on.

# %% [markdown] claim="migrations.lock_queue" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a lock that does not conflict with readers, instead of the ALTER</summary>
#
# ```diff
# -        sessions = [lab.Background(lambda: lab.as_named(engine, "alter", ALTER))]
# +        sessions = [lab.Background(lambda: lab.as_named(engine, "alter", "lock table flights in row exclusive mode"))]
# @@
# -        lab.until(lambda: lab.waiting(engine) == 1)
# +        sessions[0].end()
# @@
# -        lab.until(lambda: lab.waiting(engine) == 4)
# +        sessions[-1].end()
# @@
# -    lab.run(engine, "alter table flights drop column gate")
# -    return found
# +    return found
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.lock_queue")`

# %% [markdown] also=["migrations.patient"] claim="migrations.instant_stops" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: `impatient` gives up after 20 ms; and, as a mistake, `patient` waits for 50 s</summary>
#
# ```diff
# -def impatient():
# -    with engine.begin() as connection:
# +def impatient():
# +    with engine.begin() as connection:
# +        connection.exec_driver_sql("set local lock_timeout = '20ms'")
# @@
# -                connection.exec_driver_sql("set local lock_timeout = '50ms'")
# +                connection.exec_driver_sql("set local lock_timeout = '50s'")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.instant_stops")`

# %% [markdown] minutes=5
# ## Which ALTER reads the table?
#
# With a short `lock_timeout` nobody waits long behind a migration that waits. What remains is the time that a statement *holds* its lock, and that grows with
# the rows that it reads or writes. Here are three of sixteen statements on a table of 5,000 bookings.

# %% [markdown] predict="migrations.q6"
# **Predict.** `add column a int default 7`, `add column b uuid default gen_random_uuid()`, `alter column total type bigint`
# (it was `int`). Which of them write the whole table anew?
#
# - **a** all three
# - **b** the second and the third
# - **c** only the third: the two new columns are filled in when a row is read

# %%
answer("migrations.q6", None)  # "a", "b" or "c"

# %%
engine = lab.database(pg, "ddl", "create table flights (flight_id int primary key)", """
    create table bookings (booking_id int primary key, flight_id int, status varchar(10), total int, email text)""",
    "insert into flights select generate_series(1, 100)",
    "insert into bookings select n, 1 + mod(n, 100), 'pending', n, 'a' || n from generate_series(1, 5000) n")
LOCKS = """
    select c.relname, string_agg(replace(l.mode, 'Lock', ''), ' + ' order by l.mode) from pg_locks l join pg_class c on c.oid = l.relation
    where l.pid = pg_backend_pid() and c.relname in ('bookings', 'flights') and l.mode <> 'AccessShareLock' group by 1"""
READ = "select coalesce(sum(seq_tup_read), 0)::int from pg_stat_xact_user_tables where relname = 'bookings'"


def examine(statement, first=None):
    """Execute a statement and roll back: its locks, the rows it read, whether it wrote the table into a new file."""
    if first:
        lab.run(engine, first)
    with engine.connect() as connection:
        sql = connection.exec_driver_sql
        file, before = sql("select pg_relation_filenode('bookings')").scalar(), sql(READ).scalar()
        sql(statement)
        locks, read = dict(sql(LOCKS).all()), sql(READ).scalar() - before
        anew = sql("select pg_relation_filenode('bookings')").scalar() != file
        connection.rollback()
    lab.run(engine, "alter table bookings drop constraint if exists c")
    return {"lock on bookings": locks["bookings"], "on flights": locks.get("flights", "—"),
            "rows read": read, "written anew": anew}


CHECK = "alter table bookings add constraint c check (total > 0)"
KEY = "alter table bookings add constraint c foreign key (flight_id) references flights"
VALIDATE = "alter table bookings validate constraint c"
STATEMENTS = {
    "add column, default 7": ["alter table bookings add column a int default 7"],
    "add column, default gen_random_uuid()": ["alter table bookings add column b uuid default gen_random_uuid()"],
    "drop column": ["alter table bookings drop column email"],
    "rename column": ["alter table bookings rename column email to contact"],
    "int → bigint": ["alter table bookings alter column total type bigint"],
    "varchar(10) → varchar(20)": ["alter table bookings alter column status type varchar(20)"],
    "varchar(10) → varchar(8)": ["alter table bookings alter column status type varchar(8)"],
    "SET NOT NULL": ["alter table bookings alter column email set not null"],
    "SET NOT NULL, with a valid CHECK": ["alter table bookings alter column email set not null",
                                        "alter table bookings add constraint c check (email is not null)"],
    "CHECK": [CHECK],
    "CHECK, NOT VALID": [f"{CHECK} not valid"],
    "VALIDATE the CHECK": [VALIDATE, f"{CHECK} not valid"],
    "foreign key": [KEY],
    "foreign key, NOT VALID": [f"{KEY} not valid"],
    "VALIDATE the foreign key": [VALIDATE, f"{KEY} not valid"],
    "CREATE INDEX": ["create index i on bookings (email)"],
}
costs = {name: examine(*statement) for name, statement in STATEMENTS.items()}
show_table([{"statement": name} | cost for name, cost in costs.items()], left=3)

# %%
anew = [name for name, cost in costs.items() if cost["written anew"]]
claim("migrations.ddl_anew", "a volatile default, int to bigint and a shorter varchar write the table anew; a constant default does not",
      anew, equals=["add column, default gen_random_uuid()", "int → bigint", "varchar(10) → varchar(8)"],
      proves={"migrations.q6": "b"})


def held(*names):
    """The lock on bookings and the rows that are read meanwhile."""
    return [(costs[name]["lock on bookings"], costs[name]["rows read"]) for name in names]


claim("migrations.ddl_validate", "a CHECK reads 5,000 rows under ACCESS EXCLUSIVE; NOT VALID reads none, and VALIDATE lets writers work",
      held("CHECK", "CHECK, NOT VALID", "VALIDATE the CHECK"),
      equals=[("AccessExclusive", 5_000), ("AccessExclusive", 0), ("ShareUpdateExclusive", 5_000)])
claim("migrations.ddl_not_null", "with a valid CHECK, SET NOT NULL reads no row",
      held("SET NOT NULL", "SET NOT NULL, with a valid CHECK"), equals=[("AccessExclusive", 5_000), ("AccessExclusive", 0)])
claim("migrations.ddl_key", "a foreign key locks the other table against writers, too, also with NOT VALID",
      [costs[name]["on flights"] for name in ("foreign key, NOT VALID", "VALIDATE the foreign key")],
      equals=["ShareRowExclusive", "RowShare"])

# %% [markdown]
# **Why.** A constant default is stored once, in the catalog (`pg_attribute.attmissingval`), and is supplied when an old row is
# read. A volatile one must be computed for each row. `int` and `bigint` have different bytes on disk. A longer `varchar` has
# the same bytes. NOT VALID checks new rows only, so it is short; VALIDATE reads the old rows under a lock that readers *and writers*
# do not notice ([ALTER TABLE](https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES)). A
# table that is written anew was read twice: once for the new file, and once to build its primary key again.
#
# **In production.** The short way to NOT NULL is four steps: CHECK … NOT VALID, VALIDATE, SET NOT NULL, drop the CHECK. From
# PostgreSQL 18 on, `ADD CONSTRAINT … NOT NULL column NOT VALID` does it without the detour
# ([release notes](https://www.postgresql.org/docs/18/release-18.html)). For `int` → `bigint`, add a second column and fill it in batches, as below. Alembic has
# `postgresql_not_valid=True` for both kinds of constraints, and `op.execute` for VALIDATE. Give each step a revision, and set
# `transaction_per_migration=True` in `env.py`. By default all revisions of one `upgrade` share one transaction, so the
# strong lock of the first step would be held during the second.

# %% [markdown] also=["migrations.ddl_validate", "migrations.ddl_not_null", "migrations.ddl_key"] claim="migrations.ddl_anew" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a stable default, a CHECK that is not validated, no NOT VALID, and a lock that comes from elsewhere</summary>
#
# ```diff
# -    "add column, default gen_random_uuid()": ["alter table bookings add column b uuid default gen_random_uuid()"],
# +    "add column, default gen_random_uuid()": ["alter table bookings add column b timestamptz default now()"],
# @@
# -                                        "alter table bookings add constraint c check (email is not null)"],
# +                                        "alter table bookings add constraint c check (email is not null) not valid"],
# @@
# -    "CHECK, NOT VALID": [f"{CHECK} not valid"],
# +    "CHECK, NOT VALID": [CHECK],
# @@
# -    "foreign key, NOT VALID": [f"{KEY} not valid"],
# +    "foreign key, NOT VALID": [f"{CHECK} not valid"],
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.ddl_anew")`

# %% [markdown] minutes=5
# ## An index that was cancelled
#
# Emails are to be unique, without a pause for writers: `create unique index concurrently`. The migration has a `lock_timeout`, as it should.
# An analyst has a REPEATABLE READ transaction open. She has read *another* table.

# %%
BUILD = "create unique index concurrently if not exists uq_email on customers (email)"


def build_beside(report):
    """Build the index while an analyst's transaction is open: the error, and the state of the index."""
    lab.run(engine, "drop index if exists uq_email")
    with engine.connect() as analyst:
        for statement in report:
            analyst.exec_driver_sql(statement)
        error = lab.refused(engine, "set lock_timeout = '200ms'", BUILD)
        analyst.rollback()
    return error, lab.ask(engine, "select indisvalid from pg_index where indexrelid = 'uq_email'::regclass")


engine = lab.database(pg, "index", "create table flights (flight_id int)", "create table customers (email text)",
                      "insert into customers select 'a' || n from generate_series(1, 1000) n")
SNAPSHOT = ["set transaction isolation level repeatable read", "select count(*) from flights"]
error, valid = build_beside(SNAPSHOT)
print(f"the build: {error}; the index is there, and valid: {valid}")

# %% [markdown] predict="migrations.q7"
# **Predict.** The build failed with 55P03, and left an index that is marked as invalid. Nobody removes it. What does it do?
#
# - **a** nothing: it is ignored until somebody rebuilds it
# - **b** it answers queries, and does not check uniqueness
# - **c** it refuses duplicates, and answers no query

# %%
answer("migrations.q7", None)  # "a", "b" or "c"

# %%
duplicate = lab.refused(engine, "insert into customers values ('a8')")
again = lab.refused(engine, BUILD)  # the migration is started again
valid_then = lab.ask(engine, "select indisvalid from pg_index where indexrelid = 'uq_email'::regclass")
lab.run(engine, "analyze customers")


def used():
    """Whether a query for one email uses the index, even if the planner is asked to."""
    with engine.connect() as connection:
        connection.exec_driver_sql("set local enable_seqscan = off")
        plan = connection.exec_driver_sql("explain select * from customers where email = 'a8'").scalars().all()
    return any("uq_email" in line for line in plan)


used_then = used()
repaired = lab.refused(engine, "reindex index concurrently uq_email")
print(f"a duplicate: {duplicate}; a query uses it: {used_then}; the migration again: {again}, valid: {valid_then}")
print(f"after reindex ({repaired}), a query uses it: {used()}")

# %%
claim("migrations.index_waits", "the build waits for a transaction that has read another table, and gives up: 55P03",
      [error, valid], equals=["55P03", False])
claim("migrations.index_invalid", "the invalid index refuses a duplicate, and a query does not use it",
      [duplicate, used_then], equals=["23505", False], proves={"migrations.q7": "c"})
claim("migrations.index_again", "IF NOT EXISTS succeeds and leaves it invalid",
      [again, valid_then], equals=[None, False])

# %% [markdown]
# **Why.** The build has [three transactions](https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY).
# After the second scan it waits for the transactions of this database whose snapshot is older, because such a snapshot could
# miss rows in the index. At that point the index is *ready*: writers maintain it, and a unique one checks. It is not *valid*, so the planner leaves
# it alone. A build that fails earlier, by a duplicate in the old rows, leaves an index that is not even ready.
#
# A concurrent build needs an `autocommit_block`, so pods that take turns need a *session's* advisory lock. What does it do to the build? Pod A holds the lock. Pod B waits for it.

# %%
import time


def build_under_lock(wait):
    """A holds an advisory lock and builds; B wants the lock: the errors of both."""
    lab.run(engine, "drop index if exists ix_email")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as a:
        a.exec_driver_sql("select pg_advisory_lock(1545)")
        b = lab.Background(lambda: wait(engine))
        lab.until(lambda: lab.waiting(engine) or lab.ask(engine, "select count(*) from polls"))
        build = lab.Background(lambda: a.exec_driver_sql("create index concurrently ix_email on customers (email)"))
        first = build.end()
        a.exec_driver_sql("select pg_advisory_unlock_all()")
        return [problem for problem in (first, b.end()) if isinstance(problem, str)]


def wait_in_server(engine):
    lab.run(engine, "select pg_advisory_lock(1545)")


def poll(engine):
    while not lab.ask(engine, "select pg_try_advisory_xact_lock(1545)"):
        lab.run(engine, "insert into polls values (1)")
        time.sleep(0.05)


lab.run(engine, "create table polls (n int)")
in_server = build_under_lock(wait_in_server)
polled = build_under_lock(poll)
print(f"B waits in the server: {in_server}, B polls: {polled}")

# %%
claim("migrations.index_advisory", "the waiting pod's statement has a snapshot, the build waits for it: one of them gets 40P01, deadlock",
      [in_server, polled], equals=[["40P01"], []], baseline=polled,
      did=lab.ask(engine, "select count(*) from pg_index where indexrelid = to_regclass('ix_email') and indisvalid"))

# %% [markdown]
# **Why.** `select pg_advisory_lock(…)` is a statement, and a statement that waits holds its snapshot. The build waits for that
# snapshot, and its own session holds the lock. [flyway#1654](https://github.com/flyway/flyway/issues/1654) is this deadlock. With
# `pg_try_advisory_lock` each attempt is a short statement, so B has no snapshot between two attempts.
#
# **In production.** Drop an invalid index before you build it again (`drop index concurrently if exists`), or `reindex index concurrently`.
# If that is cancelled, it leaves an invalid `…_ccnew`. `IF NOT EXISTS` looks at the name only. After each deployment, ask for indexes with `not indisvalid`. In Alembic, a concurrent build
# needs an `autocommit_block()` and `postgresql_concurrently=True`. Readers and writers do not queue behind it, so it may have a
# longer `lock_timeout` than an ALTER.

# %% [markdown] also=["migrations.index_invalid", "migrations.index_again", "migrations.index_advisory"] claim="migrations.index_waits" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: an index that is not unique, no open transaction, and a pod that polls; the build succeeds at once</summary>
#
# ```diff
# -BUILD = "create unique index concurrently if not exists uq_email on customers (email)"
# +BUILD = "create index concurrently if not exists uq_email on customers (email)"
# @@
# -error, valid = build_beside(SNAPSHOT)
# +error, valid = build_beside([])
# @@
# -in_server = build_under_lock(wait_in_server)
# +in_server = build_under_lock(poll)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.index_waits")`

# %% [markdown] core=true minutes=5
# ## A worker that is killed
#
# Prices were written in dollars and are to be cents: `total = total * 100` for 1,000 bookings. A second `* 100` would be a disaster, so a row must be
# converted exactly once. In one transaction that is easy, but it locks every row until the end. So it runs in batches of 100
# and remembers how far it got. The worker says what it has done; we answer, or send SIGKILL.

# %%
WORKER = """
import pathlib, sys
import psycopg

url, batch, remember, file = sys.argv[1], int(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4])
connection = psycopg.connect(url, application_name="backfill")


def say(what):
    print(what, flush=True)
    sys.stdin.readline()  # the killer answers, or does not


def done_so_far():
    if remember == "file":
        return int(file.read_text()) if file.exists() else 0
    return connection.execute("select last_id from progress").fetchone()[0]


last = done_so_far()
while last < 1_000:
    connection.execute("update bookings set total = total * 100 where booking_id > %s and booking_id <= %s", [last, last + batch])
    if remember == "table":
        connection.execute("update progress set last_id = %s", [last + batch])
    last += batch
    say(f"updated {last}")
    connection.commit()
    say(f"committed {last}")
    if remember == "file":
        file.write_text(str(last))
"""

# %% [markdown] predict="migrations.q8"
# **Predict.** `remember` is `file`: after each commit the worker writes its position into a file. It is killed, started again, and runs to
# its end. When is a row converted twice?
#
# - **a** never: the file is written after the commit, so it never says too much
# - **b** if it was killed between the UPDATE and the commit
# - **c** if it was killed between the commit and the file

# %%
answer("migrations.q8", None)  # "a", "b" or "c"

# %%
import tempfile
from pathlib import Path

engine = lab.database(pg, "backfill", "create table bookings (booking_id int primary key, total int)",
                      "create table progress (last_id int)")
SESSIONS = "select count(*) from pg_stat_activity where application_name = 'backfill'"


def killed(remember, batch, at):
    """Kill the worker at this line, count the converted rows, run it again: rows converted, and rows that are wrong at the end."""
    lab.run(engine, "truncate bookings, progress", "insert into progress values (0)",
            "insert into bookings select n, n from generate_series(1, 1000) n")
    with tempfile.TemporaryDirectory() as folder:
        arguments = [lab.plain_url(engine), batch, remember, Path(folder) / "position"]
        lab.work(WORKER, *arguments, kill_at=at)
        lab.until(lambda: lab.ask(engine, SESSIONS) == 0)  # the server has noticed
        converted = lab.ask(engine, "select count(*) from bookings where total <> booking_id")
        lab.work(WORKER, *arguments)
    return converted, lab.ask(engine, "select count(*) from bookings where total <> booking_id * 100")


kills = {
    ("all at once", "UPDATE and commit"): killed("table", 1_000, "updated 1000"),
    ("batches, a file", "UPDATE and commit"): killed("file", 100, "updated 300"),
    ("batches, a file", "commit and file"): killed("file", 100, "committed 300"),
    ("batches, a table", "UPDATE and commit"): killed("table", 100, "updated 300"),
    ("batches, a table", "commit and the next batch"): killed("table", 100, "committed 300"),
}
show_table([{"the worker": how, "killed between": at, "rows converted by then": converted, "rows wrong at the end": wrong}
            for (how, at), (converted, wrong) in kills.items()], left=2)

# %%
claim("migrations.kill_once", "one transaction that is killed before its commit has converted no row",
      kills["all at once", "UPDATE and commit"], equals=(0, 0), did=lab.ask(engine, "select count(*) from bookings"))
claim("migrations.kill_file", "killed between the commit and the file, one batch of 100 rows is converted twice",
      [kills["batches, a file", at] for at in ("UPDATE and commit", "commit and file")], equals=[(200, 0), (300, 100)],
      proves={"migrations.q8": "c"})
claim("migrations.kill_table", "with the position in the same transaction no row is wrong, killed before the commit or after it",
      [kills["batches, a table", at] for at in ("UPDATE and commit", "commit and the next batch")], equals=[(200, 0), (300, 0)])

# %% [markdown]
# **Why.** Two stores cannot change in one step. Between the commit and the file there is a moment at which the database is ahead of
# the file, and SIGKILL, a lost node or a full disk may hit it. The row in `progress` changes in the same transaction as the batch: both are there,
# or neither. (What is killed here is the client. The server notices that the connection has ended, and rolls back.)
#
# **In production.** Half-way, a reader cannot tell dollars from cents, so this is for a table that nobody reads meanwhile. On a live one fill
# a new column, `total_cents`, as in the next experiment. Then `where total_cents is null` tells what is left, and the worker
# needs no memory at all. Walk along the primary key and not by OFFSET, which reads what it skips. Let VACUUM and the replicas keep
# up: pause between batches, and look at the replication lag. A batch is large enough if its commit is a small part of it, and
# small enough if a request can wait for its row locks.

# %% [markdown] also=["migrations.kill_file", "migrations.kill_table"] claim="migrations.kill_once" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: commit after each half of the whole; write the file too early; let the table be a transaction of its own</summary>
#
# ```diff
# -    ("all at once", "UPDATE and commit"): killed("table", 1_000, "updated 1000"),
# +    ("all at once", "UPDATE and commit"): killed("table", 500, "updated 1000"),
# @@
# -    say(f"updated {last}")
# +    if remember == "file":
# +        file.write_text(str(last))
# +    say(f"updated {last}")
# @@
# -        connection.execute("update progress set last_id = %s", [last + batch])
# +        connection.commit()
# +        connection.execute("update progress set last_id = %s", [last + batch])
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.kill_once")`

# %% [markdown] minutes=5
# ## Two versions at once
#
# During a rollout the old and the new version of the service run side by side. The old one knows the column `email`, the new
# one calls it `contact`. Two ways to rename: at once; or add `contact`, copy, and drop `email` a release later (*expand and contract*).

# %%
OLD = {"write": "insert into customers (customer_id, email) values ({0}, 'new{0}@example.com')",
       "read": "select email from customers where customer_id = {0}"}
NEW = {kind: sql.replace("email", "contact") for kind, sql in OLD.items()}
RENAME = ["alter table customers rename column email to contact"]
EXPAND = ["alter table customers add column contact text", "update customers set contact = email"]
engine = lab.database(pg, "versions")


def both(migration):
    """After the migration each version writes a customer, and both read both: the errors, and who misses what."""
    lab.run(engine, "drop table if exists customers", "create table customers (customer_id int, email text)",
            "insert into customers values (1, 'ada@example.com')", *migration)
    versions = {"old": OLD, "new": NEW}
    tries = {f"{name} {kind}": lab.refused(engine, sql[kind].format(2 if name == "old" else 3))
             for name, sql in versions.items() for kind in ("read", "write")}
    errors = {what: state for what, state in tries.items() if state}
    missing = [(name, number) for name, sql in versions.items() for number in (1, 2, 3)
               if f"{name} read" not in errors and lab.ask(engine, sql["read"].format(number)) in (None, [])]
    return errors, missing


ways = {"rename": both(RENAME), "expand": both(EXPAND)}
show_table([{"migration": way, "fails": ", ".join(errors) or "—",
             "read as missing": ", ".join(f"{name} version: customer {number}" for name, number in missing) or "—"}
            for way, (errors, missing) in ways.items()], left=3)

# %%
claim("migrations.rename_breaks", "after a rename the old version can neither read nor write",
      ways["rename"][0], equals={"old read": "42703", "old write": "42703"})  # undefined column
claim("migrations.expand_stale", "after add and copy nothing fails, and each version misses what the other one writes",
      ways["expand"], equals=({}, [("old", 3), ("new", 2)]))

# %% [markdown]
# **Why.** The copy is made once, and the old version goes on writing. Until it is gone, something must keep both columns the same: the new version
# (it writes both) or the database (a trigger). The first exercise is about that.
#
# A *harmless* change can hit both versions, too. The service has four warm connections, whose drivers have prepared its query. Then
# `capacity` becomes `bigint`.

# %% [markdown] predict="migrations.q9"
# **Predict.** After the ALTER each of the four connections runs the query again, three times. How many of these 12 fail?
#
# - **a** none: the server plans again when a table has changed
# - **b** four with psycopg (one per connection), one with asyncpg
# - **c** all 12, until the service is restarted

# %%
answer("migrations.q9", None)  # "a", "b" or "c"

# %%
from sqlalchemy.ext.asyncio import create_async_engine


async def after_alter(driver, alter="alter table flights alter column capacity type bigint"):
    """Four connections ask seven times, the column changes, and they ask three times more: the errors by connection."""
    lab.run(engine, "drop table if exists flights", "create table flights (capacity int)", "insert into flights values (150)")
    plain = {"ssl": False} if driver == "asyncpg" else {"sslmode": "disable"}
    service = create_async_engine(engine.url.set(drivername=f"postgresql+{driver}"), pool_size=4, connect_args=plain)
    connections = [await service.connect() for _ in range(4)]

    async def ask(connection):
        try:
            await connection.execute(sa.text("select capacity from flights"))
            await connection.commit()
        except sa.exc.DBAPIError as error:
            await connection.rollback()
            return lab.state_of(error)

    for connection in connections:
        for _ in range(7):  # psycopg prepares a query after the fifth time
            await ask(connection)
    lab.run(engine, alter)
    errors = [[await ask(connection) for connection in connections] for _ in range(3)]
    for connection in connections:
        await connection.close()
    await service.dispose()
    return errors


rounds = {driver: await after_alter(driver) for driver in ("psycopg", "asyncpg")}
show_table([{"driver": driver, "round": number, **{f"connection {n}": error or "ok" for n, error in enumerate(errors, 1)}}
            for driver, three in rounds.items() for number, errors in enumerate(three, 1)])

# %%
claim("migrations.cached_plan", "in transactions, psycopg fails once per connection, and asyncpg once per engine",
      {driver: [[error for error in errors if error] for errors in three] for driver, three in rounds.items()},
      equals={"psycopg": [["0A000"] * 4, [], []], "asyncpg": [["InvalidCachedStatementError"], [], []]}, proves={"migrations.q9": "b"})

# %% [markdown]
# **Why.** The server does plan again, but a prepared statement has promised its client the types of the result: *cached plan must not
# change result type*, SQLSTATE 0A000. Inside of a transaction the driver cannot prepare again, because the error has aborted the transaction.
# psycopg forgets a connection's prepared statements at a ROLLBACK (`psycopg/_preparing.py`). With autocommit there is none, and this
# query fails on the connection each time. SQLAlchemy's dialect for
# asyncpg marks the caches of all its connections as old at the first error (`_invalidate_schema_cache`). The incident was one error per process:
# [asyncpg#458](https://github.com/MagicStack/asyncpg/issues/458). A new column does the same to `select *`.
#
# **In production.** Name the columns; the ORM does. After a change of a type expect one failure per connection or process, and retry the request.

# %% [markdown] also=["migrations.expand_stale", "migrations.cached_plan"] claim="migrations.rename_breaks" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a column under the old name; the new version reads the old column, too; a change that keeps the type</summary>
#
# ```diff
# -RENAME = ["alter table customers rename column email to contact"]
# +RENAME = ["alter table customers rename column email to contact", "alter table customers add column email text"]
# @@
# -NEW = {kind: sql.replace("email", "contact") for kind, sql in OLD.items()}
# +NEW = {"write": OLD["write"].replace("email", "contact"), "read": "select coalesce(contact, email) from customers where customer_id = {0}"}
# @@
# -async def after_alter(driver, alter="alter table flights alter column capacity type bigint"):
# +async def after_alter(driver, alter="alter table flights add column gate text"):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.rename_breaks")`

# %% [markdown] minutes=4
# ## Whose table is it?
#
# A name without a schema is looked up along `search_path`. Here is a function that gives refunds. It runs with its owner's rights (`SECURITY
# DEFINER`), so the application needs none on the tables. The owner knows that callers can set `search_path`, and fixes it for the
# function: only `airline`, where nobody else may create anything.

# %%
REFUND = """
create function airline.refund(booking int, who text) returns text language plpgsql security definer
set search_path = airline as $$
begin
    if not exists (select from agents where name = who) then return 'refused'; end if;
    insert into refunds values (booking, who);
    return 'refunded';
end $$"""
engine = lab.database(pg, "owners", "create schema airline", "create table airline.agents (name text)",
                      "insert into airline.agents values ('grace')", "create table airline.refunds (booking int, agent text)",
                      REFUND, "grant usage on schema airline to public")

# %% [markdown] predict="migrations.q10"
# **Predict.** Mallory's role has only what every role has: it may connect and call the function. She creates a temporary table `agents` with her name in it. What does
# `airline.refund(1, 'mallory')` return then?
#
# - **a** `refused`: the path of the function is only `airline`
# - **b** `refunded`
# - **c** an error: she may not create a table

# %%
answer("migrations.q10", None)  # "a", "b" or "c"

# %%
def as_mallory(*statements, call="select airline.refund(1, 'mallory')"):
    """What the function returns to a role without rights, after these statements of hers; all is rolled back."""
    with engine.connect() as connection:
        for statement in ("create role mallory", "set local role mallory", *statements):
            connection.exec_driver_sql(statement)
        return connection.exec_driver_sql(call).scalar()


TEMP = ["create temporary table agents (name text)", "insert into agents values ('mallory')", "grant select on agents to public"]
honest, with_temp = as_mallory(), as_mallory(*TEMP)
print(f"without a table of her own: {honest}; with a temporary table: {with_temp}")

# %%
claim("migrations.definer", "a temporary table is found before the schema that the function names",
      [honest, with_temp], equals=["refused", "refunded"], proves={"migrations.q10": "b"}, baseline=honest)

# %% [markdown]
# **Why.** The schema of temporary tables is searched *first*, for tables and types, unless the path names it (`pg_temp`) at another place. Hence the rule of
# the [manual](https://www.postgresql.org/docs/current/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY): `set search_path = airline, pg_temp`. Or write
# `airline.agents` in the body. That every role may create temporary tables is a default, too: `revoke temporary on database … from public`. A function without any `SET`, whose body is a string, uses the path of its caller.
#
# A schema per customer (*tenant*) uses the path on purpose: each request sets it to its tenant, and all queries stay as they are.
# The connection then returns to the pool.

# %%
tenants = lab.database(pg, "tenants", *[line for name in ("delta", "united") for line in (
    f"create schema {name}", f"create table {name}.bookings (customer text)", f"insert into {name}.bookings values ('a customer of {name}')")])


def request(tenant, path="set search_path = {0}"):
    """One request on a pooled connection: set the path if the tenant is known, read a booking, commit."""
    with tenants.begin() as connection:
        if tenant:
            connection.exec_driver_sql(path.format(tenant))
        return connection.exec_driver_sql("select customer from bookings").scalar()


def next_request(path):
    """A request of united, and the next one on this connection, which forgot to say its tenant."""
    tenants.dispose()  # a new connection
    request("united", path)
    try:
        return request(None)
    except sa.exc.ProgrammingError as error:
        return lab.state_of(error)


set_for_session, set_for_transaction = next_request("set search_path = {0}"), next_request("set local search_path = {0}")
print(f"SET: {set_for_session}; SET LOCAL: {set_for_transaction}")

# %%
claim("migrations.tenant_leak", "after SET the next request reads united's rows; after SET LOCAL it fails: 42P01, undefined table",
      [set_for_session, set_for_transaction], equals=["a customer of united", "42P01"])

# %% [markdown]
# **In production.** SQLAlchemy's pool resets a connection by a ROLLBACK, and a committed `SET` outlives it. `SET LOCAL` ends with the transaction. Let `public` hold nothing, so that a
# forgotten tenant is an error and not a neighbour. SQLAlchemy's `schema_translate_map` writes the schema into each statement that is built from tables instead. With many tenants, each migration
# runs once per schema: give each its own version (`version_table_schema`), and expect that some are a release behind.

# %% [markdown] also=["migrations.tenant_leak"] claim="migrations.definer" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: name pg_temp, last; and the two requests change places</summary>
#
# ```diff
# -set search_path = airline as $$
# +set search_path = airline, pg_temp as $$
# @@
# -set_for_session, set_for_transaction = next_request("set search_path = {0}"), next_request("set local search_path = {0}")
# +set_for_session, set_for_transaction = next_request("set local search_path = {0}"), next_request("set search_path = {0}")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.definer")`

# %% [markdown] minutes=3
# ## Two disks
#
# A tablespace is a folder of the server. The table `bookings` was created in the tablespace `slow`, with a primary key, an index that
# somebody added later, and texts that are so long that they are in its TOAST table.

# %% [markdown] predict="migrations.q11"
# **Predict.** `alter table bookings set tablespace fast`. Which files move to the fast disk?
#
# - **a** all: the table, its TOAST table and both indexes
# - **b** the table and its TOAST table
# - **c** none now: new rows are written there

# %%
answer("migrations.q11", None)  # "a", "b" or "c"

# %%
engine = lab.database(pg, "disks")
lab.tablespaces(engine, "slow", "fast")
lab.run(engine, "create table bookings (booking_id int primary key, note text) tablespace slow",
        "alter table bookings alter column note set storage external", "create index ix_note on bookings (left(note, 10))",
        "insert into bookings select n, repeat('x', 3000) from generate_series(1, 500) n")
PLACES = """
    select case when c.relkind = 't' then 'its TOAST table' else c.relname end, coalesce(s.spcname, 'the default'),
           pg_relation_filenode(c.oid), pg_relation_size(c.oid)
    from pg_class c left join pg_tablespace s on s.oid = c.reltablespace
    where c.relname in ('bookings', 'bookings_pkey', 'ix_note') or c.oid = (select reltoastrelid from pg_class where relname = 'bookings')"""
MOVE = ["alter table bookings set tablespace fast"]


def places():
    """Each part of the table: its tablespace, the number of its file, its bytes."""
    return {part: where for part, *where in lab.ask(engine, PLACES)}


before = places()
with engine.begin() as connection:
    for statement in MOVE:
        connection.exec_driver_sql(statement)
    lock = connection.exec_driver_sql("select mode from pg_locks where relation = 'bookings'::regclass and pid = pg_backend_pid()").scalars().all()
after = places()
show_table([{"part": part, "bytes": before[part][2], "was in": before[part][0], "is in": after[part][0],
             "a new file": before[part][1] != after[part][1]} for part in sorted(before)])

# %%
moved = sorted(part for part in before if before[part][1] != after[part][1])
claim("migrations.disk_moves", "the table and its TOAST table are copied; the indexes stay where they were",
      moved, equals=["bookings", "its TOAST table"], proves={"migrations.q11": "b"})
claim("migrations.disk_lock", "the copy is made under ACCESS EXCLUSIVE",
      lock, equals=["AccessExclusiveLock"])

# %% [markdown]
# **Reading it.** Neither index was ever on the slow disk: without a TABLESPACE of its own, an index is created in the *database's* default (or in `default_tablespace`) and not where its table is.
#
# **Why.** A tablespace is a property of each table and each index, and an index is a file of its own. `SET TABLESPACE` copies the blocks, so the time
# grows with the size, and nobody reads the table meanwhile. ([Manual](https://www.postgresql.org/docs/current/sql-altertable.html): *indexes on
# the table, if any, are not moved*.) A folder must belong to the server's user, so it is created on the server's side; here the server has
# run `mkdir` itself, by `COPY … TO PROGRAM`, which a superuser may do.
#
# **In production.** A managed database may have one disk only ([RDS](https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.FeatureSupport.Tablespaces.html):
# *all storage is on a single logical volume*). Where you have two, put indexes or old partitions on the other one. From PostgreSQL 14 on, `reindex (tablespace
# fast, concurrently) index …` moves an index while others write. Move a table that is small or can be locked; for the rest, fill a new table in batches. A tablespace is no unit of backup: the catalog and the
# WAL are elsewhere, so its files alone are useless, and [the manual
# warns](https://www.postgresql.org/docs/current/manage-ag-tablespaces.html) that a lost one may keep the whole cluster from starting. That includes one for
# scratch data on a RAM disk.

# %% [markdown] also=["migrations.disk_lock"] claim="migrations.disk_moves" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: move the index, too; it locks the index, and the table's own lock is the one of a reader</summary>
#
# ```diff
# -MOVE = ["alter table bookings set tablespace fast"]
# +MOVE = ["alter index ix_note set tablespace fast", "select count(*) from bookings"]
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("migrations.disk_moves")`

# %% [markdown] minutes=24
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the worked
# answer after an attempt.
#
# ### Two names for one column (12 minutes)
#
# The table `customers (customer_id int primary key, name text, email text)` has rows. Rename `email` to `contact` in two releases:
#
# - `expand(engine)`: afterwards the old version (which reads and writes `email`) and the new one (`contact`) work side by side. Each reads what the
#   other one has written: INSERT, UPDATE, also to NULL. All old rows have their contact, also those that the old version writes while `expand` runs. A second call does no harm.
# - `contract(engine)`: only `contact` is left, and nothing else that `expand` has made: no trigger, index or constraint.
#
# Nobody may wait for either of them longer than half a second. A step that does not get a lock tries again, or raises the error and can be called again.
# `engine` is one of SQLAlchemy. The check keeps a report open while it calls each step.

# %% exercise="migrations.rename" tags=["exercise"]
class Rename:
    """From `email` to `contact`, with both versions of the service running."""

    def expand(self, engine):
        raise NotImplementedError

    def contract(self, engine):
        raise NotImplementedError


# %%
check("migrations.rename", Rename)

# %% [markdown]
# ### Dollars to cents (12 minutes)
#
# `payments (payment_id bigint primary key, amount bigint)` holds dollars. Multiply each amount by 100, in place, exactly once. A transaction
# may change `batch` rows at most. The check kills your function (SIGKILL, in a process of its own) at its first statement, then at its second, … and
# before each commit. After each kill it calls the function again, in another process. The database is the only thing that survives; you may make a table of your own in it. Use `engine.begin()` or `engine.connect()`; the check counts their statements. When all
# is done, another call changes nothing. There are gaps between the numbers, no other column, and nobody else writes meanwhile.

# %% exercise="migrations.backfill" tags=["exercise"]
def to_cents(engine, batch):
    """Multiply each amount by 100 once, at most `batch` rows per transaction, whenever this is killed."""
    raise NotImplementedError


# %%
check("migrations.backfill", to_cents)

# %% [markdown] minutes=2
# ## Asked in interviews
#
# <details>
# <summary>What does Alembic's autogenerate miss?</summary>
#
# CHECK constraints and their conditions, members of an Enum, the WHERE of an index, generated expressions, and server defaults unless you ask for them
# (`migrations.autogen_missed`). A rename becomes drop and add (`migrations.autogen_rename`). A plugin compares CHECKs by name (`migrations.autogen_byname`).
#
# </details>
#
# <details>
# <summary>Three pods run `alembic upgrade head` at the same time. What can happen?</summary>
#
# Alembic takes no lock. In its one transaction two of the three fail at the version and roll back (`migrations.pods_unlocked`). What was
# committed in an autocommit_block is done three times (`migrations.pods_autocommit`). An advisory lock, taken first, helps (`migrations.pods_locked`). Pods that wait in the server for a session's lock
# deadlock with a concurrent index build; pods that poll do not (`migrations.index_advisory`).
#
# </details>
#
# <details>
# <summary>A migration is killed half-way. What is in the database?</summary>
#
# With transactional DDL the old state (`migrations.killed_atomic`). After an `autocommit_block`, or where DDL commits, changes under the old version (`migrations.killed_block`, `migrations.half`).
#
# </details>
#
# <details>
# <summary>Why can an ALTER TABLE that takes a millisecond stop a service?</summary>
#
# It waits for ACCESS EXCLUSIVE behind a long transaction, and every later query queues behind it (`migrations.lock_queue`, `migrations.instant_stops`). A short `lock_timeout` with
# retries avoids it (`migrations.patient`).
#
# </details>
#
# <details>
# <summary>How do you make a large column NOT NULL without stopping writers?</summary>
#
# CHECK … NOT VALID, VALIDATE under a weak lock (`migrations.ddl_validate`), then SET NOT NULL, which reads no rows (`migrations.ddl_not_null`).
#
# </details>
#
# <details>
# <summary>CREATE INDEX CONCURRENTLY failed. What is there now?</summary>
#
# An invalid index. It may cost every write and even refuse duplicates, it answers nothing (`migrations.index_invalid`), and IF NOT EXISTS takes it for done (`migrations.index_again`).
#
# </details>
#
# <details>
# <summary>How do you write a backfill that can be killed?</summary>
#
# In batches, and the position is in the same transaction as the batch (`migrations.kill_table`). A position outside of the database can be one batch behind (`migrations.kill_file`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# 1. Autogenerate compares a part of the schema; CHECKs, Enums and conditions are yours to write, and a rename is a loss of data.
# 2. A merge joins the graph and not the contents. A downgrade does not bring data back, and a stamp executes nothing.
#    A killed migration leaves nothing if all of it is one transaction.
# 3. DDL waits in the same queue as everybody else. Set `lock_timeout`, retry, and split what reads rows: NOT VALID, VALIDATE, CONCURRENTLY.
# 4. A failed concurrent build leaves an index that must be dropped or rebuilt.
# 5. Expand, keep both names in step, contract. A backfill commits its position together with its batch.
# 6. `pg_temp` is searched first unless it is named last, and a SET on a pooled connection outlives its request.
#
# <details>
# <summary>The claims behind each</summary>
#
# 1. `migrations.status_unseen`, `migrations.autogen_missed`, `migrations.autogen_rename`, `migrations.autogen_byname`
# 2. `migrations.two_heads`, `migrations.merge_graph`, `migrations.half`, `migrations.killed_atomic`, `migrations.killed_block`, `migrations.no_rights`, `migrations.downgrade`, `migrations.offline`, `migrations.stamp`
# 3. `migrations.lock_queue`, `migrations.instant_stops`, `migrations.patient`, `migrations.ddl_anew`, `migrations.ddl_validate`,
#    `migrations.ddl_not_null`, `migrations.ddl_key`
# 4. `migrations.index_waits`, `migrations.index_invalid`, `migrations.index_again`, `migrations.index_advisory`
# 5. `migrations.rename_breaks`, `migrations.expand_stale`, `migrations.cached_plan`, `migrations.kill_once`, `migrations.kill_file`, `migrations.kill_table`
# 6. `migrations.definer`, `migrations.tenant_leak`, and for tablespaces `migrations.disk_moves`, `migrations.disk_lock`
#
# </details>
#
# **Further reading.** [What autogenerate detects](https://alembic.sqlalchemy.org/en/latest/autogenerate.html) ·
# [Explicit locking](https://www.postgresql.org/docs/current/explicit-locking.html), the tables of conflicts ·
# [Building indexes concurrently](https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY).

# %% [markdown] footer=true
# ← [3.4 SQLAlchemy](04_sqlalchemy.ipynb) · [Section 3](00_section.ipynb) · [Board](../00_start_here.ipynb) · [3.6 Laziness and nesting](06_lazy_nested.ipynb) →
