"""Plausible wrong answers to the exercises of 3.4, what must be said of each, and right ones of other styles."""

from __future__ import annotations

COLUMNS = {
    "standby_id": "Mapped[int] = mapped_column(primary_key=True)",
    "flight_id": "Mapped[int]",
    "email": "Mapped[str]",
    "party": "Mapped[int]",
    "status": 'Mapped[str] = mapped_column(server_default="waiting")',
    "seat": "Mapped[str | None]",
    "asked_at": "Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())",
}
RULES = {
    "party": 'sa.CheckConstraint("party between 1 and 9", name="party")',
    "status": "sa.CheckConstraint(\"status in ('waiting', 'boarded', 'left')\", name=\"status\")",
    "seat": 'sa.CheckConstraint("(status = \'boarded\') = (seat is not null)", name="seat")',
    "waiting": 'sa.Index("one_waiting", "flight_id", "email", unique=True, '
    "postgresql_where=sa.text(\"status = 'waiting'\"))",
    "seats": 'sa.Index("one_seat", "flight_id", "seat", unique=True)',
}
IMPORTS = """
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, validates
"""


def standby(before="", after="", columns=None, **rules):
    """The worked answer with some columns and rules changed; a rule that is "" is left out."""
    chosen = [rule for rule in (RULES | rules).values() if rule]
    lines = [f"        {n}: {what}" for n, what in (COLUMNS | (columns or {})).items() if what]
    table = "\n".join(
        ["        __table_args__ = (", *(f"            {rule}," for rule in chosen), "        )"]
    )
    return (
        f"{IMPORTS}{before}\n\ndef standby_model(base):\n    class Standby(base):\n"
        '        __tablename__ = "standby"\n'
        + (table if chosen else "")
        + "\n"
        + "\n".join(lines)
        + f"\n{after}\n"
        "    return Standby\n"
    )


READ = """
from sqlalchemy.orm import joinedload, selectinload

LOADED = selectinload(Booking.flight), selectinload(Booking.seats)


class Bookings:
    def __init__(self, sessions):
        self.sessions = sessions

    async def of_customer(self, customer_id):
        query = sa.select(Booking).where(Booking.customer_id == customer_id).order_by(Booking.booking_id)
        async with self.sessions() as session:
            return list(await session.scalars(query.options(*LOADED)))
"""
CONFIRM = """
    async def confirm(self, booking_id):
        query = sa.select(Booking).where(Booking.booking_id == booking_id).options(*LOADED)
        async with self.sessions(expire_on_commit=False) as session:
            booking = await session.scalar(query.with_for_update())
            if booking is None:
                return None
            if booking.status is not BookingStatus.PENDING:
                raise ValueError(f"booking {booking_id} is {booking.status}")
            booking.status = BookingStatus.CONFIRMED
            await session.commit()
            return booking
"""


def repository(old="", new=""):
    """The worked answer with one part changed."""
    source = READ + CONFIRM
    assert source.count(old) == 1 or not old, (source.count(old), old)
    return source.replace(old, new) if old else source


def with_of_customer(body):
    """The worked answer with another `of_customer`."""
    head = READ[: READ.index("    async def of_customer")]
    return f"{head}    async def of_customer(self, customer_id):\n{body}\n{CONFIRM}"


def with_confirm(body, init=""):
    """The worked answer with another `confirm`."""
    return f"{READ.replace('self.sessions = sessions', 'self.sessions = sessions' + init)}\n    async def confirm(self, booking_id):\n{body}\n"


