"""Plausible wrong answers to the exercises of 1.5, and what must be said of each."""

WRONG = {
    "exceptions.error_boundary": [
        (  # code of any class
            """
def hold(store, seat):
    try: return store.hold(seat)
    except Exception as error:
        kind = {"unique": lab.Taken, "busy": lab.Busy}.get(getattr(error, "code", None))
        if kind is None: raise
        raise kind(seat) from error
""",
            "with a code of its own) is not yours",
        ),
        (  # substring
            """
def hold(store, seat):
    try: return store.hold(seat)
    except lab.StoreError as error:
        if "unique" in error.code: raise lab.Taken(seat) from error
        if "busy" in str(error): raise lab.Busy(seat) from error
        raise
""",
            "StoreError(unique_index_missing) is not yours",
        ),
        (  # no from: the driver's error is only the context
            """
def hold(store, seat):
    try:
        return store.hold(seat)
    except lab.StoreError as error:
        if error.code == "unique":
            raise lab.Taken(seat)
        if error.code == "busy":
            raise lab.Busy(seat)
        raise
""",
            "it is only the context",
        ),
        (  # hides the cause
            """
def hold(store, seat):
    try:
        return store.hold(seat)
    except lab.StoreError as error:
        if error.code == "unique":
            raise lab.Taken(seat) from None
        if error.code == "busy":
            raise lab.Busy(seat) from None
        raise
""",
            "from None hides it",
        ),
        (  # all that is not a conflict is called busy
            """
def hold(store, seat):
    try:
        return store.hold(seat)
    except lab.StoreError as error:
        kind = lab.Taken if error.code == "unique" else lab.Busy
        raise kind(seat) from error
""",
            "StoreError(syntax) is not yours to translate",
        ),
        (  # everything is a booking error
            """
def hold(store, seat):
    try:
        return store.hold(seat)
    except Exception as error:
        kinds = {"unique": lab.Taken, "busy": lab.Busy}
        kind = kinds.get(getattr(error, "code", None))
        if kind is None and isinstance(error, lab.StoreError):
            raise
        raise (kind or lab.BookingError)(seat) from error
""",
            "TypeError(a bug) is not yours to translate",
        ),
        (  # tells nobody
            """
def hold(store, seat):
    try:
        return store.hold(seat)
    except lab.StoreError:
        return None
""",
            "believes that the seat is held",
        ),
        (  # an answer that is false becomes None
            """
def hold(store, seat):
    try:
        return store.hold(seat) or None
    except lab.StoreError as error:
        if error.code == "unique":
            raise lab.Taken(f"{seat} is taken") from error
        if error.code == "busy":
            raise lab.Busy(f"{seat}: busy") from error
        raise
""",
            "your function returned None",
            "falsy",
        ),
        (  # codes are compared by identity
            """
def hold(store, seat):
    try:
        return store.hold(seat)
    except lab.StoreError as error:
        if error.code is "unique":
            raise lab.Taken(f"{seat} is taken") from error
        if error.code == "busy":
            raise lab.Busy(f"{seat}: busy") from error
        raise
""",
            "should become Taken",
            "identity",
        ),
        (  # only the class itself
            """
def hold(store, seat):
    try:
        return store.hold(seat)
    except lab.StoreError as error:
        if type(error) is not lab.StoreError:
            raise
        if error.code == "unique":
            raise lab.Taken(f"{seat} is taken") from error
        if error.code == "busy":
            raise lab.Busy(f"{seat}: busy") from error
        raise
""",
            "Empty('unique') should become Taken",
            "subclass",
        ),
        (  # repeats once for a bug
            """
def hold(store, seat):
    try:
        return store.hold(seat)
    except lab.StoreError as error:
        if error.code == "unique":
            raise lab.Taken(f"{seat} is taken") from error
        if error.code == "busy":
            raise lab.Busy(f"{seat}: busy") from error
        raise
    except TypeError as error:
        raise RuntimeError(seat) from error
""",
            "TypeError(a bug) is not yours to translate",
            "exception",
        ),
        (  # stops what is no Exception
            """
def hold(store, seat):
    try:
        return store.hold(seat)
    except lab.StoreError as error:
        if error.code == "unique":
            raise lab.Taken(f"{seat} is taken") from error
        if error.code == "busy":
            raise lab.Busy(f"{seat}: busy") from error
        raise
    except BaseException as error:
        if isinstance(error, (Exception, KeyboardInterrupt)):
            raise
""",
            "Interrupted() is not yours to translate",
            "base exception",
        ),
        (  # the seat is a format
            """
def hold(store, seat):
    try:
        return store.hold(seat)
    except lab.StoreError as error:
        if error.code == "unique":
            raise lab.Taken(("taken: " + seat).format(seat="it")) from error
        if error.code == "busy":
            raise lab.Busy(f"{seat}: busy") from error
        raise
""",
            "Which seat? It was",
            "apostrophe",
        ),
    ],
    "exceptions.some_of_a_group": [
        (  # closed may be None
            """
def leaves(group):
    for part in group.exceptions:
        if isinstance(part, BaseExceptionGroup): yield from leaves(part)
        else: yield part

def rebook_closed(work, rebook):
    try: work()
    except lab.GateClosed as error: rebook(error); return 1
    except BaseExceptionGroup as group:
        closed, rest = group.split(lab.GateClosed)
        n = 0
        for e in leaves(closed): rebook(e); n += 1
        if rest: raise rest
        return n
    return 0
""",
            "should be group(PartnerDown), got AttributeError",
        ),
        (  # ExceptionGroup only, guarded
            """
def leaves(group):
    for part in group.exceptions:
        if isinstance(part, BaseExceptionGroup): yield from leaves(part)
        else: yield part

def rebook_closed(work, rebook):
    try: work()
    except lab.GateClosed as error: rebook(error); return 1
    except ExceptionGroup as group:
        closed, rest = group.split(lab.GateClosed)
        n = 0
        for e in leaves(closed) if closed else (): rebook(e); n += 1
        if rest: raise rest
        return n
    return 0
""",
            "should be group(KeyboardInterrupt), got",
        ),
        (  # takes what except* hands over for a list of errors
            """
def rebook_closed(work, rebook):
    rebooked = 0
    try:
        work()
    except* lab.GateClosed as closed:
        for error in closed.exceptions:
            rebook(error)
            rebooked += 1
    return rebooked
""",
            "rebook was called with a group",
        ),
        (  # the plain clause: groups pass
            """
def rebook_closed(work, rebook):
    try:
        work()
    except lab.GateClosed as error:
        rebook(error)
        return 1
    return 0
""",
            "which you can handle; the caller got group(",
        ),
        (  # swallows the rest of the group
            """
def rebook_closed(work, rebook):
    def leaves(group):
        for part in group.exceptions:
            yield from leaves(part) if isinstance(part, ExceptionGroup) else (part,)

    rebooked = 0
    try:
        work()
    except lab.GateClosed as error:
        rebook(error)
        return 1
    except ExceptionGroup as group:
        for error in leaves(group):
            if isinstance(error, lab.GateClosed):
                rebook(error)
                rebooked += 1
    return rebooked
""",
            "are lost",
        ),
        (  # raises the rest as a new flat group
            """
def rebook_closed(work, rebook):
    def leaves(group):
        for part in group.exceptions:
            yield from leaves(part) if isinstance(part, ExceptionGroup) else (part,)

    try:
        work()
    except lab.GateClosed as error:
        rebook(error)
        return 1
    except ExceptionGroup as group:
        closed = [error for error in leaves(group) if isinstance(error, lab.GateClosed)]
        rest = [error for error in leaves(group) if not isinstance(error, lab.GateClosed)]
        for error in closed:
            rebook(error)
        if rest:
            raise ExceptionGroup("the rest", rest) from None
        return len(closed)
    return 0
""",
            "should be group(group(PartnerDown), TypeError)",
        ),
        (  # an error that is false is none
            """
def rebook_closed(work, rebook):
    count = 0

    def leaves(error):
        for part in error.exceptions:
            if isinstance(part, BaseExceptionGroup):
                yield from leaves(part)
            else:
                yield part

    try:
        work()
    except* lab.GateClosed as closed:
        for error in leaves(closed):
            if not error:
                continue
            rebook(error)
            count += 1
    return count
""",
            "two errors that look alike",
            "falsy",
        ),
        (  # two errors that look alike are one
            """
def rebook_closed(work, rebook):
    count = 0

    def leaves(error):
        for part in error.exceptions:
            if isinstance(part, BaseExceptionGroup):
                yield from leaves(part)
            else:
                yield part

    try:
        work()
    except* lab.GateClosed as closed:
        for error in {str(e): e for e in leaves(closed)}.values():
            rebook(error)
            count += 1
    return count
""",
            "two errors that look alike",
            "identity",
        ),
        (  # a subclass is somebody else's
            """
def rebook_closed(work, rebook):
    count = 0

    def leaves(error):
        for part in error.exceptions:
            if isinstance(part, BaseExceptionGroup):
                yield from leaves(part)
            else:
                yield part

    try:
        work()
    except* lab.GateClosed as closed:
        for error in leaves(closed):
            if type(error) is not lab.GateClosed:
                continue
            rebook(error)
            count += 1
    return count
""",
            "one of a subclass",
            "subclass",
        ),
        (  # what is no Exception is lost
            """
def rebook_closed(work, rebook):
    count = 0

    def leaves(error):
        for part in error.exceptions:
            if isinstance(part, BaseExceptionGroup):
                yield from leaves(part)
            else:
                yield part

    try:
        work()
    except* lab.GateClosed as closed:
        for error in leaves(closed):
            rebook(error)
            count += 1
    except* KeyboardInterrupt:
        pass
    return count
""",
            "KeyboardInterrupt, which must go on as itself",
            "base exception",
        ),
    ],
    "exceptions.travels": [
        (  # __copy__ only
            """
import functools, copy
class FlightFull(Exception):
    def __init__(self, flight, *, waiting):
        super().__init__(flight)
        self.flight, self.waiting = flight, waiting
    def __str__(self):
        return f"{self.flight} is full, {self.waiting} waiting"

    def __copy__(self):
        new = type(self)(self.flight, waiting=self.waiting)
        new.__dict__.update(self.__dict__)
        return new
""",
            "pickle never asks __copy__",
        ),
        (  # the sentence goes to args
            """
import functools


class FlightFull(Exception):
    def __init__(self, flight, *, waiting):
        super().__init__(f"{flight} is full, {waiting} waiting")
        self.flight, self.waiting = flight, waiting
""",
            "missing 1 required keyword-only argument",
        ),
        (  # gives up the keyword
            """
import functools


class FlightFull(Exception):
    def __init__(self, flight, waiting):
        super().__init__(flight, waiting)
        self.flight, self.waiting = flight, waiting

    def __str__(self):
        return f"{self.flight} is full, {self.waiting} waiting"
""",
            "must stay keyword-only",
        ),
        (  # names the class instead of asking for it
            """
-        return functools.partial(type(self), waiting=self.waiting), (self.flight,), self.__dict__
+        return functools.partial(FlightFull, waiting=self.waiting), (self.flight,), self.__dict__
""",
            "The copy of a subclass is a FlightFull",
        ),
        (  # forgets the state
            """
-        return functools.partial(type(self), waiting=self.waiting), (self.flight,), self.__dict__
+        return functools.partial(type(self), waiting=self.waiting), (self.flight,)
""",
            "the copy has none",
        ),
        (  # a recipe that only this process knows
            """
-        return functools.partial(type(self), waiting=self.waiting), (self.flight,), self.__dict__
+        waiting, kind = self.waiting, type(self)
+        return (lambda flight: kind(flight, waiting=waiting)), (self.flight,), self.__dict__
""",
            "copy works, pickle does not",
        ),
        (  # nobody waits: taken for unknown
            """
-        return functools.partial(type(self), waiting=self.waiting), (self.flight,), self.__dict__
+        return functools.partial(type(self), waiting=self.waiting or 1), (self.flight,), self.__dict__ if self.waiting else {'__notes__': []}
""",
            "FlightFull(",
            "falsy",
        ),
        (  # the last one made decides for all
            """
-        self.flight, self.waiting = flight, waiting
+        type(self).flight, type(self).waiting = flight, waiting
+        self.__dict__['kept'] = 1
""",
            "should be",
            "again",
        ),
        (  # the text is made once
            """
         super().__init__(flight)
+        self.text = f'{flight} is full, {waiting} waiting'
@@
-        return f"{self.flight} is full, {self.waiting} waiting"
+        return self.text
""",
            "One more is waiting",
            "in place",
        ),
        (  # the flight is a format
            """
-        return f"{self.flight} is full, {self.waiting} waiting"
+        return (self.flight + " is full, %d waiting").replace("'", "") % self.waiting if "%" not in self.flight else "?"
""",
            "its fields and its text",
            "apostrophe",
        ),
    ],
}

