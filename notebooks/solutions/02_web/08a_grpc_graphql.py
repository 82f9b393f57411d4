# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.8 gRPC and GraphQL: gRPC, worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import grpc

from helpers import check

# %% [markdown]
# **A stream that knows its deadline.** First the number: `None` and the huge value of a server with threads are both *no
# deadline*, so the upper limit comes last, by `min`. Then the ways out. `finally` serves the end, an error and a closed
# generator. While the generator waits in `next` of the other call, no line of it runs, so somebody else has to act: gRPC
# calls the callback in a thread of its own, and the cancelled call raises in `next`. `add_callback` returns `False` if it
# came too late.

# %% exercise="grpc_graphql.relay" tags=["solution"]
def relay(context, ask):
    """Pass the items of another service's stream on, within the deadline."""
    left = context.time_remaining()
    timeout = 30.0 if left is None else min(left - 0.05, 30.0)
    if timeout <= 0:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no time left to ask")
    call = ask(timeout)
    try:
        if not context.add_callback(call.cancel):
            call.cancel()
        yield from call
    finally:
        call.cancel()


# %%
check("grpc_graphql.relay", relay)

# %% [markdown]
# **What breaks old programs?** The number is the identity of a field, so the loops go over numbers, and names do not occur.
# A type that is in no group is compatible with itself only.

# %% exercise="grpc_graphql.breaking" tags=["solution"]
SAME_WIRE = [
    {"int32", "int64", "uint32", "uint64", "bool"},
    {"sint32", "sint64"},
    {"fixed32", "sfixed32"},
    {"fixed64", "sfixed64"},
    {"string", "bytes"},
]


def breaking(old, new):
    """The changes from the message old to the message new that break programs, as [(number, reason), …]."""
    changes = []
    for number, (_, kind) in old["fields"].items():
        if number in new["fields"]:
            now = new["fields"][number][1]
            if now != kind and not any({now, kind} <= group for group in SAME_WIRE):
                changes.append((number, "type"))
        elif number not in new["reserved"]:
            changes.append((number, "freed"))
    for number in new["fields"]:
        if number in old["reserved"]:
            changes.append((number, "reused"))
    return sorted(changes)


# %%
check("grpc_graphql.breaking", breaking)
