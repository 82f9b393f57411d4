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
# What a database promises, what a plan costs, what a connection is worth, how a schema changes under traffic, and what an
# ORM does between your objects and the tables.
#
# Everything runs against real servers: PostgreSQL, MySQL, MariaDB and SQLite, with the flights of 2013 as data and the
# course's bookings service as the application.
#
# | topic | answers, among other questions |
# |---|---|
# | [3.1 Transactions](01a_transactions_indexes.ipynb), [indexes](01b_transactions_indexes.ipynb), [plans](01e_transactions_indexes.ipynb), [time](01c_transactions_indexes.ipynb) | What does your isolation level let through? What has to be repeated after a refusal? Why is an index not used, and when does `LIMIT 1` cost more? What does a column of time store? |
# | [3.2 Beyond tables](02_beyond_tables.ipynb) | What does one changed key of a document cost? Why does an index on a key fall out of use? Who waits while a materialised view is refreshed? |
# | [3.3 Connections](03_connections.ipynb) | How many connections does a service need? What does the database do for a client that has died? What does the neighbour behind a pooler find in your session? |
# | [3.4 SQLAlchemy](04_sqlalchemy.ipynb) | When does a session ask the database? In which order does a flush write? What happens to tasks that share a session? |
# | [3.5 Migrations](05_migrations.ipynb) | What does autogenerate not see? Why does an instant change stop every reader? How does a backfill survive a kill? |
# | [3.6 Laziness and nesting](06_lazy_nested.ipynb) | Which loading strategy sends most rows? What does a savepoint cost, and what does it not undo? |
#
# ## The core, in an afternoon
#
# Three experiments of each notebook make its point. Run the set-up of the notebook, then these; each can be run alone.
#
# <!-- core -->
#
# | topic | in a hurry | minutes |
# |---|---|---|
# | 3.1 Transactions, indexes, plans | [Two pilots on call](01a_transactions_indexes.ipynb#Two-pilots-on-call) · [One name, four systems](01a_transactions_indexes.ipynb#One-name,-four-systems) · [One seat, two customers](01a_transactions_indexes.ipynb#One-seat,-two-customers) · [What a plan says](01b_transactions_indexes.ipynb#What-a-plan-says) · [Which column first](01b_transactions_indexes.ipynb#Which-column-first) · [What an index costs](01b_transactions_indexes.ipynb#What-an-index-costs) · [Eight o'clock in São Paulo](01c_transactions_indexes.ipynb#Eight-o%27clock-in-S%C3%A3o-Paulo) · [The flight that departs before it left](01c_transactions_indexes.ipynb#The-flight-that-departs-before-it-left) · [Two complaints](01c_transactions_indexes.ipynb#Two-complaints) · [The gate desk and the bookings](01d_transactions_indexes.ipynb#The-gate-desk-and-the-bookings) · [Four workers, one table](01d_transactions_indexes.ipynb#Four-workers,-one-table) · [A row that was always there](01d_transactions_indexes.ipynb#A-row-that-was-always-there) · [The text of a plan](01e_transactions_indexes.ipynb#The-text-of-a-plan) · [Three joins](01e_transactions_indexes.ipynb#Three-joins) · [A sort on disk](01e_transactions_indexes.ipynb#A-sort-on-disk) | 87 |
# | 3.2 Beyond tables | [One key of a document](02_beyond_tables.ipynb#One-key-of-a-document) · [All airports from JFK](02_beyond_tables.ipynb#All-airports-from-JFK) · [A refresh at noon](02_beyond_tables.ipynb#A-refresh-at-noon) | 17 |
# | 3.3 Connections | [Ten requests per second](03_connections.ipynb#Ten-requests-per-second) · [Six services behind one PgBouncer](03_connections.ipynb#Six-services-behind-one-PgBouncer) · [What the neighbour finds](03_connections.ipynb#What-the-neighbour-finds) | 23 |
# | 3.4 SQLAlchemy | [Two broken seats](04_sqlalchemy.ipynb#Two-broken-seats) · [A seat given back, a seat taken](04_sqlalchemy.ipynb#A-seat-given-back,-a-seat-taken) · [Two thousand customers](04_sqlalchemy.ipynb#Two-thousand-customers) | 20 |
# | 3.5 Migrations | [A third status](05_migrations.ipynb#A-third-status) · [An instant ALTER on a Friday](05_migrations.ipynb#An-instant-ALTER-on-a-Friday) · [A worker that is killed](05_migrations.ipynb#A-worker-that-is-killed) | 19 |
# | 3.6 Laziness and nesting | [One query for the page](06_lazy_nested.ipynb#One-query-for-the-page) · [A loop over forty thousand customers](06_lazy_nested.ipynb#A-loop-over-forty-thousand-customers) · [A file with three bad lines](06_lazy_nested.ipynb#A-file-with-three-bad-lines) | 20 |
# | together | | 186 |
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
# **3.3 Connections**

