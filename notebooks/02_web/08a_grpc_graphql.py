# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.8 gRPC and GraphQL: gRPC
#
# > Глубокое понимание — gRPC, GraphQL (Ariadne, Strawberry).
# >
# > Deep understanding: gRPC, GraphQL (Ariadne, Strawberry).
#
# First of two sittings, 73 minutes. (The second is about GraphQL.) Needs no service.
#
# A passenger presses *Book*. Her app calls the bookings service with a deadline of 300 ms. Bookings calls payments, and
# payments calls the bank, which is slow today. After 300 ms the app shows "Not booked, please try again". Bookings and
# payments are Python servers with threads (`grpc.server`), and both calls are gRPC.

# %% [markdown] predict="grpc_graphql.q1"
# **Predict.** The bookings service calls `payments.Charge(request)`, with no timeout of its own. Is the card charged?
#
# - **a** no: the deadline travels with the request, and payments stops
# - **b** no: gRPC cancels the call to payments when the call to bookings has ended
# - **c** yes

# %%
from helpers import answer

answer("grpc_graphql.q1", None)  # "a", "b" or "c"

# %% [markdown]
# **You will be able to show that …**
#
# 1. who passes a deadline on in gRPC, and what happens to work that nobody waits for;
# 2. what protobuf saves in bytes, and how much of it is left after compression;
# 3. what a stream does when its reader stops or leaves;
# 4. what a server interceptor sees, and which calls can block a server's threads;
# 5. which changes of a `.proto` file break old programs, and which of them raise no error;
# 6. how many of three back ends get work from one channel.

# %%
import asyncio
import gzip
import importlib
import json
import sys
import tempfile
import threading
from pathlib import Path

import google.protobuf
import grpc
import pandas as pd
from grpc_tools import protoc

from helpers import check, claim, data, show_bars, show_source, show_table, stamp
from helpers.labs.web import grpc_play as lab

stamp()

# %% [markdown]
# The service is described in a `.proto` file. It has one method of each of the four kinds: `stream` can stand before the
# request, before the response, before both or before neither. `protoc` generates two Python modules from it.

# %%
PROTO = """
syntax = "proto3";
package airline;

service Payments {
  rpc Charge(Charging) returns (Receipt);
}

service Bookings {
  rpc Book(Charging) returns (Receipt);               // one request, one response
  rpc Search(Route) returns (stream Flight);          // a stream of responses
  rpc Import(stream Flight) returns (Receipt);        // a stream of requests
  rpc Quote(stream Route) returns (stream Receipt);   // both
}

message Charging { string reference = 1; int64 cents = 2; }
message Receipt { string status = 1; }
message Route { string origin = 1; string dest = 2; }
message Flight {
  int64 departs = 1;
  string carrier = 2;
  int32 number = 3;
  string origin = 4;
  string dest = 5;
  optional sint32 delay = 6;  // may be negative
  string note = 7;
}
message Flights { repeated Flight flights = 1; }
"""
folder = tempfile.TemporaryDirectory(prefix="course-")  # goes when the kernel goes
Path(folder.name, "bookings.proto").write_text(PROTO)
options = [f"--python_out={folder.name}", f"--grpc_python_out={folder.name}"]
assert protoc.main(["protoc", f"-I{folder.name}", *options, "bookings.proto"]) == 0
sys.path.insert(0, folder.name)

pb = importlib.import_module("bookings_pb2")  # messages
rpc = importlib.import_module("bookings_pb2_grpc")  # stubs for clients, servicers for servers
print(*sorted(path.name for path in Path(folder.name).glob("*.py")))

# %% [markdown]
# gRPC starts threads in the process that uses it, and a fork copies only the thread that forks. So this kernel, which
# forks for each check, opens no channel. Each experiment is a function, a *scene*. `play` sends its source to a fresh
# Python, where `grpc`, `pb`, `rpc`, `lab`, `asyncio` and `threading` are imported, and gets its result back. Servers
# and clients talk over TCP on loopback.

# %%
show_source(lab.play, lab.serving, lab.calling)


# %%
def play(scene, *arguments):
    return lab.play(folder.name, scene, *arguments)


# %% [markdown] core=true minutes=9
# ## A charge that takes too long
#
# The bank answers one second after the client has given up. Payments does all that it can: if its own call has ended
# by then, it does not charge the card.

# %%
def late_charge(hand_on):
    outcome, given_up, done = [], threading.Event(), threading.Event()

    class Payments(rpc.PaymentsServicer):
        def Charge(self, request, context):
            ended = threading.Event()
            context.add_callback(ended.set)  # called when this call has ended, for whatever reason
            given_up.wait(lab.SECONDS)
            outcome.append("stopped" if ended.wait(1) else "charged")  # the bank takes a second
            done.set()
            return pb.Receipt(status="charged")

    class Bookings(rpc.BookingsServicer):
        def Book(self, request, context):
            left = context.time_remaining() if hand_on else None
            return payments.Charge(request, timeout=left)

    with (
        lab.serving(rpc.add_PaymentsServicer_to_server, Payments()) as bank_side,
        lab.calling(bank_side) as to_payments,
        lab.serving(rpc.add_BookingsServicer_to_server, Bookings()) as desk,
        lab.calling(desk) as to_bookings,
    ):
        payments, bookings = rpc.PaymentsStub(to_payments), rpc.BookingsStub(to_bookings)
        told = lab.status(lambda: bookings.Book(pb.Charging(reference="AAQFRK", cents=19_900), timeout=0.3))
        given_up.set()
        done.wait(lab.SECONDS)
    return [told, outcome]


# %% [markdown]
# The same two services with `grpc.aio`. Nobody hands on a timeout.

# %%
def late_charge_asyncio():
    told, outcome = [], []

    async def scene():
        given_up, done = asyncio.Event(), asyncio.Event()

        class Payments(rpc.PaymentsServicer):
            async def Charge(self, request, context):
                try:
                    await given_up.wait()
                    await asyncio.sleep(1)  # the bank
                    outcome.append("charged")
                except asyncio.CancelledError:
                    outcome.append("cancelled")
                    raise
                finally:
                    done.set()
                return pb.Receipt(status="charged")

        class Bookings(rpc.BookingsServicer):
            async def Book(self, request, context):
                return await payments.Charge(request)

        async with (
            lab.serving_asyncio(rpc.add_PaymentsServicer_to_server, Payments()) as bank_side,
            grpc.aio.insecure_channel(bank_side) as to_payments,
            lab.serving_asyncio(rpc.add_BookingsServicer_to_server, Bookings()) as desk,
            grpc.aio.insecure_channel(desk) as to_bookings,
        ):
            payments, bookings = rpc.PaymentsStub(to_payments), rpc.BookingsStub(to_bookings)
            try:
                await bookings.Book(pb.Charging(reference="AAQFRK", cents=19_900), timeout=0.3)
            except grpc.aio.AioRpcError as error:
                told.append(error.code().name)
            given_up.set()
            await asyncio.wait_for(done.wait(), lab.SECONDS)

    asyncio.run(scene())
    return [*told, outcome]


