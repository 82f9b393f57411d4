"""Exercises of 1.3: a registry without a metaclass, a retry for both kinds of function, a nesting transaction."""

from __future__ import annotations

import abc
import asyncio
import inspect
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown

# ---- a registry without a metaclass


@exercise(
    "metaprogramming.registry",
    hints=(
        "`__init_subclass__` gets the class's options as keywords. Name the one that is yours, suffix=None, and take "
        "the others as **options: somebody else's.",
        "First hand the others on: super().__init_subclass__(**options). No suffix: nothing to enter. Enter the class "
        "into Format.known, not into a dictionary of its own.",
        "A class made again by @dataclass(slots=True) has the first one's attributes, not its options: keep the suffix on the "
        "class, and look into vars(cls). Another class for that suffix is the same one if (__module__, __name__) agree; else ValueError.",
    ),
    why="The options of a class statement travel along the MRO like the arguments of any cooperative method: each takes what it "
    "knows and hands on the rest; `object.__init_subclass__` refuses what is left over, so that a typo is an error. "
    "Telling *the same class again* from *another class* by module and name is what makes reloads and slotted dataclasses work. (Not "
    "`__qualname__`: `dataclass` gives it to the copy only after `__init_subclass__` has run.)",
    stretch="Make `Format.known` forget classes that nobody else refers to, so that a test's formats vanish with the test. "
    "(weakref.WeakValueDictionary; why must the test collect garbage first?)",
    rows=("falsy", "identity", "subclass"),
)
def check_registry(base: Any) -> None:
    """What is entered, what is refused, and whom the base class gets along with."""
    if not isinstance(base, type):
        raise Wrong(f"Expected a class, got {base!r}.")
    if type(base) is not type:
        raise Wrong(
            f"Your Format has the metaclass {type(base).__name__}. Without one it would get along with any other "
            "metaclass; __init_subclass__ is enough."
        )

    class Text(base):  # abstract: no suffix
        pass

    class Csv(Text, suffix=".csv"):
        pass

    try:

        class Quoted(Csv):  # says nothing of a suffix: abstract again
            pass

    except ValueError as error:
        raise Wrong(
            f"class Quoted(Csv) gives no suffix, so it is abstract; it was refused ({error}). Did it inherit Csv's?"
        ) from None

    class Json(base, suffix=".json"):
        pass

    _holds(base, {".csv": Csv, ".json": Json}, "Text and Quoted, below, give no suffix")
    _refuses_duplicates(base, Csv)
    _takes_a_remade_class(base)
    _takes_a_reloaded_class(base)
    _hands_on_options(base)
    _refuses_typos(base)
    _mixes_with_abc(base)
    _whatever_the_suffix(base)


def _holds(base: Any, expected: dict[str, type], remark: str) -> None:
    known = dict(getattr(base, "known", {}))
    got = {suffix: getattr(cls, "__name__", cls) for suffix, cls in known.items()}
    if known != expected:
        wanted = {suffix: cls.__name__ for suffix, cls in expected.items()}
        raise Wrong(f"Format.known should hold {wanted}, and holds {got} ({remark}).")


def _whatever_the_suffix(base: Any) -> None:
    """An empty suffix is one; equal ones are one, whether or not they are the same object; a subclass of one that has one."""

    class Plain(base, suffix=""):
        pass

    if base.known.get("") is not Plain:
        raise Wrong(
            "class Plain(Format, suffix='') has a suffix, the empty text, and was not entered."
        )

    class Tabs(base.known[".csv"], suffix="".join([".t", "sv"])):
        pass

    if base.known.get(".tsv") is not Tabs or base.known[".csv"] is Tabs:
        raise Wrong(
            "class Tabs(Csv, suffix='.tsv') has a suffix of its own: it belongs under '.tsv', and Csv stays."
        )
    try:

        class Others(base, suffix="".join([".ts", "v"])):
            pass

    except ValueError:
        return
    raise Wrong(
        f"A second class for .tsv, {Others.__name__}, was let in: suffixes are compared by ==, not by identity."
    )


def _refuses_duplicates(base: Any, first: type) -> None:
    try:

        class Semicolons(base, suffix=".csv"):
            pass

    except ValueError:
        pass
    else:
        raise Wrong(
            f"A second class for .csv, {Semicolons.__name__}, was let in without a ValueError: two plug-ins would take "
            "turns, by the order of their imports."
        )
    try:

        class Csv(base, suffix=".csv"):
            __module__ = "partner"

    except ValueError:
        pass
    else:
        raise Wrong(
            f"{Csv.__module__}.Csv took the place of {first.__module__}.Csv: the same name in another module is another class."
        )
    if base.known[".csv"] is not first:
        raise Wrong("The second class for .csv was refused, and yet it took the first one's place.")


