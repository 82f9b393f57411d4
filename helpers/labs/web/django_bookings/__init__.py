"""The core of the bookings service as a Django app: search flights, book a seat (2.2)."""
