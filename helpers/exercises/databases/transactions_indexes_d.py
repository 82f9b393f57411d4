"""Exercises of 3.1d: a worker of a queue, and a seat that two customers want."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError

from helpers.exercises import Wrong, exercise
from helpers.labs.databases import transactions as lab

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from helpers.services import Postgres  # type: ignore[attr-defined]

ANSWER = "answer"  # the application_name of the answer's sessions


@contextmanager
def _engine(server: Postgres, patience: str = "3s") -> Iterator[Engine]:
    """The engine for an answer; every connection must be back at the end."""
    options = f"-c application_name={ANSWER} -c lock_timeout={patience}"
    engine = create_engine(  # not the server's own, which explains a lost connection in its way
        server.url_of(server.database),
        isolation_level="READ COMMITTED",
        connect_args={"options": options},
    )
    try:
        yield engine
        if left := engine.pool.checkedout():  # type: ignore[attr-defined]
            raise Wrong(
                f"{left} connection(s) of the engine were not given back. `with engine.begin() as connection:` gives "
                "them back on every path."
            )
    finally:
        engine.dispose()


def _send(server: Postgres, *statements: str) -> list[Any]:
    with server.connect(autocommit=True) as connection:
        for sql in statements:
            result = connection.execute(sql)
        return result.fetchall() if result.description else []


# Statistics of one row, and then four: the planner expects one.
JOBS = (
    "drop table if exists jobs",
    "create table jobs (id int primary key, payload text, done boolean not null default false)",
    "insert into jobs values (2, 'two')",
    "analyze jobs",
    "insert into jobs values (1, ''), (3, 'three'), (0, 'zero')",
)
TAKEN_BETWEEN = """update jobs set done = true
                   where id = (select id from jobs where not done order by id limit 1 for update skip locked) returning id"""
PAYLOADS = {0: "zero", 1: "", 2: "two", 3: "three"}
NUMBERS = {payload: id for id, payload in PAYLOADS.items()}


def _done(server: Postgres) -> list[int]:
    return [id for (id,) in _send(server, "select id from jobs where done order by id")]


def _worked(
    engine: Engine, work: Callable[..., Any], perform: Callable[[str], Any], when: str
) -> Any:
    """What a call returns; an error of the database is the answer's fault."""
    try:
        return work(engine, perform)
    except DBAPIError as error:
        if lab.code_of(error) == "55P03":
            raise Wrong(
                f"{when}, the worker waited for another one's job (and the server refused it: 55P03). It should take a job "
                "that nobody has."
            ) from None
        raise


def _one_after_the_other(server: Postgres, work: Callable[..., Any]) -> None:
    _send(server, *JOBS)
    performed: list[Any] = []
    returned: list[Any] = []
    with _engine(server) as engine:
        for _ in range(5):
            returned.append(_worked(engine, work, performed.append, "One call after the other"))
    expected = list(PAYLOADS.values())
    if performed != expected or _done(server) != [0, 1, 2, 3]:
        raise Wrong(
            f"Jobs 0 to 3 are open, and five calls came one after the other. The payloads should be performed in the "
            f"order of id, each once: {expected}. Performed were {performed}; done are the jobs {_done(server)}."
        )
    if returned != [0, 1, 2, 3, None]:
        raise Wrong(
            f"Five calls for jobs 0 to 3 should return 0, 1, 2, 3 and None (nothing to take). They returned {returned}."
        )


def _one_in_another(server: Postgres, work: Callable[..., Any]) -> None:
    """While one worker performs, another one comes: a call within the call."""
    _send(server, *JOBS)
    performed: list[int] = []
    early: list[int] = []
    returned: dict[int, Any] = {}

    def perform(payload: str) -> None:
        job = NUMBERS[payload]
        if job in performed:
            raise Wrong(
                f"While a worker performed job {job}, another one took the same job. Who has a job must keep others "
                "away until it is done."
            )
        performed.append(job)
        early.extend(_done(server))
        depth = len(performed)
        returned[depth] = _worked(
            engine, work, perform, f"While {depth} worker(s) performed a job each"
        )
        if depth == 1:
            early[:] = [job for job in early if job == 0]

    with _engine(server, "300ms") as engine:
        returned[0] = _worked(engine, work, perform, "Alone")
    if early:
        raise Wrong(
            "While job 0 was being performed, other sessions could read already that it was done. Set `done` afterwards."
        )
    got = [returned.get(depth) for depth in range(5)]
    if performed != [0, 1, 2, 3] or got != [0, 1, 2, 3, None] or _done(server) != [0, 1, 2, 3]:
        raise Wrong(
            f"Four workers performed at the same time, and a fifth one came. They should get jobs 0, 1, 2, 3 and None; "
            f"they got {got}, and performed {performed}; done are {_done(server)}."
        )


