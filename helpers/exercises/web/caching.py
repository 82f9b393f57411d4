"""Exercises of 2.5: a stampede, a reader that was overtaken, and the key of a shared HTTP cache."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown

if TYPE_CHECKING:
    from helpers.services import Redis  # type: ignore[attr-defined]

Load = Callable[[], Awaitable[str]]
GetOrLoad = Callable[[Any, str, Load], Awaitable[str]]

ENOUGH = 5  # seconds: longer than any step takes, shorter than the box's limit
LONG_ENOUGH = 3 * ENOUGH  # for many callers
SLOW = 0.6  # seconds that a load takes: longer than a waiting caller may plausibly wait
LIFE = 60  # seconds that an entry is to live


def _server() -> Redis:
    from helpers import services

    return services.redis()


# --- one query for everybody ---------------------------------------------------------------------


class Source:
    """A database for one key: counts its calls, and answers when it is allowed to."""

    def __init__(self, *answers: Any, wait: bool = False) -> None:
        self.answers = itertools.chain(answers[:-1], itertools.repeat(answers[-1]))
        self.calls = 0
        self.begun, self.go_on = threading.Event(), threading.Event()
        if not wait:
            self.go_on.set()

    async def load(self) -> str:
        """What a caller awaits."""
        self.calls += 1
        self.begun.set()
        answer = next(self.answers)
        while not self.go_on.is_set():
            await asyncio.sleep(0.005)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Crowd:
    """The callers of one event loop. They go in step: all get their replies when nobody waits for Redis any more.

    So all look before one acts, and what they see does not depend on how fast the machine runs which of them. Where a
    check has to wait for callers it counts turns of their loop, not seconds: a loop that the machine holds up has as
    many as one that it does not.
    """

    SETTLED = 50  # turns in which nobody waits for Redis: whoever is going to load has begun

    def __init__(self) -> None:
        self.asking, self.turns, self.over = 0, 0, False
        self.next_step = asyncio.Event()
        self.before_each: Callable[[], object] = lambda: None  # command

    def client(self, server: Redis) -> Any:
        """A client of Redis whose commands go in step."""
        from redis.asyncio import Redis as Client

        crowd = self

        class InStep(Client):
            async def execute_command(self, *command: Any, **options: Any) -> Any:
                crowd.before_each()
                if str(command[0]).upper().startswith(("B", "X", "WAIT")):  # BLPOP may block
                    return await super().execute_command(*command, **options)
                crowd.asking += 1
                try:
                    reply = await super().execute_command(*command, **options)
                finally:
                    crowd.asking -= 1
                if not crowd.over:
                    await crowd.next_step.wait()
                return reply

        return InStep(host=server.host, port=server.port, decode_responses=True)

    async def pace(self) -> None:
        """Let the callers take one step after the other, until this is cancelled."""
        try:
            while True:
                await asyncio.sleep(0.001)
                if self.asking == 0:
                    self.turns += 1
                    self.next_step.set()
                    self.next_step = asyncio.Event()
        finally:
            self.over = True
            self.next_step.set()

    async def settle(self) -> None:
        """Wait until whoever is going to load has begun."""
        await self.done(turns=self.SETTLED)

    def settle_from_outside(self) -> None:
        """The same, called in another thread."""
        end = self.turns + self.SETTLED
        while self.turns < end and not self.over:
            threading.Event().wait(0.005)

    async def done(self, *tasks: asyncio.Task[Any], turns: int = 1_500) -> bool:
        """Whether these tasks are done after so many turns."""
        end = self.turns + turns
        while self.turns < end and not (tasks and all(task.done() for task in tasks)):
            await asyncio.sleep(0.001)
        return all(task.done() for task in tasks)


def _in_loop(
    server: Redis,
    work: Callable[[Any], Awaitable[Any]],
    crowd: Crowd | None = None,
    seconds: float = ENOUGH,
) -> Any:
    """Run work in an event loop of its own, with a client of its own: as in another process."""
    crowd = crowd or Crowd()

    async def whole() -> Any:
        async with crowd.client(server) as store:
            pace = asyncio.create_task(crowd.pace())
            try:
                return await asyncio.wait_for(work(store), seconds)
            finally:
                pace.cancel()

    try:
        return asyncio.run(whole())
    except TimeoutError:
        raise Wrong(
            f"A caller waited for more than {seconds} seconds for a load that had ended. Does the lock go away in each case?"
        ) from None
    finally:
        crowd.over = True


@exercise(
    "caching.get_or_load",
    hints=(
        "Who may load must be decided in one place that all processes share, and in one step.",
        "`SET lock … NX PX …` succeeds for one. The others look again, and ask for the lock again, after a short pause. "
        "Give it back in `finally`, only if the token is still yours; let it expire, for the case that the holder dies.",
        "lock = store.lock(f'lock:{key}', timeout=30); `await lock.acquire(blocking=False)` says whether you have it. "
        "Look a second time before you load: somebody may have been faster.",
    ),
    why="The gap between a miss and the stored value is as long as the query, and everybody who looks in that gap "
    "would ask. A lock in Redis makes one of them the leader, whatever process it is in. `finally` hands the lead on "
    "after an error and after a cancellation; the lock's timeout does it after a crash.",
    stretch="The waiters poll. Let them wait for a message instead (`SUBSCRIBE`, or `BLPOP` on a list): what must they do "
    "so that no message comes between their look and their waiting?",
    uses=_server,
    seconds=40,
    rows=("falsy", "again", "exception", "base exception"),
)
def check_get_or_load(get_or_load: GetOrLoad, server: Redis) -> None:
    """One load, for tasks and for loops; failures hand the lead on; nothing lives for ever."""
    with server.client(decode_responses=True) as store:
        store.flushall()
        _plain(get_or_load, server, store)
        _second_look(get_or_load, server, store)
        _rush(get_or_load, server, store)
        _two_keys(get_or_load, server)
        _failing(get_or_load, server)
        _failing_leader(get_or_load, server)
        _cancelled(get_or_load, server)
        _cancelled_waiter(get_or_load, server)
        _lost_lock(get_or_load, server, store)
        store.flushall()


def _plain(get_or_load: GetOrLoad, server: Redis, store: Any) -> None:
    for text in ("120", "", "0"):
        source = Source(text)

        async def ask(client: Any, source: Source = source, text: str = text) -> list[str]:
            return [await get_or_load(client, f"fare:{text}", source.load) for _ in range(2)]

        got = _in_loop(server, ask)
        if not same(got, [text, text]):
            raise Wrong(
                f"load() returns {text!r}; two calls, one after the other, returned {shown(got)}."
            )
        if source.calls != 1:
            raise Wrong(
                f"load() returned {text!r}, and the next call loaded again. "
                + (
                    "An empty text is a value: ask whether it `is None`."
                    if not text
                    else "Store it."
                )
            )
        ttl = store.ttl(f"fare:{text}")
        if not LIFE - 5 <= ttl <= LIFE:
            raise Wrong(
                f"The entry should live {LIFE} seconds under its own key; Redis says {ttl}."
            )


def _second_look(get_or_load: GetOrLoad, server: Redis, store: Any) -> None:
    """Another caller stores the text between this one's look and its lock."""
    from redis.asyncio import Redis as Client

    key, source, stored, crowd = "fare:second look", Source("loaded"), [], Crowd()

    class Late(Client):
        async def execute_command(self, *command: Any, **options: Any) -> Any:
            name = str(command[0]).upper()
            locks = name in ("SETNX", "EVAL", "EVALSHA") or (name == "SET" and "NX" in command)
            if locks and not stored:
                stored.append(store.set(key, "stored", ex=LIFE))
            return await super().execute_command(*command, **options)

    async def ask(_: Any) -> str:
        async with Late(host=server.host, port=server.port, decode_responses=True) as client:
            return await get_or_load(client, key, source.load)

    got = _in_loop(server, ask)
    if stored and (source.calls or not same(got, "stored")):
        raise Wrong(
            "Another caller stored the text between a caller's look and its lock, and load() ran again: look a second time "
            "when you have the lock."
        )
    store.delete(key)

    async def next_one(client: Any) -> None:
        task = asyncio.create_task(get_or_load(client, key, source.load))
        if not await crowd.done(task, turns=500):
            raise Wrong(
                "A caller got the lock, found that the text was there already, and returned it. The next caller that had to "
                "load waited for its lock: give the lock back on each way out."
            )
        await task

    _in_loop(server, next_one, crowd, LONG_ENOUGH)


