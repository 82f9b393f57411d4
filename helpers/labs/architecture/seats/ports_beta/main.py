import os

from .beta_payments import BetaPayments
from .http import make_app
from .postgres import PostgresFlights
from .use_case import BookSeat

flights = PostgresFlights(os.environ["SEATS_POSTGRES"])
payments = BetaPayments()
app = make_app(BookSeat(flights, payments))