def _takes_a_remade_class(base: Any) -> None:
    try:

        @dataclass(slots=True)
        class Xml(base, suffix=".xml"):
            indent: int = 2

    except ValueError as error:
        raise Wrong(
            "@dataclass(slots=True) makes its class a second time, and your registry took the copy for a rival "
            f"({error}). Compare __module__ and __name__."
        ) from None
    except TypeError as error:
        # The copy is made without the options of the class statement.
        raise Wrong(f"@dataclass(slots=True) could not make its class again: {error}.") from None
    if base.known.get(".xml") is not Xml:
        raise Wrong(
            "After @dataclass(slots=True) the registry holds the first copy of Xml, which nobody else uses; the class made "
            "last must take its place. (dataclass hands no suffix to the copy: where else can you find it?)"
        )


def _takes_a_reloaded_class(base: Any) -> None:
    def reloaded() -> type:
        class Ods(base, suffix=".ods"):
            pass

        return Ods

    reloaded()
    try:
        again = reloaded()
    except ValueError as error:
        raise Wrong(
            f"The same class statement ran again, as by a reload, and was refused ({error}): __module__ and __name__ "
            "agree, so it is the same class made again."
        ) from None
    if base.known.get(".ods") is not again:
        raise Wrong(
            "After a reload the registry holds the old class; the one made last must take its place."
        )


def _hands_on_options(base: Any) -> None:
    prices: dict[str, int] = {}

    class Priced:
        def __init_subclass__(cls, price: int = 0, **options: Any) -> None:
            super().__init_subclass__(**options)
            prices[cls.__name__] = price

    try:

        class Pdf(base, Priced, suffix=".pdf", price=3):
            pass

    except TypeError as error:
        raise Wrong(
            "class Pdf(Format, Priced, suffix='.pdf', price=3) failed: "
            f"{error}. Options that are not yours belong to the next class in the MRO: hand them on."
        ) from None
    if prices.get("Pdf") != 3:
        raise Wrong(
            "class Pdf(Format, Priced, suffix='.pdf', price=3): Priced never heard of its price. Your "
            "__init_subclass__ must call super().__init_subclass__ with the options that are left."
        )


def _refuses_typos(base: Any) -> None:
    try:

        class Odt(base, sufix=".odt"):
            pass

    except TypeError:
        return
    raise Wrong(
        f"class {Odt.__name__}(Format, sufix='.odt') was accepted: a misspelt option must end in a TypeError. "
        "object.__init_subclass__ raises it, if it gets to see what is left."
    )


def _mixes_with_abc(base: Any) -> None:
    try:

        class Report(base, abc.ABC, suffix=".html"):
            @abc.abstractmethod
            def write(self) -> str: ...

    except TypeError as error:
        raise Wrong(f"Together with abc.ABC it failed: {error}.") from None


# ---- retry