# %%
quiz("connections.ended_session")
quiz("connections.session_pools")
quiz("connections.same_lock")

# %%
answer("connections.ended_session", None)
answer("connections.session_pools", None)
answer("connections.same_lock", None)

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
# **3.5 Migrations**

# %%
quiz("migrations.third_status")
quiz("migrations.instant_alter")
quiz("migrations.killed_backfill")

# %%
answer("migrations.third_status", None)
answer("migrations.instant_alter", None)
answer("migrations.killed_backfill", None)

# %% [markdown]
# **3.6 Laziness and nesting**

# %%
quiz("lazy_nested.two_collections")
quiz("lazy_nested.savepoint_per_row")
quiz("lazy_nested.default_join")

# %%
answer("lazy_nested.two_collections", None)
answer("lazy_nested.savepoint_per_row", None)
answer("lazy_nested.default_join", None)

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
# <summary>4. PgBouncer limits the connections to the database to <code>default_pool_size</code>.</summary>
#
# **False.** There is a pool for each pair of user and database. Four databases with a pool size of two had eight back
# ends. `max_user_connections` kept them at three. See `connections.pool_per_database`.
#
# </details>
#
# <details>
# <summary>5. An <code>ALTER TABLE</code> that takes a millisecond is safe at any time.</summary>
#
# **False.** It queues behind the longest transaction on the table, and every later reader queues behind it. A short
# `lock_timeout` with retries makes it safe. See `migrations.lock_queue`, `migrations.instant_stops` and
# `migrations.patient`.
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
# <summary>8. The fewer queries, the less the database has to send.</summary>
#
# **False.** One query that joins two collections sends their product: 480 rows instead of 220. And `selectinload`
# over a many-to-many relationship repeats the far side once per pair. See `lazy_nested.joined_rows`,
# `lazy_nested.selectin_rows` and `lazy_nested.nm_repeats`.
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
    4: ("connections.pool_per_database",),
    5: ("migrations.lock_queue", "migrations.instant_stops", "migrations.patient"),
    6: ("transactions_indexes.limit_walks", "transactions_indexes.limit_served"),
    7: ("beyond_tables.blind", "beyond_tables.known"),
    8: ("lazy_nested.joined_rows", "lazy_nested.selectin_rows", "lazy_nested.nm_repeats"),
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
evidence("transactions_indexes_e")

# %% tags=["nbval-ignore-output"]
evidence("beyond_tables")

# %% tags=["nbval-ignore-output"]
evidence("connections")

# %% tags=["nbval-ignore-output"]
evidence("sqlalchemy")

# %% tags=["nbval-ignore-output"]
evidence("migrations")

# %% tags=["nbval-ignore-output"]
evidence("lazy_nested")

# %% [markdown]
# ## What surprised you
#
# Predictions that the measurement contradicted. They are most worth remembering: you would have built on them.

# %% tags=["nbval-ignore-output"]
surprises("databases")
