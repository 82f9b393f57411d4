"""Calls that share a database and take turns, a statement each: the unlucky order, every time.

`transactions.play` sends statements of a script. Here the statements come from functions, somebody's
own code; what decides is when each of them may send its next one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy

from helpers.labs.databases.transactions import WAITING, code_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

AT_WORK, READY, DONE = "at work", "ready", "done"
MOST = 200  # statements of one call


class Endless(BaseException):
    """Ends a call that would never end; not an Exception, which a retry might catch."""


@dataclass
class Call:
    """One call as it went: what it returned or raised, what it sent, whether it waited for a lock."""

    name: str
    result: Any = None
    error: BaseException | None = None
    sent: list[str] = field(default_factory=list)
    waited: bool = False

    @property
    def refused(self) -> str | None:
        """The code of the database's error that came out of the call."""
        known = isinstance(self.error, sqlalchemy.exc.DBAPIError)
        return code_of(self.error) if known else None  # type: ignore[arg-type]


class Lockstep:
    """Runs calls in threads of their own; before each statement, commit and rollback a thread waits
    for its turn.

    The turn goes on when its holder wants to send the next statement, has returned, or waits for a
    lock: the server says so, no clock is involved.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.state: dict[str, str] = {}
        self.calls: dict[str, Call] = {}
        self.changed = threading.Condition()
        sqlalchemy.event.listen(engine, "before_cursor_execute", self._before_statement)
        sqlalchemy.event.listen(engine, "commit", lambda _: self._await_turn("commit"))
        sqlalchemy.event.listen(engine, "rollback", lambda _: self._await_turn("rollback"))

    def run(self, works: Mapping[str, Callable[[], Any]]) -> dict[str, Call]:
        """Run all of them to the end, taking turns in the mapping's order."""
        self.state = dict.fromkeys(works, AT_WORK)
        self.calls = {name: Call(name) for name in works}
        threads = [
            threading.Thread(target=self._work, args=item, name=item[0], daemon=True)
            for item in works.items()
        ]
        with self.engine.connect() as connection:
            asking = connection.execution_options(isolation_level="AUTOCOMMIT")

            def waiting() -> int:
                return int(asking.exec_driver_sql(WAITING["PostgreSQL"]).scalar_one())

            for thread in threads:
                thread.start()
            self._settle(waiting)
            while any(state != DONE for state in self.state.values()):
                for name in works:
                    if self.state[name] == READY:
                        self._set(name, AT_WORK)
                        self._settle(waiting)
        for thread in threads:
            thread.join()
        return self.calls

    def _work(self, name: str, work: Callable[[], Any]) -> None:
        try:
            self.calls[name].result = work()
        except BaseException as error:
            self.calls[name].error = error
        finally:
            self._set(name, DONE)

    def _before_statement(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        self._await_turn(statement)

    def _await_turn(self, what: str) -> None:
        name = threading.current_thread().name
        if name not in self.state:  # ours, which asks who waits
            return
        self.calls[name].sent.append(what)
        if len(self.calls[name].sent) == MOST:
            raise Endless(f"ended after {MOST} statements")
        self._set(name, READY)
        with self.changed:
            self.changed.wait_for(lambda: self.state[name] == AT_WORK)

    def _set(self, name: str, state: str) -> None:
        with self.changed:
            self.state[name] = state
            self.changed.notify_all()

    def _settle(self, waiting: Callable[[], int]) -> None:
        """Return when each call wants a turn, has returned, or (and another one wants a turn) waits."""
        while True:
            with self.changed:
                at_work = [name for name, state in self.state.items() if state == AT_WORK]
                if not at_work:
                    return
                somebody_ready = READY in self.state.values()
            if waiting() == len(at_work):
                for name in at_work:
                    self.calls[name].waited = True
                if somebody_ready:
                    return
            with self.changed:
                self.changed.wait(0.005)
