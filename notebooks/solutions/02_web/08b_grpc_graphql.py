# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2.8 gRPC and GraphQL: GraphQL, worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import asyncio

import graphql

from helpers import check

# %% [markdown]
# **A loader of your own.** One future per key is the cache and the waiting room in one. The first key of a batch starts the
# task, and `sleep(0)` gives everybody else the rest of this turn. The batch is taken before `load` is awaited, so that later
# keys begin a new one. Waiters are shielded, because the future is not theirs alone. When `load` fails, or miscounts, its
# keys are forgotten before the futures get the error. Without the count some futures would wait for ever.

# %% exercise="grpc_graphql.batching" tags=["solution"]
class Loader:
    """Collects keys, and loads them together."""

    def __init__(self, load):
        self.load = load
        self.futures = {}
        self.batch = []
        self.tasks = set()

    async def get(self, key):
        if key not in self.futures:
            if not self.batch:
                task = asyncio.create_task(self.run())
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            self.batch.append(key)
            self.futures[key] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self.futures[key])

    async def run(self):
        await asyncio.sleep(0)
        keys, self.batch = self.batch, []
        futures = [self.futures[key] for key in keys]
        try:
            values = list(await self.load(keys))
            if len(values) != len(keys):
                raise ValueError(f"load got {len(keys)} keys and returned {len(values)} values")
        except BaseException as error:
            for key, future in zip(keys, futures, strict=True):
                del self.futures[key]
                future.set_exception(error)
            return
        for future, value in zip(futures, values, strict=True):
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)


# %%
check("grpc_graphql.batching", Loader)

# %% [markdown]
# **The price of a query.** A fragment's price does not depend on the place, so it is kept: 100 doublings are 100 numbers. A
# name that is met again while its own price is computed is a circle. The walk goes below `first: 0` too, so that it finds
# circles there. A negative factor would make the query cheaper the more it asks for.

# %% exercise="grpc_graphql.price" tags=["solution"]
def price(query):
    """The number of fields that a query asks for."""
    definitions = graphql.parse(query).definitions
    fragments = {it.name.value: it for it in definitions if isinstance(it, graphql.FragmentDefinitionNode)}
    known, open_ = {}, set()

    def below(node):
        return sum(cost(child) for child in node.selection_set.selections) if node.selection_set else 0

    def cost(node):
        if isinstance(node, graphql.FragmentSpreadNode):
            return of_fragment(node.name.value)
        if isinstance(node, graphql.InlineFragmentNode):
            return below(node)
        factor = 1
        for argument in node.arguments or ():
            if argument.name.value == "first" and isinstance(argument.value, graphql.IntValueNode):
                factor = int(argument.value.value)
        if factor < 0:
            raise ValueError(f"first: {factor}")
        return 1 + factor * below(node)

    def of_fragment(name):
        if name in open_:
            raise ValueError(f"fragment {name} goes in circles")
        if name not in fragments:
            raise ValueError(f"no fragment {name}")
        if name not in known:
            open_.add(name)
            known[name] = below(fragments[name])
            open_.remove(name)
        return known[name]

    return sum(below(it) for it in definitions if isinstance(it, graphql.OperationDefinitionNode))


# %%
check("grpc_graphql.price", price)