def _rush(get_or_load: GetOrLoad, server: Redis, store: Any) -> None:
    source = Source("120", wait=True)
    results: list[Any] = []

    async def many(client: Any) -> list[str]:
        return await asyncio.gather(
            *(get_or_load(client, "fare:rush", source.load) for _ in range(25))
        )

    def process(crowd: Crowd) -> None:
        try:
            results.append(_in_loop(server, many, crowd, LONG_ENOUGH))
        except BaseException as error:
            results.append(error)

    crowds = [Crowd(), Crowd()]
    threads = [threading.Thread(target=process, args=(crowd,)) for crowd in crowds]
    for thread, crowd in zip(
        threads, crowds, strict=True
    ):  # the second one while the first one loads
        thread.start()
        crowd.settle_from_outside()
    if source.calls == 1:
        threading.Event().wait(SLOW)
        for crowd in crowds:
            crowd.settle_from_outside()
    for_ever = [key for key in store.scan_iter() if store.ttl(key) == -1]
    source.go_on.set()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Wrong):
            raise result
        if isinstance(result, BaseException):
            raise Wrong(
                f"50 callers in two event loops, as in two processes: {type(result).__name__}: {shown(str(result))}. What "
                "lives in one process (an asyncio.Lock, a future) cannot be shared."
            )
    if source.calls != 1:
        raise Wrong(
            f"50 callers at once, in two processes: load() ran {source.calls} times, not once."
        )
    if for_ever:
        raise Wrong(
            f"During the load Redis holds {for_ever} without an expiry: if the process dies now, the key is blocked for ever."
        )
    if not same([fare for result in results for fare in result], ["120"] * 50):
        raise Wrong(f"All 50 callers should get '120'; got {shown(results)}.")