class Failing:
    """Fails with the given errors, one a call, then succeeds; notes when it was called."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.log: list[Any] = []
        self.result: Any = "seat 12A"

    def __call__(self) -> Any:
        """One attempt."""
        self.log.append("call")
        if self.errors:
            raise self.errors.pop(0)
        return self.result

    def sleep(self, seconds: float) -> None:
        """In place of time.sleep."""
        self.log.append(seconds)

    async def async_sleep(self, seconds: float) -> None:
        """In place of asyncio.sleep."""
        self.log.append(("async", seconds))


@exercise(
    "metaprogramming.retry",
    hints=(
        "retry(…) returns a decorator; the decorator asks inspect.iscoroutinefunction(function) and makes one of two "
        "wrappers, each under functools.wraps.",
        "There is one attempt more than there are pauses. After the last failure there is no pause: raise.",
        "for pause in pauses: try: return function(*args, **kwargs) / except errors: sleep(pause) — and behind the loop "
        "one last attempt, whose error nobody catches: return function(*args, **kwargs).",
    ),
    why="The last attempt stands outside of the `try`, so its error reaches the caller as it is, with its own traceback, and without a "
    "counter. The two wrappers differ in two words, `await` and `async`; a plain one around a coroutine function would leave its `try` "
    "before the first attempt began. And what is not named in `errors` passes: a cancellation, above all.",
    stretch="A thousand clients that lost the same server retry in step. Add full jitter (a random pause between 0 and the given one), "
    "with a random source that a test can hand in. What does a retry do to a request that is not idempotent?",
    rows=("falsy", "identity", "subclass", "again", "exception", "base exception"),
)
def check_retry(retry: Callable[..., Any]) -> None:
    """Attempts, pauses, the last error, and the looks, of both kinds of function."""
    for kind in ("function", "coroutine function"):
        _attempts(retry, kind)
        _last_error(retry, kind)
        _others_pass(retry, kind)
        _whatever_it_returns(retry, kind)
        _twice(retry, kind)
        _looks(retry, kind)
    _together(retry)


def _together(retry: Callable[..., Any]) -> None:
    """Two calls of one decorated coroutine function, in step: each has its own attempts."""
    calls: list[int] = []

    async def pause(seconds: float) -> None:
        await asyncio.sleep(0)

    async def book(client: int) -> None:
        calls.append(client)
        raise ConnectionError

    made = retry(ConnectionError, pauses=(0.1, 0.2), sleep=None, async_sleep=pause)(book)

    async def both() -> None:
        await asyncio.gather(made(1), made(2), return_exceptions=True)

    _finished(both())
    if (counts := [calls.count(1), calls.count(2)]) != [3, 3]:
        raise Wrong(
            f"Two calls at the same time, two pauses: each has three attempts, and they had {counts}. What is counted "
            "must be counted in each call by itself."
        )


def _decorated(
    retry: Callable[..., Any], kind: str, work: Failing, pauses: Any
) -> Callable[[], Any]:
    decorate = retry(
        (ConnectionError, TimeoutError),
        pauses=pauses,
        sleep=work.sleep,
        async_sleep=work.async_sleep,
    )
    if not callable(decorate):
        raise Wrong(f"retry(…) must return a decorator, not {decorate!r}.")
    if kind == "function":

        def book() -> str:
            return work()

        return decorate(book)

    async def book_async() -> str:
        await asyncio.sleep(0)
        return work()

    return lambda: _finished(decorate(book_async)())


def _finished(awaitable: Any) -> Any:
    """The result of a coroutine, run in a thread of its own: a kernel's loop may be running in this one."""
    if not isinstance(awaitable, Coroutine):
        raise Wrong(
            f"Calling a decorated coroutine function gave {awaitable!r}, which is no coroutine: its wrapper must be "
            "`async def` too."
        )
    end: list[Any] = []

    def run() -> None:
        try:
            end.append((asyncio.run(awaitable), None))
        except BaseException as error:
            end.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result, error = end[0]
    if error is not None:
        raise error
    return result


def _attempts(retry: Callable[..., Any], kind: str) -> None:
    work = Failing(ConnectionError("1"), TimeoutError("2"))
    try:
        got = _decorated(retry, kind, work, (0.1, 0.2, 0.4))()
    except (ConnectionError, TimeoutError) as error:
        lesson = (
            " A plain wrapper has left its `try` before a coroutine begins."
            if kind != "function"
            else ""
        )
        raise Wrong(
            f"A {kind} failed twice and would have succeeded at the third of four attempts; its caller got "
            f"{type(error).__name__} after {work.log.count('call')}.{lesson}"
        ) from None
    if got != "seat 12A":
        raise Wrong(f"The third attempt returned 'seat 12A', your {kind} returned {got!r}.")
    plain = [item for item in work.log if isinstance(item, float)]
    if kind != "function" and plain:
        raise Wrong(
            "Between the attempts of a coroutine function it called `sleep`, which blocks the whole event loop; "
            "`await async_sleep(…)`."
        )
    if kind == "function" and any(isinstance(item, tuple) for item in work.log):
        raise Wrong(
            "A plain function has no event loop to wait in: between its attempts call `sleep`."
        )
    pauses = [item[1] if isinstance(item, tuple) else item for item in work.log if item != "call"]
    if pauses != [0.1, 0.2] or work.log.count("call") != 3:
        raise Wrong(
            f"Two failures, then success: expected call, 0.1, call, 0.2, call; a {kind} did {_told(work.log)}."
        )


def _told(log: list[Any]) -> str:
    return ", ".join(str(item[1] if isinstance(item, tuple) else item) for item in log) or "nothing"