# %%
alone, handed_on, by_asyncio = play(late_charge, False), play(late_charge, True), play(late_charge_asyncio)
show_table(
    [
        {"bookings": bookings, "the app is told": told, "payments": ", ".join(outcome)}
        for bookings, (told, outcome) in {
            "threads, no timeout for payments": alone,
            "threads, the remaining time handed on": handed_on,
            "asyncio, no timeout for payments": by_asyncio,
        }.items()
    ]
)

# %%
claim("grpc_graphql.late_charge", "the app is told that the deadline has passed, and the card is charged afterwards",
      alone, equals=["DEADLINE_EXCEEDED", ["charged"]], proves={"grpc_graphql.q1": "c"})
claim("grpc_graphql.handed_on", "with the remaining time handed on, payments learns that its call has ended, and stops",
      handed_on, equals=["DEADLINE_EXCEEDED", ["stopped"]])
claim("grpc_graphql.asyncio_cancels", "in asyncio servers the end of the first call cancels the second",
      by_asyncio, equals=["DEADLINE_EXCEEDED", ["cancelled"]])

# %% [markdown]
# **Why.** A deadline belongs to one call. The client sends the time that is left in the header `grpc-timeout`
# ([protocol](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)), and the server can read it as
# `context.time_remaining()`. A call that a handler makes is a new call, and Python's stub does not know in which handler
# it was made. In Java the context of the incoming call is the current one while its handler runs, and in Go the handler
# passes it as `ctx`, so there [the deadline is passed on](https://grpc.io/docs/guides/deadlines/). Nothing stops the
# handler's thread either. The handler must ask (`is_active`, `time_remaining`) or be told (`add_callback`).
#
# In `grpc.aio` a handler is a task. When its call ends, the server cancels the task, and the `CancelledError` arrives at
# the `await` of the second call and cancels that, too. This is a cancellation and no deadline: payments still sees none.
# It also does not reach work that was put elsewhere, in a thread or under `asyncio.shield`.
#
# **In production.** `DEADLINE_EXCEEDED` does not say that nothing was done. A charge needs an idempotency key, so
# that *try again* is safe ([2.7b](07b_api_contracts.ipynb#The-answer-was-lost) shows one). Set a deadline at the edge, hand it on at each
# hop, and check it before the step that cannot be undone.

# %% [markdown] claim="grpc_graphql.late_charge" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a timeout of bookings' own</summary>
#
# ```diff
# -            left = context.time_remaining() if hand_on else None
# +            left = context.time_remaining() if hand_on else 0.3
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.late_charge")`

# %% [markdown] claim="grpc_graphql.handed_on" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a generous timeout at the second hop</summary>
#
# A fixed timeout for each hop is the usual code. It is right only where it is shorter than what the caller has left.
#
# ```diff
# -            left = context.time_remaining() if hand_on else None
# +            left = 10 if hand_on else None
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.handed_on")`

# %% [markdown] claim="grpc_graphql.asyncio_cancels" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: shield the second call</summary>
#
# ```diff
# -                return await payments.Charge(request)
# +                return await asyncio.shield(payments.Charge(request))
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.asyncio_cancels")`

# %% [markdown] minutes=3
# ## A client without a deadline
#
# The cure is deployed: `payments.Charge(request, timeout=context.time_remaining())`. An old batch job calls bookings, too.
# It never sets a deadline, and the bank is fast tonight.

# %% [markdown] predict="grpc_graphql.q2"
# **Predict.** What does the batch job get?
#
# - **a** its receipt: without a deadline `time_remaining()` is `None`, and `timeout=None` means no timeout
# - **b** its receipt, because the remaining time is very large
# - **c** an error

# %%
answer("grpc_graphql.q2", None)  # "a", "b" or "c"

# %%
def without_deadline(most):
    left = []

    class Payments(rpc.PaymentsServicer):
        def Charge(self, request, context):
            return pb.Receipt(status="charged")

    class Bookings(rpc.BookingsServicer):
        def Book(self, request, context):
            left.append(context.time_remaining())
            return payments.Charge(request, timeout=min(left[-1], most) if most else left[-1])

    with (
        lab.serving(rpc.add_PaymentsServicer_to_server, Payments()) as bank_side,
        lab.calling(bank_side) as to_payments,
        lab.serving(rpc.add_BookingsServicer_to_server, Bookings()) as desk,
        lab.calling(desk) as to_bookings,
    ):
        payments, bookings = rpc.PaymentsStub(to_payments), rpc.BookingsStub(to_bookings)
        told = lab.status(lambda: bookings.Book(pb.Charging(reference="AAQFRK"), wait_for_ready=True))
    return [told, left]


# %%
as_it_is, bounded = play(without_deadline, None), play(without_deadline, 20)
print(f"time_remaining() without a deadline: {as_it_is[1][0]:.3g} seconds; the client is told {as_it_is[0]}")
print(f"min(time_remaining(), 20): the client is told {bounded[0]}")

# %%
claim("grpc_graphql.no_deadline", "handed on as it is, no deadline makes the call fail; with an upper limit it succeeds",
      [as_it_is[0], bounded[0]], equals=["UNKNOWN", "OK"], proves={"grpc_graphql.q2": "c"})

# %% [markdown]
# **Why.** The documentation of `ServicerContext.time_remaining` promises `None` for a call without a deadline. In
# `grpc/_server.py` of grpcio 1.85 it is `deadline - time.time()`, with a deadline at the end of time, so the result is 9.22e+18
# seconds. `grpc.aio` does return `None`. The stub adds this number to the clock again, the sum is too large for the
# core's clock, and the second call ends at once with `DEADLINE_EXCEEDED`. The handler does not catch it, so the batch job
# is told `UNKNOWN`: the status of an exception in a handler.
#
# **In production.** Write `timeout=min(context.time_remaining(), LIMIT)` in servers with threads. The limit is useful
# anyway, for clients that forget theirs. And test a new timeout with a client that sets none.

