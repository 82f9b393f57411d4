"""Search flights, book a seat, ask a fare provider: Django with its REST framework."""

import os
import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import django
import httpx
from django.conf import settings

database = urlsplit(os.environ["DATABASE"])
settings.configure(
    INSTALLED_APPS=["rest_framework"],
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    TIME_ZONE="UTC",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database.path[1:],
            "USER": database.username,
            "PASSWORD": database.password,
            "HOST": database.hostname,
            "PORT": database.port,
            "CONN_MAX_AGE": int(os.environ.get("CONN_MAX_AGE", "0")),
            "OPTIONS": {"sslmode": "disable"},
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402  # what follows asks for the settings
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import IntegrityError, transaction  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.decorators import api_view  # noqa: E402
from rest_framework.generics import get_object_or_404  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402

from helpers.labs.web.frameworks.django_models import Booking, Flight, Seat  # noqa: E402

provider = httpx.Client(base_url=os.environ["PROVIDER"], trust_env=False, timeout=60)
# What the database refuses, by the name of the constraint.
REFUSALS = {
    "uq_seats_active": (409, "The seat is taken."),
    "fk_bookings_customer_id": (404, "There is no such customer."),
}


class Search(serializers.Serializer):
    """What is asked for."""

    origin = serializers.RegexField("^[A-Z]{3}$")
    dest = serializers.RegexField("^[A-Z]{3}$")
    date = serializers.DateField()


class FlightOut(serializers.ModelSerializer):
    """A departure."""

    class Meta:
        """Its columns."""

        model = Flight
        fields = ("flight_id", "carrier", "number", "departs", "fare_cents")


class Order(serializers.Serializer):
    """A seat of a flight for a customer."""

    customer_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    flight_id = serializers.IntegerField(min_value=0, max_value=2**63 - 1)
    seat = serializers.RegexField("^[1-9][0-9]?[A-F]$")


@api_view(["GET"])
def search(request: Request) -> Response:
    """The flights of a day, in the order of departure."""
    asked = Search(data=request.query_params)
    asked.is_valid(raise_exception=True)
    day = asked.validated_data["date"]
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found = Flight.objects.filter(
        origin=asked.validated_data["origin"],
        dest=asked.validated_data["dest"],
        departs__gte=start,
        departs__lt=start + timedelta(days=1),
    )
    return Response(FlightOut(found.order_by("departs", "flight_id")[:20], many=True).data)


@api_view(["POST"])
def book(request: Request) -> Response:
    """Book a seat, if nobody has it."""
    order = Order(data=request.data)
    order.is_valid(raise_exception=True)
    wanted = order.validated_data
    flight = get_object_or_404(Flight, pk=wanted["flight_id"])
    try:
        with transaction.atomic():
            booking = Booking.objects.create(
                reference=secrets.token_hex(8),
                customer_id=wanted["customer_id"],
                flight=flight,
                status="confirmed",
                seats=1,
                total_cents=flight.fare_cents,
                booked_at=datetime.now(UTC),
            )
            seat = Seat.objects.create(
                booking=booking, flight=flight, seat=wanted["seat"], price_cents=flight.fare_cents
            )
    except IntegrityError as error:
        status, detail = REFUSALS[error.__cause__.diag.constraint_name]
        return Response({"detail": detail}, status)
    return Response(
        {
            "booking_id": booking.pk,
            "flight_id": flight.pk,
            "seat": seat.seat,
            "price_cents": seat.price_cents,
        },
        201,
    )


@api_view(["GET"])
def fare(request: Request) -> Response:
    """What the fare provider says."""
    return Response({"fare": provider.get(f"/{request.query_params['client']}").text})


urlpatterns = [path("flights", search), path("bookings", book), path("fare", fare)]
wsgi = WSGIHandler()
asgi = ASGIHandler()
