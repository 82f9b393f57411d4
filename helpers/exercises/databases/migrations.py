"""Exercises of 3.5: a rename with two versions running, a backfill that may be killed at each step."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import shown
from helpers.labs.databases import migrations as lab

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from helpers.services import Postgres  # type: ignore[attr-defined]

PATIENCE = "900ms"  # that a reader waits; a migration may make it wait for half a second
CUSTOMERS = (
    "create table customers (customer_id int primary key, name text, email text)",
    "insert into customers values (1, 'Ada', 'ada@example.com'), (2, 'Ken', null), (3, 'Maureen', '')",
)


@exercise(
    "migrations.rename",
    uses=lab.postgres,
    seconds=40,
    hints=(
        "Three things keep two columns the same: a copy of what is there, something that copies what is written, and an order of the "
        "two in which no write is lost between them. And how long does ADD COLUMN wait behind a report?",
        "A BEFORE trigger sees the old and the new row: on UPDATE the column that has changed wins, on INSERT the one that is not NULL. "
        "Make column and trigger first, copy then. `set local lock_timeout` makes a statement give up.",
        "expand: in one transaction set local lock_timeout = '200ms', add column if not exists, create or replace function, create or replace trigger; "
        "then update … set contact = email where contact is distinct from email. contract: drop trigger, function and email in one transaction.",
    ),
    why="The trigger stands before the copy, so a row is either written later than the trigger, which keeps it in step, or it is copied. "
    "Comparing with the old row tells which version has written, also when it has written NULL. The time-out keeps the queue behind the ALTER short.",
    stretch="The new version wants `contact` to be NOT NULL and unique. Which steps do you add, and between which of the two releases?",
    rows=("falsy", "again"),
)
def check_rename(rename: Callable[[], Any], server: Postgres) -> None:
    """A report in the way, both versions, a second call, and what is left in the end."""
    engine = lab.database(server, "exercise_rename", *CUSTOMERS)
    try:
        answer = rename()
        _beside_a_report(
            lambda engine: answer.expand(engine), engine, "expand(engine)", writes=True
        )
        _old_rows(engine)
        _both_versions(engine, 10)
        _call(answer.expand, engine, "expand(engine), called a second time,")
        _both_versions(engine, 20)
        before = lab.ask(engine, "select customer_id, contact from customers order by 1")
        _beside_a_report(lambda engine: answer.contract(engine), engine, "contract(engine)")
        _only_contact(engine, before)
    finally:
        engine.dispose()


def _call(step: Callable[..., Any], engine: Engine, what: str) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        step(engine)
    except SQLAlchemyError as error:
        raise Wrong(
            f"{what} failed: {str(getattr(error, 'orig', error)).splitlines()[0]}"
        ) from None


def _beside_a_report(step: Callable[..., Any], engine: Engine, name: str, writes: bool = False) -> None:  # fmt: skip
    """A report is open: a reader must get through, and the step must succeed when the report has ended.

    With `writes` the old version writes before each statement, if no lock is in its way.
    """
    from sqlalchemy import create_engine, event

    opened: list[BaseException] = []
    mine = create_engine(engine.url, connect_args={"sslmode": "disable"})
    number = [1_000]

    def write(*_: Any) -> None:
        number[0] += 1
        lab.refused(engine, "set lock_timeout = '50ms'",
                    f"insert into customers (customer_id, email) values ({number[0]}, 'late@example.com')")  # fmt: skip

    if writes:
        event.listen(mine, "before_cursor_execute", write)

    def migrate() -> None:
        try:
            step(mine)
        except NotImplementedError as error:
            opened.append(error)
        # Other errors: Background keeps the SQLSTATE.

    with lab.named(engine, "report") as report:
        report.exec_driver_sql("select count(*) from customers")
        migration = lab.Background(migrate)
        lab.until(lambda: lab.waiting(engine) or migration.ended)
        refusal = lab.refused(
            engine, f"set lock_timeout = '{PATIENCE}'", "select count(*) from customers"
        )
    outcome = migration.end()
    if outcome is not None and not refusal:  # it gave up, as it may
        outcome = lab.Background(migrate).end()
    mine.dispose()
    if opened:
        raise opened[0]
    if refusal:
        raise Wrong(
            f"While a report was open, {name} waited for its lock, and a reader that came later waited behind it for "
            f"{PATIENCE}. Limit the wait with lock_timeout."
        )
    if outcome is not None:
        raise Wrong(f"When the report had ended, {name} failed: {shown(outcome)}.")


def _old_rows(engine: Engine) -> None:
    if refusal := lab.refused(engine, "select contact, email from customers"):
        raise Wrong(f"After expand(engine), a query for contact and email fails: {refusal}.")
    rows = lab.ask(
        engine,
        "select customer_id, email, contact from customers where customer_id < 1000 order by 1",
    )
    expected = [(1, "ada@example.com", "ada@example.com"), (2, None, None), (3, "", "")]
    if rows != expected:
        raise Wrong(
            f"After expand(engine) each old row has its contact: expected {expected}, got {rows} (number, email, contact)."
        )
    late = lab.ask(
        engine,
        "select email, contact from customers where customer_id > 1000 and contact is distinct from email",
    )
    if late:
        raise Wrong(
            f"A customer that the old version wrote while expand(engine) ran has (email, contact) = {late[0]}. "
            "Which writes come after the copy, and before what copies them?"
        )
    lab.run(engine, "delete from customers where customer_id > 1000")


# Who writes, what, and what both columns must hold then.
WRITES = (
    ("old", "insert into customers (customer_id, {column}) values ({n}, 'a@example.com')", "a@example.com"),
    ("old", "update customers set {column} = 'b@example.com' where customer_id = {n}", "b@example.com"),
    ("new", "update customers set {column} = 'c@example.com' where customer_id = {n}", "c@example.com"),
    ("old", "update customers set {column} = 'd@example.com' where customer_id = {n}", "d@example.com"),
    ("old", "update customers set name = 'Grace' where customer_id = {n}", "d@example.com"),
    ("new", "update customers set {column} = '' where customer_id = {n}", ""),
    ("old", "update customers set {column} = null where customer_id = {n}", None),
    ("new", "update customers set {column} = 'e@example.com' where customer_id = {n}", "e@example.com"),
    ("new", "update customers set {column} = null where customer_id = {n}", None),
    ("new", "insert into customers (customer_id, {column}) values ({n} + 1, 'f@example.com')", "f@example.com"),
    ("new", "insert into customers (customer_id, {column}) values ({n} + 2, null)", None),
)  # fmt: skip


def _both_versions(engine: Engine, number: int) -> None:
    row = number
    for version, pattern, expected in WRITES:
        statement = pattern.format(column={"old": "email", "new": "contact"}[version], n=number)
        row += "insert" in statement and "+" in statement
        if refusal := lab.refused(engine, statement):
            raise Wrong(
                f"After expand(engine) the {version} version fails with {refusal}: {statement}"
            )
        got = lab.ask(engine, f"select email, contact from customers where customer_id = {row}")
        if got != [(expected, expected)]:
            raise Wrong(
                f"After the {version} version's {statement!r}, email and contact are to be {shown(expected)} both; got {got}."
            )


def _only_contact(engine: Engine, before: list[Any]) -> None:
    columns = lab.ask(engine, "select column_name::text from information_schema.columns where table_schema = 'public' "
                              "and table_name = 'customers' order by 1")  # fmt: skip
    if columns != ["contact", "customer_id", "name"]:
        raise Wrong(
            f"After contract(engine) the columns are to be contact, customer_id and name; got {columns}."
        )
    if refusal := lab.refused(
        engine, "update customers set contact = 'z@example.com' where customer_id = 1"
    ):
        raise Wrong(
            f"After contract(engine) the new version's UPDATE fails with {refusal}. Something still looks for email."
        )
    if (after := lab.ask(engine, "select customer_id, contact from customers order by 1"))[
        1:
    ] != before[1:]:
        raise Wrong(f"contract(engine) has changed contacts: {before} before, {after} after.")
    left = lab.ask(
        engine, "select proname::text from pg_proc where pronamespace = 'public'::regnamespace"
    )
    triggers = lab.ask(engine, "select tgname::text from pg_trigger where not tgisinternal")
    tables = lab.ask(engine, "select relname::text from pg_class where relnamespace = 'public'::regnamespace "
                             "and relkind in ('r', 'v', 'm', 'S') and relname <> 'customers'")  # fmt: skip
    rest = lab.ask(engine, "select conname::text from pg_constraint where conrelid = 'customers'::regclass and contype not in ('p', 'n') "
                           "union select indexrelid::regclass::text from pg_index where indrelid = 'customers'::regclass and not indisprimary")  # fmt: skip
    if left or triggers or tables or rest:
        found = [*_listed(left), *_listed(triggers), *_listed(tables), *_listed(rest)]
        raise Wrong(f"contract(engine) leaves behind: {shown(found)}.")


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


# --- the backfill --------------------------------------------------------------------------------

MOST_KILLS = 25  # an answer with batches of three is done after about fifteen steps
# No rule tells dollars from cents here; the numbers have gaps, begin below one, and are inserted in no order. One amount is
# too large for the exact part of a float4, and for an int once it is in cents.
DOLLARS = {30: 25_000, -7: 3, 5: None, 41: 1, 0: 250, 4: -40, 40: 30_000_001, 1: 0}
BATCH = 3
PAYMENTS = (
    "create table payments (payment_id bigint primary key, amount bigint)",
    "create schema watched",  # out of the answer's path
    "create table watched.audit (transaction bigint, payment_id bigint)",
    """create function watched.audit() returns trigger language plpgsql as $$
    begin
        if new.amount is distinct from old.amount then insert into watched.audit values (txid_current(), new.payment_id); end if;
        return null;
    end $$""",
    "create trigger audit after update on payments for each row execute function watched.audit()",
)


@exercise(
    "migrations.backfill",
    uses=lab.postgres,
    seconds=60,
    hints=(
        "Where is the position when the process is gone? And what is true between the commit of a batch and the commit of its position?",
        "A table with one row, which is updated in the same transaction as the batch. The next batch are the `batch` smallest numbers that are greater than "
        "the position; gaps do not matter then. What is the position before the first row? Not 0.",
        "create table if not exists progress …; then in a loop, each time in engine.begin(): read the position, select payment_id … where "
        "payment_id > position (or position is null) order by payment_id limit batch; update those, write the last number into progress; stop when there are none.",
    ),
    why="The batch and the position commit together, so after each kill the position says exactly what is done. Walking along the key finds the next rows "
    "wherever the gaps are.",
    stretch="Let new payments arrive in cents meanwhile. What must the first transaction remember, so that they are not multiplied?",
    rows=("falsy", "again"),
)
def check_backfill(to_cents: Callable[[Engine, int], Any], server: Postgres) -> None:
    """Killed at each step and called again; then an empty table, and one more call."""
    engine = lab.database(server, "exercise_backfill", *PAYMENTS)
    try:
        with _own_database(engine, DOLLARS):
            _convert(to_cents, engine, "called once")
            _examine(engine, "called once")
            _convert(to_cents, engine, "called again")
            _examine(engine, "called again after it was done")
        with _own_database(engine, {}):
            _convert(to_cents, engine, "with an empty table")
        for step in range(1, MOST_KILLS):
            with _own_database(engine, DOLLARS):
                if not _killed_at(step, to_cents, engine):
                    if step == 1:
                        raise Wrong(
                            "The check saw no statement of yours. Use engine.begin() or engine.connect(), whose statements it counts."
                        )
                    break
                _convert(to_cents, engine, f"killed at step {step} and called again")
                _examine(engine, f"killed at step {step} and called again")
    finally:
        engine.dispose()


@contextlib.contextmanager
def _own_database(engine: Engine, rows: dict[int, int | None]) -> Iterator[None]:
    """These payments and nothing of the answer's; afterwards its tables go."""
    values = ", ".join(f"({n}, {'null' if a is None else a})" for n, a in rows.items())
    lab.run(
        engine,
        "truncate payments, watched.audit",
        *([f"insert into payments values {values}"] if rows else []),
    )
    yield
    mine = lab.ask(engine, "select format('%%I', relname) from pg_class where relnamespace = 'public'::regnamespace "
                           "and relkind = 'r' and relname <> 'payments'")  # fmt: skip
    lab.run(engine, *[f"drop table {name} cascade" for name in _listed(mine)])
    columns = lab.ask(engine, "select format('%%I', attname) from pg_attribute where attrelid = 'payments'::regclass "
                              "and attnum > 0 and not attisdropped and attname not in ('payment_id', 'amount')")  # fmt: skip
    lab.run(engine, *[f"alter table payments drop column {name}" for name in _listed(columns)])


