# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3 Databases and ORM · Базы данных и ORM
#
# What a database promises, what a plan costs, and what an ORM does between your objects and the tables. Three of the six
# topics are here. Connections, migrations, and laziness with nesting are planned.
#
# Everything runs against real servers: PostgreSQL, MySQL, MariaDB and SQLite, with the flights of 2013 as data and the
# course's bookings service as the application.
#
# | topic | answers, among other questions |
# |---|---|
# | [3.1 Transactions](01a_transactions_indexes.ipynb), [indexes, plans](01b_transactions_indexes.ipynb), [time](01c_transactions_indexes.ipynb) | What does your isolation level let through? What has to be repeated after a refusal? Why is an index not used, and when does `LIMIT 1` cost more? What does a column of time store? |
# | [3.2 Beyond tables](02_beyond_tables.ipynb) | What does one changed key of a document cost? Why does an index on a key fall out of use? Who waits while a materialised view is refreshed? |
# | [3.4 SQLAlchemy](04_sqlalchemy.ipynb) | When does a session ask the database? In which order does a flush write? What happens to tasks that share a session? |
#
# ## The core, in an afternoon
#
# Three experiments of each notebook make its point. Run the set-up of the notebook, then these; each can be run alone.
#
# <!-- core -->
#
# | topic | in a hurry | minutes |
# |---|---|---|
# | 3.1 Transactions, indexes, plans | [Two pilots on call](01a_transactions_indexes.ipynb#Two-pilots-on-call) · [One name, four systems](01a_transactions_indexes.ipynb#One-name,-four-systems) · [One seat, two customers](01a_transactions_indexes.ipynb#One-seat,-two-customers) · [What a plan says](01b_transactions_indexes.ipynb#What-a-plan-says) · [Which column first](01b_transactions_indexes.ipynb#Which-column-first) · [Two conditions on one airline](01b_transactions_indexes.ipynb#Two-conditions-on-one-airline) · [Eight o'clock in São Paulo](01c_transactions_indexes.ipynb#Eight-o%27clock-in-S%C3%A3o-Paulo) · [The flight that departs before it left](01c_transactions_indexes.ipynb#The-flight-that-departs-before-it-left) · [Two complaints](01c_transactions_indexes.ipynb#Two-complaints) | 49 |
# | 3.2 Beyond tables | [One key of a document](02_beyond_tables.ipynb#One-key-of-a-document) · [All airports from JFK](02_beyond_tables.ipynb#All-airports-from-JFK) · [A refresh at noon](02_beyond_tables.ipynb#A-refresh-at-noon) | 17 |
# | 3.4 SQLAlchemy | [Two broken seats](04_sqlalchemy.ipynb#Two-broken-seats) · [A seat given back, a seat taken](04_sqlalchemy.ipynb#A-seat-given-back,-a-seat-taken) · [Two thousand customers](04_sqlalchemy.ipynb#Two-thousand-customers) | 20 |
# | together | | 86 |
#
# <!-- /core -->
#
# ## Ten minutes to find your way
#
# Three questions per topic. Run a topic's questions, write a letter for `None` in the cell below them, run that cell:
# it says what is right, and which claim shows it. Your first answer counts. The table at the end says which topics to
# take and which you may skip. What you leave open stays `None`.

# %%
from helpers import answer, diagnosis, quiz

# %% [markdown]
# **3.1 Transactions, indexes, plans**

# %%
quiz("transactions_indexes.two_pilots")
quiz("transactions_indexes.open_report")
quiz("transactions_indexes.first_row")

# %%
answer("transactions_indexes.two_pilots", None)
answer("transactions_indexes.open_report", None)
answer("transactions_indexes.first_row", None)

# %% [markdown]
# **3.2 Beyond tables**

# %%
quiz("beyond_tables.one_key")
quiz("beyond_tables.same_key")
quiz("beyond_tables.unchanged_refresh")

# %%
answer("beyond_tables.one_key", None)
answer("beyond_tables.same_key", None)
answer("beyond_tables.unchanged_refresh", None)

# %% [markdown]
# **3.4 SQLAlchemy**

# %%
quiz("sqlalchemy.locked_object")
quiz("sqlalchemy.holes")
quiz("sqlalchemy.shared_writes")

# %%
answer("sqlalchemy.locked_object", None)
answer("sqlalchemy.holes", None)
answer("sqlalchemy.shared_writes", None)

# %% [markdown]
# Where that leaves you:

# %%
diagnosis("databases")

