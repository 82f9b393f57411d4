"""Exercises of 2.4: an event that cannot be forged, a client that comes back, a hub that drops slow clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from helpers.exercises import Wrong, exercise
from helpers.exercises.comparing import raised_by, same, shown
from helpers.labs.web.websockets_sse import Event, EventStream


@exercise(
    "websockets_sse.encode",
    hints=(
        "There is no escape in this format. What does a field end with, and which of the three fields may come several times?",
        "A line end is \\r\\n, \\n or \\r, and nothing else. Each line of the text gets a `data: ` of its own, an empty line too. "
        "And what does an empty text look like?",
        "lines = text.replace('\\r\\n', '\\n').replace('\\r', '\\n').split('\\n'). `str.splitlines` splits at more, and drops an "
        "empty line at the end. Then the fields, and an empty line after them.",
    ),
    why="A field ends with its line, so what may hold any text is the field that may be repeated. The parser joins the data "
    "lines by line ends again. Names and ids have no such way: what does not fit on one line must not be written.",
    stretch="What would a client see of an id with a line end in it if you just removed the line end? When would two different "
    "ids become the same?",
    rows=("falsy", "apostrophe"),
)
def check_encode(encode: Callable[..., str]) -> None:
    """Read back by the standard's parser: one event, the same text; and what must be refused is."""
    for text, event, id in (
        ("boarding", None, None),
        ("O'Hara to gate C21", "gate", "7"),
        ("two\nlines", "gate", "8"),
        ("\ndata: forged\n\nevent: x\n", None, "9"),
        ("by\r\nevery\rline\nend", None, None),
        ("not a line\u2028end\x0bhere", None, None),
        (" a space first", "gate", None),
        ("spaces last \t ", None, "11"),
        ("spaces", " gate", " 7"),
        ("no line end either", "gate\u2028C21", None),
        ("", "gate", "0"),
    ):
        given = {name: value for name, value in (("event", event), ("id", id)) if value is not None}
        try:
            written = encode(text, **given)
        except ValueError as error:
            raise Wrong(f"encode({text!r}, **{given}) can be written, and you refused it: {error!r}.") from error  # fmt: skip
        if type(written) is not str:
            raise Wrong(f"encode({text!r}) must return text, got {shown(written)}.")
        wanted = [
            Event(
                text.replace("\r\n", "\n").replace("\r", "\n"),
                event or "message",
                "" if id is None else id,
            )
        ]
        got = EventStream().feed(
            written.encode() + b":\n"
        )  # a comment shows that a last \r is a line end
        if got != wanted:
            raise Wrong(
                f"encode({text!r}, **{given}) must be read as one event, {wanted[0]}; a browser reads {shown(got, 300)}."
            )
    two = EventStream().feed((encode("a", id="7") + encode("b", id="")).encode() + b":\n")
    if [event.id for event in two] != ["7", ""]:
        raise Wrong(
            'id="" is given, and makes a browser forget the last id. After encode("a", id="7") and encode("b", id="") '
            f"it must know the ids ['7', '']; it read {shown(two, 300)}."
        )
    for name, value in (
        ("event", "a\nb"),
        ("event", "a\rb"),
        ("event", "gate\n"),
        ("event", "gate\r"),
        ("id", "1\ndata: x"),
        ("id", "1\r2"),
        ("id", "7\n"),
        ("id", "1\x002"),
    ):
        refusal = raised_by(partial(encode, "boarding", **{name: value}))
        if not isinstance(refusal, ValueError):
            raise Wrong(
                f"{name}={value!r} cannot be written on one line of its own: expected ValueError, got {refusal!r}."
            )


class _Stop(TimeoutError):
    """Something that is the caller's business, although it is an OSError as a lost connection is."""


class _Server:
    """Serves numbered events from a script of connections."""

    def __init__(self, *script: Any) -> None:
        self.script = list(
            script
        )  # each: (how many events, or None if connect itself raises; how it ends)
        self.asked: list[Any] = []
        self.slept: list[Any] = []
        self.sent = 0
        self.got: list[Any] = []  # what the answer has passed on
        self.held = ""  # an event that it kept back

    async def sleep(self, seconds: float) -> None:
        """Notes it."""
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def connect(self, last_id: Any = "nothing was passed") -> AsyncIterator[tuple[str, str]]:
        """The next connection of the script."""
        self.asked.append(last_id)
        events, ending = self.script.pop(0) if self.script else (0, PermissionError("gone"))
        if events is None:
            raise ending
        return self._events(events, ending)

    async def _events(self, number: int, ending: Any) -> AsyncIterator[tuple[str, str]]:
        for _ in range(number):
            self.sent += 1
            text = "" if self.sent == 2 else "change 4" if self.sent == 5 else f"change {self.sent}"
            yield str(self.sent - 1), text
            await _turns()  # it may read ahead
            if len(self.got) < self.sent:
                self.held = self.held or text
        await asyncio.sleep(0)
        if ending is not None:
            raise ending


