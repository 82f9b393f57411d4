import os

from .alpha_payments import AlphaPayments
from .postgres import PostgresFlights
from .queue import make_handler
from .use_case import BookSeat

flights = PostgresFlights(os.environ["SEATS_POSTGRES"])
payments = AlphaPayments()
handle = make_handler(BookSeat(flights, payments))