def _two_keys(get_or_load: GetOrLoad, server: Redis) -> None:
    slow, quick, crowd = Source("slow", wait=True), Source("quick"), Crowd()

    async def both(client: Any) -> tuple[str, str]:
        first = asyncio.create_task(get_or_load(client, "fare:slow", slow.load))
        while not slow.begun.is_set():
            await asyncio.sleep(0.005)
        second = asyncio.create_task(get_or_load(client, "fare:quick", quick.load))
        in_time = await crowd.done(second, turns=500)
        slow.go_on.set()
        if not in_time:
            raise Wrong("While one key loads, another key has to wait: use a lock for each key.")
        return await first, await second

    if not same(got := _in_loop(server, both, crowd, LONG_ENOUGH), ("slow", "quick")):
        raise Wrong(f"Two keys at once should give ('slow', 'quick'); got {shown(got)}.")


def _failing(get_or_load: GetOrLoad, server: Redis) -> None:
    source = Source(ConnectionError("the database is down"), "120")

    async def twice(client: Any) -> tuple[Any, str]:
        try:
            first: Any = await get_or_load(client, "fare:failing", source.load)
        except ConnectionError as error:
            first = error
        return first, await get_or_load(client, "fare:failing", source.load)

    first, second = _in_loop(server, twice)
    if not isinstance(first, ConnectionError):
        raise Wrong(
            f"load() raised ConnectionError; its caller should get it, and got {shown(first)}."
        )
    if not same(second, "120"):
        raise Wrong(
            f"After a load that failed, the next call should load '120'; got {shown(second)}."
        )


def _failing_leader(get_or_load: GetOrLoad, server: Redis) -> None:
    source, crowd = Source(ConnectionError("the database is down"), "120", wait=True), Crowd()

    async def many(client: Any) -> list[Any]:
        callers = [
            asyncio.create_task(get_or_load(client, "fare:failing leader", source.load))
            for _ in range(10)
        ]
        await crowd.settle()  # one loads, the others wait
        source.go_on.set()
        await crowd.done(*callers)
        for caller in callers:
            caller.cancel()
        return await asyncio.gather(*callers, return_exceptions=True)

    got = _in_loop(server, many, crowd, LONG_ENOUGH)
    errors = sum(isinstance(one, ConnectionError) for one in got)
    if errors != 1 or sum(same(one, "120") for one in got) != 9 or source.calls != 2:
        raise Wrong(
            "Ten callers at once, and the first load() fails: one caller gets the error, and another one must try. The "
            f"waiters have to ask for the lock again. Here load() ran {source.calls} times, and the callers got {shown(got)}."
        )