def _one_in_between(server: Postgres, work: Callable[..., Any]) -> None:
    """After each statement of a call, another worker comes, does the first free job, and is gone."""
    _send(server, *JOBS)
    theirs: list[int] = []
    ours: list[int] = []

    def another(*_: Any) -> None:
        if not ours:
            theirs.extend(id for (id,) in _send(server, TAKEN_BETWEEN))

    with _engine(server, "300ms") as engine:
        event.listen(engine, "after_cursor_execute", another)
        _worked(
            engine, work, lambda payload: ours.append(NUMBERS[payload]), "While another one came"
        )
    if twice := set(ours) & set(theirs):
        raise Wrong(
            f"Between two statements of the call another worker took job {min(twice)}, did it, and committed. The call "
            "performed it once more. The statement that locks the job must also check that it is not done."
        )


class _Fails(Exception):
    pass


class _Ends(BaseException):
    pass


def _after_an_error(server: Postgres, work: Callable[..., Any], error: BaseException) -> None:
    kind = "an Exception" if isinstance(error, Exception) else "a BaseException (as Ctrl-C does)"
    _send(server, *JOBS)

    def fail(_: str) -> None:
        raise error

    with _engine(server) as engine:
        try:
            got = f"returned {work(engine, fail)!r}"
        except BaseException as raised:
            got = f"raised {raised!r}" * (raised is not error)
        if got:
            raise Wrong(
                f"perform raised {kind}, and the call {got}. The caller must get the error."
            )
        again = _worked(engine, work, lambda _: None, "After an error in perform")
    if again != 0 or _done(server) != [0]:
        raise Wrong(
            f"perform raised {kind} for job 0. The job must be open again: the next call should return 0, and returned "
            f"{again!r}; done are {_done(server)}."
        )


def _after_a_death(server: Postgres, work: Callable[..., Any]) -> None:
    """The server ends the sessions of the worker while it performs, as when the process is killed."""
    _send(server, *JOBS)
    others = f"from pg_stat_activity where application_name = '{ANSWER}'"

    def die(_: str) -> None:
        _send(server, f"select pg_terminate_backend(pid) {others}")
        until = time.monotonic() + 2
        while _send(server, f"select count(*) {others}")[0][0] and time.monotonic() < until:
            time.sleep(0.005)

    with _engine(server) as engine, suppress(Exception):
        work(engine, die)
    with _engine(server) as engine:
        again = _worked(engine, work, lambda _: None, "After a worker's death")
    if again != 0:
        raise Wrong(
            "A worker died while it performed job 0 (its sessions were ended). The next worker should get job 0, and "
            f"got {again!r}. What was committed before `perform` stays when the worker is gone; no `except` runs then."
        )


