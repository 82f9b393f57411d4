import os

from .alpha_payments import AlphaPayments
from .http import make_app
from .sqlite import SqliteFlights
from .use_case import BookSeat

flights = SqliteFlights(os.environ["SEATS_SQLITE"])
payments = AlphaPayments()
app = make_app(BookSeat(flights, payments))
