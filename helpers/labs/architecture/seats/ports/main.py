import os

from .alpha_payments import AlphaPayments
from .http import make_app
from .postgres import PostgresFlights
from .use_case import BookSeat

flights = PostgresFlights(os.environ["SEATS_POSTGRES"])
payments = AlphaPayments()
app = make_app(BookSeat(flights, payments))
