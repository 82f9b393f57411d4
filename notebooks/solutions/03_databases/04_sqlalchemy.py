# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.4 SQLAlchemy: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, selectinload

from helpers import check
from helpers.airline.models import Booking, BookingStatus

# %% [markdown]
# **Standby.** Sort the rules by what they speak of. A rule about one value is NOT NULL or a CHECK, and the annotations give the
# first. A rule about two values of a row is a CHECK that compares two conditions. A rule about several rows is a unique index,
# with a WHERE if it holds for a part of them. What is filled in for every writer is a `server_default`. Seats that are NULL do not
# collide, so the second index needs no WHERE.

# %% exercise="sqlalchemy.standby" tags=["solution"]
def standby_model(base):
    """A mapped class `Standby` on this declarative base, and its rules in the table."""

    class Standby(base):
        __tablename__ = "standby"
        __table_args__ = (
            sa.CheckConstraint("party between 1 and 9", name="party"),
            sa.CheckConstraint("status in ('waiting', 'boarded', 'left')", name="status"),
            sa.CheckConstraint("(status = 'boarded') = (seat is not null)", name="seat"),
            sa.Index("uq_standby_waiting", "flight_id", "email", unique=True,
                     postgresql_where=sa.text("status = 'waiting'")),
            sa.Index("uq_standby_seat", "flight_id", "seat", unique=True),
        )

        standby_id: Mapped[int] = mapped_column(primary_key=True)
        flight_id: Mapped[int]
        email: Mapped[str]
        party: Mapped[int]
        status: Mapped[str] = mapped_column(server_default="waiting")
        seat: Mapped[str | None]
        asked_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())

    return Standby


# %%
check("sqlalchemy.standby", standby_model)

# %% [markdown]
# **Bookings that need no session.** Each call opens a session of its own, so calls at once do not meet. `selectinload` sends one
# statement per relationship and not one per booking. The objects leave the session, so they must survive the commit:
# `expire_on_commit=False`, which the factory takes when it is called. The first read of `confirm` takes the lock, hence a second
# request waits and then reads what the first one has committed. `async with` gives the connection back after a `ValueError` and a
# cancellation, too.

# %% exercise="sqlalchemy.repository" tags=["solution"]
class Bookings:
    """Bookings with their flight and seats; the results need no session."""

    LOADED = selectinload(Booking.flight), selectinload(Booking.seats)

    def __init__(self, sessions):
        self.sessions = sessions

    async def of_customer(self, customer_id):
        query = sa.select(Booking).where(Booking.customer_id == customer_id).order_by(Booking.booking_id)
        async with self.sessions() as session:
            return list(await session.scalars(query.options(*self.LOADED)))

    async def confirm(self, booking_id):
        query = sa.select(Booking).where(Booking.booking_id == booking_id).options(*self.LOADED)
        async with self.sessions(expire_on_commit=False) as session:
            booking = await session.scalar(query.with_for_update())
            if booking is None:
                return None
            if booking.status is not BookingStatus.PENDING:
                raise ValueError(f"booking {booking_id} is {booking.status}")
            booking.status = BookingStatus.CONFIRMED
            await session.commit()
            return booking


# %%
check("sqlalchemy.repository", Bookings)