@exercise(
    "transactions_indexes.one_job",
    uses=lab.postgres,
    seconds=30,
    hints=(
        "A lock that the server gives up when the session ends needs no cleaning up. How long must it be held, then: "
        "until the job is chosen, or until it is done?",
        "`select id, payload from jobs where not done order by id limit 1 for update skip locked`, in the same "
        "transaction as `perform` and the update.",
        "with engine.begin() as connection: row = (the select).first(); if row is None: return None; "
        "perform(row.payload); update jobs set done = true where id = %s; return row.id",
    ),
    why="The row lock is the claim. It lasts as long as the transaction, and the transaction lasts as long as the worker: "
    "an error, a cancelled task and a dead process end it in the same way. Nothing else has to be cleaned up. The job is "
    "done exactly when the commit is there; an effect outside (a mail) can still happen twice.",
    stretch="Jobs that take an hour cannot keep a transaction open. Add `leased_until` and `attempt`, a heartbeat that extends "
    "the lease, and a last update that names the attempt. What do you do when it matches no row?",
    rows=("falsy", "exception", "base exception", "environment", "again"),
)
def check_one_job(work: Callable[..., Any], server: Postgres) -> None:
    """Each job once, by any number of workers, whatever happens to them."""
    _one_after_the_other(server, work)
    _one_in_another(server, work)
    _one_in_between(server, work)
    _after_an_error(server, work, _Fails("no printer"))
    _after_an_error(server, work, _Ends("stop"))
    _after_a_death(server, work)


CABIN = """
    drop table if exists cabin, levels;
    create table levels (level text);
    create table cabin (seat text primary key, holder text);
    insert into cabin values ('14A', {last});
    analyze cabin;  -- the planner expects one row
    insert into cabin values ('12A', null), ('12B', {middle});
    create or replace function note_level() returns trigger language plpgsql as $$
    begin insert into levels values (current_setting('transaction_isolation')); return new; end $$;
    create trigger note before update on cabin for each row when (new.holder <> 'Grace') execute function note_level();
"""
SEATS = ["12A", "12B", "14A"]


def _cabin(server: Postgres, last: str = "null", middle: str = "null") -> None:
    _send(server, CABIN.format(last=last, middle=middle))


def _holders(server: Postgres) -> dict[str, Any]:
    return dict(_send(server, "select seat, holder from cabin order by seat"))


def _seated(server: Postgres, seat_for: Callable[..., Any]) -> None:
    """Four customers and a second call, one after the other."""
    _cabin(server)
    names = ["Ada", "Barbara", "Ada", "O'Hara", "Ken", "Barbara"]
    with _engine(server) as engine:
        try:
            got = [seat_for(engine, name) for name in names]
        except DBAPIError as error:
            raise Wrong(
                f"One after the other, {', '.join(names)} asked for a seat, and the server said: {error.orig}. (Give "
                "values as parameters, never as part of the text.)"
            ) from None
    expected = ["12A", "12B", "12A", "14A", None, "12B"]
    there = _holders(server)
    if got != expected or there != dict(zip(SEATS, ["Ada", "Barbara", "O'Hara"], strict=True)):
        raise Wrong(
            f"The cabin has 12A, 12B and 14A. {', '.join(names)} asked one after the other and should get {expected} "
            f"(Ada and Barbara keep theirs); they got {got}, and the table says {there}."
        )
    level = _send(server, "select distinct level from levels where level <> 'read committed'")
    if level:
        raise Wrong(
            f"A seat was given at {level[0][0].upper()}; the task is to do it at READ COMMITTED."
        )


def _beside_grace(
    server: Postgres, seat_for: Callable[..., Any], end: str, *names: str
) -> tuple[dict[str, Any], list[str]]:
    """Grace is about to take 12A; these customers ask; then Grace ends with `commit` or `rollback`.

    What each got, and who waited until then.
    """
    got: dict[str, Any] = {}

    def ask(name: str) -> None:
        try:
            got[name] = seat_for(engine, name)
        except BaseException as error:
            got[name] = error

    waiting = f"""select count(*) from pg_stat_activity
                  where application_name = '{ANSWER}' and cardinality(pg_blocking_pids(pid)) > 0"""
    with _engine(server) as engine, server.connect() as grace:
        grace.execute("update cabin set holder = 'Grace' where seat = '12A'")
        threads = [threading.Thread(target=ask, args=[name], daemon=True) for name in names]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            alive = sum(thread.is_alive() for thread in threads)
            if _send(server, waiting)[0][0] >= alive:
                break
            time.sleep(0.005)
        waited = [name for name, thread in zip(names, threads, strict=True) if thread.is_alive()]
        grace.execute(end)
        for thread in threads:
            thread.join(5)
    for name in names:
        result = got.setdefault(name, TimeoutError("it still runs, 5 s after Grace has ended"))
        if isinstance(result, NotImplementedError | Wrong):
            raise result
        if isinstance(result, BaseException):
            said = lab.code_of(result) if isinstance(result, DBAPIError) else str(result)
            raise Wrong(
                f"Grace was about to take 12A, and {name} asked for a seat: {name}'s call ended with "
                f"{type(result).__name__} ({said}). Nobody should get an error."
            )
    return got, waited