def _cancelled(get_or_load: GetOrLoad, server: Redis) -> None:
    hanging, source, crowd = Source("never", wait=True), Source("120"), Crowd()

    async def cancel(client: Any) -> str:
        task = asyncio.create_task(get_or_load(client, "fare:cancelled", hanging.load))
        while not hanging.begun.is_set():
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            raise Wrong("The cancelled caller must stay cancelled: do not catch CancelledError.")
        after = asyncio.create_task(get_or_load(client, "fare:cancelled", source.load))
        if not await crowd.done(after, turns=500):
            raise Wrong(
                "The caller that was loading was cancelled, and the next one waits for it: give the lock back in `finally`."
            )
        return await after

    if not same(got := _in_loop(server, cancel, crowd, LONG_ENOUGH), "120"):
        raise Wrong(
            f"After a caller that was cancelled, the next one should load '120'; got {shown(got)}."
        )


def _cancelled_waiter(get_or_load: GetOrLoad, server: Redis) -> None:
    source, key, crowd = Source("120", wait=True), "fare:cancelled waiter", Crowd()

    async def cancel(client: Any) -> int:
        leader = asyncio.create_task(get_or_load(client, key, source.load))
        await crowd.settle()
        waiter = asyncio.create_task(get_or_load(client, key, source.load))
        await crowd.settle()
        waiter.cancel()
        await asyncio.wait([waiter])
        third = asyncio.create_task(get_or_load(client, key, source.load))
        await crowd.settle()
        loads = source.calls
        source.go_on.set()
        await asyncio.gather(leader, third, return_exceptions=True)
        return loads

    if _in_loop(server, cancel, crowd, LONG_ENOUGH) != 1:
        raise Wrong(
            "While one caller was loading, a waiting one was cancelled, and then a third one loaded as well. Only the "
            "caller that has the lock may give it back."
        )


def _lost_lock(get_or_load: GetOrLoad, server: Redis, store: Any) -> None:
    """Another caller gets the lock just before command number `at` after a load that took too long."""
    theirs = "the token of another caller"
    for at in range(1, 5):
        source, crowd, locks, lost = Source("120", wait=True), Crowd(), [], []
        commands = itertools.count(1)
        store.flushall()

        def lose(
            at: int = at, locks: Any = locks, lost: Any = lost, commands: Any = commands
        ) -> None:
            if next(commands) == at:
                for lock in locks:
                    store.set(lock, theirs, ex=30)
                    lost.append(lock)

        async def slow(
            client: Any,
            source: Source = source,
            crowd: Crowd = crowd,
            locks: Any = locks,
            lose: Any = lose,
        ) -> None:
            task = asyncio.create_task(get_or_load(client, "fare:slow load", source.load))
            while not source.begun.is_set():
                await asyncio.sleep(0.005)
            locks.extend(store.scan_iter())
            crowd.before_each = lose
            source.go_on.set()
            await asyncio.wait([task])  # an error that says that the lock was lost is fine, too
            task.cancelled() or task.exception()

        _in_loop(server, slow, crowd, LONG_ENOUGH)
        if any(store.get(lock) != theirs for lock in lost):
            raise Wrong(
                "A load took longer than its lock lived, and another caller got the lock. Then the slow caller deleted it. "
                "Delete a lock only if its token is still yours, in one step."
            )


# --- the overtaken reader ------------------------------------------------------------------------


class Table:
    """A database of one fare, whose reads can be overtaken."""

    def __init__(self, text: str) -> None:
        self.text, self.loads = text, 0

    def loading(self, meanwhile: Callable[[], object] = lambda: None) -> Callable[[], str]:
        """A load that reads first, and then lets something else happen before it returns."""

        def load() -> str:
            self.loads += 1
            text = self.text
            meanwhile()
            return text

        return load

    def saving(self, text: str) -> Callable[[], None]:
        """A save of this text."""

        def save() -> None:
            self.text = text

        return save


