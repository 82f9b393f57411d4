"""What Django must know of the app before it loads the models."""

from django.apps import AppConfig


class BookingsConfig(AppConfig):
    """Its label is the first half of each table's name."""

    name = "helpers.labs.web.django_bookings"
    label = "bookings"
    default_auto_field = "django.db.models.BigAutoField"
