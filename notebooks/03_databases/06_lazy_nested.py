# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.6 Laziness and nesting
#
# > SQLAlchemy, Alembic — Отложенные вычисления, вложенные транзакции.
# >
# > Deferred evaluation, nested transactions.
#
# 90 minutes. Needs PostgreSQL; one experiment needs MySQL. Builds on [3.4](04_sqlalchemy.ipynb). A page lists 20 bookings. Each has 6 seats and 4
# payment attempts. A lazy page sends 41 queries, so a colleague writes `joinedload` twice: now it is one query.
#
# **You will be able to show that …**
#
# 1. a loading strategy is a choice of queries, rows, bytes and locks, and what one query loads or forbids outlives it;
# 2. when a query is sent, how its result is fetched and what stays in memory are three decisions;
# 3. a savepoint has a price, other sessions may pay it, and it does not undo everything;
# 4. nested transactions in SQLAlchemy, Django, SQLite and MySQL keep different things.

# %%
import sqlalchemy as sa
from sqlalchemy import orm

from helpers import answer, check, claim, show_bars, show_source, show_table, stamp
from helpers.airline.models import Booking, Customer, Flight, Seat
from helpers.labs.databases import lazy_nested as lab

pg = lab.postgres()
engine = lab.airline(pg)
stamp()

# %% [markdown] core=true minutes=7
# ## One query for the page

# %% [markdown] predict="lazy_nested.q1"
# **Predict.** One query, `joinedload(Booking.seats)` and `joinedload(Booking.payments)`. How many rows does the server send
# for the 20 bookings?
#
# - **a** 20
# - **b** 200: 120 seats and 80 payments
# - **c** 480

# %%
answer("lazy_nested.q1", None)  # "a", "b" or "c"

# %%
def page(load):
    """The work of the page: all bookings, with both collections loaded by this strategy."""
    def work(session):
        query = sa.select(Booking).options(load(Booking.seats), load(Booking.payments))
        bookings = session.scalars(query).unique().all()
        return [len(bookings), sum(len(b.seats) for b in bookings), sum(len(b.payments) for b in bookings)]
    return work


lab.fill(engine, bookings=20, seats=6, payments=4)
strategies = {"lazyload": orm.lazyload, "joinedload": orm.joinedload, "subqueryload": orm.subqueryload,
              "selectinload": orm.selectinload}
with lab.over_wire(pg, engine) as cost:
    pages = {name: cost(page(load)) for name, load in strategies.items()}
    lab.fill(engine, bookings=1_001, seats=0, payments=0)
    many, _ = cost(lambda session: session.scalars(sa.select(Booking).options(orm.selectinload(Booking.seats))).all())

show_table([{"strategy": name, "queries": c.queries, "rows": c.rows, "bytes of rows": c.bytes, "bookings, seats, payments": str(got)}
            for name, (c, got) in pages.items()])
show_bars({name: c.bytes for name, (c, _) in pages.items()}, title="The same page", x="bytes of rows from the server")
print("selectinload for 1,001 bookings:", many.queries, "queries")

# %%
lazy, joined, selectin = (pages[name][0] for name in ("lazyload", "joinedload", "selectinload"))
claim("lazy_nested.lazy_page", "the lazy page: one query for the bookings, and two for each of the 20",
      lazy.queries, equals=41)
claim("lazy_nested.joined_rows", "joined, 6 seats times 4 payments are 24 rows per booking",
      [joined.queries, joined.rows], equals=[1, 480], proves={"lazy_nested.q1": "c"})
claim("lazy_nested.selectin_rows", "selectin: three queries, and each booking, seat and payment comes once",
      [selectin.queries, selectin.rows], equals=[3, 220])
claim("lazy_nested.selectin_chunks", "for 1,001 parents selectinload sends three queries after the first: 500, 500 and 1",
      many.queries, equals=4)

# %% [markdown]
# **Reading it.** The join multiplies the collections, and each row repeats the booking's columns. That is why one query sends
# the most bytes. SQLAlchemy makes each booking, seat and payment once of the 480 rows, so the objects do not show it. The lazy page
# receives as few bytes as `selectinload`, and waits 41 times.
#
# **Why.** `selectinload` collects the parents' keys and asks `WHERE booking_id IN (…)`, by default 500 keys per query
# (`_chunksize` of `_SelectInLoader` in `orm/strategies.py`; since 2.1 `selectinload(…, chunksize=…)` changes it). It needs no join, because the foreign key is in the seat. `subqueryload` repeats
# the whole first query inside its second one. The documentation calls it mostly legacy
# ([relationship loading](https://docs.sqlalchemy.org/en/20/orm/queryguide/relationships.html#subquery-eager-loading)).
#
# **In production.** Collections: `selectinload`. A single parent (`booking.flight`): `joinedload` is one query and repeats the
# parent in each row; `selectinload` sends each parent once. Before you join two collections, compute the product.

# %% [markdown] also=["lazy_nested.joined_rows", "lazy_nested.selectin_rows", "lazy_nested.selectin_chunks"] claim="lazy_nested.lazy_page" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: each name gets its neighbour's strategy; one booking less</summary>
#
# ```diff
# -strategies = {"lazyload": orm.lazyload, "joinedload": orm.joinedload, "subqueryload": orm.subqueryload,
# -              "selectinload": orm.selectinload}
# +strategies = {"lazyload": orm.selectinload, "joinedload": orm.lazyload, "subqueryload": orm.subqueryload,
# +              "selectinload": orm.joinedload}
# @@
# -    lab.fill(engine, bookings=1_001, seats=0, payments=0)
# +    lab.fill(engine, bookings=1_000, seats=0, payments=0)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.lazy_page")`

# %% [markdown] minutes=5
# ## Ten faces on twenty legs
#
# A crew list shows twenty legs. Eight of ten members fly each leg, and each member has a photo of 20,000 characters. This is an N:M
# relationship, through a table of duties.

# %%
class Crews(orm.DeclarativeBase):
    """For the tables of this experiment only."""


duties = sa.Table("duties", Crews.metadata,
                  sa.Column("leg_id", sa.ForeignKey("legs.leg_id"), primary_key=True),
                  sa.Column("crew_id", sa.ForeignKey("crew.crew_id"), primary_key=True))


class Member(Crews):
    """Somebody of the crew."""

    __tablename__ = "crew"

    crew_id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    photo: orm.Mapped[str]


class Leg(Crews):
    """One leg and its crew."""

    __tablename__ = "legs"

    leg_id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    crew: orm.Mapped[list[Member]] = orm.relationship(secondary=duties)


# %% [markdown] predict="lazy_nested.q2"
# **Predict.** `select(Leg).options(selectinload(Leg.crew))`: how many photos does the server send?
#
# - **a** 10, one per member
# - **b** 160, one per duty
# - **c** none before somebody reads `photo`

# %%
answer("lazy_nested.q2", None)  # "a", "b" or "c"

# %%
PHOTO = 20_000
EAGER = orm.selectinload(Leg.crew)
DEFERRED = orm.selectinload(Leg.crew).defer(Member.photo)


def crew_list(option, faces=None):
    """Load the legs with their crew; `faces` does something with the members before all photos are read."""
    def work(session):
        legs = session.scalars(sa.select(Leg).options(option)).all()
        members = {member for leg in legs for member in leg.crew}
        if faces:
            faces(session, members)
            return sum(len(member.photo) for member in members)
        return sum(len(leg.crew) for leg in legs)
    return work


def one_by_one(session, members):
    """Nothing: each photo is loaded when it is read."""


def together(session, members):
    """All photos in one query; the session fills them into the objects that it has."""
    query = sa.select(Member).where(Member.crew_id.in_([member.crew_id for member in members]))
    session.scalars(query.options(orm.undefer(Member.photo))).all()


lab.crew(engine, Crews, Member, Leg)
with lab.over_wire(pg, engine) as cost:
    lists = {"selectinload": cost(crew_list(EAGER)), "photos deferred, none read": cost(crew_list(DEFERRED)),
             "photos deferred, all read": cost(crew_list(DEFERRED, one_by_one)),
             "photos deferred, loaded together": cost(crew_list(DEFERRED, together))}