async def _followed(follow: Any, server: _Server) -> tuple[list[Any], Any]:
    got = server.got
    try:
        async with asyncio.timeout(5):
            async for change in follow(server.connect, server.sleep):
                got.append(change)
    except (NotImplementedError, Wrong):
        raise
    except (Exception, asyncio.CancelledError) as error:
        return got, error
    return got, None


async def _turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@exercise(
    "websockets_sse.follow_on",
    hints=(
        "Two things must outlive a connection: the id of the last event, and how long to wait.",
        "A `while True` around the `async for`. An iterator that ends without an exception is a cut as well: let both ways reach the "
        "same `await sleep`.",
        "last_id, pause = None, 1. Per event: last_id, pause = id, 1, then yield. `except ConnectionError: pass`, `except "
        "PermissionError: return`. After both: await sleep(pause); pause = min(2 * pause, 30).",
    ),
    why="The position is kept with the client, so the server may be any server. The pause grows only where attempts bring nothing, so that one cut costs a second "
    "and a server that is down is not hammered.",
    stretch="All clients lose their connection in the same second, and come back in the same second. Make the pause random "
    "(full jitter), and say what the check would have to test then.",
    rows=("falsy", "exception", "base exception", "again"),
)
def check_follow_on(follow_on: Callable[..., AsyncIterator[Any]]) -> None:
    """Events once each, ids, pauses, the two ends, and errors of the caller's."""
    asyncio.run(_comes_back(follow_on))


async def _comes_back(follow: Any) -> None:
    cut = ConnectionError("cut")
    for refused in (0, None):  # by the iterator, then by connect itself
        gone = PermissionError("gone")
        server = _Server((3, cut), (2, None), (refused, cut), (0, None), (1, cut), (refused, gone))
        got, error = await _followed(follow, server)
        changes = ["change 1", "", "change 3", "change 4", "change 4", "change 6"]
        if isinstance(error, Exception):
            raise Wrong(f"Connections were cut, and one was refused for good; you raised {error!r} after {got}.")  # fmt: skip
        if not same(got, changes):
            raise Wrong(f"Expected each event once, {changes}, got {shown(got, 300)}.")
        if server.held:
            raise Wrong(f"{server.held!r} had come, and you asked for the next event before you passed it on: a stream stays open for hours.")  # fmt: skip
        if not same(server.asked, [None, "2", "4", "4", "4", "5"]):
            raise Wrong(f"The connections were to ask from [None, '2', '4', '4', '4', '5'] on, yours asked from {server.asked}.")  # fmt: skip
        if not same([float(seconds) for seconds in server.slept], [1.0, 1.0, 2.0, 4.0, 1.0]):
            raise Wrong(f"Expected pauses of [1, 1, 2, 4, 1] s, got {server.slept}: an event starts the count anew.")  # fmt: skip
    server = _Server(*[(0, cut)] * 8)
    await _followed(follow, server)
    if not same([float(seconds) for seconds in server.slept], [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]):  # fmt: skip
        raise Wrong(f"Nobody listens: expected pauses of [1, 2, 4, 8, 16, 30, 30, 30] s, at most 30 s each, got {server.slept}.")  # fmt: skip
    problem = _Stop("not a lost connection")
    _, error = await _followed(follow, _Server((1, problem), (1, None)))
    if error is not problem:
        raise Wrong(f"An exception that is no lost connection belongs to the caller; {problem!r} became {error!r}.")  # fmt: skip
    _, error = await _followed(follow, _Server((1, asyncio.CancelledError()), (1, None)))
    if not isinstance(error, asyncio.CancelledError):
        raise Wrong("Your stream was cancelled while it waited for an event, and it went on.")


class _Client:
    """Notes what it is sent; `reads` opens and closes the tap."""

    def __init__(self, reads: bool = True, fails: Exception | None = None) -> None:
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()
        self.fails = fails
        self.got: list[Any] = []
        self.hanging = self.most = 0

    async def send(self, change: Any) -> None:
        """Waits until the client reads."""
        self.hanging += 1
        self.most = max(self.most, self.hanging)
        try:
            await self.reads.wait()
            if self.fails:
                raise self.fails
            self.got.append(change)
        finally:
            self.hanging -= 1