@exercise(
    "caching.fare_cache",
    hints=(
        "The reader must be able to notice, when it stores, that a write came after its miss. What can a write change that "
        "a reader can compare?",
        "On a miss leave a random token under a second key, before load(). A write deletes both keys after save(). Store only if "
        "your own token is still there; comparing and storing must be one step.",
        "One step is a script: store.eval(\"if redis.call('get', KEYS[2]) == ARGV[2] then redis.call('set', KEYS[1], ARGV[1], "
        "'ex', 60) end\", 2, key, lease, text, token).",
    ),
    why="A value that was read before a write must not be stored after it. The token ties the permission to store to the "
    "moment of the miss, and the write takes the permission away. It is what Facebook's Memcached calls a lease, and what "
    "`cas` does for an item that exists.",
    stretch="The lease also tells a second reader that somebody is loading already. Let it wait for a moment, and you have the "
    "protection against a stampede for free. What must it do when the lease is gone and the key is still absent?",
    uses=_server,
    seconds=30,
    rows=("falsy", "again", "exception", "base exception"),
)
def check_fare_cache(fare_cache: Callable[[Any], Any], server: Redis) -> None:
    """Hits, falsy texts, one and two overtaken readers, failures, steps that others come between."""
    with server.client(decode_responses=True) as store:
        store.flushall()
        ours, theirs = fare_cache(store), fare_cache(store)
        _hits(ours, theirs, store)
        _overtaken(ours, theirs, store)
        _overtaken_twice(ours, theirs)
        _two_readers(ours, theirs)
        _loads_during_the_save(ours, theirs)
        _fails(ours, theirs)
        for at in range(1, 9):
            _between_the_reads_commands(fare_cache, theirs, server, at)
            _between_the_writes_commands(fare_cache, theirs, server, at)
        store.flushall()
        _during_a_load(ours, theirs, store)
        _saved_and_raised(ours, theirs)
        store.flushall()


def _hits(ours: Any, theirs: Any, store: Any) -> None:
    for text in ("100", "", "0"):
        table, key = Table(text), f"fare:{text}"
        got = [ours.read(key, table.loading()), theirs.read(key, table.loading())]
        if not same(got, [text, text]):
            raise Wrong(f"load() returns {text!r}; two reads returned {shown(got)}.")
        if table.loads != 1:
            raise Wrong(
                f"{text!r} was loaded {table.loads} times for two reads without a write: the second one should be a hit."
            )
        if not LIFE - 5 <= (ttl := store.ttl(key)) <= LIFE:
            raise Wrong(
                f"The entry should live {LIFE} seconds under its own key; Redis says {ttl}."
            )
        ours.write(key, table.saving("new"))
        if not same(got := theirs.read(key, table.loading()), "new"):
            raise Wrong(f"After a write of 'new' another process read {shown(got)}.")


def _overtaken(ours: Any, theirs: Any, store: Any) -> None:
    for writer, who in ((theirs, "another process"), (ours, "the same process")):
        table, key = Table("100"), f"fare:overtaken by {who}"
        ours.read(key, table.loading(lambda w=writer, k=key, t=table: w.write(k, t.saving("120"))))
        if not same(got := theirs.read(key, table.loading()), "120"):
            raise Wrong(
                f"A reader read '100'; then {who} wrote '120'; then the reader stored what it had. The next read "
                f"returned {shown(got)}."
            )
    table, key = Table("100"), "fare:during the save"

    def save() -> None:
        theirs.read(key, table.loading())  # still reads, and stores, the old text
        table.text = "120"

    ours.write(key, save)
    if not same(got := theirs.read(key, table.loading()), "120"):
        raise Wrong(
            f"A read just before the save ended stored '100'; after the write a read returned {shown(got)}."
        )
    if not same(store.get(key), "120"):
        raise Wrong("After a write and one more read, the key should be in the cache again.")


def _overtaken_twice(ours: Any, theirs: Any) -> None:
    table, key = Table("100"), "fare:twice"

    def meanwhile() -> None:
        theirs.write(key, table.saving("110"))
        theirs.write(key, table.saving("120"))
        theirs.read(key, table.loading())

    ours.read(key, table.loading(meanwhile))
    if not same(got := theirs.read(key, table.loading()), "120"):
        raise Wrong(
            "A reader read '100'; others wrote '110' and '120', and read '120' into the cache; then the first reader came "
            f"back. The next read returned {shown(got)}."
        )