# %% [markdown] claim="grpc_graphql.no_deadline" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: no timeout in the first run, no limit in the second</summary>
#
# ```diff
# -            return payments.Charge(request, timeout=min(left[-1], most) if most else left[-1])
# +            return payments.Charge(request, timeout=left[-1] if most else None)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.no_deadline")`

# %% [markdown] minutes=5
# ## Five hundred flights in four sizes
#
# A partner asks for 500 departures. The service can answer in JSON or in protobuf, and with or without gzip.

# %% [markdown] predict="grpc_graphql.q3"
# **Predict.** Both answers are compressed with gzip. How large is protobuf's, compared with JSON's?
#
# - **a** about a third
# - **b** about a half
# - **c** about four fifths

# %%
answer("grpc_graphql.q3", None)  # "a", "b" or "c"

# %%
frame = data.flights(["time_hour", "carrier", "flight", "origin", "dest", "dep_delay"]).head(500)
rows = [
    {
        "departs": int(row.time_hour.timestamp()),
        "carrier": row.carrier,
        "number": int(row.flight),
        "origin": row.origin,
        "dest": row.dest,
        "delay": None if pd.isna(row.dep_delay) else int(row.dep_delay),
    }
    for row in frame.itertuples()
]
as_json = json.dumps(rows, separators=(",", ":")).encode()
as_protobuf = pb.Flights(flights=[pb.Flight(**row) for row in rows]).SerializeToString()
sizes = {"JSON": as_json, "protobuf": as_protobuf}
sizes |= {f"{name}, gzip": gzip.compress(body, 6, mtime=0) for name, body in sizes.items()}
read_back = pb.Flights.FromString(gzip.decompress(sizes["protobuf, gzip"])).flights

# %% tags=["nbval-ignore-output"]
show_bars(
    {name: len(body) / 1000 for name, body in sizes.items()}, title="500 departures", x="kB"
)

# %%
claim("grpc_graphql.size_plain", "protobuf needs less than a third of JSON's bytes",
      len(sizes["protobuf"]) / len(sizes["JSON"]), at_most=1 / 3, did=[len(read_back), read_back[0].carrier])
claim("grpc_graphql.size_gzip", "compressed, it needs about four fifths of JSON's bytes",
      len(sizes["protobuf, gzip"]) / len(sizes["JSON, gzip"]), between=(0.7, 0.9), proves={"grpc_graphql.q3": "c"})

# %% [markdown]
# **Why.** A protobuf field is a tag (its number and a wire type, one byte for the numbers 1 to 15) and its value. An
# `int32` is a varint with seven bits per byte, so `1545` takes two bytes. A negative one takes ten: it is sent as 64 bits.
# `sint32` maps -5 to 9, and takes one. Most of these flights left early, so with `int32` the delays alone would need 2.6 kB
# more (measured by the authors: protobuf 7.36). The names are in the `.proto` file and not in the message
# ([encoding](https://protobuf.dev/programming-guides/encoding/)). JSON repeats every name in every row. Repetition is what
# gzip removes, and then the values are left, which are the same on both sides.
#
# **In production.** Do not choose protobuf for the bytes if your JSON is compressed. Both sides still have to build and
# parse the text, so CPU time may be a reason. Measure it with your messages. The strongest reasons are the contract and
# the streams. A response of few rows gains less from gzip, because little is repeated.

# %% [markdown] also=["grpc_graphql.size_gzip"] claim="grpc_graphql.size_plain" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: everything as text in protobuf, too</summary>
#
# ```diff
# -as_protobuf = pb.Flights(flights=[pb.Flight(**row) for row in rows]).SerializeToString()
# +as_protobuf = pb.Flights(flights=[pb.Flight(**row, note=json.dumps(row)) for row in rows]).SerializeToString()
# @@
# -as_json = json.dumps(rows, separators=(",", ":")).encode()
# +as_json = json.dumps([list(row.values()) for row in rows], separators=(",", ":")).encode()
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.size_plain")`

# %% [markdown] claim="grpc_graphql.size_gzip" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: compress JSON at the lowest level</summary>
#
# ```diff
# -sizes |= {f"{name}, gzip": gzip.compress(body, 6, mtime=0) for name, body in sizes.items()}
# +sizes |= {f"{name}, gzip": gzip.compress(body, 0 if name == "JSON" else 6, mtime=0) for name, body in sizes.items()}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.size_gzip")`

# %% [markdown] core=true minutes=6
# ## A reader that stops
#
# A partner calls `Search` for 5,000 flights of 10 kB each. It reads one, and then it does something else: it waits for a
# lock, say. The handler is a generator and goes on yielding.

# %% [markdown] predict="grpc_graphql.q4"
# **Predict.** How many flights does the generator produce while the reader does not read?
#
# - **a** all 5,000: they wait in the memory of the client
# - **b** two: the one that was read and the next one
# - **c** many more than two, and far from all: then it is stopped

# %%
answer("grpc_graphql.q4", None)  # "a", "b" or "c"

# %%
def stopped_reader(read, cancel):
    made, closed, ended = [0], [], threading.Event()

    class Bookings(rpc.BookingsServicer):
        def Search(self, request, context):
            try:
                for number in range(1, 5_001):
                    made[0] = number
                    yield pb.Flight(number=number, note="x" * 10_000)
            except GeneratorExit:
                closed.append("closed at its yield")
                raise
            finally:
                ended.set()

    with (
        lab.serving(rpc.add_BookingsServicer_to_server, Bookings()) as desk,
        lab.calling(desk) as channel,
    ):
        flights = rpc.BookingsStub(channel).Search(pb.Route(origin="JFK"))
        for _ in range(read):
            next(flights)
        produced = lab.settled(lambda: made[0])
        if cancel:
            flights.cancel()
        ended.wait(3)
        after = list(closed)
    return [produced, after]


# %%
produced, after_cancel = play(stopped_reader, 1, True)

# %% tags=["nbval-ignore-output"]
print(f"produced while the reader had read one: {produced:,} of 5,000, {produced / 100:.1f} MB")
print("after the reader's cancel:", after_cancel)