def _last_error(retry: Callable[..., Any], kind: str) -> None:
    errors = [ConnectionError(str(n)) for n in range(4)]
    work = Failing(*errors)
    try:
        got = _decorated(retry, kind, work, [0.1, 0.2])()
    except ConnectionError as error:
        if error is not errors[2]:
            raise Wrong(
                f"Three attempts failed with ConnectionError('0'), '1', '2'; the caller got {error!r}, not the last of them."
            ) from None
    except Exception as error:
        raise Wrong(
            f"After the last failure the caller must get that very error, not {type(error).__name__}."
        ) from None
    else:
        raise Wrong(
            f"All attempts of a {kind} failed, and the caller got {got!r} in place of the last error: it will believe that."
        )
    if work.log and work.log[-1] != "call":
        raise Wrong(
            f"After the last attempt it paused once more ({_told(work.log)}): the caller waits for nothing."
        )
    if work.log.count("call") != 3:
        raise Wrong(f"Two pauses lie between three attempts; it made {work.log.count('call')}.")


def _others_pass(retry: Callable[..., Any], kind: str) -> None:
    for other in (LookupError("no such flight"), asyncio.CancelledError()):
        work = Failing(other)
        try:
            _decorated(retry, kind, work, (0.1, 0.2))()
        except BaseException as error:
            if error is not other:
                raise Wrong(
                    f"A {kind} raised {type(other).__name__}, which is not yours; its caller got {type(error).__name__}."
                ) from None
            heard = True
        else:
            heard = False
        calls = work.log.count("call")
        if calls != 1:
            raise Wrong(
                f"{type(other).__name__} is not among the errors to retry, and yet a {kind} was called {calls} times. "
                "Catch what was asked for, and nothing else."
            )
        if not heard:
            raise Wrong(
                f"A {kind} raised {type(other).__name__}, which is not to be retried; its caller never heard of it."
            )


class Refused(ConnectionError):
    """An error of a subclass, false like an empty list."""

    def __len__(self) -> int:
        return 0


class Stopped(BaseException):
    """What no `except Exception` catches."""


def _whatever_it_returns(retry: Callable[..., Any], kind: str) -> None:
    for result in (0, "", [], None, False, ConnectionError("as a value")):
        work = Failing(Refused())
        work.result = result
        got = _decorated(retry, kind, work, (0, 0.5))()
        if got is not result or work.log.count("call") != 2:
            raise Wrong(
                f"A {kind} failed with a subclass of ConnectionError and then returned {result!r}: expected that very object "
                f"after two attempts, got {shown(got)} after {work.log.count('call')}."
            )
    work = Failing(*(errors := [Refused("1"), Refused("2")]))
    came = raised_by(_decorated(retry, kind, work, (0,)))
    if came is not errors[1]:
        raise Wrong(
            f"The last of two failures was {errors[1]!r}; the caller of a {kind} got {shown(came)}."
        )
    if not same(
        [pause[1] if isinstance(pause, tuple) else pause for pause in work.log if pause != "call"],
        [0],
    ):
        raise Wrong(
            f"pauses=(0,): a pause of 0 is a pause; expected call, 0, call; a {kind} did {_told(work.log)}."
        )
    stopped = Stopped()
    if (came := raised_by(_decorated(retry, kind, Failing(stopped), (0.1,)))) is not stopped:
        raise Wrong(f"A {kind} raised Stopped, a BaseException; its caller got {shown(came)}.")


def _twice(retry: Callable[..., Any], kind: str) -> None:
    work = Failing(ConnectionError("1"), ConnectionError("2"))
    call = _decorated(retry, kind, work, (0.1, 0.2))
    call()
    work.errors = [ConnectionError("3"), ConnectionError("4")]
    try:
        call()
    except ConnectionError:
        raise Wrong(
            f"The first call of a {kind} used two attempts more, and the second call found none left: what is counted down "
            "must be counted anew in every call."
        ) from None
    if work.log[5:] != work.log[:5]:
        raise Wrong(
            f"Two equal calls, different pauses: {_told(work.log[:5])}, then {_told(work.log[5:])}. Start anew in every call."
        )