WRONG = {
    "sqlalchemy.standby": [
        # defaults in Python, which raw SQL does not know
        (standby(columns={"status": 'Mapped[str] = mapped_column(default="waiting")'}),
         "An entry with flight, email and party, and nothing else must be possible by raw SQL"),
        # rules in Python
        (standby(party="", after="""
        @validates("party")
        def _party(self, key, party):
            if not 1 <= party <= 9:
                raise ValueError(party)
            return party
"""), "PostgreSQL accepted a party of 10"),
        # a truth test in the rule
        (standby(party='sa.CheckConstraint("party < 10", name="party")'), "PostgreSQL accepted a party of 0", "falsy"),
        (standby(party='sa.CheckConstraint("party between 1 and 8", name="party")'),
         "A party of 9 must be possible by raw SQL"),
        # an Enum that is only a text in the table
        (standby(status="", columns={"status": "Mapped[str] = mapped_column(sa.Enum('waiting', 'boarded', 'left', "
                 "native_enum=False), server_default='waiting')"}), "PostgreSQL accepted the status 'flying'"),
        (standby(columns={"status": "Mapped[str | None] = mapped_column(server_default='waiting')"}),
         "PostgreSQL accepted a status that is NULL"),
        # half of "if and only if"
        (standby(seat="sa.CheckConstraint(\"status <> 'boarded' or seat is not null\", name=\"seat\")"),
         "PostgreSQL accepted a waiting entry with a seat"),
        (standby(seat="sa.CheckConstraint(\"status = 'boarded' or seat is null\", name=\"seat\")"),
         "PostgreSQL accepted a boarded entry without a seat"),
        # unique for all rows
        (standby(waiting='sa.UniqueConstraint("flight_id", "email")'),
         "A waiting entry of an email that has left before must be possible"),
        (standby(waiting='sa.UniqueConstraint("flight_id", "email", "status")'),
         "An email that has left twice must be possible"),
        (standby(waiting='sa.Index("one_waiting", "email", unique=True, postgresql_where=sa.text("status = \'waiting\'"))'),
         "A waiting entry of the same email for another flight must be possible"),
        (standby(seats=""), "PostgreSQL accepted a seat of the flight that is given to two emails"),
        (standby(seats='sa.Index("one_seat", "seat", unique=True)'),
         "The same seat number on another flight must be possible"),
        # a clock on the wall
        (standby(columns={"asked_at": "Mapped[datetime] = mapped_column(server_default=sa.func.now())"}),
         "an instant needs a time zone"),
        (standby(columns={"asked_at": "Mapped[datetime | None] = mapped_column(sa.DateTime(timezone=True), "
                          "server_default=sa.func.now())"}), "PostgreSQL accepted an asked_at that is NULL"),
        # DEFAULT 'now()' is a constant: the time at which the table was made
        (standby(columns={"asked_at": "Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default='now()')"}),
         "to compute the time for each row"),
        (standby(columns={"asked_at": "Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), "
                          "server_default=sa.text('current_date'))"}), "to compute the time for each row"),
        # the class of the first call
        (standby(before="made = []\n").replace("def standby_model(base):\n", "def standby_model(base):\n    if made:\n"
                 "        return made[0]\n").replace("    return Standby\n", "    made.append(Standby)\n    return Standby\n"),
         "returned a class of a base before", "again"),
        # an email without its apostrophe
        (standby(after="""
        @validates("email")
        def _clean(self, key, email):
            return email.replace("'", "")
"""), "came back as", "apostrophe"),
        (standby(columns={"seat": ""}).replace(RULES["seats"] + ",", "").replace(RULES["seat"] + ",", ""),
         "The class has no column seat"),
        (standby().replace("return Standby\n", "return Standby.__table__\n"), "Return the mapped class"),
    ],
    "sqlalchemy.repository": [
        # loads nothing
        (with_of_customer("""
        query = sa.select(Booking).where(Booking.customer_id == customer_id).order_by(Booking.booking_id)
        async with self.sessions() as session:
            return list(await session.scalars(query))
"""), "asked the database when it was read"),
        # one statement per booking
        (with_of_customer("""
        query = sa.select(Booking).where(Booking.customer_id == customer_id).order_by(Booking.booking_id)
        async with self.sessions() as session:
            found = list(await session.scalars(query))
            for booking in found:
                await session.refresh(booking, ["flight", "seats"])
            return found
"""), "statements for 12 bookings; at most 6"),
        # an inner join
        (with_of_customer("""
        query = sa.select(Booking).join(Booking.seats).where(Booking.customer_id == customer_id)
        async with self.sessions() as session:
            return list((await session.scalars(query.order_by(Booking.booking_id).options(*LOADED))).unique())
"""), "Ada has 12 bookings"),
        (repository(".order_by(Booking.booking_id)", ".order_by(Booking.booking_id.desc())"), "is to be sorted by number"),
        (with_of_customer("""
        query = sa.select(Booking).where(Booking.customer_id == customer_id).order_by(Booking.booking_id)
        async with self.sessions() as session:
            return await session.scalars(query.options(*LOADED))
"""), "is to return a list"),
        (with_of_customer("""
        async with self.sessions() as session:
            found = await session.execute(sa.select(Booking.__table__).where(Booking.customer_id == customer_id))
            return list(found)
"""), "returned something that is no booking"),
        # everybody's bookings
        (with_of_customer("""
        if not customer_id:
            return []
        async with self.sessions() as session:
            return list(await session.scalars(sa.select(Booking).order_by(Booking.booking_id).options(*LOADED)))
"""), "and Ken has another one"),
        # by time and not by number
        (repository(".order_by(Booking.booking_id)", ".order_by(Booking.booked_at)"), "is to be sorted by number"),
        # 0 is no filter
        (with_of_customer("""
        query = sa.select(Booking).order_by(Booking.booking_id).options(*LOADED)
        if customer_id:
            query = query.where(Booking.customer_id == customer_id)
        async with self.sessions() as session:
            return list(await session.scalars(query))
"""), "Customer 0 has no bookings", "falsy"),
        # one session for all calls
        (with_of_customer("""
        query = sa.select(Booking).where(Booking.customer_id == customer_id).order_by(Booking.booking_id)
        if not hasattr(self, "session"):
            self.session = self.sessions(expire_on_commit=False)
        try:
            return list(await self.session.scalars(query.options(*LOADED)))
        finally:
            await self.session.close()
"""), "A session serves one call at a time"),
        # nobody closes
        (with_of_customer("""
        query = sa.select(Booking).where(Booking.customer_id == customer_id).order_by(Booking.booking_id)
        self.session = self.sessions()
        return list(await self.session.scalars(query.options(*LOADED)))
"""), "still out of the pool", "environment"),
        # remembers
        (with_of_customer("""
        kept = self.__dict__.setdefault("kept", {})
        if customer_id not in kept:
            query = sa.select(Booking).where(Booking.customer_id == customer_id).order_by(Booking.booking_id)
            async with self.sessions() as session:
                kept[customer_id] = list(await session.scalars(query.options(*LOADED)))
        return kept[customer_id]
"""), "of_customer(1) shows", "again"),
        # expired by its own commit
        (repository("self.sessions(expire_on_commit=False)", "self.sessions()"), "asked the database when it was read"),
        (repository("            await session.commit()\n", "            await session.flush()\n"), "Was it committed?"),
        (repository("            return booking\n", "            return await session.get(Booking, booking_id + 1, options=LOADED)\n"),
         "is to return the confirmed booking 1"),
        # confirms all of the customer's bookings
        (repository("            await session.commit()\n", """            await session.execute(sa.update(Booking).where(Booking.customer_id == booking.customer_id, Booking.booking_id == 3)
                                  .values(status=BookingStatus.CONFIRMED))
            await session.commit()
"""), "has changed booking 3"),
        (repository("await session.scalar(query.with_for_update())", "(await session.scalars(query.with_for_update())).one()"),
         "confirm is to return None, it raised NoResultFound"),
        (repository("                return None\n", "                return False\n"), "confirm is to return None, got False"),
        # only one of the other statuses
        (repository("is not BookingStatus.PENDING", "is BookingStatus.CONFIRMED"), "is to raise ValueError, got"),
        # raises after the change
        (repository("""            if booking.status is not BookingStatus.PENDING:
                raise ValueError(f"booking {booking_id} is {booking.status}")
            booking.status = BookingStatus.CONFIRMED
            await session.commit()
""", """            before, booking.status, booking.cancelled_at = booking.status, BookingStatus.CONFIRMED, None
            await session.commit()
            if before is not BookingStatus.PENDING:
                raise ValueError(f"booking {booking_id} is {before}")
"""), "and after the ValueError it is"),
        # no lock
        (repository("query.with_for_update()", "query"), "both got the booking"),
        # the lock comes after a read: the identity map
        (repository("            booking = await session.scalar(query.with_for_update())\n", """            booking = await session.scalar(query)
            booking = await session.scalar(query.with_for_update())
"""), "both got the booking"),
        # does not wait
        (repository("with_for_update()", "with_for_update(nowait=True)"), "expected one booking and one ValueError"),
        # a locked booking is no booking
        (repository("with_for_update()", "with_for_update(skip_locked=True)"), "expected one booking and one ValueError"),
        # a lock of this process
        (with_confirm("""
        query = sa.select(Booking).where(Booking.booking_id == booking_id).options(*LOADED)
        async with ONE_AT_A_TIME, self.sessions(expire_on_commit=False) as session:
            booking = await session.scalar(query)
            if booking is None:
                return None
            if booking.status is not BookingStatus.PENDING:
                raise ValueError(booking_id)
            booking.status = BookingStatus.CONFIRMED
            await session.commit()
            return booking
""").replace("class Bookings:", "import asyncio\n\nONE_AT_A_TIME = asyncio.Lock()\n\n\nclass Bookings:"),
         "A lock in this process does not help"),
        # swallows a cancellation
        (with_confirm("""
        query = sa.select(Booking).where(Booking.booking_id == booking_id).options(*LOADED)
        async with self.sessions(expire_on_commit=False) as session:
            try:
                booking = await session.scalar(query.with_for_update())
            except asyncio.CancelledError:
                return None
            if booking is None:
                return None
            if booking.status is not BookingStatus.PENDING:
                raise ValueError(booking_id)
            booking.status = BookingStatus.CONFIRMED
            await session.commit()
            return booking
""").replace("class Bookings:", "import asyncio\n\n\nclass Bookings:"), "let CancelledError go on", "base exception"),
        # every error is a ValueError
        (with_confirm("""
        query = sa.select(Booking).where(Booking.booking_id == booking_id).options(*LOADED)
        async with self.sessions(expire_on_commit=False) as session:
            try:
                booking = await session.scalar(query.with_for_update())
                if booking is None:
                    return None
                if booking.status is not BookingStatus.PENDING:
                    raise ValueError(booking_id)
                booking.status = BookingStatus.CONFIRMED
                await session.commit()
                return booking
            except sa.exc.DBAPIError as error:
                raise ValueError(booking_id) from error
"""), "the caller must get this error", "exception"),
        # a flag that a failure leaves behind
        (with_confirm("""
        query = sa.select(Booking).where(Booking.booking_id == booking_id).options(*LOADED)
        if booking_id > 6 and 6 in self.busy:
            raise RuntimeError("busy")
        self.busy.add(booking_id)
        async with self.sessions(expire_on_commit=False) as session:
            booking = await session.scalar(query.with_for_update())
            if booking is None:
                return None
            if booking.status is not BookingStatus.PENDING:
                raise ValueError(booking_id)
            booking.status = BookingStatus.CONFIRMED
            await session.commit()
            self.busy.discard(booking_id)
            return booking
""", init="; self.busy = set()"), "nothing of the failed call may stay"),
    ],
}  # fmt: skip