# %%
claim("grpc_graphql.held_back", "the generator is stopped: after more than HTTP/2's first window, and less than 16 MiB",
      produced * 10_000, between=(65_535, 16 * 2**20), unit="B", proves={"grpc_graphql.q4": "c"})
claim("grpc_graphql.closed", "when the reader cancels, the generator is closed at its yield",
      after_cancel, equals=["closed at its yield"])

# %% [markdown]
# **Why.** HTTP/2 has a window for each stream and one for each connection, 65,535 bytes at first ([RFC 9113,
# 6.9.2](https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9.2)). The sender may not send more than the receiver has
# allowed. gRPC enlarges the window while it sees that the connection could carry more, and the sockets have buffers as
# well. So the amount is some MB here, and it depends on the size of the messages only through their bytes. Then the
# server's thread waits in the send operation, and the generator is not asked for its next item.
#
# After a cancel the server drops the generator at its `yield`. CPython closes a generator that nothing refers to, and
# `finally` runs. A handler that is blocked elsewhere, in a query or a lock, does not get this exception.
#
# **In production.** A slow reader holds a thread of the server, and a database cursor that the generator has open, for as
# long as it likes. Give streams a deadline, too. And do not count the messages that a generator has yielded as delivered.

# %% [markdown] also=["grpc_graphql.closed"] claim="grpc_graphql.held_back" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a reader that reads</summary>
#
# ```diff
# -produced, after_cancel = play(stopped_reader, 1, True)
# +produced, after_cancel = play(stopped_reader, 4_900, True)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.held_back")`

# %% [markdown] claim="grpc_graphql.closed" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the reader does not cancel, it only does not read</summary>
#
# ```diff
# -produced, after_cancel = play(stopped_reader, 1, True)
# +produced, after_cancel = play(stopped_reader, 1, False)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.closed")`

# %% [markdown] minutes=3
# ## All four kinds
#
# Which messages cross? The client of `Quote` sends its second route only when it has the answer to its first.

# %%
def four_kinds():
    log, answered = [], threading.Event()

    class Bookings(rpc.BookingsServicer):
        def Book(self, request, context):
            return pb.Receipt(status="booked")

        def Search(self, request, context):
            for number in (15, 16, 17):
                yield pb.Flight(number=number)

        def Import(self, requests, context):
            return pb.Receipt(status=f"{sum(1 for flight in requests)} flights")

        def Quote(self, requests, context):
            for route in requests:
                yield pb.Receipt(status=route.origin)

    def routes():
        for origin in ("JFK", "LGA"):
            log.append(f"client sends {origin}")
            yield pb.Route(origin=origin)
            answered.wait(2)

    with lab.serving(rpc.add_BookingsServicer_to_server, Bookings()) as desk, lab.calling(desk) as channel:
        bookings = rpc.BookingsStub(channel)
        book = bookings.Book(pb.Charging()).status
        search = [flight.number for flight in bookings.Search(pb.Route())]
        imported = bookings.Import(pb.Flight(number=number) for number in range(3)).status
        for receipt in bookings.Quote(routes()):
            log.append(f"client has {receipt.status}")
            answered.set()
    return [book, search, imported, log]


# %%
book, search, imported, quoted = play(four_kinds)
show_table(
    [
        {"method": "Book", "requests": 1, "result": book},
        {"method": "Search", "requests": 1, "result": search},
        {"method": "Import", "requests": 3, "result": imported},
        {"method": "Quote", "requests": 2, "result": ", ".join(quoted)},
    ]
)

# %%
claim("grpc_graphql.four_kinds", "one answer for one request, three answers for one, one answer for three",
      [book, search, imported], equals=["booked", [15, 16, 17], "3 flights"])
claim("grpc_graphql.both_ways", "with streams both ways, the client has its first answer before it sends its second request",
      quoted, equals=["client sends JFK", "client has JFK", "client sends LGA", "client has LGA"])

# %% [markdown]
# **In production.** `Quote` is a conversation over one call: one deadline, one server, one status at the end. If it breaks
# in the middle, nobody knows which messages were handled, and gRPC does not repeat it. For anything that can be asked in
# single calls, single calls are easier to retry, to balance and to log.

# %% [markdown] claim="grpc_graphql.four_kinds" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a refusal, a shorter search and a shorter import</summary>
#
# ```diff
# -            return pb.Receipt(status="booked")
# -
# -        def Search(self, request, context):
# -            for number in (15, 16, 17):
# +            return pb.Receipt(status="refused")
# +
# +        def Search(self, request, context):
# +            for number in (15, 16):
# @@
# -        imported = bookings.Import(pb.Flight(number=number) for number in range(3)).status
# +        imported = bookings.Import(pb.Flight(number=number) for number in range(2)).status
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.four_kinds")`

# %% [markdown] claim="grpc_graphql.both_ways" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a handler that reads all requests first</summary>
#
# ```diff
# -            for route in requests:
# +            for route in list(requests):
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.both_ways")`

# %% [markdown] minutes=4
# ## A timer around each call
#
# The platform team wants the duration of every call, and a count of the handlers that raised. A server interceptor has one
# method, and this one looks like every middleware.

# %% [markdown] predict="grpc_graphql.q5"
# **Predict.** The handler raises `KeyError`. What does the interceptor see?
#
# - **a** the `KeyError`, and the handler's duration
# - **b** the handler's duration, but no error: gRPC has made a status of it
# - **c** neither

# %%
answer("grpc_graphql.q5", None)  # "a", "b" or "c"

# %%
def intercepted(wrap):
    log = []

    class Timer(grpc.ServerInterceptor):
        def intercept_service(self, continuation, call):
            log.append("timer starts")
            try:
                handler = continuation(call)
            except KeyError:
                log.append("timer sees KeyError")
            log.append("timer stops")
            return wrapped(handler) if wrap else handler

    def wrapped(handler):
        def behaviour(request, context):
            log.append("wrapper starts")
            try:
                return handler.unary_unary(request, context)
            except KeyError:
                log.append("wrapper sees KeyError")
                raise

        return grpc.unary_unary_rpc_method_handler(
            behaviour, handler.request_deserializer, handler.response_serializer
        )

    class Bookings(rpc.BookingsServicer):
        def Book(self, request, context):
            log.append("handler")
            raise KeyError(request.reference)

    with (
        lab.serving(rpc.add_BookingsServicer_to_server, Bookings(), interceptors=[Timer()]) as desk,
        lab.calling(desk) as channel,
    ):
        log.append(lab.status(lambda: rpc.BookingsStub(channel).Book(pb.Charging(reference="AAQFRK"))))
    return log


