"""The tables of `helpers.airline.models` as Django sees them; it neither makes nor changes them."""

from django.db import models


class Flight(models.Model):
    """One departure."""

    flight_id = models.BigIntegerField(primary_key=True)
    carrier = models.TextField()
    number = models.BigIntegerField()
    origin = models.TextField()
    dest = models.TextField()
    departs = models.DateTimeField()
    fare_cents = models.BigIntegerField()

    class Meta:
        """Where it is."""

        app_label, db_table, managed = "bookings", "flights", False


class Booking(models.Model):
    """A seat for a customer."""

    booking_id = models.BigAutoField(primary_key=True)
    reference = models.TextField()
    customer_id = models.BigIntegerField()
    flight = models.ForeignKey(Flight, models.DO_NOTHING)
    status = models.TextField()
    seats = models.BigIntegerField()
    total_cents = models.BigIntegerField()
    booked_at = models.DateTimeField()

    class Meta:
        """Where it is."""

        app_label, db_table, managed = "bookings", "bookings", False


class Seat(models.Model):
    """The seat of a booking."""

    seat_id = models.BigAutoField(primary_key=True)
    booking = models.ForeignKey(Booking, models.DO_NOTHING)
    flight = models.ForeignKey(Flight, models.DO_NOTHING)
    seat = models.TextField()
    price_cents = models.BigIntegerField()
    active = models.BooleanField(default=True)

    class Meta:
        """Where it is."""

        app_label, db_table, managed = "bookings", "seats", False