def _two_readers(ours: Any, theirs: Any) -> None:
    table, key = Table("100"), "fare:two readers"

    def write() -> None:
        theirs.write(key, table.saving("120"))

    def second_reader() -> None:
        ours.read(key, table.loading(write))

    theirs.read(key, table.loading(second_reader))
    if not same(got := ours.read(key, table.loading()), "120"):
        raise Wrong(
            f"Two readers read '100', then '120' was written, then both came back. The next read returned {shown(got)}."
        )
    for second, who in ((theirs, "in another process"), (ours, "in the same process")):
        table, key = Table("100"), f"fare:lease of another {who}"

        def write_and_miss(second: Any = second, key: str = key, table: Table = table) -> None:
            theirs.write(key, table.saving("120"))
            stack.enter_context(_paused_read(second, key))

        with contextlib.ExitStack() as stack:
            ours.read(
                key, table.loading(write_and_miss)
            )  # comes back while the other's lease is there
        if not same(got := ours.read(key, table.loading()), "120"):
            raise Wrong(
                f"A reader read '100'; '120' was written; a second reader, {who}, missed and is loading; then the first one "
                f"stored '100', as if the second one's permission were its own. A read returned {shown(got)}."
            )


@contextlib.contextmanager
def _paused_read(cache: Any, key: str) -> Iterator[None]:
    """A read in a thread of its own, which stays in its load until the end of the block; then it fails."""
    loading, go_on = threading.Event(), threading.Event()

    def load() -> str:
        loading.set()
        go_on.wait(ENOUGH)
        raise ConnectionError("the database is down")

    thread = threading.Thread(target=lambda: raised_by(lambda: cache.read(key, load)))
    thread.start()
    loading.wait(ENOUGH)
    try:
        yield
    finally:
        go_on.set()
        thread.join()


def _loads_during_the_save(ours: Any, theirs: Any) -> None:
    table, key = Table("100"), "fare:loads during the save"
    loading, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        loading.set()
        go_on.wait(ENOUGH)

    reader = threading.Thread(
        target=lambda: raised_by(lambda: theirs.read(key, table.loading(wait)))
    )

    def save() -> None:
        reader.start()
        loading.wait(ENOUGH)
        table.text = "120"

    ours.write(key, save)
    go_on.set()
    reader.join()
    if not same(got := theirs.read(key, table.loading()), "120"):
        raise Wrong(
            "A reader missed and read '100' while a save was going on, and stored it after the write had ended; the next read "
            f"returned {shown(got)}. Take the permission away after the save."
        )


def _fails(ours: Any, theirs: Any) -> None:
    table, key = Table("100"), "fare:failing"

    def fail() -> Any:
        raise ConnectionError("the database is down")

    for what, call in (
        ("load", lambda: ours.read(key, fail)),
        ("save", lambda: ours.write(key, fail)),
    ):
        if not isinstance(came := raised_by(call), ConnectionError):
            raise Wrong(
                f"{what}() raised ConnectionError; the caller should get it, and got {shown(came)}."
            )
    got = [theirs.read(key, table.loading()) for _ in range(2)]
    if not same(got, ["100", "100"]) or table.loads != 1:
        raise Wrong(
            f"After a load and a save that failed, two reads returned {shown(got)} with {table.loads} loads: the second read "
            "should be a hit."
        )


def _interrupted(server: Redis, at: int, then: Callable[[], object]) -> Any:
    """A client that lets something else happen before its command number `at`."""
    from redis import Redis as Client

    class Interrupted(Client):
        commands = 0

        def execute_command(self, *command: Any, **options: Any) -> Any:
            self.commands += 1
            if self.commands == at:
                then()
            return super().execute_command(*command, **options)

    return Interrupted(host=server.host, port=server.port, decode_responses=True)