# %%
around, wrapping = play(intercepted, False), play(intercepted, True)
print("as above:", " → ".join(around))
print("wrapping:", " → ".join(wrapping))

# %%
claim("grpc_graphql.interceptor", "the interceptor is over before the handler begins, so it sees neither time nor error",
      around, equals=["timer starts", "timer stops", "handler", "UNKNOWN"], proves={"grpc_graphql.q5": "c"})
claim("grpc_graphql.wrapped", "a handler that wraps the handler sees the error",
      wrapping[2:], equals=["wrapper starts", "handler", "wrapper sees KeyError", "UNKNOWN"])

# %% [markdown]
# **Why.** `continuation` returns the *handler* of the method, an `RpcMethodHandler`, and does not call it. An interceptor
# that wants to be around the call returns another handler. There is one attribute for each kind of call (`unary_unary`,
# `unary_stream`, …), and a stream's wrapper must go around the iteration, because calling a generator function runs
# nothing. This is the interface of `grpc.server`; `grpc.aio` has the same one with a coroutine.
#
# **In production.** Authentication can be decided in the interceptor itself, from `call.invocation_metadata`: it returns a
# handler that aborts. For time, errors and traces take the OpenTelemetry instrumentation, which wraps all four kinds.

# %% [markdown] claim="grpc_graphql.interceptor" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: always wrap</summary>
#
# ```diff
# -            return wrapped(handler) if wrap else handler
# +            return wrapped(handler)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.interceptor")`

# %% [markdown] claim="grpc_graphql.wrapped" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: never wrap</summary>
#
# ```diff
# -            return wrapped(handler) if wrap else handler
# +            return handler
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.wrapped")`

# %% [markdown] minutes=4
# ## Two watchers and two threads
#
# A server has two worker threads. Two dashboards keep a stream open each and wait for news. Then somebody books. The health
# service has such a stream as well, `Watch`, and the same question is asked of it.

# %% [markdown] predict="grpc_graphql.q6"
# **Predict.** Two open streams of `Search` that have nothing to send. What does `Book` get, with a deadline of one second?
#
# - **a** its receipt: a stream that waits takes no thread
# - **b** `DEADLINE_EXCEEDED`
# - **c** `RESOURCE_EXHAUSTED`, at once

# %%
answer("grpc_graphql.q6", None)  # "a", "b" or "c"

# %%
def beside_two_streams(kind, most):
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    class Bookings(rpc.BookingsServicer):
        def Book(self, request, context):
            return pb.Receipt(status="booked")

        def Search(self, request, context):
            ended = threading.Event()
            context.add_callback(ended.set)
            yield pb.Flight(number=15)
            ended.wait(lab.SECONDS)

    def both(servicer, server):
        rpc.add_BookingsServicer_to_server(servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)

    with (
        lab.serving(both, Bookings(), workers=2, most=most) as desk,
        lab.calling(desk) as channel,
    ):
        bookings, probe = rpc.BookingsStub(channel), health_pb2_grpc.HealthStub(channel)
        streams = [
            bookings.Search(pb.Route()) if kind == "Search" else probe.Watch(health_pb2.HealthCheckRequest())
            for _ in range(2)
        ]
        for stream in streams:
            next(stream)
        beside = lab.status(lambda: bookings.Book(pb.Charging(), timeout=1))
        for stream in streams:
            stream.cancel()
        return [beside, lab.status(lambda: lab.until_free(bookings.Book, pb.Charging()))]


# %%
beside = {
    "two Search": play(beside_two_streams, "Search", None),
    "two Search, at most two calls": play(beside_two_streams, "Search", 2),
    "two Watch": play(beside_two_streams, "Watch", None),
}
show_table([{"open streams": name, "Book": now, "when they have gone": later} for name, (now, later) in beside.items()])

# %%
claim("grpc_graphql.threads_held", "two silent streams hold both threads, and a booking waits until its deadline",
      beside["two Search"], equals=["DEADLINE_EXCEEDED", "OK"], proves={"grpc_graphql.q6": "b"})
claim("grpc_graphql.refused", "with at most two calls the booking is refused",
      beside["two Search, at most two calls"], equals=["RESOURCE_EXHAUSTED", "OK"])
claim("grpc_graphql.watch", "two health watchers hold no thread",
      beside["two Watch"], equals=["OK", "OK"])

# %% [markdown]
# **Why.** `grpc.server` gives each running handler a thread of its pool, and a generator keeps it until the stream ends.
# Further calls queue in the pool, without a limit. When `Watch` was added to the health service, it [could starve a
# server](https://github.com/grpc/grpc/pull/17747) in this way, and was nearly reverted. Since then `HealthServicer` is
# non-blocking by default (`experimental_non_blocking=True` in `grpc_health/v1/health.py`): it keeps a callback instead of
# a thread. `grpc/_server.py` looks for this attribute at every handler, but it is experimental and not documented, so your
# own streams hold threads.
#
# **In production.** Count the long streams before you choose `max_workers`, or serve them by `grpc.aio`, where a waiting
# stream is a task. `maximum_concurrent_rpcs` turns a silent queue into `RESOURCE_EXHAUSTED`, which a client can retry
# elsewhere.

# %% [markdown] claim="grpc_graphql.threads_held" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a third thread</summary>
#
# ```diff
# -        lab.serving(both, Bookings(), workers=2, most=most) as desk,
# +        lab.serving(both, Bookings(), workers=3, most=most) as desk,
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.threads_held")`

# %% [markdown] claim="grpc_graphql.refused" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: at most three calls</summary>
#
# ```diff
# -    "two Search, at most two calls": play(beside_two_streams, "Search", 2),
# +    "two Search, at most two calls": play(beside_two_streams, "Search", 3),
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.refused")`

# %% [markdown] claim="grpc_graphql.watch" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the blocking way, which was the first</summary>
#
# ```diff
# -        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
# +        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(experimental_non_blocking=False), server)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.watch")`

# %% [markdown] core=true minutes=7
# ## An old program reads a new message
#
# Version 1 of a message has the seats in field 3. Version 2 needs no seats, and somebody gives the free number to the
# price. Version 3 makes a text of the flight's number. Old programs are still running.

