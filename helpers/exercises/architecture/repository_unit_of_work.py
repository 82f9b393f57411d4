"""Exercises of 6.3: a unit of work that publishes only after its commit, and a retry of conflicts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, sessionmaker


class Refused(Exception):
    """What the queue raises that is handed in."""


@contextmanager
def _customers() -> Iterator[tuple[Engine, sessionmaker[Session]]]:
    """An empty table of customers in SQLite, with a pool of one connection that nobody waits for."""
    import sqlalchemy as sa
    from sqlalchemy.orm import sessionmaker

    from helpers.airline.models import Base, Customer

    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        engine = sa.create_engine(
            f"sqlite:///{Path(folder, 'airline.db')}", poolclass=sa.QueuePool, pool_size=1, max_overflow=0,
            pool_timeout=0.2,
        )  # fmt: skip
        try:
            Base.metadata.create_all(engine, tables=[Customer.__table__])  # type: ignore[list-item]
            yield engine, sessionmaker(engine)
        finally:
            engine.dispose()


def _new(number: int) -> Any:
    from helpers.airline.models import Customer
    from helpers.labs.architecture.repository_unit_of_work import NOW

    return Customer(customer_id=number, name="Ada", email=f"{number}@example.com", created_at=NOW)


def _rows(engine: Engine) -> list[int]:
    """The customers that are committed; read beside the pool."""
    import sqlalchemy as sa

    other = sa.create_engine(engine.url)
    try:
        with other.connect() as connection:
            return list(connection.scalars(sa.text("select customer_id from customers order by 1")))
    finally:
        other.dispose()


def _free(engine: Engine, when: str) -> None:
    if engine.pool.checkedout():  # type: ignore[attr-defined]
        raise Wrong(
            f"{when}, a connection is still out of the pool: the transaction and its session are to be over by then."
        )


# --- the unit of work ----------------------------------------------------------------------------


@exercise(
    "repository_unit_of_work.after_commit",
    hints=(
        "When is a message certain to be true? And which messages are still to be sent when the block commits a second time?",
        "Keep the messages in a list that begins with the block. `commit()` takes the list and leaves an empty one, commits, and then "
        "publishes what it took. What becomes of the list if the commit fails, or if the block ends without one?",
        "__enter__: a session and an empty list. commit(): messages, self.messages = self.messages, []; session.commit(); for each "
        "message: try publish, except Exception: collect; at the end raise ExceptionGroup if there is something in it. __exit__: "
        "session.close(), return nothing.",
    ),
    why="The list is emptied before the commit. If the commit fails, the messages are gone with their rows. If `publish` fails, "
    "nothing is sent twice. A failure is kept until all have had their turn, and then it is raised. The session is closed at the end, which rolls back what is open.",
    stretch="A process that dies between the commit and the last message loses messages. What would `tell` have to do instead, and "
    "who would then publish?",
    rows=("falsy", "identity", "again", "exception", "base exception"),
)
def check_after_commit(unit_of_work: Callable[[Any, Any], Any]) -> None:
    """What was sent, when, and what is in the table."""
    with _customers() as (engine, sessions):
        _in_order(unit_of_work, engine, sessions)
        _not_committed(unit_of_work, engine, sessions)
        _commit_fails(unit_of_work, engine, sessions)
        _publish_fails(unit_of_work, engine, sessions)


def _in_order(unit_of_work: Callable[[Any, Any], Any], engine: Engine, sessions: Any) -> None:
    sent: list[tuple[Any, list[int]]] = []
    held: list[Any] = []  # a `Wrong` in publish would be caught by the answer

    def publish(message: Any) -> None:
        held.extend([message] * engine.pool.checkedout())  # type: ignore[attr-defined]
        sent.append((message, _rows(engine)))

    with unit_of_work(sessions, publish) as uow:
        uow.session.add(_new(1))
        told = ["one", "", ["1A"], "one", None]
        for message in told:
            uow.tell(message)
        uow.session.flush()
        if sent:
            raise Wrong(
                f"{sent[0][0]!r} was published before the commit: the transaction may still fail."
            )
        uow.commit()
        if not same([message for message, _ in sent], told):
            raise Wrong(
                "tell('one'), tell(''), tell(['1A']), tell('one'), tell(None), commit(): expected these five messages in this "
                f"order, published were {[message for message, _ in sent]}."
            )
        if sent[2][0] is not told[2]:
            raise Wrong("tell(['1A']): publish got a list that is equal, and not the object that was told.")  # fmt: skip
        if any(rows != [1] for _, rows in sent):
            raise Wrong("When a message is published, its customer must be committed.")
        if held:
            raise Wrong(
                f"While publish({held[0]!r}) runs, a connection is out of the pool: publish may take its time, so it comes "
                "after the transaction."
            )
        uow.session.add(_new(2))
        uow.tell("three")
        uow.commit()
    if [message for message, _ in sent[5:]] != ["three"]:
        raise Wrong(
            f"The block commits twice, 'three' is told in between: the second commit is to publish 'three', it published "
            f"{[message for message, _ in sent[5:]]}."
        )
    _free(engine, "After the block")
    with unit_of_work(sessions, publish) as uow:
        uow.session.add(_new(9))
        uow.commit()
    if 9 not in _rows(engine):
        raise Wrong("A block adds a customer, tells nothing and commits: the customer is not in the table.")  # fmt: skip


def _not_committed(unit_of_work: Callable[[Any, Any], Any], engine: Engine, sessions: Any) -> None:
    sent: list[Any] = []
    with unit_of_work(sessions, sent.append) as uow:
        uow.session.add(_new(3))
        uow.session.flush()
        uow.tell("never")
    _free(engine, "After a block without a commit")
    if 3 in _rows(engine):
        raise Wrong("A block that does not call commit() is rolled back; its customer is in the table.")  # fmt: skip
    if sent:
        raise Wrong(f"A block without a commit published {sent}.")

    for error in (ValueError("the seat is taken"), KeyboardInterrupt()):

        def block(error: BaseException = error) -> None:
            with unit_of_work(sessions, sent.append) as uow:
                uow.session.add(_new(3))
                uow.session.flush()
                uow.tell("never")
                raise error

        if (met := raised_by(block)) is not error:
            raise Wrong(f"The block raised {error!r}, its caller got {met!r}: let it go on.")
        _free(engine, f"After a block that raised {type(error).__name__}")
        if sent or 3 in _rows(engine):
            raise Wrong(
                f"A block that raised {type(error).__name__} has left something: published {sent}."
            )
    with unit_of_work(sessions, sent.append) as uow:
        uow.tell("mine")
        uow.commit()
    if sent != ["mine"]:
        raise Wrong(
            f"A new unit of work told 'mine' and published {sent}: the messages of another one are not its own."
        )
    sent.clear()
    with unit_of_work(sessions, sent.append) as uow:
        uow.commit()
        uow.tell("late")
    if sent:
        raise Wrong(
            "The block commits, and tells 'late' afterwards: no commit follows, so 'late' is dropped; it was published."
        )
    manager = unit_of_work(sessions, sent.append)
    with manager as uow:
        uow.tell("dropped")
    try:
        uow = manager.__enter__()
    except Exception:
        return  # for one block only, as a context manager that is made of a generator
    try:
        uow.commit()
    finally:
        manager.__exit__(None, None, None)
    if sent:
        raise Wrong(
            "The first block tells 'dropped' and does not commit; a second block of the same object commits, and 'dropped' was "
            "published: the end of a block drops its messages."
        )


def _commit_fails(unit_of_work: Callable[[Any, Any], Any], engine: Engine, sessions: Any) -> None:
    from sqlalchemy.exc import IntegrityError

    sent: list[Any] = []

    def block() -> None:
        with unit_of_work(sessions, sent.append) as uow:
            uow.session.add(_new(1))  # is there
            uow.tell("never")
            uow.commit()

    if not isinstance(met := raised_by(block), IntegrityError):
        raise Wrong(f"The database refuses the commit: the caller is to get its error, got {met!r}.")  # fmt: skip
    if sent:
        raise Wrong(f"The database refused the commit, and {sent} was published.")
    with unit_of_work(sessions, sent.append) as uow:
        uow.session.add(_new(1))
        uow.tell("of the first attempt")
        raised_by(uow.commit)
        uow.session.rollback()
        uow.session.add(_new(8))
        uow.tell("of the second")
        uow.commit()
    if sent != ["of the second"]:
        raise Wrong(
            "The first commit of the block was refused, the caller caught that, and the second one succeeded. Published was "
            f"{sent}: the rows of the first attempt are rolled back, so its messages must go, too."
        )
    _free(engine, "After a commit that was refused")


def _publish_fails(unit_of_work: Callable[[Any, Any], Any], engine: Engine, sessions: Any) -> None:
    tried: list[Any] = []
    errors: dict[str, BaseException] = {"b": Refused("b"), "d": Refused("d")}

    def publish(message: str) -> None:
        tried.append(message)
        if message in errors:
            raise errors[message]

    caught: list[BaseException | None] = []

    def block() -> None:
        with unit_of_work(sessions, publish) as uow:
            uow.session.add(_new(7))
            for message in "abcde":
                uow.tell(message)
            caught.append(raised_by(uow.commit))
            uow.commit()  # nothing was told since

    again = raised_by(block)
    met = caught[0] if caught else again
    if tried == list("abcdeabcde"):
        raise Wrong(
            "publish raised for 'b' and 'd' of a to e, the caller caught that and committed again: nothing was told since, and "
            "all five were published a second time."
        )
    if tried != list("abcde"):
        raise Wrong(
            f"publish raised for 'b' and 'd' of a to e: the others are to be published all the same, each once; tried were {tried}."
        )
    if not isinstance(met, ExceptionGroup) or list(met.exceptions) != list(errors.values()):
        raise Wrong(
            f"publish raised two errors: commit() is to raise an ExceptionGroup of these two, got {shown(met)}."
        )

    def not_caught() -> None:
        with unit_of_work(sessions, publish) as uow:
            uow.tell("b")
            uow.commit()

    if not isinstance(met := raised_by(not_caught), ExceptionGroup):
        raise Wrong(
            f"commit() raised an ExceptionGroup, nobody in the block caught it, and the block's caller got {shown(met)}: an error "
            "in the block goes on."
        )
    errors = {"b": KeyboardInterrupt()}
    tried.clear()

    def interrupted() -> None:
        with unit_of_work(sessions, publish) as uow:
            for message in "abc":
                uow.tell(message)
            uow.commit()

    if (met := raised_by(interrupted)) is not errors["b"] or "c" in tried:
        raise Wrong(
            f"KeyboardInterrupt in publish ends the program: let it go on at once; got {met!r} after {tried}."
        )
    _free(engine, "After an error of publish")


# --- the retry -----------------------------------------------------------------------------------


@exercise(
    "repository_unit_of_work.optimistic_retry",
    hints=(
        "What has to be repeated: the UPDATE, or everything from the first read on? And where can a conflict come up, apart from "
        "the work itself?",
        "A loop whose body opens a session, works, commits and returns. The `except` stands outside of the session's `with`, so that "
        "the session is over before the next one begins.",
        "for left in reversed(range(attempts)): try: with sessions.begin() as session: return work(session) … wait, when does this "
        "commit? At the end of the `with`, inside of the `try`: good. except StaleDataError, and DBAPIError with "
        "getattr(error.orig, 'sqlstate', None) in {'40001', '40P01'}: if not left: raise.",
    ),
    why="A conflict says that something that was read is no longer so. A new session has read nothing, so the decision is made anew. "
    "The commit is inside the `try`, because a flush at the commit is where a version is compared, and SERIALIZABLE may refuse there.",
    stretch="Eight writers that repeat at once meet again. Add a pause that grows and is random (full jitter): where must it stand, so "
    "that no connection waits through it?",
    rows=("falsy", "again", "exception", "base exception"),
)
def check_optimistic_retry(optimistic: Callable[..., Any]) -> None:
    """A script of failures: which are repeated, in which session, and what is left."""
    with _customers() as (engine, sessions):
        _repeats(optimistic, engine, sessions)
        _gives_up(optimistic, engine, sessions)
        _does_not_repeat(optimistic, engine, sessions)
        _conflict_at_commit(optimistic, engine, sessions)


class _Scripted:
    """Work that adds a customer and then fails as it is told to; what it saw."""

    def __init__(self, engine: Engine, errors: list[BaseException], result: Any, number: int) -> None:  # fmt: skip
        self.engine, self.errors, self.result, self.number = engine, list(errors), result, number
        self.seen: list[Any] = []
        self.held = 0  # connections out of the pool when an attempt began

    def __call__(self, session: Any) -> Any:
        self.held += self.engine.pool.checkedout()  # type: ignore[attr-defined]
        self.seen.append(session)
        session.add(_new(self.number))
        session.flush()
        if len(self.seen) <= len(self.errors):
            raise self.errors[len(self.seen) - 1]
        return self.result


REFUSALS = {  # what a server says with a code; some texts contain another code
    "40001": "could not serialize access due to concurrent update",
    "40P01": "deadlock detected",
    "40003": "statement completion unknown",
    "23505": "duplicate key value: (flight_id, number)=(40001, 1) already exists",
    "55P03": "could not obtain lock on row 40001 of flights",
    None: "server closed the connection unexpectedly",
}


def _refusal(code: str | None) -> BaseException:
    """As SQLAlchemy raises it. A driver decides which kind of DBAPIError belongs to a code."""
    import sqlalchemy as sa

    kinds = {"40P01": sa.exc.DBAPIError, "23505": sa.exc.IntegrityError}
    origin = type("Refusal", (Exception,), {"sqlstate": code})(REFUSALS[code])
    return kinds.get(str(code), sa.exc.OperationalError)("UPDATE flights", {}, origin)


def _stale() -> BaseException:
    from sqlalchemy.orm.exc import StaleDataError

    return StaleDataError("UPDATE statement on table 'flights' expected to update 1 row(s); 0 were matched.")  # fmt: skip


def _repeats(optimistic: Callable[..., Any], engine: Engine, sessions: Any) -> None:
    for number, result in ((1, "ABC234"), (2, None), (3, 0)):
        errors = [_stale(), _refusal("40001"), _refusal("40P01")]
        work = _Scripted(engine, errors, result, number)
        got: list[Any] = []
        met = raised_by(lambda w=work, g=got: g.append(optimistic(sessions, w, attempts=4)))  # type: ignore[misc]
        if met is not None and not work.held:
            raise Wrong(
                "A version conflict, then 40001, then 40P01, then success, attempts=4: the fourth attempt is to succeed. "
                f"After {len(work.seen)} attempts it raised {type(met).__name__}."
            )
        if len({id(session) for session in work.seen}) < len(work.seen):
            raise Wrong(
                "An attempt got the session of an earlier one, with the objects that it had read: open a new one."
            )
        if work.held:
            raise Wrong(
                "When an attempt began, a connection of an earlier one was still out of the pool: close its session first."
            )
        if len(work.seen) != 4 or not same(got, [result]):
            raise Wrong(
                f"Work that succeeds at its fourth attempt and returns {result!r}: expected this result after 4 attempts, got "
                f"{shown(got[0])} after {len(work.seen)}."
            )
        if number not in _rows(engine):
            raise Wrong("The attempt that succeeded is to be committed; its customer is not there.")
        _free(engine, "After the call")


def _gives_up(optimistic: Callable[..., Any], engine: Engine, sessions: Any) -> None:
    for given, attempts in (({"attempts": 1}, 1), ({"attempts": 7}, 7), ({}, 5)):
        errors = [_refusal("40001") for _ in range(9)]
        work = _Scripted(engine, errors, "never", 4)
        met = raised_by(lambda w=work, g=given: optimistic(sessions, w, **g))  # type: ignore[misc]
        if len(work.seen) != attempts:
            raise Wrong(
                f"attempts={attempts}{'' if given else ', the default'}, and every attempt meets a conflict: the work ran "
                f"{len(work.seen)} times."
            )
        if met is not errors[attempts - 1]:
            raise Wrong(
                f"After the last of {attempts} attempts its conflict is to reach the caller, got {met!r}."
            )
        _free(engine, "After the last attempt")


def _does_not_repeat(optimistic: Callable[..., Any], engine: Engine, sessions: Any) -> None:
    import sqlite3

    import sqlalchemy as sa

    for error in (
        _refusal("23505"),
        _refusal("55P03"),
        _refusal("40003"),
        sa.exc.OperationalError("UPDATE flights", {}, sqlite3.OperationalError("locked")),
        ValueError("40001"),
        KeyboardInterrupt(),
    ):
        work = _Scripted(engine, [error] * 6, "never", 5)
        met = raised_by(lambda w=work: optimistic(sessions, w, attempts=3))  # type: ignore[misc]
        told = getattr(getattr(error, "orig", None), "sqlstate", repr(error))
        if len(work.seen) != 1 or met is not error:
            raise Wrong(
                f"{told} is no conflict of versions: one attempt, and the caller gets this error. There were {len(work.seen)} attempts, "
                f"and the caller got {met!r}."
            )
        _free(engine, f"After {told}")
    if 5 in _rows(engine):
        raise Wrong("An attempt that failed was committed.")


def _conflict_at_commit(optimistic: Callable[..., Any], engine: Engine, sessions: Any) -> None:
    for number, conflict in ((6, _stale()), (7, _refusal("40001")), (10, _refusal("40P01"))):
        met, _ = _refused_commits(optimistic, engine, sessions, number, [conflict], attempts=2)
        if met is not None or number not in _rows(engine):
            raise Wrong(
                "The conflict came up in the commit: repeat this attempt, too, "
                f"and commit the next one. The caller got {met!r}."
            )
    lost = _refusal(None)
    met, seen = _refused_commits(optimistic, engine, sessions, 8, [lost, lost, lost], attempts=3)
    if seen != 1 or met is not lost:
        raise Wrong(
            "The connection broke during COMMIT, which is no conflict: the transaction may have been committed. One attempt, and "
            f"the caller gets the error. There were {seen} attempts, and the caller got {met!r}."
        )
    for attempts in (1, 2):
        conflicts = [_stale() for _ in range(5)]
        met, seen = _refused_commits(optimistic, engine, sessions, 9, conflicts, attempts)
        if seen > attempts:
            raise Wrong(
                f"attempts={attempts}, and every commit meets a conflict: the work ran {seen} times."
            )
        if met is not conflicts[attempts - 1]:
            raise Wrong(
                f"The commit of the last attempt met a conflict: it is to reach the caller, got {met!r}."
            )


def _refused_commits(
    optimistic: Callable[..., Any],
    engine: Engine,
    sessions: Any,
    number: int,
    errors: list[BaseException],
    attempts: int,
) -> tuple[BaseException | None, int]:
    """What the caller got, and how many attempts there were, when the first commits raise these errors."""
    import sqlalchemy as sa

    failing = list(errors)

    def refuse(session: Any) -> None:
        if failing:
            raise failing.pop(0)

    work = _Scripted(engine, [], "done", number)
    sa.event.listen(sessions, "before_commit", refuse)
    try:
        met = raised_by(lambda: optimistic(sessions, work, attempts=attempts))
    finally:
        sa.event.remove(sessions, "before_commit", refuse)
    _free(engine, "After an error of the commit")
    return met, len(work.seen)
