"""Plausible wrong answers to the exercises of 1.3, and what must be said of each."""

_RETRY = """
import functools, inspect


def retry(errors, *, pauses, sleep=None, async_sleep=None):
    def decorate(function):
        @functools.wraps(function)
        def plain(*args, **kwargs):
            for pause in pauses:
                try:
                    return function(*args, **kwargs)
                except errors:
                    sleep(pause)
            return function(*args, **kwargs)

        @functools.wraps(function)
        async def wrapper(*args, **kwargs):
            for pause in pauses:
                try:
                    return await function(*args, **kwargs)
                except errors:
                    await async_sleep(pause)
            return await function(*args, **kwargs)

        return wrapper if inspect.iscoroutinefunction(function) else plain

    return decorate
"""
_PAUSED = "                    sleep(pause)\n"


def _retry_with(right, wrong):
    """The right answer with one piece of its plain half replaced."""
    assert _RETRY.count(right) == 1, right
    return _RETRY.replace(right, wrong)


WRONG = {
    "metaprogramming.registry": [
        (  # reload is a rival, dataclass copy not
            """
class Format:
    known = {}
    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        if suffix is None:
            if "suffix" in vars(cls): Format.known[cls.suffix] = cls
            return
        if suffix in Format.known: raise ValueError(suffix)
        cls.suffix = suffix
        Format.known[suffix] = cls
""",
            "The same class statement ran again",
        ),
        (  # first stays for remade with option
            """
class Format:
    known = {}
    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        again = suffix is None
        suffix = suffix or vars(cls).get("suffix")
        if suffix is None: return
        rival = Format.known.get(suffix)
        if rival and (rival.__module__, rival.__name__) != (cls.__module__, cls.__name__):
            raise ValueError(suffix)
        cls.suffix = suffix
        if again: Format.known[suffix] = cls
        else: Format.known.setdefault(suffix, cls)
""",
            "After a reload the registry holds the old class",
        ),
        (  # getattr: inherits, ValueError at Quoted
            """
class Format:
    known = {}
    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        suffix = suffix or getattr(cls, "suffix", None)
        if suffix is None: return
        rival = Format.known.get(suffix)
        if rival and (rival.__module__, rival.__name__) != (cls.__module__, cls.__name__):
            raise ValueError(suffix)
        cls.suffix = suffix
        Format.known[suffix] = cls
""",
            "Did it inherit Csv's?",
        ),
        (  # the metaclass that is not needed
            """
class Registering(type):
    def __init__(cls, name, bases, namespace, suffix=None, **options):
        super().__init__(name, bases, namespace)
        if suffix:
            cls.known[suffix] = cls

    def __new__(mcs, name, bases, namespace, suffix=None, **options):
        return super().__new__(mcs, name, bases, namespace, **options)


class Format(metaclass=Registering):
    known = {}
""",
            "has the metaclass Registering",
        ),
        (  # the last import wins
            """
class Format:
    known = {}

    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        if suffix:
            Format.known[suffix] = cls
""",
            "was let in without a ValueError",
        ),
        (  # a subclass inherits its base's suffix
            """
class Format:
    known = {}

    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        if suffix:
            cls.suffix = suffix
        if hasattr(cls, "suffix"):
            Format.known[cls.suffix] = cls
""",
            "'.csv': 'Quoted'",
        ),
        (  # the copy that dataclass makes brings no option
            """
class Format:
    known = {}

    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        if suffix is None:
            return
        if suffix in Format.known:
            raise ValueError(suffix)
        Format.known[suffix] = cls
""",
            "holds the first copy of Xml",
        ),
        (  # any second class is a rival
            """
class Format:
    known = {}

    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        cls_suffix = suffix or vars(cls).get("suffix")
        if cls_suffix is None:
            return
        if cls_suffix in Format.known:
            raise ValueError(cls_suffix)
        cls.suffix = cls_suffix
        Format.known[cls_suffix] = cls
""",
            "took the copy for a rival",
        ),
        (  # swallows everybody's options
            """
class Format:
    known = {}

    def __init_subclass__(cls, suffix=None, **options):
        suffix = suffix or vars(cls).get("suffix")
        if suffix is None:
            return
        rival = Format.known.get(suffix, cls)
        if (rival.__module__, rival.__name__) != (cls.__module__, cls.__name__):
            raise ValueError(suffix)
        cls.suffix = suffix
        Format.known[suffix] = cls
""",
            "Priced never heard of its price",
        ),
        (  # an empty suffix is none
            """
class Format:
    known: ClassVar[dict[str, type]] = {}

    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        if suffix:
            cls.suffix = suffix
        suffix = vars(cls).get("suffix")
        if not suffix:
            return
        known = Format.known.get(suffix)
        if known and (known.__module__, known.__name__) != (cls.__module__, cls.__name__):
            raise ValueError(suffix)
        Format.known[suffix] = cls
""",
            "the empty text, and was not entered",
            "falsy",
        ),
        (  # suffixes by identity
            """
class Format:
    known: ClassVar[dict[str, type]] = {}

    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        if suffix is not None:
            cls.suffix = suffix
        suffix = vars(cls).get("suffix")
        if suffix is None:
            return
        known = next((c for s, c in Format.known.items() if s is suffix), None)
        if known and (known.__module__, known.__name__) != (cls.__module__, cls.__name__):
            raise ValueError(suffix)
        Format.known[suffix] = cls
""",
            "not by identity",
            "identity",
        ),
        (  # a subclass cannot have another suffix
            """
class Format:
    known: ClassVar[dict[str, type]] = {}

    def __init_subclass__(cls, suffix=None, **options):
        super().__init_subclass__(**options)
        if suffix is not None and not getattr(cls, 'suffix', None):
            cls.suffix = suffix
        suffix = vars(cls).get("suffix")
        if suffix is None:
            return
        known = Format.known.get(suffix)
        if known and (known.__module__, known.__name__) != (cls.__module__, cls.__name__):
            raise ValueError(suffix)
        Format.known[suffix] = cls
""",
            "class Tabs(Csv, suffix='.tsv')",
            "subclass",
        ),
    ],
    "metaprogramming.retry": [
        (  # swallows other errors
            _retry_with(
                _PAUSED,
                _PAUSED + "                except Exception:\n                    return None\n",
            ),
            "its caller never heard of it",
        ),
        (  # an event loop for a plain function's pause
            "import asyncio\n"
            + _retry_with("    sleep(pause)", "    asyncio.run(async_sleep(pause))"),
            "A plain function has no event loop to wait in",
        ),
        (  # other errors renamed
            _retry_with(
                _PAUSED,
                _PAUSED
                + "                except Exception as e:\n                    raise RuntimeError from e\n",
            ),
            "which is not yours; its caller got",
        ),
        (  # the arguments at the last attempt only
            _retry_with(
                "                    return function(*args, **kwargs)",
                "                    return function(*args)",
            ),
            "returned 'UA17: 1'",
        ),
        (  # shared counter, reset at each call
            """
import functools, inspect
def retry(errors, *, pauses, sleep=None, async_sleep=None):
    left = []
    def decorate(function):
        @functools.wraps(function)
        def plain(*args, **kwargs):
            left[:] = pauses
            while True:
                try: return function(*args, **kwargs)
                except errors:
                    if not left: raise
                    sleep(left.pop(0))
        @functools.wraps(function)
        async def wrapper(*args, **kwargs):
            left[:] = pauses
            while True:
                try: return await function(*args, **kwargs)
                except errors:
                    if not left: raise
                    await async_sleep(left.pop(0))
        return wrapper if inspect.iscoroutinefunction(function) else plain
    return decorate
""",
            "must be counted in each call by itself",
        ),
        (  # one plain wrapper for both
            """
import functools

def retry(errors, *, pauses, sleep=None, async_sleep=None):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for pause in pauses:
                try:
                    return function(*args, **kwargs)
                except errors:
                    sleep(pause)
            return function(*args, **kwargs)
        return wrapper
    return decorate
""",
            "has left its `try` before a coroutine begins",
        ),
        (  # pauses after the last failure, and returns None
            """
import functools

def retry(errors, *, pauses, sleep=None, async_sleep=None):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for pause in [*pauses, 0]:
                try:
                    return function(*args, **kwargs)
                except errors:
                    sleep(pause)
        return wrapper
    return decorate
""",
            "the caller got None in place of the last error",
        ),
        (  # raises the last error, one pause too late
            """
import functools

def retry(errors, *, pauses, sleep=None, async_sleep=None):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for pause in [*pauses, 1.0]:
                try:
                    return function(*args, **kwargs)
                except errors as error:
                    last = error
                    sleep(pause)
            raise last
        return wrapper
    return decorate
""",
            "paused once more",
        ),
        (  # catches everything
            """
import functools

def retry(errors, *, pauses, sleep=None, async_sleep=None):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for pause in pauses:
                try:
                    return function(*args, **kwargs)
                except BaseException:
                    sleep(pause)
            return function(*args, **kwargs)
        return wrapper
    return decorate
""",
            "is not among the errors to retry",
        ),
        (  # one supply of pauses for all calls
            """
import functools

def retry(errors, *, pauses, sleep=None, async_sleep=None):
    left = iter(pauses)
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for pause in left:
                try:
                    return function(*args, **kwargs)
                except errors:
                    sleep(pause)
            return function(*args, **kwargs)
        return wrapper
    return decorate
""",
            "must be counted anew in every call",
        ),
        (  # blocks the event loop
            """
import functools, inspect

def retry(errors, *, pauses, sleep=None, async_sleep=None):
    def decorate(function):
        @functools.wraps(function)
        def plain(*args, **kwargs):
            for pause in pauses:
                try:
                    return function(*args, **kwargs)
                except errors:
                    sleep(pause)
            return function(*args, **kwargs)

        @functools.wraps(function)
        async def wrapper(*args, **kwargs):
            for pause in pauses:
                try:
                    return await function(*args, **kwargs)
                except errors:
                    sleep(pause)
            return await function(*args, **kwargs)
        return wrapper if inspect.iscoroutinefunction(function) else plain
    return decorate
""",
            "blocks the whole event loop",
        ),
        (  # no wraps
            """
def retry(errors, *, pauses, sleep=None, async_sleep=None):
    def decorate(function):
        def wrapper(*args, **kwargs):
            for pause in pauses:
                try:
                    return function(*args, **kwargs)
                except errors:
                    sleep(pause)
            return function(*args, **kwargs)
        return wrapper
    return decorate
""",
            "functools.wraps",
        ),
        (  # a pause of 0 is none
            """
def retry(errors, *, pauses, sleep=time.sleep, async_sleep=asyncio.sleep):
    pauses = tuple(pauses)

    def decorate(function):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return await function(*args, **kwargs)
                    except errors:
                        await async_sleep(pause)
                return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return function(*args, **kwargs)
                    except errors:
                        if pause:
                            sleep(pause)
                return function(*args, **kwargs)

        return wrapper

    return decorate
""",
            "a pause of 0 is a pause",
            "falsy",
        ),
        (  # a copy of the result
            """
def retry(errors, *, pauses, sleep=time.sleep, async_sleep=asyncio.sleep):
    pauses = tuple(pauses)

    def decorate(function):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return await function(*args, **kwargs)
                    except errors:
                        await async_sleep(pause)
                return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return __import__('copy').copy(function(*args, **kwargs))
                    except errors:
                        sleep(pause)
                return __import__('copy').copy(function(*args, **kwargs))

        return wrapper

    return decorate
""",
            "expected that very object",
            "identity",
        ),
        (  # only the class itself
            """
def retry(errors, *, pauses, sleep=time.sleep, async_sleep=asyncio.sleep):
    pauses = tuple(pauses)

    def decorate(function):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return await function(*args, **kwargs)
                    except errors:
                        await async_sleep(pause)
                return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return function(*args, **kwargs)
                    except errors as error:
                        if type(error) not in (errors if isinstance(errors, tuple) else (errors,)):
                            raise
                        sleep(pause)
                return function(*args, **kwargs)

        return wrapper

    return decorate
""",
            "It raised Refused",
            "subclass",
        ),
        (  # the pauses of all calls are one iterator
            """
def retry(errors, *, pauses, sleep=time.sleep, async_sleep=asyncio.sleep):
    pauses = iter(tuple(pauses))

    def decorate(function):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return await function(*args, **kwargs)
                    except errors:
                        await async_sleep(pause)
                return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return function(*args, **kwargs)
                    except errors:
                        sleep(pause)
                return function(*args, **kwargs)

        return wrapper

    return decorate
""",
            "the second call found none left",
            "again",
        ),
        (  # another error of the same class
            """
def retry(errors, *, pauses, sleep=time.sleep, async_sleep=asyncio.sleep):
    pauses = tuple(pauses)

    def decorate(function):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return await function(*args, **kwargs)
                    except errors:
                        await async_sleep(pause)
                return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return function(*args, **kwargs)
                    except errors:
                        sleep(pause)
                try:
                    return function(*args, **kwargs)
                except errors as error:
                    raise type(error)(*error.args) from None

        return wrapper

    return decorate
""",
            "not the last of them",
            "exception",
        ),
        (  # what is no Exception is retried
            """
def retry(errors, *, pauses, sleep=time.sleep, async_sleep=asyncio.sleep):
    pauses = tuple(pauses)

    def decorate(function):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return await function(*args, **kwargs)
                    except errors:
                        await async_sleep(pause)
                return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                for pause in pauses:
                    try:
                        return function(*args, **kwargs)
                    except errors:
                        sleep(pause)
                    except Exception:
                        raise
                    except BaseException as error:
                        if type(error).__name__ == 'Stopped':
                            return None
                        raise
                return function(*args, **kwargs)

        return wrapper

    return decorate
""",
            "raised Stopped, a BaseException",
            "base exception",
        ),
    ],
    "metaprogramming.transaction": [
        (  # never RELEASE on success
            """
from contextlib import contextmanager
@contextmanager
def transaction(connection):
    outer = not connection.in_transaction
    connection.execute("BEGIN" if outer else "SAVEPOINT s")
    try:
        yield
        if outer: connection.execute("COMMIT")
    except BaseException:
        if outer: connection.execute("ROLLBACK")
        else:
            connection.execute("ROLLBACK TO s"); connection.execute("RELEASE s")
        raise
""",
            "The third level ended well, then the second failed",
        ),
        (  # ROLLBACK without asking in_transaction
            """
from contextlib import contextmanager
@contextmanager
def transaction(connection):
    outer = not connection.in_transaction
    connection.execute("BEGIN" if outer else "SAVEPOINT s")
    try:
        yield
        connection.execute("COMMIT" if outer else "RELEASE s")
    except BaseException:
        if outer: connection.execute("ROLLBACK")
        else:
            connection.execute("ROLLBACK TO s"); connection.execute("RELEASE s")
        raise
""",
            "had ended the transaction itself",
        ),
        (  # no try: leaves the transaction open
            """
from contextlib import contextmanager

@contextmanager
def transaction(connection):
    connection.execute("BEGIN")
    yield
    connection.execute("COMMIT")
""",
            "Overbooked in the block: expected the seats ['A1'], found ['A1', 'B1']",
        ),
        (  # commits what failed
            """
from contextlib import contextmanager

@contextmanager
def transaction(connection):
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")
""",
            "found ['A1', 'B1']",
        ),
        (  # Exception only
            """
from contextlib import contextmanager

@contextmanager
def transaction(connection):
    connection.execute("BEGIN")
    try:
        yield
    except Exception:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
""",
            "KeyboardInterrupt in the block",
        ),
        (  # swallows
            """
class transaction:
    def __init__(self, connection):
        self.connection = connection

    def __enter__(self):
        self.connection.execute("BEGIN")

    def __exit__(self, kind, error, trace):
        return self.connection.execute("ROLLBACK" if kind else "COMMIT")
""",
            "never heard of the Overbooked",
        ),
        (  # does not nest
            """
class transaction:
    def __init__(self, connection):
        self.connection = connection

    def __enter__(self):
        self.connection.execute("BEGIN")

    def __exit__(self, kind, error, trace):
        self.connection.execute("ROLLBACK" if kind else "COMMIT")
""",
            "what is nested must be a savepoint",
        ),
        (  # the inner blocks join the outer one, and undo nothing
            """
from contextlib import contextmanager

@contextmanager
def transaction(connection):
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
""",
            "The inner block failed, and the outer one went on",
        ),
        (  # leaves the savepoint on the stack
            """
from contextlib import contextmanager

@contextmanager
def transaction(connection):
    outer = not connection.in_transaction
    connection.execute("BEGIN" if outer else "SAVEPOINT s")
    try:
        yield
        connection.execute("COMMIT" if outer else "RELEASE s")
    except BaseException:
        connection.execute("ROLLBACK" if outer else "ROLLBACK TO s")
        raise
""",
            "The third level failed, then the second",
        ),
        (  # the COMMIT outside of the try
            """
from contextlib import contextmanager

@contextmanager
def transaction(connection):
    outer = not connection.in_transaction
    connection.execute("BEGIN" if outer else "SAVEPOINT s")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK" if outer else "ROLLBACK TO s")
        if not outer:
            connection.execute("RELEASE s")
        raise
    connection.execute("COMMIT" if outer else "RELEASE s")
""",
            "COMMIT failed",
        ),
        (  # one current connection for all
            """
from contextlib import contextmanager

current = []


@contextmanager
def transaction(connection):
    nested = bool(current)
    connection = current[-1] if nested else connection
    current.append(connection)
    connection.execute("savepoint x" if nested else "begin")
    try:
        yield
        connection.execute("release x" if nested else "commit")
    except BaseException:
        if connection.in_transaction:
            if nested:
                connection.execute("rollback to x")
                connection.execute("release x")
            else:
                connection.execute("rollback")
        raise
    finally:
        current.pop()
""",
            "one on another connection failed; the second",
            "again",
        ),
        (  # swallows what it expects
            """
from contextlib import contextmanager


@contextmanager
def transaction(connection):
    nested = connection.in_transaction
    connection.execute("savepoint x" if nested else "begin")
    try:
        yield
        connection.execute("release x" if nested else "commit")
    except BaseException as error:
        if connection.in_transaction:
            if nested:
                connection.execute("rollback to x")
                connection.execute("release x")
            else:
                connection.execute("rollback")
        if type(error).__name__ != 'Overbooked':
            raise
""",
            "the caller never heard of the Overbooked",
            "exception",
        ),
        (  # undoes for an Exception only
            """
from contextlib import contextmanager


@contextmanager
def transaction(connection):
    nested = connection.in_transaction
    connection.execute("savepoint x" if nested else "begin")
    try:
        yield
        connection.execute("release x" if nested else "commit")
    except Exception:
        if connection.in_transaction:
            if nested:
                connection.execute("rollback to x")
                connection.execute("release x")
            else:
                connection.execute("rollback")
        raise
""",
            "KeyboardInterrupt in the block",
            "base exception",
        ),
        (  # turns the foreign keys off
            """
from contextlib import contextmanager


@contextmanager
def transaction(connection):
    connection.row_factory = lambda cursor, row: row
    nested = connection.in_transaction
    connection.execute("savepoint x" if nested else "begin")
    try:
        yield
        connection.execute("release x" if nested else "commit")
    except BaseException:
        if connection.in_transaction:
            if nested:
                connection.execute("rollback to x")
                connection.execute("release x")
            else:
                connection.execute("rollback")
        raise
""",
            "leave the caller's connection as it is",
            "environment",
        ),
    ],
}