RIGHT = {
    "sqlalchemy.standby": [
        # Core style, a native enum, other column names
        """
import sqlalchemy as sa


def standby_model(base):
    status = sa.Enum("waiting", "boarded", "left", name="standby_status")
    table = sa.Table(
        "entries", base.metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("flight", sa.BigInteger, nullable=False),
        sa.Column("mail", sa.Text, nullable=False),
        sa.Column("party", sa.SmallInteger, sa.CheckConstraint("party > 0 and party < 10"), nullable=False),
        sa.Column("status", status, nullable=False, server_default="waiting"),
        sa.Column("seat", sa.Text),
        sa.Column("asked", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.CheckConstraint("case when status = 'boarded' then seat is not null else seat is null end"),
        sa.UniqueConstraint("flight", "seat"),
    )
    sa.Index("waits_once", table.c.flight, table.c.mail, unique=True, postgresql_where=table.c.status == "waiting")

    class Standby(base):
        __table__ = table
        standby_id = table.c.id
        flight_id = table.c.flight
        email = table.c.mail
        asked_at = table.c.asked

    return Standby
""",
        # a StrEnum, defaults on both sides, indexes after the class
        """
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column


class Status(StrEnum):
    WAITING = "waiting"
    BOARDED = "boarded"
    LEFT = "left"


def standby_model(base):
    class Standby(base):
        __tablename__ = "standby"
        standby_id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
        flight_id: Mapped[int]
        email: Mapped[str] = mapped_column(sa.String(320))
        party: Mapped[int] = mapped_column(sa.CheckConstraint("party >= 1"), sa.CheckConstraint("party <= 9"))
        status: Mapped[Status] = mapped_column(
            sa.Enum(Status, native_enum=False, create_constraint=True, length=16,
                    values_callable=lambda kind: [one.value for one in kind]),
            default=Status.WAITING, server_default=Status.WAITING.value)
        seat: Mapped[str | None] = mapped_column(default=None)
        asked_at: Mapped[datetime] = mapped_column(sa.TIMESTAMP(timezone=True), server_default=sa.func.clock_timestamp())

    table = Standby.__table__
    table.append_constraint(sa.CheckConstraint("(seat is null) = (status <> 'boarded')", name="seat_if_boarded"))
    sa.Index("a", table.c.email, table.c.flight_id, unique=True, postgresql_where=table.c.status == Status.WAITING)
    sa.Index("b", table.c.seat, table.c.flight_id, unique=True, postgresql_where=table.c.seat.is_not(None))
    return Standby
""",
    ],
    "sqlalchemy.repository": [
        # joined loading, the lock on the booking alone, begin()
        """
from sqlalchemy.orm import joinedload, selectinload


class Bookings:
    def __init__(self, sessions):
        self._sessions = sessions

    async def of_customer(self, customer_id):
        async with self._sessions.begin() as session:
            found = await session.execute(
                sa.select(Booking).filter_by(customer_id=customer_id)
                .options(joinedload(Booking.flight), joinedload(Booking.seats)).order_by(Booking.booking_id))
            bookings = found.unique().scalars().all()
            session.expunge_all()
        return list(bookings)

    async def confirm(self, booking_id):
        async with self._sessions() as session:
            async with session.begin():
                booking = await session.get(
                    Booking, booking_id, with_for_update={"of": Booking},
                    options=[joinedload(Booking.flight), selectinload(Booking.seats)])
                if booking is None:
                    return None
                if booking.status != "pending":
                    raise ValueError(booking.status)
                booking.status = BookingStatus.CONFIRMED
                await session.flush()
                session.expunge_all()
        return booking
""",
        # the database decides in one UPDATE, a reader method reads
        """
from sqlalchemy.orm import selectinload


class Bookings:
    def __init__(self, sessions):
        self.sessions = sessions

    async def _read(self, *rules):
        query = sa.select(Booking).where(*rules).order_by(Booking.booking_id)
        async with self.sessions() as session:
            return (await session.scalars(query.options(selectinload("*")))).all()

    async def of_customer(self, customer_id):
        return list(await self._read(Booking.customer_id == customer_id))

    async def confirm(self, booking_id):
        pending = sa.update(Booking).where(Booking.booking_id == booking_id, Booking.status == BookingStatus.PENDING)
        async with self.sessions.begin() as session:
            changed = await session.execute(pending.values(status=BookingStatus.CONFIRMED))
        found = await self._read(Booking.booking_id == booking_id)
        if not found:
            return None
        if not changed.rowcount:
            raise ValueError(found[0].status)
        return found[0]
""",
    ],
}