@exercise(
    "websockets_sse.hub",
    hints=(
        "Publishing must not wait, so somebody else must: who calls `send`, and where do changes wait for it?",
        "A bounded queue and a task that writes, for each client. `publish` looks whether a queue is full *before* it puts; then it forgets the "
        "client and cancels the writer. `serve` waits for the writer.",
        "In serve: writer = asyncio.create_task(write()); self.clients[writer] = queue; try: await asyncio.wait([writer]); finally: forget and "
        "cancel it. Then: writer.cancelled() means dropped; otherwise writer.result() raises what send raised.",
    ),
    why="Back-pressure ends where somebody awaits `send`; the queue moves this place from the broadcast to one task per client, and its bound "
    "says how much memory one client may cost. Cancelling the writer is what frees the `send` that hangs. `asyncio.wait` tells the writer's "
    "cancellation from your own, which `await writer` does not.",
    stretch="Instead of dropping the client keep only the newest change of each flight for it. What bounds the memory then?",
    rows=("falsy", "exception", "base exception", "again"),
)
def check_hub(hub: Callable[[int], Any]) -> None:
    """A fast client gets all, a slow one is dropped, a broken one and a cancelled one leave."""
    asyncio.run(_fans_out(hub))


async def _fans_out(make: Any) -> None:
    hub, other = make(3), make(3)
    fast, slow = _Client(), _Client(reads=False)
    serving = {name: asyncio.create_task(hub.serve(one.send)) for name, one in (("fast", fast), ("slow", slow))}  # fmt: skip
    try:
        await _turns()
        for task in serving.values():
            if task.done() and isinstance(task.exception(), NotImplementedError):
                raise NotImplementedError
        counts = []
        changes = [0, None, "", "C21", "C22", "C23", "C24"]
        for change in changes:
            counts.append(hub.publish(change))
            await _turns()
        # One is being sent, three wait; with the fifth the slow one goes.
        if not same(counts, [2, 2, 2, 2, 1, 1, 1]):
            raise Wrong(
                "Two clients, room for 3, one does not read: of seven changes publish must return [2, 2, 2, 2, 1, 1, 1] (one is being "
                f"sent, three wait, the next one drops the client), got {shown(counts)}."
            )
        if not same(fast.got, changes):
            raise Wrong(f"The client that reads was to get {changes}, got {shown(fast.got)}.")
        if slow.most > 1:
            raise Wrong(f"send was called {slow.most} times at once for one client: what comes second may arrive first.")  # fmt: skip
        if not serving["slow"].done() or slow.hanging:
            raise Wrong(
                "The slow client was dropped, and its serve or its send still hangs: nobody frees them."
            )
        if serving["slow"].cancelled() or (end := serving["slow"].exception() or serving["slow"].result()) != "dropped":  # fmt: skip
            what = "was cancelled" if serving["slow"].cancelled() else f"ended with {end!r}"
            raise Wrong(f"The serve of the client that was dropped must return 'dropped'; it {what}.")  # fmt: skip
        if other.publish("C1") != 0:
            raise Wrong("A hub without clients published to somebody: hubs must not share clients.")

        problem = ConnectionError("gone")
        broken = _Client(fails=problem)
        serving["broken"] = asyncio.create_task(hub.serve(broken.send))
        await _turns()
        hub.publish("C25")
        await _turns()
        if not serving["broken"].done() or serving["broken"].cancelled() or serving["broken"].exception() is not problem:  # fmt: skip
            raise Wrong("send raised ConnectionError, and its serve did not raise the same.")
        serving["fast"].cancel()
        await asyncio.wait([serving["fast"]], timeout=1)
        await _turns()
        if (left := hub.publish("C26")) != 0 or not serving["fast"].cancelled():
            raise Wrong(
                f"One client's send failed, the other's serve was cancelled. Nobody is left, and publish returned {left}."
            )

        stuck, both = _Client(reads=False), _Client()
        serving["stuck"] = asyncio.create_task(hub.serve(stuck.send))
        await _turns()
        hub.publish("C27")
        await _turns()
        serving["stuck"].cancel()
        await asyncio.wait([serving["stuck"]], timeout=1)
        await _turns()
        if stuck.hanging:
            raise Wrong("A serve was cancelled while its send waited for the client. The serve is over, and the send still hangs.")  # fmt: skip

        late, waited = _Client(reads=False), ["C28", "C29", "C30"]
        serving["late"] = asyncio.create_task(hub.serve(late.send))
        await _turns()
        for change in waited:
            hub.publish(change)
        await _turns()
        late.reads.set()
        await _turns()
        if not same(late.got, waited):
            raise Wrong(f"A client that did not read for a while, and was not dropped, must get {waited} when it reads again; it got {shown(late.got)}.")  # fmt: skip
        serving["late"].cancel()
        await asyncio.wait([serving["late"]], timeout=1)
        for name in ("one", "another"):
            serving[name] = asyncio.create_task(hub.serve(both.send))
        await _turns()
        count = hub.publish("C31")
        await _turns()
        if not same((count, both.got), (2, ["C31", "C31"])):
            raise Wrong(
                "Two clients came with the same send, after all the changes before. One more change must be sent twice, (2, ['C31', 'C31']); "
                f"publish returned {count}, and they got {shown(both.got)}."
            )
    finally:
        for task in serving.values():
            task.cancel()
        await asyncio.gather(*serving.values(), return_exceptions=True)
        await _turns()