def _looks(retry: Callable[..., Any], kind: str) -> None:
    def book(flight: str, seats: int = 1) -> str:
        """Book seats."""
        return f"{flight}: {seats}"

    async def book_async(flight: str, seats: int = 1) -> str:
        """Book seats."""
        return f"{flight}: {seats}"

    function: Any = book if kind == "function" else book_async
    made = retry(ConnectionError, pauses=(0,), sleep=None, async_sleep=None)(function)
    if inspect.iscoroutinefunction(made) != inspect.iscoroutinefunction(function):
        raise Wrong(
            f"It was given a {kind}, and inspect.iscoroutinefunction says the opposite of what it made."
        )
    for what, look in {
        "name": lambda f: f.__name__,
        "signature": lambda f: str(inspect.signature(f)),
        "docstring": inspect.getdoc,
    }.items():
        if look(made) != look(function):
            raise Wrong(
                f"The {what} of the {kind} was {look(function)!r} and is {look(made)!r}: functools.wraps."
            )
    called = made("UA17", seats=2)
    got = called if kind == "function" else _finished(called)
    if got != "UA17: 2":
        raise Wrong(f"book('UA17', seats=2) returns 'UA17: 2'; decorated, it returned {got!r}.")


# ---- a transaction that nests


SCHEMA = """
create table flight (id integer primary key);
create table seat (
    name text primary key,
    flight integer references flight(id) deferrable initially deferred
);
insert into flight values (17);
"""


class Desk:
    """A booking desk over a database in memory, that sells seats under the answer's transactions."""

    def __init__(self, transaction: Callable[..., Any]) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute("pragma foreign_keys = on")
        self.connection.executescript(SCHEMA)
        self.statements: list[str] = []
        self.connection.set_trace_callback(self.statements.append)
        self._transaction = transaction

    def transaction(self) -> AbstractContextManager[Any]:
        """The answer's context manager on this desk's connection."""
        made = self._transaction(self.connection)
        if not hasattr(made, "__enter__") or not hasattr(made, "__exit__"):
            raise Wrong(
                f"transaction(connection) must give a context manager, not a {type(made).__name__}. "
                "(@contextmanager makes one of a generator function.)"
            )
        return made

    def sell(self, name: str, flight: int = 17) -> None:
        """Enter one seat."""
        self.connection.execute("insert into seat values (?, ?)", (name, flight))

    def expect(self, seats: str, story: str) -> None:
        """Compare what is sold, and that nothing was left open."""
        sold = [name for (name,) in self.connection.execute("select name from seat order by name")]
        told = "; ".join(s for s in self.statements if not s.lstrip().lower().startswith("select"))
        if sold != seats.split():
            raise Wrong(
                f"{story}: expected the seats {seats.split()}, found {sold}. The statements were: {told}."
            )
        if self.connection.in_transaction:
            raise Wrong(
                f"{story}: behind the outermost block a transaction is still open, and keeps its locks. The statements were: "
                f"{told}."
            )
        self.statements.clear()


class Overbooked(Exception):
    """Raised by the check inside of blocks."""


@exercise(
    "metaprogramming.transaction",
    hints=(
        "Two cases, told apart by connection.in_transaction when the block is entered: BEGIN/COMMIT/ROLLBACK, or "
        "SAVEPOINT x / RELEASE x / ROLLBACK TO x.",
        "yield inside a try; `except BaseException:` undo and `raise`. The COMMIT belongs into the try as well: if it fails, the "
        "transaction must be rolled back.",
        "ROLLBACK TO x undoes, but leaves the savepoint x on the stack, where the next ROLLBACK TO x finds it: RELEASE x "
        "behind it. After a failed COMMIT, roll back only if connection.in_transaction.",
    ),
    why="A savepoint is a mark on a stack: `RELEASE` takes it off and keeps the work, `ROLLBACK TO` goes back to it and leaves it "
    "there. So undoing a nested block needs both. `except BaseException` with `raise`, or `else`/`finally`, is what lets cancelled tasks, "
    "closed generators and Ctrl-C leave no lock behind. Django's `atomic` and SQLAlchemy's `begin_nested` are this, with more cases.",
    stretch="What must happen if ROLLBACK itself fails (the server is gone)? Make it so that the caller still sees the first error, and the "
    "connection is never used again.",
    rows=("again", "exception", "base exception", "environment"),
)
def check_transaction(transaction: Callable[..., Any]) -> None:
    """What is sold after each story, what is left open, and which error arrives."""
    desk = Desk(transaction)
    with desk.transaction():
        desk.sell("A1")
    desk.expect("A1", "One block, no error")
    _undone(desk)
    _nested(desk)
    _leftover_savepoint(desk)
    _kept_savepoint(desk)
    _failing_commit(desk)
    _rolled_back_already(desk)
    _two_desks(transaction)
    _settings_stay(transaction)


