# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans, the sitting on plans: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check

# %% [markdown]
# **Why does it expect that?** For the route: the planner multiplies the shares of EWR, MQ and ORD among all flights, which
# gives 486. But Envoy flies from Newark to Chicago and nowhere else. For the groups: 16 carriers × 3 airports × 105
# destinations = 5,040, and 439 exist.
#
# One object can hold the cure of both, `mcv` for the condition and `ndistinct` for the groups, and an `ANALYZE` fills
# it. `dependencies` would not help the first: no two of these columns decide the third over the whole table.

# %% exercise="transactions_indexes.right_estimates" tags=["solution"]
def right_estimates():
    """A list of SQL statements; each runs outside a transaction, in order."""
    return [
        "create statistics route (mcv, ndistinct) on carrier, origin, dest from flights",
        "analyze flights",
    ]


# %%
check("transactions_indexes.right_estimates", right_estimates)

# %% [markdown]
# **Where did the pages go?** A line is a node if it has `  (cost=`. Its depth is where its name begins. `rows=` and
# `loops=` are multiplied, also with the decimals of version 18: 39.43 × 83 is 3,272.69, and 3,273 rows came. `Buffers:` is a
# total already, so it is *not* multiplied. It includes the nodes below, so each node's pages are taken from those of its
# parent, the nearest node above that is indented less. `temp read=` counts blocks of temporary files, and the part
# `Planning:` belongs to no node.

# %% exercise="transactions_indexes.own_pages" tags=["solution"]
import re


def own_pages(text):
    """Name, rows of all loops, and the node's own pages, of every node, top down."""
    found = []
    for line in text.splitlines():
        if line.startswith("Planning"):
            break
        if node := re.match(r"( *(?:->  )?)(.*?)  \(cost=", line):
            ran = re.search(r"rows=([\d.]+) loops=(\d+)", line)
            rows = round(float(ran[1]) * int(ran[2])) if ran else 0
            found.append([len(node[1]), node[2], rows, 0])
        elif "Buffers: shared" in line:
            shared = line.split("temp")[0]
            found[-1][3] = sum(map(int, re.findall(r"(?:hit|read)=(\d+)", shared)))
    own = [pages for *_, pages in found]
    for at, (depth, _, _, pages) in enumerate(found):
        above = [n for n in range(at) if found[n][0] < depth]
        if above:
            own[above[-1]] -= pages
    return [(name, rows, pages) for (_, name, rows, _), pages in zip(found, own, strict=True)]


# %%
check("transactions_indexes.own_pages", own_pages)
