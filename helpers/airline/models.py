"""The tables, and the constraints that the database itself enforces.

Names and types are those of `helpers.data.bookings()`. Money is whole US cents, times are UTC.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    Sequence,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class BookingStatus(StrEnum):
    """`pending` holds its seats until it is paid (`confirmed`), given back or too late."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class PaymentKind(StrEnum):
    """Which way the money goes."""

    CHARGE = "charge"
    REFUND = "refund"


class PaymentStatus(StrEnum):
    """`authorised` money is reserved on the customer's card, `captured` money has moved."""

    AUTHORISED = "authorised"
    CAPTURED = "captured"
    FAILED = "failed"


class Base(DeclarativeBase):
    """Constraints have names, so that an error and a migration can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        int: BigInteger,
        str: Text,
        datetime: DateTime(timezone=True),
        # Text with a CHECK: a new status is a new constraint, not an ALTER TYPE.
        StrEnum: Enum(
            StrEnum,
            native_enum=False,
            create_constraint=True,
            length=16,
            values_callable=lambda kind: [member.value for member in kind],
        ),
    }


# Before the row exists, because the reference on the ticket is computed from the number.
BOOKING_IDS = Sequence("booking_ids", metadata=Base.metadata)


class Flight(Base):
    """One departure."""

    __tablename__ = "flights"
    __table_args__ = (
        Index(None, "origin", "departs", "flight_id"),
        Index(None, "origin", "dest", "departs", "flight_id"),
        CheckConstraint("capacity > 0", name="capacity"),
    )

    flight_id: Mapped[int] = mapped_column(primary_key=True)
    carrier: Mapped[str]
    number: Mapped[int]
    origin: Mapped[str]
    dest: Mapped[str]
    departs: Mapped[datetime]
    capacity: Mapped[int]
    fare_cents: Mapped[int]


class Customer(Base):
    """Somebody who books."""

    __tablename__ = "customers"

    customer_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class Booking(Base):
    """Seats of one flight for one customer: held until `expires_at`, then paid or free again."""

    __tablename__ = "bookings"
    __table_args__ = (
        # Two requests with one key are one booking, also when they arrive together.
        UniqueConstraint("customer_id", "idempotency_key"),
        Index(None, "flight_id"),
        CheckConstraint("seats > 0", name="seats"),
        CheckConstraint("(status = 'cancelled') = (cancelled_at is not null)", name="cancelled_at"),
    )

    booking_id: Mapped[int] = mapped_column(BOOKING_IDS, primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.customer_id"))
    flight_id: Mapped[int] = mapped_column(ForeignKey("flights.flight_id"))
    status: Mapped[BookingStatus]
    seat_count: Mapped[int] = mapped_column("seats")
    total_cents: Mapped[int]
    booked_at: Mapped[datetime]
    cancelled_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]  # of a hold; the seeded ones have no end
    idempotency_key: Mapped[str | None]

    customer: Mapped[Customer] = relationship()
    flight: Mapped[Flight] = relationship()
    seats: Mapped[list[Seat]] = relationship(back_populates="booking", order_by="Seat.seat_id")
    payments: Mapped[list[Payment]] = relationship(back_populates="booking")

    def status_at(self, now: datetime) -> BookingStatus:
        """The status; a hold is over at its moment, whether or not the row says so yet."""
        over = self.expires_at is not None and self.expires_at <= now
        if self.status is BookingStatus.PENDING and over:
            return BookingStatus.EXPIRED
        return self.status


class Seat(Base):
    """One seat of a booking. What was given back stays as a row that is not `active`."""

    __tablename__ = "seats"
    __table_args__ = (
        # The promise of the whole service: a seat belongs to one living booking at most.
        Index("uq_seats_active", "flight_id", "seat", unique=True, postgresql_where="active"),
        Index(None, "booking_id"),
        CheckConstraint("price_cents >= 0", name="price_cents"),
    )

    seat_id: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[int] = mapped_column(ForeignKey("bookings.booking_id"))
    flight_id: Mapped[int] = mapped_column(ForeignKey("flights.flight_id"))
    seat: Mapped[str]
    price_cents: Mapped[int]
    active: Mapped[bool] = mapped_column(default=True)

    booking: Mapped[Booking] = relationship(back_populates="seats")


class Payment(Base):
    """Money that moved, or failed to."""

    __tablename__ = "payments"
    __table_args__ = (
        # Nobody is charged twice for a booking, nor refunded twice.
        Index(
            "uq_payments_captured",
            "booking_id",
            "kind",
            unique=True,
            postgresql_where="status = 'captured'",
        ),
        Index(None, "booking_id"),
        CheckConstraint("amount_cents > 0", name="amount_cents"),
    )

    payment_id: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[int] = mapped_column(ForeignKey("bookings.booking_id"))
    kind: Mapped[PaymentKind]
    status: Mapped[PaymentStatus]
    amount_cents: Mapped[int]
    created_at: Mapped[datetime]

    booking: Mapped[Booking] = relationship(back_populates="payments")