def _grace_commits(server: Postgres, seat_for: Callable[..., Any]) -> None:
    """With one and with two who wait, and when 12A is the last seat."""
    for taken, names, seats in (
        ("null", ["Ada"], ["12B"]),
        ("'Ken'", ["Ada"], [None]),
        ("null", ["Ada", "Barbara"], ["12B", "14A"]),
    ):
        _cabin(server, last=taken, middle=taken)
        got, _ = _beside_grace(server, seat_for, "commit", *names)
        there = _holders(server)
        asked = f"Grace was about to take 12A, {' and '.join(names)} asked for a seat, and Grace committed."
        if there["12A"] != "Grace":
            raise Wrong(
                f"{asked} Then the holder of 12A was {there['12A']}: Grace's seat is gone. What decided that 12A was free "
                "was read before the wait."
            )
        found = sorted(got.values(), key=str)
        if found != seats or any(seat and there[seat] != name for name, seat in got.items()):
            raise Wrong(
                f"{asked} What was free then should be given: expected {seats}, got {found}, and the table says {there}."
            )


def _grace_rolls_back(server: Postgres, seat_for: Callable[..., Any]) -> None:
    for taken in ("null", "'Ken'"):
        _cabin(server, last=taken, middle=taken)
        got, waited = _beside_grace(server, seat_for, "rollback", "Ada")
        if got["Ada"] != "12A" or _holders(server)["12A"] != "Ada":
            others = "free" if taken == "null" else "taken"
            skipped = "" if waited else " It did not wait to learn what becomes of 12A."
            raise Wrong(
                f"Grace was about to take 12A (the other seats are {others}), Ada asked, and Grace rolled back. Ada should "
                f"get 12A, and got {got['Ada']!r}.{skipped}"
            )


def _keeps_her_seat(server: Postgres, seat_for: Callable[..., Any]) -> None:
    _cabin(server, last="'Ada'")
    got, waited = _beside_grace(server, seat_for, "commit", "Ada")
    if got["Ada"] != "14A" or waited:
        raise Wrong(
            f"Ada has 14A and asks again while Grace is about to take 12A. She should get 14A at once; got {got['Ada']!r}"
            f"{', after she had waited for Grace' if waited else ''}."
        )


@exercise(
    "transactions_indexes.free_seat",
    uses=lab.postgres,
    seconds=30,
    hints=(
        "What is read in a subselect, or in a statement before the wait, is old after the wait. What does PostgreSQL read "
        "again? Only the row that it has waited for, and the conditions on that row.",
        "`select seat from cabin where holder is null order by seat limit 1 for update` waits for the seat, checks "
        "`holder is null` again, and goes on to the next one. `skip locked` would not wait; look up the customer's own seat first.",
        "with engine.begin() as connection: the seat where holder = %s, if there is one; else the select above; no row: "
        "None; else update cabin set holder = %s where seat = %s, and return the seat.",
    ),
    why="The lock is taken by the statement that decides. When the wait is over, PostgreSQL reads the newest version of that "
    "row: is it still free? If not, the lock node drops it and fetches the next candidate. The update in the next "
    "statement has nothing left to decide. The same select as a subselect of the update does it as well, if it locks.",
    stretch="While Ada waits, a *new* seat 11A is added and committed. Does she get it? (The candidates come from the "
    "statement's snapshot.) When does your function say None although a seat is free, and does it matter?",
    rows=("apostrophe", "again", "environment"),
)
def check_free_seat(seat_for: Callable[..., Any], server: Postgres) -> None:
    """One seat each, none overwritten, nobody sent away while a seat may become free."""
    _seated(server, seat_for)
    _grace_commits(server, seat_for)
    _grace_rolls_back(server, seat_for)
    _keeps_her_seat(server, seat_for)