# %% [markdown] predict="grpc_graphql.q7"
# **Predict.** A program with version 1 reads a message of version 2: `reference="AAQFRK"`, `cents=19900`. What does it get?
#
# - **a** a parse error
# - **b** a booking of 0 seats: it does not know the field
# - **c** a booking of 19,900 seats

# %%
answer("grpc_graphql.q7", None)  # "a", "b" or "c"

# %%
V1 = "message Booking { string reference = 1; int32 flight = 2; int32 seats = 3; }"
V2 = "message Booking { string reference = 1; int32 flight = 2; int32 cents = 3; }"
V3 = "message Booking { string reference = 1; string flight = 2; int32 seats = 3; optional string gate = 4; }"
v1, v2, v3 = lab.messages(V1), lab.messages(V2), lab.messages(V3)

reused = v1.Booking.FromString(v2.Booking(reference="AAQFRK", cents=19_900).SerializeToString())
sent = v3.Booking(reference="AAQFRK", flight="B6-915", seats=2, gate="")
retyped = v1.Booking.FromString(sent.SerializeToString())
forwarded = v3.Booking.FromString(retyped.SerializeToString())  # through the old program and on
show_table(
    [
        {"the old program reads": "2: a number used again", "flight": reused.flight, "seats": reused.seats},
        {"the old program reads": "3: another type", "flight": retyped.flight, "seats": retyped.seats},
    ]
)
print("forwarded by the old program:", forwarded == sent, repr(forwarded.flight), forwarded.HasField("gate"))

RESERVED = "message Booking { reserved 3; string reference = 1; int32 cents = 3; }"
refused, said, _ = lab.protoc(f'syntax = "proto3"; {RESERVED}')
print(said)

# %%
claim("grpc_graphql.reused", "a price is read as seats, without an error",
      reused.seats, equals=19_900, proves={"grpc_graphql.q7": "c"})
claim("grpc_graphql.retyped", "a field of another wire type is 0 for the old program, and is there again further on",
      [retyped.flight, forwarded.flight, forwarded.HasField("gate")], equals=[0, "B6-915", True])
claim("grpc_graphql.reserved", "protoc refuses a reserved number",
      [refused, "uses reserved number 3" in said], equals=[1, True])

# %% [markdown]
# **Why.** A message holds numbers and wire types, and nothing else says what a field means. Both `seats` and `cents` are a
# varint with the number 3. A text has another wire type than an `int32`, so the old program puts the field under its unknown
# fields. It keeps them and writes them out again (since protobuf 3.5: [unknown
# fields](https://protobuf.dev/programming-guides/proto3/#unknowns)). `optional` makes the empty gate a value: without it
# an empty text is not sent at all, and *empty* and *not there* are the same.
#
# **In production.** Never change a number's meaning. Remove a field by `reserved 3; reserved "seats";` and let
# [buf breaking](https://buf.build/docs/breaking/) or the exercise below watch it. The second case has a mild end
# only because the old program forwarded the message itself. One that copies the fields it knows into a new message, or
# into JSON, loses the others.

# %% [markdown] claim="grpc_graphql.reused" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a new number for a new meaning</summary>
#
# ```diff
# -V2 = "message Booking { string reference = 1; int32 flight = 2; int32 cents = 3; }"
# +V2 = "message Booking { string reference = 1; int32 flight = 2; int32 cents = 4; reserved 3; }"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.reused")`

# %% [markdown] claim="grpc_graphql.retyped" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: an old program with the right type, which copies two fields</summary>
#
# ```diff
# -forwarded = v3.Booking.FromString(retyped.SerializeToString())  # through the old program and on
# +copied = v1.Booking(reference=retyped.reference, seats=retyped.seats)
# +forwarded = v3.Booking.FromString(copied.SerializeToString())
# @@
# -V1 = "message Booking { string reference = 1; int32 flight = 2; int32 seats = 3; }"
# +V1 = "message Booking { string reference = 1; string flight = 2; int32 seats = 3; }"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.retyped")`

# %% [markdown] claim="grpc_graphql.reserved" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: reserve another number</summary>
#
# ```diff
# -RESERVED = "message Booking { reserved 3; string reference = 1; int32 cents = 3; }"
# +RESERVED = "message Booking { reserved 4; string reference = 1; int32 cents = 3; }"
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.reserved")`

# %% [markdown] minutes=3
# ## Yesterday's code, tomorrow's code
#
# The generated modules are committed, as in many projects. A colleague generates them with a newer compiler than the
# package in the image. What happens at import? The experiment writes another version into a copy of the generated files.

# %%
def versions_around(version):
    major, minor, *_ = (int(part) for part in version.split("."))
    return {
        "two majors older": f"{major - 2}.{minor}.0",
        "one major older": f"{major - 1}.{minor}.0",
        "the same": version,
        "one minor newer": f"{major}.{minor + 1}.0",
    }


def outcome(what, version):
    return lab.imported_as_if(folder.name, **{what: version})


# %%
by_protobuf = {name: outcome("protobuf", v) for name, v in versions_around(google.protobuf.__version__).items()}
major, minor, *_ = (int(part) for part in grpc.__version__.split("."))
by_grpc = {name: outcome("grpcio", f"{major}.{minor + step}.0") for name, step in (("older", -1), ("newer", 1))}
show_table(
    [{"generated for": f"protobuf, {name}", "import": got} for name, got in by_protobuf.items()]
    + [{"generated for": f"grpcio, one minor {name}", "import": got} for name, got in by_grpc.items()]
)

# %%
claim("grpc_graphql.gencode", "code for one minor version newer than the runtime is refused at import, by protobuf and by grpc",
      [by_protobuf["one major older"], by_protobuf["one minor newer"], by_grpc["older"], by_grpc["newer"]],
      equals=["OK", "VersionError", "OK", "RuntimeError"])

# %% [markdown]
# **Why.** Generated code calls `ValidateProtobufRuntimeVersion` with the version of its compiler, and `…_pb2_grpc.py`
# compares `grpc.__version__`. Both refuse what is newer than themselves (`google/protobuf/runtime_version.py`). Older code
# is let in. The [guarantee](https://protobuf.dev/support/cross-version-runtime-guarantee/) for most languages is one major
# version back. Python's is wider: code generated since 3.20 is supported at least until 8.x.
# `grpcio-tools` brings its own compiler, which
# can be newer than the oldest protobuf that it accepts ([grpc#39912](https://github.com/grpc/grpc/issues/39912)).
#
# **In production.** The service dies at import, so it is found at the first start and not by type checks. Generate in the
# build, from the same lock file that the image installs, or pin `protobuf` at least as high as the compiler's version.