def _between_the_reads_commands(
    fare_cache: Callable[[Any], Any], theirs: Any, server: Redis, at: int
) -> None:
    table, key = Table("100"), f"fare:between, read {at}"
    then = lambda: theirs.write(key, table.saving("120"))  # noqa: E731
    with _interrupted(server, at, then) as client:
        fare_cache(client).read(key, table.loading())
    if not same(got := theirs.read(key, table.loading()), table.text):
        raise Wrong(
            f"'120' was written just before command number {at} of a read; the next read returned {shown(got)}. Comparing "
            "and storing must be one step."
        )


def _between_the_writes_commands(
    fare_cache: Callable[[Any], Any], theirs: Any, server: Redis, at: int
) -> None:
    table, key = Table("100"), f"fare:between, write {at}"
    loaded, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        loaded.set()
        go_on.wait(ENOUGH)

    reader = threading.Thread(
        target=lambda: raised_by(lambda: theirs.read(key, table.loading(wait)))
    )

    def come_back() -> None:
        go_on.set()
        reader.join()

    reader.start()
    loaded.wait(ENOUGH)
    with _interrupted(server, at, come_back) as client:
        try:
            fare_cache(client).write(key, table.saving("120"))
        finally:
            come_back()
    if not same(got := theirs.read(key, table.loading()), "120"):
        raise Wrong(
            f"A reader that had loaded '100' stored it just before command number {at} of a write; the next read returned "
            f"{shown(got)}. Delete the key and the permission in one step."
        )


def _during_a_load(ours: Any, theirs: Any, store: Any) -> None:
    one, other, for_ever = Table("100"), Table("200"), []

    def look() -> None:
        theirs.read("fare:other", other.loading())
        for_ever.extend(key for key in store.scan_iter() if store.ttl(key) == -1)

    ours.read("fare:one", one.loading(look))
    if for_ever:
        raise Wrong(
            f"During a load Redis holds {for_ever} without an expiry: if the load never returns, they stay for ever."
        )
    ours.read("fare:one", one.loading())
    theirs.read("fare:other", other.loading())
    if (one.loads, other.loads) != (1, 1):
        raise Wrong(
            "While one key was loaded, another key was read; nobody wrote. Both should be hits afterwards, and were loaded "
            f"{one.loads} and {other.loads} times. Give each key a lease of its own."
        )


def _saved_and_raised(ours: Any, theirs: Any) -> None:
    for error in (ConnectionError("the answer to the commit was lost"), KeyboardInterrupt()):
        table, key = Table("old"), f"fare:saved and raised {type(error).__name__}"
        theirs.read(key, table.loading())

        def save(table: Table = table, error: BaseException = error) -> None:
            table.text = "new"
            raise error

        raised_by(lambda key=key, save=save: ours.write(key, save))  # type: ignore[misc]
        if not same(got := theirs.read(key, table.loading()), "new"):
            raise Wrong(
                f"save() saved 'new', and then raised {type(error).__name__}; the next read returned {shown(got)}. An error "
                "does not say that nothing was saved."
            )


# --- the key of a shared cache -------------------------------------------------------------------

SharedKey = Callable[[str, Mapping[str, str], "str | None"], Any]
LANGUAGE, ENCODING = {"Accept-Language": "de"}, {"Accept-Encoding": "gzip"}
BOTH = "Accept-Language, Accept-Encoding"

SAME: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]] = [
    ("a header that Vary does not name differs", ("/b", {"Cookie": "1"}, None), ("/b", {"Cookie": "2"}, None)),
    ("names of headers are case-insensitive", ("/b", LANGUAGE, "accept-language"),
     ("/b", {"accept-language": "de"}, "Accept-Language")),
    ("the order of the names in Vary does not matter", ("/b", LANGUAGE | ENCODING, BOTH),
     ("/b", ENCODING | LANGUAGE, "accept-encoding,accept-language")),
    ("an empty Vary names nothing", ("/b", LANGUAGE, ""), ("/b", {}, None)),
    ("a name twice in Vary says no more than once", ("/b", {"A": "x"}, "A, A"), ("/b", {"A": "x"}, "A")),
]  # fmt: skip