def _two_desks(transaction: Callable[..., Any]) -> None:
    """A block on one connection inside a block on another, and one context manager made for each block."""
    one, other = Desk(transaction), Desk(transaction)

    with one.transaction():
        one.sell("A1")
        try:
            with other.transaction():
                other.sell("B1")
                raise Overbooked
        except Overbooked:
            pass
    story = "Inside a block, one on another connection failed"
    one.expect("A1", f"{story}; the first connection")
    other.expect("", f"{story}; the second connection")


def _settings_stay(transaction: Callable[..., Any]) -> None:
    desk = Desk(transaction)

    def settings() -> tuple[Any, ...]:
        mine = desk.connection
        keys = mine.execute("pragma foreign_keys").fetchone()[0]
        return mine.isolation_level, keys, mine.row_factory, mine.total_changes

    before = settings()
    with desk.transaction(), desk.transaction():
        pass
    if (after := settings()) != before:
        raise Wrong(
            "isolation_level, foreign_keys, row_factory and total_changes of the connection were "
            f"{before} before two empty blocks and are {after} after them: leave the caller's connection as it is."
        )


def _raises(desk: Desk, story: str, kind: type[BaseException], run: Callable[[], None]) -> None:
    try:
        run()
    except kind:
        return
    except Wrong:
        raise
    except sqlite3.Error as error:
        told = "; ".join(desk.statements)
        raise Wrong(
            f"{story}: expected {kind.__name__}, got {type(error).__name__}: {error}. The statements were: {told}."
        ) from None
    raise Wrong(f"{story}: the caller never heard of the {kind.__name__}. Let it through.")


def _undone(desk: Desk) -> None:
    for error in (Overbooked(), KeyboardInterrupt()):

        def fail(error: BaseException = error) -> None:
            with desk.transaction():
                desk.sell("B1")
                raise error

        story = f"{type(error).__name__} in the block"
        _raises(desk, story, type(error), fail)
        desk.expect("A1", story)

    def boarding() -> Any:
        with desk.transaction():
            desk.sell("B2")
            yield

    rows = boarding()
    next(rows)
    rows.close()
    desk.expect("A1", "A generator that waited in the block was closed")


def _nested(desk: Desk) -> None:
    try:
        with desk.transaction():
            desk.sell("C1")
            try:
                with desk.transaction():
                    desk.sell("C2")
                    raise Overbooked
            except Overbooked:
                pass
            desk.sell("C3")
    except sqlite3.OperationalError as error:
        raise Wrong(
            f"A block inside a block: {error}. SQLite knows one transaction; what is nested must be a savepoint."
        ) from None
    desk.expect("A1 C1 C3", "The inner block failed, and the outer one went on")

    def outer_fails() -> None:
        with desk.transaction():
            with desk.transaction():
                desk.sell("D1")
            raise Overbooked

    _raises(
        desk, "The outer block failed after the inner one had ended well", Overbooked, outer_fails
    )
    desk.expect("A1 C1 C3", "The outer block failed after the inner one had ended well")


def _leftover_savepoint(desk: Desk) -> None:
    with desk.transaction():
        try:
            with desk.transaction():
                desk.sell("E1")
                try:
                    with desk.transaction():
                        desk.sell("E2")
                        raise Overbooked
                except Overbooked:
                    pass
                raise Overbooked
        except Overbooked:
            pass
        desk.sell("E3")
    desk.expect("A1 C1 C3 E3", "The third level failed, then the second (E1, E2 are void)")


def _kept_savepoint(desk: Desk) -> None:
    with desk.transaction():
        try:
            with desk.transaction():
                desk.sell("G1")
                with desk.transaction():
                    desk.sell("G2")
                raise Overbooked
        except Overbooked:
            pass
    desk.expect(
        "A1 C1 C3 E3", "The third level ended well, then the second failed (G1, G2 are void)"
    )


def _rolled_back_already(desk: Desk) -> None:
    def conflict() -> None:
        with desk.transaction():
            desk.connection.execute("insert or rollback into seat values ('A1', 17)")

    story = "INSERT OR ROLLBACK met a conflict, and had ended the transaction itself"
    _raises(desk, story, sqlite3.IntegrityError, conflict)
    desk.expect("A1 C1 C3 E3", story)


def _failing_commit(desk: Desk) -> None:
    def unknown_flight() -> None:
        with desk.transaction():
            desk.sell("F1", flight=99)

    story = "COMMIT failed, since the deferred foreign key found no flight 99"
    _raises(desk, story, sqlite3.IntegrityError, unknown_flight)
    desk.expect("A1 C1 C3 E3", story)