# %% [markdown] claim="grpc_graphql.gencode" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: the versions the other way round</summary>
#
# ```diff
# -        "one major older": f"{major - 1}.{minor}.0",
# +        "one major older": f"{major + 1}.{minor}.0",
# @@
# -        "one minor newer": f"{major}.{minor + 1}.0",
# +        "one minor newer": f"{major}.{minor - 1}.0",
# @@
# -by_grpc = {name: outcome("grpcio", f"{major}.{minor + step}.0") for name, step in (("older", -1), ("newer", 1))}
# +by_grpc = {name: outcome("grpcio", f"{major}.{minor + step}.0") for name, step in (("older", 1), ("newer", -1))}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.gencode")`

# %% [markdown] minutes=3
# ## A client without the file
#
# A tester has only the address of the server. Reflection is a gRPC service of its own that returns descriptors.

# %%
def reflected(enabled):
    from google.protobuf import descriptor_pb2
    from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

    def with_reflection(servicer, server):
        rpc.add_BookingsServicer_to_server(servicer, server)
        if enabled:
            reflection.enable_server_reflection(["airline.Bookings", reflection.SERVICE_NAME], server)

    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="airline.Bookings"),
    ]
    with (
        lab.serving(with_reflection, rpc.BookingsServicer()) as desk,
        lab.calling(desk) as channel,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        try:
            listed, described = stub.ServerReflectionInfo(iter(asked))
        except grpc.RpcError as error:
            return [error.code().name, []]
    names = [service.name for service in listed.list_services_response.service]
    file = descriptor_pb2.FileDescriptorProto.FromString(described.file_descriptor_response.file_descriptor_proto[0])
    return [names[0], [method.name for service in file.service for method in service.method]]


# %%
print(reflection_on := play(reflected, True))
print(play(reflected, False))

# %%
claim("grpc_graphql.reflection", "reflection also describes the service in the same file that was not named",
      reflection_on, equals=["airline.Bookings", ["Charge", "Book", "Search", "Import", "Quote"]])

# %% [markdown]
# **In production.** Only `airline.Bookings` is listed, but a symbol is answered with its whole file, and that contains
# `Payments`. Tools such as `grpcurl` need reflection or the `.proto` files; the public needs neither.
# Keep it off, or behind authentication, where the
# server can be reached from outside.

# %% [markdown] claim="grpc_graphql.reflection" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: without reflection</summary>
#
# ```diff
# -        if enabled:
# +        if not enabled:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.reflection")`

# %% [markdown] minutes=5
# ## Three back ends
#
# Three servers run behind one name, and the name resolves to three addresses. One client makes 300 calls, one after the
# other, on one channel. Then the server with the most calls is stopped, and the client makes 30 more.

# %% [markdown] predict="grpc_graphql.q8"
# **Predict.** The client sets no option. How are the 300 calls distributed?
#
# - **a** 100 each
# - **b** at random, about 100 each
# - **c** all to one

# %%
answer("grpc_graphql.q8", None)  # "a", "b" or "c"

# %%
def spread(policy):
    import contextlib

    counts = [0, 0, 0]

    class Bookings(rpc.BookingsServicer):
        def __init__(self, place):
            self.place = place

        def Book(self, request, context):
            counts[self.place] += 1
            return pb.Receipt(status="booked")

    with contextlib.ExitStack() as stack:
        servers = [contextlib.ExitStack() for _ in counts]
        addresses = [
            stack.enter_context(server).enter_context(
                lab.serving(rpc.add_BookingsServicer_to_server, Bookings(place), options=[("grpc.so_reuseport", 0)])
            )
            for place, server in enumerate(servers)
        ]
        options = [("grpc.lb_policy_name", policy)] if policy else []
        bookings = rpc.BookingsStub(stack.enter_context(lab.calling(f"ipv4:{','.join(addresses)}", *options)))
        lab.all_connected(bookings.Book, pb.Charging(), counts, everyone=policy == "round_robin")
        before = list(counts)
        for _ in range(300):
            bookings.Book(pb.Charging())
        spread_of_300 = [now - then for now, then in zip(counts, before, strict=True)]
        servers[spread_of_300.index(max(spread_of_300))].close()
        before = list(counts)
        for _ in range(30):
            lab.until_free(bookings.Book, pb.Charging())
        return [spread_of_300, [now - then for now, then in zip(counts, before, strict=True)]]


# %%
(by_default, by_default_after), (by_turns, by_turns_after) = play(spread, None), play(spread, "round_robin")

# %% tags=["nbval-ignore-output"]
show_bars({
    **{f"pick_first (default): server {n}": count for n, count in enumerate(by_default, 1)},
    **{f"round_robin: server {n}": count for n, count in enumerate(by_turns, 1)},
}, title="300 calls on one channel", x="calls")  # fmt: skip
print("30 calls after the busiest has ended:", by_default_after, "and by turns", by_turns_after)

# %%
claim("grpc_graphql.pick_first", "without an option all calls go to one back end, and when it has ended, to one other",
      [sorted(by_default), sorted(by_default_after)], equals=[[0, 0, 300], [0, 0, 30]], proves={"grpc_graphql.q8": "c"})
claim("grpc_graphql.round_robin", "by round_robin each gets a third of the calls", by_turns, equals=[100, 100, 100])

# %% [markdown]
# **Why.** Calls share one HTTP/2 connection, and `pick_first`, the [default
# policy](https://grpc.github.io/grpc/php/md_doc_load-balancing.html), keeps one connection for the channel. A balancer
# that distributes *connections*, as a Kubernetes Service with a cluster IP does, has nothing to distribute after the first
# call. `round_robin` connects to all addresses and takes turns for each call.
#
# **In production.** Give the client all addresses (a headless service) and `round_robin`, or use a proxy that balances
# HTTP/2 requests. New servers get no work from old connections: set `grpc.max_connection_age_ms` on the servers, so that
# clients reconnect and resolve the name again.

# %% [markdown] claim="grpc_graphql.pick_first" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: take turns</summary>
#
# ```diff
# -(by_default, by_default_after), (by_turns, by_turns_after) = play(spread, None), play(spread, "round_robin")
# +(by_default, by_default_after), (by_turns, by_turns_after) = play(spread, "round_robin"), play(spread, "round_robin")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.pick_first")`

# %% [markdown] claim="grpc_graphql.round_robin" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a misspelt policy</summary>
#
# ```diff
# -(by_default, by_default_after), (by_turns, by_turns_after) = play(spread, None), play(spread, "round_robin")
# +(by_default, by_default_after), (by_turns, by_turns_after) = play(spread, None), play(spread, "roundrobin")
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("grpc_graphql.round_robin")`

# %% [markdown] minutes=18
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the worked
# answer after an attempt.
#
# ### A stream that knows its deadline (10 minutes)
#
# `relay(context, ask)` is the handler of a stream of responses in a server with threads. It calls another service and
# passes its items on. `ask(timeout)` starts that call and returns it: an iterator with a method `cancel()`.
#
# - `relay` is a generator. It asks once, and yields each item when it has come, unchanged.
# - `timeout` is what `context.time_remaining()` leaves, less 0.05 for the way back, in seconds, and at most 30. It can
#   be `None` or very large if the client set no deadline.
# - If nothing is left after that, it does not ask, but calls `context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "…")`, which
#   raises.
# - The other call is cancelled when the client leaves, **also while `relay` waits for the next item**: `context.add_callback(f)`
#   registers a function for this, and returns `False` if the client has left already. It is also cancelled when the
#   generator is closed, and when an error of the other service goes through, unchanged.

# %% exercise="grpc_graphql.relay" tags=["exercise"]
def relay(context, ask):
    """Pass the items of another service's stream on, within the deadline."""
    raise NotImplementedError


# %%
check("grpc_graphql.relay", relay)

# %% [markdown]
# ### What breaks old programs? (8 minutes)
#
# A message is described by a dictionary: `{"fields": {1: ("reference", "string"), 2: ("flight", "int32")}, "reserved": {3}}`.
# `breaking(old, new)` returns a sorted list of pairs *(number, reason)* for each change on which old and new programs do not
# understand each other:
#
# - `"type"`: the number is in both, with types of two different groups of `SAME_WIRE` (a type that is in no group is alone);
# - `"freed"`: a field was removed, and the new message does not reserve its number;
# - `"reused"`: a new field has a number that the old message reserves.
#
# A new name for an old number is no break on the wire, and neither is a new field with a fresh number.

# %% exercise="grpc_graphql.breaking" tags=["exercise"]
SAME_WIRE = [
    {"int32", "int64", "uint32", "uint64", "bool"},
    {"sint32", "sint64"},
    {"fixed32", "sfixed32"},
    {"fixed64", "sfixed64"},
    {"string", "bytes"},
]


def breaking(old, new):
    """The changes from the message old to the message new that break programs, as [(number, reason), …]."""
    raise NotImplementedError


# %%
check("grpc_graphql.breaking", breaking)

# %% [markdown] minutes=2
# ## Asked in interviews
#
# <details>
# <summary>Service A calls B with a deadline, B calls C. What does C know of the deadline?</summary>
#
# In Python nothing, unless B hands it on (`grpc_graphql.late_charge`, `grpc_graphql.handed_on`). A cancelled asyncio
# handler cancels its calls (`grpc_graphql.asyncio_cancels`). Go and Java pass it on with the context.
#
# </details>
#
# <details>
# <summary>We scaled from one pod to three, and the new ones are idle. Why?</summary>
#
# All calls share one connection, and the default policy keeps to it (`grpc_graphql.pick_first`). Use a policy for each
# call, with all addresses (`grpc_graphql.round_robin`), or a proxy that understands HTTP/2.
#
# </details>
#
# <details>
# <summary>May I change the number, the name or the type of a protobuf field?</summary>
#
# The name, if nobody uses JSON. The number never (`grpc_graphql.reused`): reserve it (`grpc_graphql.reserved`). The type
# only within its group. Otherwise an old program reads 0 (`grpc_graphql.retyped`), or another number (from `int32` to
# `sint32`), or, between a text and a message, nonsense or a parse error.
#
# </details>
#
# <details>
# <summary>A Python gRPC server hangs though the CPU is idle. What do you count?</summary>
#
# Open streams against `max_workers`: each holds a thread (`grpc_graphql.threads_held`), also one whose reader has stopped
# (`grpc_graphql.held_back`). `maximum_concurrent_rpcs` makes it visible (`grpc_graphql.refused`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# You have shown that …
#
# 1. A deadline belongs to one call. A handler with threads must hand it on, with an upper limit; an asyncio handler is
#    cancelled, and so is its call.
# 2. Protobuf needs less than a third of JSON's bytes for these rows, and about four fifths after gzip.
# 3. A stream is held back after some MB when nobody reads, and a cancelled one is closed at its `yield`.
# 4. A server interceptor sees handlers and not calls. Each open stream holds a thread of a server with threads.
# 5. A number that is used again is misread without an error; generated code that is too new fails at import.
# 6. One channel uses one back end, unless its policy says otherwise.
#
# <details>
# <summary>The claims behind each sentence</summary>
#
# 1. `grpc_graphql.late_charge`, `grpc_graphql.handed_on`, `grpc_graphql.asyncio_cancels`, `grpc_graphql.no_deadline`
# 2. `grpc_graphql.size_plain`, `grpc_graphql.size_gzip`
# 3. `grpc_graphql.held_back`, `grpc_graphql.closed`, `grpc_graphql.four_kinds`, `grpc_graphql.both_ways`
# 4. `grpc_graphql.interceptor`, `grpc_graphql.wrapped`, `grpc_graphql.threads_held`, `grpc_graphql.refused`, `grpc_graphql.watch`
# 5. `grpc_graphql.reused`, `grpc_graphql.retyped`, `grpc_graphql.reserved`, `grpc_graphql.gencode`, `grpc_graphql.reflection`
# 6. `grpc_graphql.pick_first`, `grpc_graphql.round_robin`
#
# </details>
#
# **Further reading.** [gRPC and deadlines](https://grpc.io/docs/guides/deadlines/) · [Protobuf: the language
# guide](https://protobuf.dev/programming-guides/proto3/) · [gRPC over
# HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).

# %% [markdown] footer=true
# ← [2.7b API contracts](07b_api_contracts.ipynb) · [Section 2](00_section.ipynb) · [Board](../00_start_here.ipynb) · [2.8b gRPC and GraphQL](08b_grpc_graphql.ipynb) →
