"""The tables of `helpers.airline`, as Django models. The database keeps the promise of one seat each."""

from __future__ import annotations

from typing import ClassVar

from django.db import models, transaction
from django.db.models import F, Q


class Flight(models.Model):
    """One departure."""

    carrier = models.TextField()
    number = models.IntegerField()
    origin = models.TextField()
    dest = models.TextField()
    departs = models.DateTimeField()
    seats_left = models.IntegerField()
    notes = models.TextField(default="")

    class Meta:
        """An index in the order of the timetable."""

        indexes: ClassVar = [models.Index(fields=["departs", "id"], name="flights_by_departure")]

    def __str__(self) -> str:
        return f"{self.carrier}{self.number}"


class Customer(models.Model):
    """Somebody who books."""

    name = models.TextField()
    email = models.TextField(unique=True)
    login = models.OneToOneField("auth.User", models.SET_NULL, null=True, related_name="customer")

    def __str__(self) -> str:
        return self.name


class Booking(models.Model):
    """Seats of one flight for one customer."""

    reference = models.CharField(max_length=6, unique=True)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="bookings")
    flight = models.ForeignKey(Flight, models.CASCADE, related_name="bookings")

    def __str__(self) -> str:
        return f"{self.reference} of {self.customer.name}"


class Seat(models.Model):
    """One seat of a booking; what was given back stays as a row that is not active."""

    booking = models.ForeignKey(Booking, models.CASCADE, related_name="seats")
    flight = models.ForeignKey(Flight, models.CASCADE, related_name="seats")
    seat = models.TextField()
    active = models.BooleanField(default=True)

    class Meta:
        """A seat belongs to one living booking at most."""

        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["flight", "seat"], condition=Q(active=True), name="one_seat_one_booking"
            )
        ]


class Payment(models.Model):
    """Money that moved."""

    booking = models.ForeignKey(Booking, models.CASCADE, related_name="payments")
    amount_cents = models.IntegerField()


def search(origin: str, dest: str) -> models.QuerySet[Flight]:
    """Flights with a free seat, in the order of the timetable."""
    found = Flight.objects.filter(origin=origin, dest=dest, seats_left__gt=0)
    return found.order_by("departs", "id")


@transaction.atomic
def book(flight_id: int, customer_id: int, seat: str, reference: str) -> Booking:
    """Take the seat, or raise IntegrityError: then nothing has changed."""
    booking = Booking.objects.create(
        reference=reference, flight_id=flight_id, customer_id=customer_id
    )
    Seat.objects.create(booking=booking, flight_id=flight_id, seat=seat)
    Flight.objects.filter(pk=flight_id).update(seats_left=F("seats_left") - 1)
    return booking
