# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.2 Beyond tables: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from helpers import check

# %% [markdown]
# **The fewest legs.** First decide what a row of the recursion is: an airport and a number of legs. `union` then keeps one
# row per airport and round. In a circle this does not end, so the recursion needs a bound, and it must follow from the
# data. A shortest way never visits an airport twice. All airports on it but the start are a `dest` of some leg, so it has
# at most as many legs as there are different `dest`. A row carries no path: with one, no two rows are equal, and `union`
# drops nothing.

# %% exercise="beyond_tables.fewest_legs" tags=["solution"]
def fewest_legs():
    """One SQL query with %(start)s: rows of (airport, legs)."""
    return """
        with recursive reached (airport, n) as (
            select %(start)s::text, 0
            union
            select dest, n + 1 from reached join legs on origin = airport
            where dest is not null and n < (select count(distinct dest) from legs))
        select airport, min(n) from reached group by airport"""


# %%
check("beyond_tables.fewest_legs", fewest_legs)

# %% [markdown]
# **Indexes for documents.** Take one condition at a time. `@>` needs GIN. With the default class the plan shows a thousand
# rows that were read and thrown away: documents that have the flight under `refused`. `jsonb_path_ops` knows the key.
# The price is an expression with a cast, so the index has the same expression and cast. Right after `CREATE INDEX` the
# planner still expects a third of the table for `>=`, so the statements end with `ANALYZE`. Only 40 documents have a wheelchair, so a
# partial index takes two pages.

# %% exercise="beyond_tables.document_indexes" tags=["solution"]
def document_indexes():
    """A list of SQL statements; each runs outside a transaction, in order."""
    return [
        "create index on documents using gin (doc jsonb_path_ops)",
        "create index on documents (((doc ->> 'price')::int))",
        "create index on documents (id) where doc ? 'wheelchair'",
        "analyze documents",
    ]


# %%
check("beyond_tables.document_indexes", document_indexes)

# %% [markdown]
# **The last three of each carrier.** `row_number()` needs all 60,000 rows before it can number them. `lateral` turns the
# question around: for each of the 20 carriers, look into the index and stop after three entries. `left join … on true`
# keeps the carriers that have no departure. The order inside a subquery is not the order of the result, so the query has
# an `order by` of its own.

# %% exercise="beyond_tables.last_three" tags=["solution"]
def last_three():
    """One SQL query: rows of (code, departs, id)."""
    return """
        select code, departs, id
        from carriers
        left join lateral (
            select departs, id from departures
            where carrier = code
            order by departs desc, id desc limit 3) latest on true
        order by code, departs desc, id desc"""


# %%
check("beyond_tables.last_three", last_three)