show_table([{"crew list": name, "queries": c.queries, "rows": c.rows, "photos on the wire": c.bytes // PHOTO}
            for name, (c, _) in lists.items()])

# %%
photos = {name: [c.queries, c.bytes // PHOTO] for name, (c, _) in lists.items()}
claim("lazy_nested.nm_repeats", "ten members, two queries, and 160 photos on the wire",
      photos["selectinload"], equals=[2, 160], proves={"lazy_nested.q2": "b"})
claim("lazy_nested.deferred", "deferred, ten photos come in ten queries when they are read, and in one when loaded together",
      [photos["photos deferred, all read"], photos["photos deferred, loaded together"]], equals=[[12, 10], [3, 10]])

# %% [markdown]
# **Why.** For N:M there is no foreign key in the member, so `selectinload` joins legs, duties and crew. The join has a row
# per duty, and each row has all the member's columns. The identity map makes ten objects of them, after they have travelled. A deferred column is left
# out of the SELECT and loaded at its first access, with a query per object
# ([column loading](https://docs.sqlalchemy.org/en/20/orm/queryguide/columns.html)). That is N+1 again, for columns.
#
# **In production.** Defer wide columns in lists, and say `defer(…, raiseload=True)` where a list must not read them. If you need them,
# load them once per object, as `together` does.

# %% [markdown] also=["lazy_nested.deferred"] claim="lazy_nested.nm_repeats" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the wide column stays behind; <b>Break it</b>: nobody defers</summary>
#
# ```diff
# -    lists = {"selectinload": cost(crew_list(EAGER)), "photos deferred, none read": cost(crew_list(DEFERRED)),
# +    lists = {"selectinload": cost(crew_list(DEFERRED)), "photos deferred, none read": cost(crew_list(DEFERRED)),
# @@
# -             "photos deferred, all read": cost(crew_list(DEFERRED, one_by_one)),
# +             "photos deferred, all read": cost(crew_list(EAGER, one_by_one)),
# @@
# -             "photos deferred, loaded together": cost(crew_list(DEFERRED, together))}
# +             "photos deferred, loaded together": cost(crew_list(DEFERRED, one_by_one))}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.nm_repeats")`

# %% [markdown] minutes=5
# ## A seat map and an invoice
#
# A booking has six seats. Two were given back, so they are no longer `active`. One function draws the seat map and loads the
# active seats only. Later in the same request, and in the same session, another function writes the invoice and needs all six.

# %% [markdown] predict="lazy_nested.q3"
# **Predict.** The invoice runs a query of its own, with `selectinload(Booking.seats)` and no filter. How many seats does its
# booking have?
#
# - **a** 6: it is another query
# - **b** 4
# - **c** an error: the collection is partial

# %%
answer("lazy_nested.q3", None)  # "a", "b" or "c"

# %%
def seat_map(session):
    query = sa.select(Booking).join(Booking.seats).where(Seat.active).options(orm.contains_eager(Booking.seats))
    return session.scalars(query).unique().one()


def invoice(session, **options):
    query = sa.select(Booking).options(orm.selectinload(Booking.seats))
    return session.scalars(query, execution_options=options).one()


lab.fill(engine, bookings=1, seats=6, payments=0)
with engine.begin() as connection:
    connection.execute(sa.update(Seat).where(Seat.seat_id > 4).values(active=False))
with orm.Session(engine) as session:
    drawn = seat_map(session)
    on_invoice = len(invoice(session).seats)
    repopulated = len(invoice(session, populate_existing=True).seats)
print(f"invoice: {on_invoice} seats; with populate_existing: {repopulated}")

# %%
claim("lazy_nested.filtered_sticks", "the invoice has the seat map's four seats; with populate_existing it has six",
      [on_invoice, repopulated], equals=[4, 6], proves={"lazy_nested.q3": "b"})

# %% [markdown]
# **Why.** `contains_eager` says: *these rows are the collection*. From then on it is loaded, and a loaded attribute stays as it
# is (`sqlalchemy.stale_object` in [3.4](04_sqlalchemy.ipynb) shows it for columns). `selectinload(Booking.seats.and_(Seat.active))` leaves a filtered
# collection behind as well. Users reported it in [#5740](https://github.com/sqlalchemy/sqlalchemy/issues/5740) and
# [#6894](https://github.com/sqlalchemy/sqlalchemy/issues/6894); the second is labelled *expected behavior*.
#
# **In production.** The bug comes and goes: a session holds its objects weakly, so it needs some code that still holds the booking (here, the name
# `drawn`). Do not put a filtered list into the attribute of the whole one: select the seats themselves (`select(Seat).where(…)`), or map a second, `viewonly` relationship.

# %% [markdown] claim="lazy_nested.filtered_sticks" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: the seat map gives its collection back; <b>Break it</b>: no populate_existing</summary>
#
# ```diff
# -    on_invoice = len(invoice(session).seats)
# -    repopulated = len(invoice(session, populate_existing=True).seats)
# +    repopulated = len(invoice(session, populate_existing=False).seats)
# +    session.expire(drawn, ["seats"])
# +    on_invoice = len(invoice(session).seats)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.filtered_sticks")`

# %% [markdown] minutes=5
# ## One booking under a lock
#
# A worker locks a booking and needs its flight, too: `select(Booking).options(joinedload(Booking.flight)).with_for_update()`.

# %% [markdown] predict="lazy_nested.q4"
# **Predict.** What does PostgreSQL lock?
#
# - **a** the booking
# - **b** the booking and the flight
# - **c** nothing: it refuses the statement

# %%
answer("lazy_nested.q4", None)  # "a", "b" or "c"

# %%
def locks(load, **lock):
    """The tables whose row another session cannot lock now; or the SQLSTATE of a refusal."""
    found = []
    with orm.Session(engine) as worker, orm.Session(engine) as other:
        try:
            worker.scalars(sa.select(Booking).options(load).with_for_update(**lock)).all()
        except sa.exc.DBAPIError as error:
            return error.orig.sqlstate
        for table in (Booking.__table__, Flight.__table__):
            try:
                other.execute(sa.select(table).with_for_update(nowait=True)).all()
            except sa.exc.OperationalError:
                found.append(table.name)
            other.rollback()
    return ", ".join(found)


lab.fill(engine, bookings=1, seats=0, payments=0)
locked = {"joinedload": locks(orm.joinedload(Booking.flight)),
          "joinedload, innerjoin": locks(orm.joinedload(Booking.flight, innerjoin=True)),
          "joinedload, of=Booking": locks(orm.joinedload(Booking.flight), of=Booking),
          "selectinload": locks(orm.selectinload(Booking.flight))}
show_table([{"the flight by": how, "locked, or SQLSTATE": what} for how, what in locked.items()], left=2)

# %%
claim("lazy_nested.lock_outer", "an outer join under FOR UPDATE is refused: 0A000, feature not supported",
      locked["joinedload"], equals="0A000", proves={"lazy_nested.q4": "c"})
claim("lazy_nested.lock_widens", "the inner join locks the flight as well; of=Booking and selectinload do not",
      [locked["joinedload, innerjoin"], locked["joinedload, of=Booking"], locked["selectinload"]],
      equals=["bookings, flights", "bookings", "bookings"])

# %% [markdown]
# **Why.** FOR UPDATE without OF [locks the rows of all tables in the
# statement](https://www.postgresql.org/docs/current/sql-select.html#SQL-FOR-UPDATE-SHARE), and PostgreSQL cannot lock the
# nullable side of an outer join. `joinedload` writes an outer join unless `innerjoin=True`. So a loader option, perhaps as
# `lazy="joined"` in a model that somebody else changes, decides about locks. With the flight's row locked, workers on all bookings of that flight
# wait for each other. SQLAlchemy's documentation warns of the combination ([#12101](https://github.com/sqlalchemy/sqlalchemy/issues/12101)
# quotes it). In Airflow, refreshing a task instance locked its run as well
# ([#22271](https://github.com/apache/airflow/issues/22271)); the report asks for `of=`.
#
# **In production.** Write `with_for_update(of=Booking)`, so that a join that comes later does not matter. `helpers/airline` locks by `session.get(…, with_for_update=True)`; its
# relationships are lazy.

# %% [markdown] also=["lazy_nested.lock_widens"] claim="lazy_nested.lock_outer" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: say which table; <b>Break it</b>: do not say it, and join inside (and outside, where it was inside)</summary>
#
# ```diff
# -locked = {"joinedload": locks(orm.joinedload(Booking.flight)),
# +locked = {"joinedload": locks(orm.joinedload(Booking.flight), of=Booking),
# @@
# -          "joinedload, innerjoin": locks(orm.joinedload(Booking.flight, innerjoin=True)),
# +          "joinedload, innerjoin": locks(orm.joinedload(Booking.flight)),
# @@
# -          "joinedload, of=Booking": locks(orm.joinedload(Booking.flight), of=Booking),
# -          "selectinload": locks(orm.selectinload(Booking.flight))}
# +          "joinedload, of=Booking": locks(orm.joinedload(Booking.flight, innerjoin=True)),
# +          "selectinload": locks(orm.joinedload(Booking.flight, innerjoin=True))}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.lock_outer")`

# %% [markdown] minutes=5
# ## What an attribute may ask
#
# A page forbids lazy loading: `raiseload("*")`. A helper further down knows nothing of that. It gets the booking by its number from the
# same session and reads `booking.flight`. Beside it stands a model with two computed attributes.

# %%
from sqlalchemy.ext.hybrid import hybrid_property


class Trips(orm.DeclarativeBase):
    """A second mapping of the service's table."""


class Trip(Trips):
    """A booking with a count from the database, and a value that both sides can compute."""

    __table__ = Booking.__table__

    sold = orm.column_property(
        sa.select(sa.func.count()).where(Seat.booking_id == Booking.__table__.c.booking_id)
        .correlate(Booking.__table__).scalar_subquery())

    @hybrid_property
    def refund(self):
        """Half of the price, as money that leaves."""
        return -self.total_cents // 2


def helper(session):
    """Somebody else's code, in the same session."""
    try:
        return session.get(Booking, 1).flight.number
    except sa.exc.InvalidRequestError as error:
        return str(error)


def computed(session):
    """How many seats the trip says it has: loaded, after one more, and refreshed; and the refund on both sides."""
    trip = session.get(Trip, 1)
    sold = [trip.sold]
    session.execute(sa.insert(Seat).values(booking_id=1, flight_id=1, seat="9F", price_cents=4_900))
    sold.append(trip.sold)
    session.refresh(trip, ["sold"])
    return [*sold, trip.sold], [trip.refund, session.scalar(sa.select(Trip.refund))]


FORBID = orm.raiseload("*")
lab.fill(engine, bookings=1, seats=2, payments=0)
with engine.begin() as connection:
    connection.execute(sa.update(Booking).values(total_cents=4_901))
with orm.Session(engine) as session:
    held = session.scalars(sa.select(Booking).options(FORBID)).all()
    said = [helper(session)]
    session.expire_all()
    said.append(helper(session))
with orm.Session(engine) as session:
    sold, refund = computed(session)
print(f"the helper, before and after expire_all(): {said}", f"sold: {sold}", f"refund in Python and in SQL: {refund}", sep="\n")

# %%
claim("lazy_nested.raise_sticks", "the helper's own get() returns the object with the page's option, and reading raises, until it is expired",
      said, equals=["'Booking.flight' is not available due to lazy='raise'", 1545])
claim("lazy_nested.property_stale", "a column property says 2 after the third seat, until it is refreshed",
      sold, equals=[2, 2, 3])
claim("lazy_nested.hybrid_differs", "half of -4,901 is -2,451 in Python and -2,450 in PostgreSQL",
      refund, equals=[-2_451, -2_450])

# %% [markdown]
# **Why.** The options of the query that loaded an object stay with it (`InstanceState.load_options`), because its lazy loads need
# them. The next query that loads the object anew replaces them: after `expire_all()`, `refresh()`, a commit, or with `populate_existing`. A `column_property` is a part of the SELECT: each SELECT of trips computes the count (unless it is deferred), and then it is a loaded attribute like any
# other. A hybrid is one Python function that is called with an instance or with the class. With the class, `//` of two integers becomes the
# database's `/`, and PostgreSQL [truncates towards zero](https://www.postgresql.org/docs/current/functions-math.html), where
# Python rounds down ([hybrids](https://docs.sqlalchemy.org/en/20/orm/extensions/hybrid.html)).
#
# **In production.** `raiseload` in a test or per query finds N+1 where it begins; `raiseload(…, sql_only=True)` still allows what
# the identity map has. Test each hybrid on both sides with the same values, negative and NULL among them. A count that each list pays for
# is better deferred, or asked for by name. A collection that nobody may load whole is `lazy="write_only"`.

# %% [markdown] also=["lazy_nested.property_stale", "lazy_nested.hybrid_differs"] claim="lazy_nested.raise_sticks" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: forbid on the payments only; expire instead of trusting; truncate on both sides</summary>
#
# ```diff
# -FORBID = orm.raiseload("*")
# +FORBID = orm.raiseload(Booking.payments)
# @@
# -    sold.append(trip.sold)
# +    session.expire(trip, ["sold"])
# +    sold.append(trip.sold)
# @@
# -        return -self.total_cents // 2
# +        return -(self.total_cents // 2)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.raise_sticks")`

# %% [markdown] core=true minutes=7
# ## A loop over forty thousand customers
#
# An export walks over all customers and keeps none of them: `for customer in session.scalars(query)`.

# %% [markdown] predict="lazy_nested.q5"
# **Predict.** Four times as many customers. What happens to the peak memory of the process?
#
# - **a** it stays: the result is an iterator
# - **b** it grows about fourfold
# - **c** it grows with the batch of 1,000 that SQLAlchemy fetches at a time

# %%
answer("lazy_nested.q5", None)  # "a", "b" or "c"

# %%
SIZES = 10_000, 40_000
show_source(lab.read_customers)
lab.fill_customers(engine, max(SIZES))
loop = lab.peaks(engine, SIZES)
chunks = lab.peaks(engine, SIZES, yield_per=500)

# %% tags=["nbval-ignore-output"]
show_bars({f"{name}, {size:,}": grown for name, peaks in {"plain loop": loop, "yield_per=500": chunks}.items()
           for size, grown in peaks.items()},
          title="Peak memory of the process", x="MiB above the start")

# %% [markdown]
# Each kind of loop has a process of its own, which reads 10,000 customers and then 40,000. A bar is the kernel's reading
# (VmHWM) after that. Now the same export commits after five rows, to save its progress.

# %%
def export(**options):
    """Read customers, commit after the fifth; how many were read, and the SQLSTATE at the end, if any."""
    read = 0
    with orm.Session(engine) as session:
        try:
            for _ in session.scalars(sa.select(Customer).limit(100), execution_options=options):
                read += 1
                if read == 5:
                    session.commit()
        except sa.exc.ProgrammingError as error:
            return read, error.orig.sqlstate
        return read, None


interrupted, whole = export(yield_per=10), export()
print("yield_per=10:", interrupted, "  plain loop:", whole)

# %%
claim("lazy_nested.loop_grows", "four times the rows, and the plain loop's peak grows about fourfold",
      loop[40_000] / loop[10_000], between=(3, 5), unit="×", proves={"lazy_nested.q5": "b"})
claim("lazy_nested.yield_flat", "four times the rows, and the peak with yield_per is the same",
      (1 + chunks[40_000]) / (1 + chunks[10_000]), at_most=1.5, unit="×", did=list(chunks))
claim("lazy_nested.cursor_gone", "a commit in the loop ends the server's cursor: 34000 after the batch of ten, not after 100",
      [interrupted, whole], equals=[(10, "34000"), (100, None)])

# %% [markdown]
# **Why.** PostgreSQL sends the answer to a plain query as a whole, and psycopg keeps it. Then SQLAlchemy makes *all* the
# objects before the loop gets its first one (`instances` in `orm/loading.py`). `yield_per` does two things: it sets `stream_results`, so that psycopg declares a cursor on the
# server and fetches in portions, and it makes the objects portion by portion
# ([yield_per](https://docs.sqlalchemy.org/en/20/orm/queryguide/api.html#fetching-large-result-sets-with-yield-per)). A cursor without WITH HOLD
# [ends with its transaction](https://www.postgresql.org/docs/current/sql-declare.html). The ten rows that had arrived were still
# handed out. (`lazy_nested.yield_flat` adds 1 MiB to both peaks, because both may be near zero.)
#
# **In production.** A joined collection cannot be combined with `yield_per` (SQLAlchemy raises), nor can `subqueryload`; `selectinload` can. A cursor that is open for an
# hour is a transaction that is open for an hour ([3.1](01a_transactions_indexes.ipynb) shows what that costs). A job that commits on its way needs pages by key: `where(Customer.customer_id > last).limit(500)`.

# %% [markdown] also=["lazy_nested.yield_flat", "lazy_nested.cursor_gone"] claim="lazy_nested.loop_grows" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: portions for the loop, and for the other one none; the export by a plain query</summary>
#
# ```diff
# -loop = lab.peaks(engine, SIZES)
# -chunks = lab.peaks(engine, SIZES, yield_per=500)
# +loop = lab.peaks(engine, SIZES, yield_per=500)
# +chunks = lab.peaks(engine, SIZES)
# @@
# -interrupted, whole = export(yield_per=10), export()
# +interrupted, whole = export(), export(yield_per=10)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.loop_grows")`

# %% [markdown] minutes=3
# ## A query kept in a module
#
# `select(…)` sends nothing. It makes a value that can be kept, extended and passed on. Two bugs come from that.

# %%
from itertools import count

clock = count(2013).__next__  # a clock that moves on at each reading
KEPT = sa.select(Flight.flight_id).where(Flight.number > clock())
ASKED = sa.select(Flight.flight_id).where(Flight.number > sa.bindparam("now", callable_=clock, type_=sa.Integer))


def search(dest=None):
    """Flights, perhaps of one destination. Somebody forgot something."""
    query = sa.select(Flight.flight_id)
    if dest:
        query.where(Flight.dest == dest)
    return query


def parameters(query):
    """The parameter of three executions of the same query."""
    sent = []
    with engine.connect() as connection:
        def note(conn, cursor, statement, values, context, many):
            sent.extend(values.values())
        sa.event.listen(connection, "before_cursor_execute", note)
        for _ in range(3):
            connection.execute(query)
    return sent


lab.fill(engine, bookings=0, seats=0, payments=0)
with lab.Log(engine) as log:
    query = search("LAX").order_by(Flight.flight_id).limit(10)
    composing = len(log.sql)
    with engine.connect() as connection:
        to_lax = connection.scalars(query).all()
kept, asked = parameters(KEPT), parameters(ASKED)
print(f"sent while composing: {composing}, in the end: {log.sql}", f"flights to LAX: {to_lax}", f"kept {kept}, asked {asked}", sep="\n")

# %%
claim("lazy_nested.value_forgot", "nothing was sent while the query was made, and the filter to LAX finds the flight to IAH",
      [composing, to_lax], equals=[0, [1]], baseline=composing)
claim("lazy_nested.value_frozen", "a value computed at import stays; a bindparam with a callable is asked at each execution",
      [len(set(kept)), len(set(asked))], equals=[1, 3])

# %% [markdown]
# **Why.** `where()` does not change the query. It returns a new one (such methods are marked `@_generative` in `sql/selectable.py`), and a result that
# nobody takes is lost without a word. A Python value goes into the query when the line runs. In a module, that is the import.
#
# **In production.** Compose in functions. For the time, let the server say it (`sa.func.now()`, the beginning of the transaction), or pass it in. A query need not be kept
# for speed: SQLAlchemy caches the SQL of equal ones ([caching](https://docs.sqlalchemy.org/en/20/core/connections.html#sql-compilation-caching)).

# %% [markdown] also=["lazy_nested.value_frozen"] claim="lazy_nested.value_forgot" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: take what where() returns; ask the clock late, and for the other one early</summary>
#
# ```diff
# -        query.where(Flight.dest == dest)
# +        query = query.where(Flight.dest == dest)
# @@
# -kept, asked = parameters(KEPT), parameters(ASKED)
# +kept, asked = parameters(ASKED), parameters(KEPT)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.value_forgot")`

# %% [markdown] core=true minutes=6
# ## A file with three bad lines
#
# A partner sends 1,000 customers. Three lines are bad: an email that exists, one without a name, one twice in the file. The good ones are to
# be imported, in one transaction with everything else that the job does.

# %% [markdown] predict="lazy_nested.q6"
# **Predict.** A savepoint around each row, all in one transaction. How many transaction ids does PostgreSQL use up?
#
# - **a** 1
# - **b** 4: the transaction, and the three that were rolled back
# - **c** about 1,000

# %%
answer("lazy_nested.q6", None)  # "a", "b" or "c"

# %%
LINES = [{"name": f"Passenger {n}", "email": f"{n}@example.com", "created_at": lab.NOW} for n in range(1_000)]
LINES[100]["email"] = "ada@example.com"  # Ada is customer 1
LINES[500]["name"] = None
LINES[900]["email"] = LINES[899]["email"]


def in_one(session):
    for line in LINES:
        session.execute(sa.insert(Customer).values(line))


def catching(session):
    for line in LINES:
        try:
            session.execute(sa.insert(Customer).values(line))
        except sa.exc.DBAPIError:
            pass


def per_row(session, lines=LINES):
    for line in lines:
        try:
            with session.begin_nested():
                session.execute(sa.insert(Customer).values(line))
        except sa.exc.IntegrityError:
            pass


def per_hundred(session):
    for start in range(0, len(LINES), 100):
        part = LINES[start:start + 100]
        try:
            with session.begin_nested():
                session.execute(sa.insert(Customer).values(part))
        except sa.exc.IntegrityError:
            per_row(session, part)


def imported(way):
    """Customers there after the import, transaction ids, statements and the SQLSTATE that ended it."""
    lab.fill(engine, bookings=0, seats=0, payments=0)
    ended = ""
    with lab.ids(engine) as ids, lab.Log(engine) as log:
        try:
            with orm.Session(engine) as session, session.begin():
                way(session)
                session.execute(sa.text("select 1"))
        except sa.exc.DBAPIError as error:
            ended = error.orig.sqlstate
    with engine.connect() as connection:
        rows = connection.scalar(sa.select(sa.func.count()).select_from(Customer)) - 1
    return rows, *ids, len(log.sql), ended


ways = {way.__name__: imported(way) for way in (in_one, catching, per_row, per_hundred)}
columns = ["imported", "transaction ids", "statements", "ended by"]
show_table([{"way": name} | dict(zip(columns, row, strict=True)) for name, row in ways.items()])

# %%
claim("lazy_nested.batch_lost", "without savepoints nothing is imported: 23505 ends it, and code that catches it gets 25P02",
      [ways[name][::3] for name in ("in_one", "catching")], equals=[(0, "23505"), (0, "25P02")])
claim("lazy_nested.batch_kept", "with savepoints 997 customers are imported, by row and by hundred",
      [ways["per_row"][0], ways["per_hundred"][0]], equals=[997, 997])
claim("lazy_nested.row_ids", "a savepoint per row uses about one transaction id per line of the file",
      ways["per_row"][1], between=(950, 1_050), proves={"lazy_nested.q6": "c"})
claim("lazy_nested.part_ids", "a savepoint per hundred uses one id per part, and about 100 more for each of the three parts with a bad line",
      ways["per_hundred"][1], between=(300, 330))

# %% [markdown]
# **Reading it.** With a savepoint per row, 997 rows and the transaction take 998 ids. The two refused emails take one each, because PostgreSQL
# looks for a duplicate after it has written the row; a missing name is found before. The other three ids come from savepoints that stay open after their
# rollback. The next experiment shows that. With a savepoint per hundred, only the three parts with a bad line are repeated row by row.
#
# **Why.** In PostgreSQL an error aborts the whole transaction, unless there is a savepoint to go back to. Until then each
# query is refused with 25P02. To undo a part, the part's rows must be marked, so a subtransaction that writes gets [a transaction id of
# its own](https://www.postgresql.org/docs/current/subxacts.html). Ids are 32-bit numbers that wrap around, and VACUUM must freeze old rows in time. In 2015
# [Sentry](https://blog.sentry.io/2015/07/23/transaction-id-wraparound-in-postgres.html) was down for most of a working day, because VACUUM had not kept up with the ids.
#
# Other databases draw the line elsewhere: [the last experiment](#A-booking-on-MySQL) asks MySQL.
#
# **In production.** If the rule is *ignore what is there*, `ON CONFLICT DO NOTHING` needs no savepoint. If each bad line must be named, put
# the savepoint around a part, and divide the part that fails. That is the second exercise.

# %% [markdown] also=["lazy_nested.batch_kept", "lazy_nested.row_ids", "lazy_nested.part_ids"] claim="lazy_nested.batch_lost" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a file without bad lines, and no savepoint around a row</summary>
#
# ```diff
# -LINES[100]["email"] = "ada@example.com"  # Ada is customer 1
# -LINES[500]["name"] = None
# -LINES[900]["email"] = LINES[899]["email"]
# @@
# -            with session.begin_nested():
# -                session.execute(sa.insert(Customer).values(line))
# +            session.execute(sa.insert(Customer).values(line))
# @@
# -        part = LINES[start:start + 100]
# +        part = LINES[start:start + 100]
# +        per_row(session, part)
# +        continue
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.batch_lost")`

# %% [markdown] minutes=6
# ## The sixty-fifth row
#
# An import is still open. It has updated some flights, each in a savepoint of its own, all released. Another session reads the flights, and must
# find out whether each id that it meets belongs to a transaction that is still open.

# %% [markdown] predict="lazy_nested.q7"
# **Predict.** PostgreSQL keeps the open subtransactions of a session in shared memory, up to 64 of them. What is different for the
# *reader* when there is a 65th?
#
# - **a** nothing: it only needs the first id
# - **b** one more lookup, for the 65th row
# - **c** a lookup in `pg_subtrans` for each of the 65 rows

# %%
answer("lazy_nested.q7", None)  # "a", "b" or "c"

# %%
READ = "select sum(capacity) from flights"


def open_import(rows):
    """Update so many flights, a savepoint each. Before the end: how many are updated, has the cache overflowed, the reader's lookups."""
    changed = 0
    with engine.connect() as writer:
        for number in range(1, rows + 1):
            with writer.begin_nested():
                changed += writer.execute(sa.update(Flight).where(Flight.flight_id == number).values(capacity=149)).rowcount
        return changed, lab.overflowed(engine, writer), lab.lookups(engine, READ)


lab.reset(engine, flights=200)
within, beyond = open_import(64), open_import(65)
sizes = 16, 64, 65, 100, 200
curve = {f"{rows} savepoints": open_import(rows)[-1] for rows in sizes}

# %% tags=["nbval-ignore-output"]
show_bars(curve, title="Another session reads 200 rows", x="lookups in pg_subtrans")

# %% [markdown]
# Now 100 rows that are all refused (an email that exists). Each is rolled back to its savepoint. SQLAlchemy's way first, then the same with a
# `RELEASE SAVEPOINT` after each `ROLLBACK TO`.

# %%
def refused_rows(release):
    """100 refused rows: the transaction ids used."""
    lab.reset(engine)
    row = sa.insert(Customer).values(name="Ada", email="ada@example.com", created_at=lab.NOW)
    with lab.ids(engine) as ids, engine.begin() as writer:
        for number in range(1, 101):
            try:
                with writer.begin_nested():
                    writer.execute(row)
            except sa.exc.IntegrityError:
                if release:
                    writer.exec_driver_sql(f"release savepoint sa_savepoint_{number}")
    return ids[0]


left_open, released = refused_rows(release=False), refused_rows(release=True)
print(f"transaction ids for 100 refused rows: {left_open}, with RELEASE: {released}")

# %%
before_16 = None if int(pg.version.split(".")[0]) >= 16 else "pg_stat_get_backend_subxact is new in PostgreSQL 16"
claim("lazy_nested.overflow_65", "the cache holds 64 subtransactions and overflows with the 65th",
      [within[:2], beyond[:2]], equals=[(64, False), (65, True)], unmeasured=before_16)
claim("lazy_nested.lookups_64", "with 64 updated rows, the reader looks nothing up",
      [within[0], within[-1]], equals=[64, 0])
claim("lazy_nested.lookups_65", "with 65, it makes four lookups per updated row, for the first 64 as well",
      [beyond[0], beyond[-1]], equals=[65, 4 * 65], proves={"lazy_nested.q7": "c"})
claim("lazy_nested.refused_ids", "100 refused rows take 200 ids, and 101 if each savepoint is released",
      [left_open, released], equals=[200, 101])

# %% [markdown]
# **Why.** A reader takes a snapshot: the ids that are open now. Each session publishes up to 64 ids of its subtransactions
# (`PGPROC_MAX_CACHED_SUBXIDS` in `src/include/storage/proc.h`). If one session has more, the snapshot is incomplete. For each id that may be open a reader then
# asks [pg_subtrans](https://www.postgresql.org/docs/current/subxacts.html) for its parent, and for the parent's parent, until there is none. Here that is four lookups
# per updated row: two for the old version of the row and two for the new one. Released savepoints
# count, because their ids belong to the open transaction. In 2021 GitLab's replicas stalled for minutes at a time on such lookups, while a long
# transaction was open. GitLab [removed the savepoints from its
# code](https://about.gitlab.com/blog/2021/09/29/why-we-spent-the-last-month-eliminating-postgresql-subtransactions/).
#
# `ROLLBACK TO` keeps its savepoint. SQLAlchemy does not release it (`NestedTransaction._close_impl` in `engine/base.py`), so the next one opens inside of it. When the
# inner one writes, the outer one gets an id as well. Django releases it since [#23074](https://github.com/django/django/pull/2992). PostgreSQL 16 and later show the overflow per session:
# `pg_stat_get_backend_subxact`.
#
# **In production.** Keep to at most 64 savepoints that write per transaction; in SQLAlchemy a refused row adds to them. Look for long
# transactions first: the lookups end with the transaction.

# %% [markdown] also=["lazy_nested.lookups_64", "lazy_nested.lookups_65", "lazy_nested.refused_ids"] claim="lazy_nested.overflow_65" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: one savepoint more and one less; the refused rows' two ways exchanged</summary>
#
# ```diff
# -within, beyond = open_import(64), open_import(65)
# +within, beyond = open_import(65), open_import(64)
# @@
# -left_open, released = refused_rows(release=False), refused_rows(release=True)
# +left_open, released = refused_rows(release=True), refused_rows(release=False)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.overflow_65")`

# %% [markdown] minutes=4
# ## After ROLLBACK TO SAVEPOINT
#
# After a savepoint, a booking does eight things. Then it goes back to the savepoint, and the transaction goes on.

# %% [markdown] predict="lazy_nested.q8"
# **Predict.** It has taken a lock by `pg_advisory_lock(1)` and one by `pg_advisory_xact_lock(2)`. Which are still held after ROLLBACK TO?
#
# - **a** both, until the end of the transaction
# - **b** neither
# - **c** the first one

# %%
answer("lazy_nested.q8", None)  # "a", "b" or "c"

# %%
outbox = []
STEPS = {
    "a row": "insert into customers (name, email, created_at) values ('Ken', 'ken@example.com', now())",
    "a number of a sequence": "select nextval('booking_ids')",
    "pg_advisory_lock": "select pg_advisory_lock(1)",
    "pg_advisory_xact_lock": "select pg_advisory_xact_lock(2)",
    "a row lock": "select 1 from flights for update",
    "SET": "set work_mem = '2MB'",
    "PREPARE": "prepare fares as select 1",
}
LEFT = {
    "a row": "select count(*) > 1 from customers",
    "a number of a sequence": "select last_value > 1 from booking_ids",
    "pg_advisory_lock": "select count(*) > 0 from pg_locks where locktype = 'advisory' and objid = 1",
    "pg_advisory_xact_lock": "select count(*) > 0 from pg_locks where locktype = 'advisory' and objid = 2",
    "SET": "select current_setting('work_mem') = '2MB'",
    "PREPARE": "select count(*) > 0 from pg_prepared_statements where name = 'fares'",
}


def booking_with_savepoint():
    """What is there before and after going back to the savepoint, by the transaction's own view and another session's."""
    outbox.clear()
    with engine.connect() as ours, engine.connect() as other:
        def there():
            found = {name: ours.scalar(sa.text(query)) for name, query in LEFT.items()}
            free = other.execute(sa.text("select 1 from flights for update skip locked")).all()
            other.rollback()
            return found | {"a row lock": not free, "an email": bool(outbox)}

        ours.execute(sa.text("select nextval('booking_ids')"))
        savepoint = ours.begin_nested()
        for statement in STEPS.values():
            ours.execute(sa.text(statement))
        outbox.append("an email")
        done = there()
        savepoint.rollback()
        left = there()
        ours.invalidate()  # this session keeps a lock: it must not go back to the pool
    return done, left


lab.fill(engine, bookings=0, seats=0, payments=0)
done, left = booking_with_savepoint()
show_table([{"after the savepoint": name, "before ROLLBACK TO": done[name], "after it": stays}
            for name, stays in sorted(left.items(), key=lambda row: row[1])])

# %%
claim("lazy_nested.not_undone", "all eight are there, and four stay: the email, the sequence's number, pg_advisory_lock, PREPARE",
      [sum(done.values()), *sorted(name for name, stays in left.items() if stays)],
      equals=[8, "PREPARE", "a number of a sequence", "an email", "pg_advisory_lock"], proves={"lazy_nested.q8": "c"})

# %% [markdown]
# **Why.** A rollback undoes what belongs to the transaction. A [sequence](https://www.postgresql.org/docs/current/functions-sequence.html) hands out numbers
# without waiting for anybody's commit, so it cannot take one back. A [session-level advisory lock](https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS)
# and a prepared statement belong to the session. The lock would outlive the commit, too, and the connection would go back to the pool with it. The email has already been sent.
#
# **In production.** Use `pg_advisory_xact_lock` unless you know why not. Send emails, messages and calls after the commit, from an outbox table that
# is written in the same transaction; a row of it written after the savepoint is undone with the savepoint, as it should be.

# %% [markdown] claim="lazy_nested.not_undone" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a lock of the transaction; <b>Break it</b>: no row is written</summary>
#
# ```diff
# -    "a row": "insert into customers (name, email, created_at) values ('Ken', 'ken@example.com', now())",
# +    "a row": "select 1",
# @@
# -    "pg_advisory_lock": "select pg_advisory_lock(1)",
# +    "pg_advisory_lock": "select pg_advisory_xact_lock(1)",
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.not_undone")`

# %% [markdown] minutes=5
# ## A test that commits
#
# A test suite gives the code under test a session on a connection whose transaction is rolled back after the test. The code commits
# note 1, rolls back note 2 because of an error, and commits note 3.

# %% [markdown] predict="lazy_nested.q9"
# **Predict.** `sessionmaker(connection)` with all defaults. Which notes are in the database *after* the test?
#
# - **a** none
# - **b** 3
# - **c** 1 and 3

# %%
answer("lazy_nested.q9", None)  # "a", "b" or "c"

# %%
def code_under_test(sessions):
    """Commits 1, rolls back 2, commits 3."""
    for note, problem in {1: None, 2: ValueError("refused"), 3: None}.items():
        try:
            with sessions.begin() as session:
                session.execute(sa.text("insert into notes values (:note)"), {"note": note})
                if problem:
                    raise problem
        except ValueError:
            pass


def run_test(database, **options):
    """The notes that the test sees at its end, and those that are there after it."""
    with database.begin() as connection:
        connection.execute(sa.text("delete from notes"))
    with database.connect() as connection:
        outer = connection.begin()
        sessions = orm.sessionmaker(connection, **options)
        code_under_test(sessions)
        with sessions() as session:
            seen = list(session.scalars(sa.text(lab.NOTES)))
        if outer.is_active:
            outer.rollback()
    with database.connect() as connection:
        return seen, list(connection.scalars(sa.text(lab.NOTES)))


NESTED = {"join_transaction_mode": "create_savepoint"}
runs = {"all defaults": run_test(engine), "control_fully": run_test(engine, join_transaction_mode="control_fully"),
        "create_savepoint": run_test(engine, **NESTED)}
with lab.sqlite() as database:
    runs["create_savepoint, SQLite"] = run_test(database, **NESTED)
with lab.sqlite(autocommit=False) as database:
    runs["create_savepoint, SQLite, autocommit=False"] = run_test(database, **NESTED)
show_table([{"join_transaction_mode": name, "the test sees": str(seen), "left afterwards": str(stays)}
            for name, (seen, stays) in runs.items()])

# %%
claim("lazy_nested.test_leaks", "with defaults the rollback of note 2 took note 1 along, and note 3 is committed for good",
      runs["all defaults"], equals=([3], [3]), proves={"lazy_nested.q9": "b"})
claim("lazy_nested.test_isolated", "with a savepoint per session the test sees 1 and 3, and nothing stays",
      runs["create_savepoint"], equals=([1, 3], []))
claim("lazy_nested.sqlite_keeps", "on SQLite the same suite leaves note 1 behind, unless the driver has autocommit=False",
      [runs["create_savepoint, SQLite"][1], runs["create_savepoint, SQLite, autocommit=False"][1]], equals=[[1], []])

# %% [markdown]
# **Why.** The default, `conditional_savepoint`, uses savepoints only if the connection is in one already; else the session's *commit* is left to the outer
# transaction, and its *rollback* is not: it ends the outer transaction. After that, the next session begins and commits one of its own.
# With `control_fully` a session's commit is the commit of the outer transaction. `create_savepoint` makes each transaction of a session a savepoint
# ([joining a session into an external transaction](https://docs.sqlalchemy.org/en/20/orm/session_transaction.html#joining-a-session-into-an-external-transaction-such-as-for-test-suites)).
#
# Python's `sqlite3` in its default mode begins a transaction [before INSERT, UPDATE, DELETE and
# REPLACE](https://docs.python.org/3/library/sqlite3.html#sqlite3-transaction-control-isolation-level), but not before SAVEPOINT
# ([cpython#54949](https://github.com/python/cpython/issues/54949)). So the savepoint of note 1 is the outermost transaction, and its RELEASE
# is a commit. (That of note 2 is rolled back to and stays open. Note 3 is inside of it, and goes with the last rollback.) `autocommit=False` (Python 3.12) always
# has a transaction open ([SQLAlchemy's notes](https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#enabling-non-legacy-sqlite-transactional-modes-with-the-sqlite3-or-aiosqlite-driver)).
#
# **In production.** What such a test cannot see: deferred constraints, which are checked at a real commit; `now()`, which stands still; another
# connection, which sees nothing. Keep a few tests that commit and truncate. Section 5 goes on with it.

# %% [markdown] also=["lazy_nested.test_isolated", "lazy_nested.sqlite_keeps"] claim="lazy_nested.test_leaks" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: a savepoint per session; <b>Break it</b>: none in the third one, and SQLite's drivers exchanged</summary>
#
# ```diff
# -runs = {"all defaults": run_test(engine), "control_fully": run_test(engine, join_transaction_mode="control_fully"),
# -        "create_savepoint": run_test(engine, **NESTED)}
# +runs = {"all defaults": run_test(engine, **NESTED), "control_fully": run_test(engine, join_transaction_mode="control_fully"),
# +        "create_savepoint": run_test(engine)}
# @@
# -with lab.sqlite() as database:
# -    runs["create_savepoint, SQLite"] = run_test(database, **NESTED)
# -with lab.sqlite(autocommit=False) as database:
# +with lab.sqlite(autocommit=False) as database:
# +    runs["create_savepoint, SQLite"] = run_test(database, **NESTED)
# +with lab.sqlite() as database:
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.test_leaks")`

# %% [markdown] minutes=5
# ## atomic() inside of atomic()
#
# In Django, `atomic()` inside of `atomic()` is a savepoint. A view saves note 1. In an inner block it saves note 2, and then note 1 a second time, which
# is refused. It catches the error and saves note 3. Each `atomic()` registers an email by `on_commit`.

# %% [markdown] predict="lazy_nested.q10"
# **Predict.** The inner block is `atomic(savepoint=False)`, and the error is caught around it. What is in the table at the end?
#
# - **a** notes 1 and 3
# - **b** notes 1, 2 and 3
# - **c** nothing

# %%
answer("lazy_nested.q10", None)  # "a", "b" or "c"

# %%
lab.django(engine)
from django.db import DatabaseError, connection as through_django, transaction


def save(note):
    with through_django.cursor() as cursor:
        cursor.execute("insert into notes values (%s)", [note])


def view(emails, **inner):
    """Note 1; notes 2 and 1 in an inner block, its error caught; note 3."""
    with transaction.atomic():
        transaction.on_commit(lambda: emails.append("outer"))
        save(1)
        try:
            with transaction.atomic(**inner):
                transaction.on_commit(lambda: emails.append("inner"))
                save(2)
                save(1)
        except DatabaseError:
            pass
        save(3)


def outcome(**inner):
    """The error that leaves the view, the notes and the emails after it."""
    emails, ended = [], ""
    with engine.begin() as connection:
        connection.execute(sa.text("delete from notes"))
    try:
        view(emails, **inner)
    except Exception as error:
        ended = type(error).__name__
    with engine.connect() as connection:
        return ended, list(connection.scalars(sa.text(lab.NOTES))), emails


blocks = {"atomic()": outcome(), "atomic(savepoint=False)": outcome(savepoint=False), "atomic(durable=True)": outcome(durable=True)}
through_django.close()
show_table([{"inner block": name, "the view raises": ended, "notes": str(notes), "emails": str(emails)}
            for name, (ended, notes, emails) in blocks.items()], left=2)

# %% [markdown]
# And a savepoint's price on one row: the outer block locks a flight, the inner one updates it. Who is in the row's `xmax`?

# %%
def lockers(nested):
    """Lock a flight, update it in a savepoint or not: the lock modes that the row's xmax stands for."""
    update = sa.update(Flight).values(capacity=149)
    with engine.connect() as ours, engine.connect() as other:
        ours.execute(sa.select(Flight.flight_id).with_for_update()).all()
        if nested:
            with ours.begin_nested():
                ours.execute(update)
        else:
            ours.execute(update)
        xmax = other.scalar(sa.text("select xmax::text from flights"))
        if xmax == ours.scalar(sa.text("select (pg_current_xact_id()::text::bigint % 4294967296)::text")):
            return ["the transaction"]
        members = sa.text("select mode from pg_get_multixact_members(cast(cast(:xmax as text) as xid))")
        return sorted(other.scalars(members, {"xmax": xmax}))


lab.reset(engine)
multi, plain = lockers(nested=True), lockers(nested=False)
print("updated in a savepoint:", multi, "  without:", plain)

# %%
claim("lazy_nested.atomic_nested", "the inner block is undone as a whole, its email too; notes 1 and 3 are there",
      blocks["atomic()"], equals=("", [1, 3], ["outer"]))
claim("lazy_nested.atomic_flat", "without a savepoint nothing is saved: the caught error has marked the transaction",
      blocks["atomic(savepoint=False)"], equals=("TransactionManagementError", [], []), proves={"lazy_nested.q10": "c"})
claim("lazy_nested.multixact", "locked outside and updated in a savepoint, a row needs a MultiXact with two members",
      [multi, plain], equals=[["forupd", "nokeyupd"], ["the transaction"]])

# %% [markdown]
# **Why.** After an error in a block without a savepoint, Django sets `needs_rollback` (`Atomic.__exit__` in `django/db/transaction.py`), and refuses each
# query until the end of the next enclosing block with a savepoint, or of the outermost one. That block is rolled back. `on_commit` functions of a savepoint that is rolled back are dropped. Code that must really commit
# says `durable=True`; inside of another `atomic()` that is a RuntimeError.
# To PostgreSQL, transaction and subtransaction are two ids. One xmax has room for one, so it makes a
# [MultiXact](https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-MULTIXACT-WRAPAROUND) of the two, with storage and a wraparound of its own.
#
# **In production.** Catch a database error *around* an `atomic()` that has a savepoint (or is the outermost one), not inside of it. A row that is locked by `select_for_update()` should be updated in the
# same block, not in an inner one, which costs a MultiXact each time.

# %% [markdown] also=["lazy_nested.atomic_flat", "lazy_nested.multixact"] claim="lazy_nested.atomic_nested" tags=["break-it"]
# <details>
# <summary><b>Mend it</b>: each block gets the options of another one; the update outside of the savepoint, and inside</summary>
#
# ```diff
# -blocks = {"atomic()": outcome(), "atomic(savepoint=False)": outcome(savepoint=False), "atomic(durable=True)": outcome(durable=True)}
# +blocks = {"atomic()": outcome(durable=True), "atomic(savepoint=False)": outcome(), "atomic(durable=True)": outcome(savepoint=False)}
# @@
# -multi, plain = lockers(nested=True), lockers(nested=False)
# +multi, plain = lockers(nested=False), lockers(nested=True)
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.atomic_nested")`

# %% [markdown] minutes=4
# ## A booking on MySQL
#
# Ada's booking charges her card, and the charge is a row. Then it takes two seats in a savepoint. Something goes wrong at the second
# seat. The code catches the error, goes on, and commits. Three things may go wrong: a duplicate key (1062), a lock that
# is not free in time (1205), and a deadlock with Ken's booking (1213), in which Ada's booking is the victim.

# %% [markdown] predict="lazy_nested.q11"
# **Predict.** The seats are taken in `begin_nested()`, and the error is the deadlock. Is the charge there after the commit?
#
# - **a** yes: only the part in the savepoint is undone
# - **b** no, and the commit raises an error
# - **c** no, and the commit succeeds

# %%
answer("lazy_nested.q11", None)  # "a", "b" or "c"

# %%
from threading import Thread

from helpers import services

mysql = services.mysql(required=False)
TABLES = ["drop table if exists charges, places", "create table charges (customer varchar(9) primary key)",
          "create table places (seat int primary key, holder varchar(9))",
          "insert into places values " + ", ".join(f"({n}, '')" for n in range(1, 101))]
SECOND = {"duplicate key": "insert into charges values ('Ada')", "lock timeout": "update places set holder = 'Ada' where seat = 2",
          "deadlock": "update places set holder = 'Ada' where seat = 2"}


def booking(database, problem):
    """The error that the code catches, the one before it, and the charges that are committed."""
    caught = before = None
    with database.begin() as connection:
        for statement in TABLES:
            connection.exec_driver_sql(statement)
    with database.connect() as ada, database.connect() as ken:
        for connection in (ada, ken):
            connection.exec_driver_sql(f"set innodb_lock_wait_timeout = {1 if problem == 'lock timeout' else 20}")
        ada.exec_driver_sql("insert into charges values ('Ada')")
        ken.exec_driver_sql("update places set holder = 'Ken' where seat > 1")  # more rows than Ada's: MySQL gives up Ada's booking
        rival = Thread(target=ken.exec_driver_sql, args=["update places set holder = 'Ken' where seat = 1"])
        try:
            with ada.begin_nested():
                ada.exec_driver_sql("update places set holder = 'Ada' where seat = 1")
                if problem == "deadlock":
                    rival.start()
                ada.exec_driver_sql(SECOND[problem])
        except sa.exc.DBAPIError as error:
            caught = error.orig.args[0]
            if isinstance(error.orig.__context__, sa.exc.DBAPIError):
                before = error.orig.__context__.orig.args[0]
        if problem == "deadlock":
            rival.join()
        ada.exec_driver_sql("insert into charges values ('a fee')")
        ada.commit()
        ken.rollback()
    with database.connect() as connection:
        return caught, before, list(connection.exec_driver_sql("select customer from charges order by customer desc").scalars())


ended = {}
if mysql:
    database = mysql.engine()
    ended = {problem: booking(database, problem) for problem in SECOND}
    database.dispose()
show_table([{"problem": name, "caught": str(caught), "before it": str(before or ""), "committed": ", ".join(charges)}
            for name, (caught, before, charges) in ended.items()] or [{"problem": "no MySQL here"}])

# %%
claim("lazy_nested.mysql_statement", "a duplicate key and a lock timeout undo no more than the savepoint: the charge is committed",
      [ended.get("duplicate key"), ended.get("lock timeout")],
      equals=[(1062, None, ["Ada", "a fee"]), (1205, None, ["Ada", "a fee"])], unmeasured=mysql)
claim("lazy_nested.mysql_deadlock", "a deadlock undoes the charge too; the savepoint is unknown (1305), and the fee is committed alone",
      ended.get("deadlock"), equals=(1305, 1213, ["a fee"]), unmeasured=mysql, proves={"lazy_nested.q11": "c"})

# %% [markdown]
# **Why.** MySQL decides how much it rolls back. By default an error undoes its statement only, a lock timeout as well, so the savepoint is
# still there (`transactions_indexes.half_mysql` in [3.1](01a_transactions_indexes.ipynb) is the same without a savepoint). A deadlock [rolls back the whole
# transaction](https://dev.mysql.com/doc/refman/9.5/en/innodb-error-handling.html), its savepoints included. So the `ROLLBACK TO` of `begin_nested()` fails
# with 1305, and SQLAlchemy raises this error in place of the first one. Code that repeats on 1213 does not recognise it. The next statement begins a new
# transaction, without a word, and the commit keeps it.
#
# **In production.** Leave a deadlock to the code that began the transaction, which repeats all of it. Inside, catch only the errors that you expect
# (`IntegrityError`). Where you decide by the number, look at `__context__` as well. In PostgreSQL the deadlock (40P01) is an error like any other, and the savepoint holds.

# %% [markdown] also=["lazy_nested.mysql_deadlock"] claim="lazy_nested.mysql_statement" tags=["break-it"]
# <details>
# <summary><b>Break it</b>: a deadlock instead of the duplicate key, and the other way round</summary>
#
# ```diff
# -    ended = {problem: booking(database, problem) for problem in SECOND}
# +    ended = {problem: booking(database, other) for problem, other in zip(SECOND, reversed(SECOND))}
# ```
#
# </details>
#
# ▶ In a new cell: `break_it("lazy_nested.mysql_statement")`

# %% [markdown] minutes=20
# ## Exercises
#
# Work in the cell, run it, run the check below it. `hint("…")` gives one of three hints, `solution("…")` shows the worked
# answer after an attempt.
#
# ### The customer's page (8 minutes)
#
# Return the list of a customer's bookings by `booking_id`. The caller closes the session and then reads `booking.flight.number`, all of
# `booking.seats` and all of `booking.payments`. For 30 bookings with 5 seats and 3 payments each, on 7 flights, you have 4 queries and 280 rows.
# The session is the request's: other code may have loaded some of these bookings before, with a part of their seats or payments. The page shows what the database has. The session
# keeps its objects and settings, and changes that are not flushed yet must not be lost.

# %% exercise="lazy_nested.page" tags=["exercise"]
def customer_page(session, customer_id):
    """The customer's bookings with flight, seats and payments, which need no session."""
    raise NotImplementedError


# %%
check("lazy_nested.page", customer_page)

# %% [markdown]
# ### Keep the good lines (12 minutes)
#
# Import the lines (dicts of `name`, `email`, `created_at`; any iterable) as customers, in the caller's open transaction. A line that the database refuses as data
# (SQLSTATE 22… or 23…) is left out. Return the refused ones by their position: `[(position, sqlstate), …]` in order. Of two good lines with one email, the first
# one stays. Every other error goes to the caller. In each case the caller's own work in the transaction stays, and the caller decides about commit or rollback.
# No savepoint is open after the call.
#
# Budget: for 1,000 lines with 4 bad ones at most 150 transaction ids and 500 driver calls; for 1,000 good lines at most 5 ids.

# %% exercise="lazy_nested.keep_good" tags=["exercise"]
def keep_good(session, lines):
    """Insert the good lines as customers; the positions and SQLSTATEs of the others."""
    raise NotImplementedError


# %%
check("lazy_nested.keep_good", keep_good)

# %% [markdown] minutes=2
# ## Asked in interviews
#
# <details>
# <summary>joinedload or selectinload?</summary>
#
# Count queries, rows and bytes. Two joined collections multiply (`lazy_nested.joined_rows`); `selectinload` sends each row once for 1:N
# (`lazy_nested.selectin_rows`), in chunks of 500 parents (`lazy_nested.selectin_chunks`). For N:M it repeats the far side (`lazy_nested.nm_repeats`). A single parent
# may be joined, but not under FOR UPDATE without OF (`lazy_nested.lock_widens`).
#
# </details>
#
# <details>
# <summary>How do you read a million rows without holding them all?</summary>
#
# A plain loop holds the whole result (`lazy_nested.loop_grows`). `yield_per` uses a cursor on the server (`lazy_nested.yield_flat`), which a commit ends
# (`lazy_nested.cursor_gone`). If you commit on the way, page by key.
#
# </details>
#
# <details>
# <summary>What does a savepoint cost in PostgreSQL?</summary>
#
# Two round trips, and a transaction id as soon as it writes (`lazy_nested.row_ids`). With more than 64 in an open transaction, readers of its rows pay
# (`lazy_nested.overflow_65`, `lazy_nested.lookups_65`). Take one per part of a batch (`lazy_nested.part_ids`).
#
# </details>
#
# <details>
# <summary>What does ROLLBACK TO SAVEPOINT not undo?</summary>
#
# Numbers of sequences, session-level advisory locks, prepared statements, and everything outside of the database (`lazy_nested.not_undone`).
#
# </details>
#
# <details>
# <summary>How does a test roll back code that commits?</summary>
#
# A session on a connection with an open transaction, `join_transaction_mode="create_savepoint"` (`lazy_nested.test_isolated`). With the default a rollback in the code ends the outer
# transaction, and later commits are real (`lazy_nested.test_leaks`). On SQLite the driver must begin the transaction (`lazy_nested.sqlite_keeps`).
#
# </details>
#
# <details>
# <summary>Why TransactionManagementError in Django, and what is the cure?</summary>
#
# A database error was caught inside of an `atomic()` block, or around one with `savepoint=False` (`lazy_nested.atomic_flat`). Put an `atomic()` around the part that may fail and catch
# outside of it (`lazy_nested.atomic_nested`).
#
# </details>

# %% [markdown] minutes=1
# ## Recap
#
# 1. Count queries, rows and bytes: a join of two collections multiplies, and `selectinload` over N:M repeats the far side.
# 2. What a query loads or forbids outlives it: a filtered collection stays filtered and `raiseload` stays on the object until it is expired; a joined load widens a lock.
# 3. A plain loop holds its whole result; `yield_per` streams it through a cursor that ends with the transaction. A query is a value; its methods return new ones.
# 4. A savepoint that writes takes a transaction id, and the 65th in one open transaction makes readers of its rows look up parents.
# 5. ROLLBACK TO undoes rows and row locks, but neither sequences, session locks, prepared statements, nor emails.
# 6. Tests need `create_savepoint`; Django needs the `try` around `atomic()`; SQLite needs a driver that begins the transaction; a deadlock in MySQL ends the whole transaction.
#
# <details>
# <summary>The claims behind each</summary>
#
# 1. `lazy_nested.lazy_page`, `lazy_nested.joined_rows`, `lazy_nested.selectin_rows`, `lazy_nested.selectin_chunks`, `lazy_nested.nm_repeats`, `lazy_nested.deferred`
# 2. `lazy_nested.filtered_sticks`, `lazy_nested.raise_sticks`, `lazy_nested.property_stale`, `lazy_nested.hybrid_differs`, `lazy_nested.lock_outer`, `lazy_nested.lock_widens`
# 3. `lazy_nested.loop_grows`, `lazy_nested.yield_flat`, `lazy_nested.cursor_gone`, `lazy_nested.value_forgot`, `lazy_nested.value_frozen`
# 4. `lazy_nested.batch_lost`, `lazy_nested.batch_kept`, `lazy_nested.row_ids`, `lazy_nested.part_ids`, `lazy_nested.overflow_65`, `lazy_nested.lookups_64`,
#    `lazy_nested.lookups_65`, `lazy_nested.refused_ids`, `lazy_nested.multixact`
# 5. `lazy_nested.not_undone`
# 6. `lazy_nested.test_leaks`, `lazy_nested.test_isolated`, `lazy_nested.sqlite_keeps`, `lazy_nested.atomic_nested`, `lazy_nested.atomic_flat`,
#    `lazy_nested.mysql_statement`, `lazy_nested.mysql_deadlock`
#
# </details>
#
# **Further reading.** [Relationship loading](https://docs.sqlalchemy.org/en/20/orm/queryguide/relationships.html) ·
# [Subtransactions](https://www.postgresql.org/docs/current/subxacts.html), the chapter of PostgreSQL's manual on their inner life ·
# [Database transactions](https://docs.djangoproject.com/en/stable/topics/db/transactions/) in Django.

# %% [markdown] footer=true
# ← [3.5 Migrations](05_migrations.ipynb) · [Section 3](00_section.ipynb) · [Board](../00_start_here.ipynb) · [5.1 Levels](../05_testing/01_levels.ipynb) →