DIFFERENT: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]] = [
    ("the URLs differ", ("/b", {}, None), ("/c", {}, None)),
    ("a header that Vary names differs", ("/b", LANGUAGE, BOTH), ("/b", {"Accept-Language": "fr"}, BOTH)),
    ("a missing header is not an empty one", ("/b", {}, BOTH), ("/b", {"Accept-Language": ""}, BOTH)),
    ("a missing header is not one with the text None", ("/b", {}, BOTH), ("/b", {"Accept-Language": "None"}, BOTH)),
    ("the same value is in another header", ("/b", {"A": "x", "B": "y"}, "A, B"), ("/b", {"A": "y", "B": "x"}, "A, B")),
    ("two values look like one when they are joined", ("/b", {"A": "x,y", "B": "z"}, "A, B"),
     ("/b", {"A": "x", "B": "y,z"}, "A, B")),
    ("two values look like one when they are joined", ("/b", {"A": "1|2", "B": ""}, "A, B"),
     ("/b", {"A": "1", "B": "2|"}, "A, B")),
    ("two values look like one when they are put together", ("/b", {"A": "de", "B": "fr"}, "A, B"),
     ("/b", {"A": "d", "B": "efr"}, "A, B")),
    ("values of headers are case-sensitive", ("/b", {"A": "aB"}, "A"), ("/b", {"A": "Ab"}, "A")),
    ("the query is a part of the URL", ("/b?x=1", {}, None), ("/b?x=2", {}, None)),
    ("the order of the query is a part of the URL", ("/b?x=1&y=2", {}, None), ("/b?y=2&x=1", {}, None)),
    ("the hosts differ", ("https://a.example/b", {}, None), ("https://b.example/b", {}, None)),
    ("the path of a URL is case-sensitive", ("/B", {}, None), ("/b", {}, None)),
    ("Vary names another header", ("/b", {"A": "x"}, "A"), ("/b", {"B": "x"}, "B")),
]  # fmt: skip


@exercise(
    "caching.shared_key",
    hints=(
        "The key has two parts: the URL, and for each name in Vary the value that the request sent, or that it sent none.",
        "Bring the names into one form first: split at commas, strip, lower-case, sort. Do the same with the names of the "
        "request's headers.",
        "A tuple of (name, value or None) pairs is hashable and keeps the parts apart. '*' among the names means: return None.",
    ),
    why="Whatever the key leaves out is shared by everybody; whatever it contains divides the cache. A tuple says where a part "
    "ends; a joined text does not, so that a value with the separator in it can read another's entry. "
    "Django's cache took a missing header for an empty one until 6.1.3 (CVE-2026-113593).",
    stretch="`Accept-Language: de, en;q=0.8` and `en;q=0.8, de` mean the same. Normalise the value before it enters the key: what "
    "do you gain, and who must agree on it?",
    rows=("falsy", "in place", "again"),
)
def check_shared_key(shared_key: SharedKey) -> None:
    """Equal where the response may be shared, different where it may not."""
    for vary in ("*", "Accept-Language, *", " * "):
        if not same(got := shared_key("/b", dict(LANGUAGE), vary), None):
            raise Wrong(
                f"Vary: {vary!r} means that no other request may use the response; expected None, got {shown(got)}."
            )
    for (remark, one, other), alike in [(c, True) for c in SAME] + [(c, False) for c in DIFFERENT]:
        keys = [_key(shared_key, *request) for request in (one, other)]
        if (keys[0] == keys[1]) is not alike:
            verb = "should be equal" if alike else "should differ"
            raise Wrong(
                f"The keys {verb}, since {remark}: {one} and {other} gave {shown(keys[0])} and {shown(keys[1])}."
            )
    keys = {_key(shared_key, f"/b/{number}", LANGUAGE, BOTH) for number in range(2_000)}
    if len(keys) != 2_000:
        raise Wrong(f"2,000 URLs gave {len(keys):,} different keys: a hash of few bits is no key.")


def _key(shared_key: SharedKey, url: str, headers: Mapping[str, str], vary: str | None) -> Any:
    given = dict(headers)
    key = shared_key(url, given, vary)
    if given != headers:
        raise Wrong(f"The request's headers were changed: {headers} became {given}.")
    if key is None:
        raise Wrong(f"Vary is {vary!r}: the response may be shared, so there must be a key.")
    try:
        hash(key)
    except TypeError as error:
        raise Wrong(f"The key must be hashable: {error}.") from None
    return key