# %% [markdown]
# ## Ten beliefs about databases, and what this machine says
#
# Each is heard in code reviews. Say *true*, *false* or *it depends* before you open it. The claims support the verdict;
# the table below has their figures: the committed ones, and yours as soon as you have run the notebook.
#
# <details>
# <summary>1. <code>REPEATABLE READ</code> means the same in every database.</summary>
#
# **False.** PostgreSQL refuses a lost update there, and MySQL loses it. MariaDB refuses it from 11.6.2 on. See
# `transactions_indexes.iso_postgres`, `transactions_indexes.iso_mysql` and `transactions_indexes.iso_mariadb`.
#
# </details>
#
# <details>
# <summary>2. After a serialisation failure, repeat the statement.</summary>
#
# **False.** The transaction accepts no further statement. Repeating only the writes in a new one commits what the
# refusal had prevented. Repeat everything from the first read. See `transactions_indexes.retry_statement`,
# `transactions_indexes.retry_decision` and `transactions_indexes.retry_whole`.
#
# </details>
#
# <details>
# <summary>3. <code>INSERT … WHERE NOT EXISTS</code> is one statement, so it is safe.</summary>
#
# **False.** At the default level it does not see what is not committed yet, and the seat is sold twice. A unique index
# makes the second sale wait and fail. See `transactions_indexes.seat_checked` and `transactions_indexes.seat_indexed`.
#
# </details>
#
# <details>
# <summary>4. <code>VACUUM</code> gives disk space back.</summary>
#
# **Rarely.** It makes room inside the file, which the next inserts use. <code>VACUUM FULL</code> writes a small file,
# under a lock that stops everybody. See `transactions_indexes.file_after`, `transactions_indexes.file_refilled` and
# `transactions_indexes.file_rewritten`.
#
# </details>
#
# <details>
# <summary>5. An index makes reading faster.</summary>
#
# **It depends on how much you read.** For 60 % of the rows the planner scans the table, and it is right: the index
# touches ten times as many pages. See `transactions_indexes.declined` and `transactions_indexes.forced`.
#
# </details>
#
# <details>
# <summary>6. <code>LIMIT 1</code> makes a query cheaper.</summary>
#
# **Not always.** The planner may walk along another index until the first row fits, over thousands of pages. One index
# with both columns serves it. See `transactions_indexes.limit_walks` and `transactions_indexes.limit_served`.
#
# </details>
#
# <details>
# <summary>7. The planner knows what is in a JSONB column after <code>ANALYZE</code>.</summary>
#
# **False.** It has statistics of the column and not of the keys. An index on the expression, a generated column or
# extended statistics repair the estimate. See `beyond_tables.blind` and `beyond_tables.known`.
#
# </details>
#
# <details>
# <summary>8. <code>REFRESH MATERIALIZED VIEW CONCURRENTLY</code> writes only what has changed.</summary>
#
# **It depends on the unique indexes.** Readers can read meanwhile. But a row with a NULL in one of these indexes is
# written again each time. See `beyond_tables.refresh_locks` and `beyond_tables.refresh_nulls`.
#
# </details>
#
# <details>
# <summary>9. <code>SELECT … FOR UPDATE</code> gives me the current row.</summary>
#
# **It depends.** The server sends it. If the session holds the object already, SQLAlchemy keeps the old values, and an
# update that is computed in Python is lost. See `sqlalchemy.stale_object` and `sqlalchemy.lost_update`.
#
# </details>
#
# <details>
# <summary>10. With <code>asyncio.gather</code> the queries of one session run side by side.</summary>
#
# **False.** One session is one connection, with one statement at a time. With writes, one task commits what another one
# was told has failed. See `sqlalchemy.gather_serial` and `sqlalchemy.gather_writes`.
#
# </details>

# %% tags=["nbval-ignore-output"]
from helpers import beliefs

beliefs({
    1: ("transactions_indexes.iso_postgres", "transactions_indexes.iso_mysql", "transactions_indexes.iso_mariadb"),
    2: ("transactions_indexes.retry_statement", "transactions_indexes.retry_decision", "transactions_indexes.retry_whole"),
    3: ("transactions_indexes.seat_checked", "transactions_indexes.seat_indexed"),
    4: ("transactions_indexes.file_after", "transactions_indexes.file_refilled", "transactions_indexes.file_rewritten"),
    5: ("transactions_indexes.declined", "transactions_indexes.forced"),
    6: ("transactions_indexes.limit_walks", "transactions_indexes.limit_served"),
    7: ("beyond_tables.blind", "beyond_tables.known"),
    8: ("beyond_tables.refresh_locks", "beyond_tables.refresh_nulls"),
    9: ("sqlalchemy.stale_object", "sqlalchemy.lost_update"),
    10: ("sqlalchemy.gather_serial", "sqlalchemy.gather_writes"),
})

# %% [markdown]
# ## The evidence
#
# Each claim of this section: the figure measured where the notebooks were committed from, and the one measured
# here. The last column fills as you run the notebooks.

# %% tags=["nbval-ignore-output"]
from helpers import evidence, stamp, surprises

stamp()

# %% tags=["nbval-ignore-output"]
evidence("transactions_indexes_a")

# %% tags=["nbval-ignore-output"]
evidence("transactions_indexes_b")

# %% tags=["nbval-ignore-output"]
evidence("transactions_indexes_c")

# %% tags=["nbval-ignore-output"]
evidence("beyond_tables")

# %% tags=["nbval-ignore-output"]
evidence("sqlalchemy")

# %% [markdown]
# ## What surprised you
#
# Predictions that the measurement contradicted. They are most worth remembering: you would have built on them.

# %% tags=["nbval-ignore-output"]
surprises("databases")
