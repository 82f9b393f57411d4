"""Plausible wrong answers to the exercises of 6.3, what must be said of each, and right ones of other styles."""

from __future__ import annotations

from support import exchanged

UNIT = """
class UnitOfWork:
    def __init__(self, sessions, publish):
        self.sessions, self.publish = sessions, publish

    def __enter__(self):
        self.session, self.messages = self.sessions(), []
        return self

    def __exit__(self, *problem):
        self.session.close()

    def tell(self, message):
        self.messages.append(message)

    def commit(self):
        messages, self.messages = self.messages, []
        self.session.commit()
        failed = []
        for message in messages:
            try:
                self.publish(message)
            except Exception as error:
                failed.append(error)
        if failed:
            raise ExceptionGroup("not published", failed)
"""
RETRY = """
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError


def optimistic(sessions, work, attempts=5):
    for left in reversed(range(attempts)):
        try:
            with sessions.begin() as session:
                return work(session)
        except StaleDataError:
            if not left:
                raise
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in ("40001", "40P01") or not left:
                raise
"""


def unit(old, new):
    """The worked unit of work with one part changed."""
    return exchanged(UNIT, (old, new))


def retry(old, new):
    """The worked retry with one part changed."""
    return exchanged(RETRY, (old, new))


WRONG = {
    "repository_unit_of_work.after_commit": [
        # at once
        (unit("self.messages.append(message)", "self.publish(message)"), "was published before the commit"),
        # before the commit
        (unit("        self.session.commit()\n", "").replace("        if failed:", "        self.session.commit()\n        if failed:"),
         "its customer must be committed"),
        # each message once, in a set of its own; a truth test
        (unit("self.messages.append(message)", "self.messages += [message] if message not in self.messages else []"),
         "expected these five messages", "identity"),
        (unit("self.messages.append(message)", "self.messages += [message] if message else []"),
         "expected these five messages", "falsy"),
        # what survives JSON
        (unit("self.messages.append(message)", "import json; self.messages.append(json.loads(json.dumps(message)))"),
         "not the object that was told"),
        # nothing to tell, nothing to commit
        (unit("        self.session.commit()\n", "        if messages:\n            self.session.commit()\n"), "tells nothing and commits"),
        # the group is for the log only
        (unit("        self.session.close()", "        self.session.close()\n        return problem[0] is ExceptionGroup"),
         "the block's caller got", "exception"),
        # the list of all that was ever told
        (unit("messages, self.messages = self.messages, []", "messages = self.messages"), "the second commit is to publish 'three'"),
        # the list is emptied at the end, which an error does not reach
        (unit("        messages, self.messages = self.messages, []\n        self.session.commit()\n",
              "        messages = self.messages\n        try:\n            self.session.commit()\n        except Exception:\n"
              "            self.messages = []\n            raise\n") + "        self.messages = []\n",
         "all five were published a second time"),
        # the block's end decides
        (unit("        self.session.close()", "        if problem[0] is None:\n            self.commit()\n        self.session.close()"),
         "A block that does not call commit() is rolled back"),
        (unit("        self.session.close()", "        self.session.close()\n        for message in self.messages:\n"
              "            self.publish(message)"), "A block without a commit published"),
        (unit("        self.session.close()", "        self.session.close()\n        return True"), "let it go on", "exception"),
        # no end
        (unit("        self.session.close()", "        self.session.expunge_all()"), "a connection is still out of the pool"),
        # one list for the class
        (unit("self.session, self.messages = self.sessions(), []", "self.session = self.sessions()")
         .replace("class UnitOfWork:", "class UnitOfWork:\n    messages = []\n")
         .replace("messages, self.messages = self.messages, []", "messages = self.messages[:]\n        self.messages.clear()"),
         "the messages of another one are not its own", "again"),
        # whatever the commit says
        (unit("        self.session.commit()\n", "        try:\n            self.session.commit()\n        except Exception:\n"
              "            for message in messages:\n                self.publish(message)\n            raise\n"),
         "The database refused the commit"),
        (unit("        self.session.commit()\n", "        try:\n            self.session.commit()\n        except Exception:\n"
              "            self.session.rollback()\n            return\n"), "the caller is to get its error"),
        # an event of the session, which comes before the connection is given back
        (unit("        self.session, self.messages = self.sessions(), []\n", "        self.session, self.messages = self.sessions(), []\n"
              "        sa.event.listen(self.session, 'after_commit', self.send)\n")
         .replace("        messages, self.messages = self.messages, []\n        self.session.commit()\n",
                  "        self.session.commit()\n\n    def send(self, session):\n        messages, self.messages = self.messages, []\n")
         .replace("class UnitOfWork", "import sqlalchemy as sa\n\n\nclass UnitOfWork"), "While publish('one') runs"),
        # the messages of a commit that failed wait for the next one
        (unit("        messages, self.messages = self.messages, []\n        self.session.commit()\n",
              "        self.session.commit()\n        messages, self.messages = self.messages, []\n"), "its messages must go, too"),
        # whoever has committed once has said yes to all
        (unit("        self.session.close()", "        self.session.close()\n        for message in self.messages if self.yes else ():\n"
              "            self.publish(message)").replace("self.sessions(), []", "self.sessions(), []\n        self.yes = False")
         .replace("        self.session.commit()", "        self.session.commit()\n        self.yes = True"),
         "tells 'late' afterwards"),
        # one list for all blocks of an object
        (unit("self.session, self.messages = self.sessions(), []", "self.session = self.sessions()")
         .replace("self.sessions, self.publish = sessions, publish", "self.sessions, self.publish, self.messages = sessions, publish, []"),
         "the end of a block drops its messages", "again"),
        # a block that failed tells of it
        (unit("        self.session.close()", "        self.session.close()\n        if problem[0]:\n"
              "            for message in self.messages:\n                self.publish(message)"), "has left something"),
        # one bad message
        (unit("failed.append(error)", "raise ExceptionGroup('not published', [error]) from None"),
         "the others are to be published all the same"),
        (unit("raise ExceptionGroup(\"not published\", failed)", "raise failed[0]"), "an ExceptionGroup of these two"),
        (unit("except Exception as error", "except BaseException as error").replace("raise ExceptionGroup", "raise BaseExceptionGroup"),
         "KeyboardInterrupt in publish", "base exception"),
    ],
    "repository_unit_of_work.optimistic_retry": [
        # one kind of conflict
        (retry('("40001", "40P01")', '("40001",)'), "the fourth attempt is to succeed"),
        # the session of the first attempt
        ("""
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError


def optimistic(sessions, work, attempts=5):
    with sessions() as session:
        for left in reversed(range(attempts)):
            try:
                result = work(session)
                session.commit()
                return result
            except (StaleDataError, DBAPIError):
                session.rollback()
                if not left:
                    raise
""", "An attempt got the session of an earlier one"),
        # sessions that stay open
        (retry("            with sessions.begin() as session:\n                return work(session)",
               "            session = sessions()\n            result = work(session)\n            session.commit()\n"
               "            return result"), "was still out of the pool"),
        # a truth test on the result
        (retry("                return work(session)", "                result = work(session)\n            if result:\n"
               "                return result"), "expected this result after 4 attempts", "falsy"),
        # one more than allowed
        (retry("range(attempts)", "range(attempts + 1)"), "the work ran 2 times"),
        # a number that is not the caller's
        (retry("range(attempts)", "range(5)"), "the work ran 5 times", "again"),
        (retry("range(attempts)", "range(min(attempts, 5))"), "attempts=7, and every attempt"),
        (retry("attempts=5", "attempts=3"), "attempts=5, the default"),
        # nothing is told
        (retry("        except StaleDataError:\n            if not left:\n                raise",
               "        except StaleDataError:\n            pass").replace(" or not left", ""),
         "its conflict is to reach the caller"),
        # any error of the database
        (retry(' not in ("40001", "40P01") or not left', ' == "23505" or not left'), "55P03 is no conflict of versions"),
        # the code in the text, where a number may stand, too
        (retry('getattr(error.orig, "sqlstate", None) not in ("40001", "40P01")',
               '"40001" not in str(error) and "serialize" not in str(error) and "deadlock" not in str(error)'),
         "23505 is no conflict of versions"),
        # the whole class 40, in which 40003 says that nobody knows
        (retry('getattr(error.orig, "sqlstate", None) not in ("40001", "40P01")',
               'not str(getattr(error.orig, "sqlstate", None)).startswith("40")'), "40003 is no conflict of versions"),
        # an attribute that sqlite3's errors do not have
        (retry('getattr(error.orig, "sqlstate", None)', "error.orig.sqlstate"), "the caller got AttributeError"),
        # a kind of error that one driver has for these codes
        (retry("except DBAPIError", "except OperationalError").replace("import DBAPIError", "import OperationalError"),
         "the fourth attempt is to succeed"),
        (retry("except StaleDataError:", "except (StaleDataError, ValueError):"), "ValueError('40001') is no conflict", "exception"),
        (retry("except StaleDataError:", "except (StaleDataError, KeyboardInterrupt):"), "KeyboardInterrupt() is no conflict",
         "base exception"),
        # not committed
        (retry("sessions.begin()", "sessions()"), "The attempt that succeeded is to be committed"),
        # the commit of what has failed
        (retry("                return work(session)", "                try:\n                    return work(session)\n"
               "                except KeyboardInterrupt:\n                    session.commit()\n                    raise"),
         "An attempt that failed was committed"),
        # a commit outside of the try
        ("""
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError


def optimistic(sessions, work, attempts=5):
    for left in reversed(range(attempts)):
        session = sessions()
        try:
            result = work(session)
        except (StaleDataError, DBAPIError) as error:
            session.close()
            code = "40001" if isinstance(error, StaleDataError) else getattr(error.orig, "sqlstate", None)
            if code not in ("40001", "40P01") or not left:
                raise
            continue
        except BaseException:
            session.close()
            raise
        try:
            session.commit()
        finally:
            session.close()
        return result
""", "The conflict came up in the commit"),
        # a deadlock can come up in the commit, too (deferred constraints)
        ("""
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError


def optimistic(sessions, work, attempts=5):
    for left in reversed(range(attempts)):
        codes = {"40001", "40P01"}
        try:
            with sessions.begin() as session:
                result = work(session)
                codes = {"40001"}
            return result
        except (StaleDataError, DBAPIError) as error:
            stale = isinstance(error, StaleDataError)
            if not left or not (stale or getattr(error.orig, "sqlstate", None) in codes):
                raise
""", "The conflict came up in the commit"),
        # conflicts of the commit are not counted
        ("""
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError


def conflict(error):
    return isinstance(error, StaleDataError) or getattr(error.orig, "sqlstate", None) in ("40001", "40P01")


def optimistic(sessions, work, attempts=5):
    while True:
        with sessions() as session:
            try:
                result = work(session)
            except (StaleDataError, DBAPIError) as error:
                attempts -= 1
                if not attempts or not conflict(error):
                    raise
                continue
            try:
                session.commit()
                return result
            except (StaleDataError, DBAPIError) as error:
                if not conflict(error):
                    raise
""", "every commit meets a conflict"),
        # whatever the commit says, once more
        ("""
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError


def optimistic(sessions, work, attempts=5):
    for left in reversed(range(attempts)):
        with sessions() as session:
            try:
                result = work(session)
            except (StaleDataError, DBAPIError) as error:
                code = getattr(getattr(error, "orig", None), "sqlstate", None)
                if not left or not (isinstance(error, StaleDataError) or code in ("40001", "40P01")):
                    raise
                continue
            try:
                session.commit()
                return result
            except (StaleDataError, DBAPIError):
                if not left:
                    raise
""", "the transaction may have been committed"),
        # the last commit says nothing
        ("""
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError


def optimistic(sessions, work, attempts=5):
    for left in reversed(range(attempts)):
        with sessions() as session:
            committing = False
            try:
                result = work(session)
                committing = True
                session.commit()
                return result
            except (StaleDataError, DBAPIError) as error:
                code = getattr(getattr(error, "orig", None), "sqlstate", None)
                again = isinstance(error, StaleDataError) or code in ("40001", "40P01")
                if not again or not (left or committing):
                    raise
""", "The commit of the last attempt met a conflict"),
    ],
}  # fmt: skip
RIGHT = {
    "repository_unit_of_work.after_commit": [
        # a generator
        """
from collections import deque
from contextlib import contextmanager
from types import SimpleNamespace


@contextmanager
def UnitOfWork(sessions, publish):
    waiting = deque()

    def commit():
        try:
            session.commit()
        except BaseException:
            waiting.clear()
            raise
        errors = []
        while waiting:
            try:
                publish(waiting.popleft())
            except Exception as error:
                errors.append(error)
        if errors:
            raise ExceptionGroup("some messages were not published", errors)

    with sessions() as session:
        yield SimpleNamespace(session=session, tell=waiting.append, commit=commit)
""",
        # a dataclass with an ExitStack
        """
from contextlib import ExitStack
from dataclasses import dataclass, field


@dataclass
class UnitOfWork:
    sessions: object
    publish: object
    _told: list = field(default_factory=list, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self):
        self.session = self._stack.enter_context(self.sessions())
        return self

    def __exit__(self, kind, error, trace):
        self._told.clear()
        return self._stack.__exit__(kind, error, trace)

    def tell(self, message):
        self._told.append(message)

    def commit(self):
        told = self._told.copy()
        self._told.clear()
        self.session.commit()
        if errors := [error for error in map(self._try, told) if error is not None]:
            raise ExceptionGroup(f"{len(errors)} of {len(told)}", errors)

    def _try(self, message):
        try:
            self.publish(message)
        except Exception as error:
            return error
""",
    ],
    "repository_unit_of_work.optimistic_retry": [
        # recursion
        """
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError


def optimistic(sessions, work, attempts=5):
    try:
        with sessions() as session, session.begin():
            return work(session)
    except (StaleDataError, DBAPIError) as error:
        code = getattr(getattr(error, "orig", None), "sqlstate", None)
        again = isinstance(error, StaleDataError) or code in {"40001", "40P01"}
        if not again or attempts == 1:
            raise
    return optimistic(sessions, work, attempts - 1)
""",
        # a predicate and a while loop
        """
import sqlalchemy as sa
from sqlalchemy import orm


def is_conflict(error):
    match error:
        case orm.exc.StaleDataError():
            return True
        case sa.exc.DBAPIError(orig=origin):
            return getattr(origin, "sqlstate", "") in ("40001", "40P01")
    return False


def optimistic(sessions, work, attempts=5):
    while True:
        attempts -= 1
        session = sessions()
        try:
            result = work(session)
            session.commit()
            return result
        except Exception as error:
            session.rollback()
            if attempts <= 0 or not is_conflict(error):
                raise
        finally:
            session.close()
""",
    ],
}
