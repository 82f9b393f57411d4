# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Transactions, indexes, plans, the sitting on indexes: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check

# %% [markdown]
# **From the index alone, and a small one.** Write down what the query touches: `origin` with an equality, `dep_delay` with a
# range, `flight` in the result. The first two belong in the key, in this order. `flight` is only needed in the result, so it
# goes to `INCLUDE` (as a third key column it would do as well). That index has 336,776 entries. No one asks for less than
# 120 minutes, so its condition says so. This makes it smaller, from 5.6 MiB to 320 KiB (measured by the authors:
# PostgreSQL 17.12, x86-64).
#
# The plan is a Bitmap Heap Scan then, although nothing is missing in the index: the planner reads `relallvisible` in
# `pg_class`, finds 0, and expects to visit the table for every row. `VACUUM` sets the marks. `VACUUM FULL` does not, it
# is a different command with a similar name: it writes a new table, whose map is empty.

# %% exercise="transactions_indexes.board_of_delays" tags=["solution"]
def board_of_delays():
    """A list of SQL statements; each runs outside a transaction, in order."""
    return [
        "create index long_delays on flights (origin, dep_delay) include (flight) where dep_delay >= 120",
        "vacuum flights",
    ]


# %%
check("transactions_indexes.board_of_delays", board_of_delays)

# %% [markdown]
# **What can go.** Two reasons, two steps. First what nobody used, unless it guards a rule: a unique index earns its keep
# at every insert, and inserts do not count as scans. Rarely used is not unused; the index on very late arrivals has
# one scan a month.
#
# Then, *among those that stay*, whatever is the beginning of another: a B-tree on `(tailnum, departs)` is sorted by tail
# number too. The order of the steps matters. In the second database nobody used the wide `by_tail_and_delay`; if it
# served as the reason to drop `by_tail`, both would go. Only plain B-trees are compared (same `relam`, no predicate, no
# expression): `very_late` begins like `by_time`, and has a few hundred entries where that has all. Of twins with equal columns one
# must stay, so the later name gives way to the earlier one. A unique index may stand in for a plain one, never the
# other way round. These indexes have no `include` columns and the default operator class, collation and order. On
# a database of your own, cut `indkey` to its first `indnkeyatts` columns (the rest are `include`), and compare
# `indclass`, `indcollation` and `indoption` as well.

# %% exercise="transactions_indexes.useless_indexes" tags=["solution"]
def useless_indexes(connection):
    """Names of the indexes of flights that can be dropped."""
    rows = connection.execute("""
        select i.indexrelid::regclass::text, i.indisunique, s.idx_scan, i.indkey::text,
               a.amname = 'btree' and i.indpred is null and i.indexprs is null
        from pg_index i
        join pg_class c on c.oid = i.indexrelid
        join pg_am a on a.oid = c.relam
        join pg_stat_user_indexes s using (indexrelid)
        where i.indrelid = to_regclass('flights')
        order by 1""").fetchall()

    staying = {name: row for name, *row in rows if row[0] or row[1]}  # unique, or used
    for name, (unique, _, columns, plain) in list(staying.items()):
        wider = (
            other
            for other, (_, _, its, also_plain) in staying.items()
            if other != name and also_plain and f"{its} ".startswith(f"{columns} ")
        )
        if plain and not unique and any(wider):
            del staying[name]
    return [name for name, *_ in rows if name not in staying]


# %%
check("transactions_indexes.useless_indexes", useless_indexes)