def _fresh(engine: Engine, name: str) -> Engine:
    from sqlalchemy import create_engine

    return create_engine(engine.url, connect_args={"sslmode": "disable", "application_name": name,
                                                   "options": "-c lock_timeout=5s"})  # fmt: skip


def _in_a_process(work: Callable[[], Any]) -> int:
    """Run it in a fork of this process, which ends without clearing up; the status of its end."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def _convert(to_cents: Callable[[Engine, int], Any], engine: Engine, when: str) -> None:
    """Call it here, so that its error is seen; a process of its own has no memory to give it."""
    from sqlalchemy.exc import SQLAlchemyError

    fresh = _fresh(engine, "backfill")
    try:
        to_cents(fresh, BATCH)
    except SQLAlchemyError as error:
        raise Wrong(
            f"{when[0].upper()}{when[1:]}, it failed: {str(getattr(error, 'orig', error)).splitlines()[0]}"
        ) from None
    finally:
        fresh.dispose()


def _killed_at(step: int, to_cents: Callable[[Engine, int], Any], engine: Engine) -> bool:
    """Run it in a process that is killed at its n-th statement or commit; False if it never got there."""
    from sqlalchemy import event

    def work() -> None:
        fresh = _fresh(engine, "killed")
        count = [0]

        def next_step(*_: Any) -> None:
            count[0] += 1
            if count[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(fresh, "before_cursor_execute", next_step)
        event.listen(fresh, "commit", next_step)
        to_cents(fresh, BATCH)

    status = _in_a_process(work)
    lab.until(
        lambda: (
            lab.ask(
                engine, "select count(*) from pg_stat_activity where application_name = 'killed'"
            )
            == 0
        )
    )
    return os.WIFSIGNALED(status)


def _examine(engine: Engine, when: str) -> None:
    got = dict(lab.ask(engine, "select payment_id, amount from payments"))
    expected = {n: None if amount is None else amount * 100 for n, amount in DOLLARS.items()}
    if got != expected:
        wrong = [n for n in DOLLARS if n not in got or got[n] != expected[n]]
        n = wrong[0] if wrong else "?"
        raise Wrong(
            f"{when[0].upper()}{when[1:]}: payment {n} had {DOLLARS.get(n)} dollars and now has {shown(got.get(n))}; expected "
            f"{shown(expected.get(n))}. {len(wrong)} of {len(DOLLARS)} payments are wrong."
        )
    largest = lab.ask(
        engine,
        "select coalesce(max(n), 0) from (select count(*) n from watched.audit group by transaction) t",
    )
    if largest > BATCH:
        raise Wrong(
            f"{when[0].upper()}{when[1:]}: a transaction changed {largest} rows, and batch is {BATCH}."
        )