RIGHT = {
    "exceptions.travels": [
        # module function
        """
import functools, copy
class FlightFull(Exception):
    def __init__(self, flight, *, waiting):
        super().__init__(flight)
        self.flight, self.waiting = flight, waiting
    def __str__(self):
        return f"{self.flight} is full, {self.waiting} waiting"

    def __reduce__(self):
        return _made, (type(self), self.flight, self.waiting), self.__dict__
def _made(kind, flight, waiting): return kind(flight, waiting=waiting)
""",
        # classmethod
        """
import functools, copy
class FlightFull(Exception):
    def __init__(self, flight, *, waiting):
        super().__init__(flight)
        self.flight, self.waiting = flight, waiting
    def __str__(self):
        return f"{self.flight} is full, {self.waiting} waiting"

    @classmethod
    def _made(cls, flight, waiting): return cls(flight, waiting=waiting)
    def __reduce__(self):
        return self._made, (self.flight, self.waiting), vars(self)
""",
        # __new__
        """
class FlightFull(Exception):
    def __init__(self, flight, *, waiting):
        super().__init__(flight)
        self.flight, self.waiting = flight, waiting
    def __str__(self): return f"{self.flight} is full, {self.waiting} waiting"
    def __reduce__(self):
        return type(self).__new__, (type(self), self.flight), self.__dict__
""",
    ],
}