RIGHT = {
    "metaprogramming.retry": [
        # class based, markcoroutinefunction
        """
import functools, inspect
class retry:
    def __init__(self, errors, *, pauses, sleep=None, async_sleep=None):
        self.errors, self.pauses, self.sleep, self.async_sleep = errors, pauses, sleep, async_sleep
    def __call__(self, function):
        if inspect.iscoroutinefunction(function):
            async def inner(*a, **k):
                for pause in (*self.pauses, None):
                    try: return await function(*a, **k)
                    except self.errors:
                        if pause is None: raise
                        await self.async_sleep(pause)
        else:
            def inner(*a, **k):
                for pause in (*self.pauses, None):
                    try: return function(*a, **k)
                    except self.errors:
                        if pause is None: raise
                        self.sleep(pause)
        return functools.update_wrapper(inner, function)
""",
    ],
    "metaprogramming.transaction": [
        # class, commit(), rollback(), unique names
        """
import itertools
NUMBER = itertools.count()
class transaction:
    def __init__(self, c): self.c = c
    def __enter__(self):
        self.name = f"s{next(NUMBER)}" if self.c.in_transaction else None
        self.c.execute(f"savepoint {self.name}" if self.name else "begin immediate")
        return self.c
    def __exit__(self, kind, error, trace):
        if kind is None:
            try:
                self.c.execute(f"release {self.name}") if self.name else self.c.commit()
            except BaseException:
                self.undo(); raise
        else: self.undo()
        return False
    def undo(self):
        if not self.c.in_transaction: return
        if self.name: self.c.execute(f"rollback to {self.name}"); self.c.execute(f"release {self.name}")
        else: self.c.rollback()
""",
    ],
}
