"""Plausible wrong answers to the exercises of 6.1, what must be said of each, and right ones of other styles."""

from __future__ import annotations

from support import exchanged

from helpers.model.notebooks import worked_answer

_, DESKS = worked_answer("clean_architecture.payment_desks")
_, BOOK = worked_answer("clean_architecture.both_rules")


def desks(old, new, count=1):
    """The worked desks with one part changed."""
    assert DESKS.count(old) >= 1, old
    return DESKS.replace(old, new, count)


LOCK = '    db.execute("select from flights where flight_id = %s for no key update", [flight_id])\n'


def booked(old, new):
    """The worked book with one part changed."""
    return exchanged(BOOK, (old, new))


WRONG = {
    "clean_architecture.payment_desks": [
        # dollars by division
        (desks('f"{dollars}.{rest:02}"', 'f"{cents / 100:.2f}"'), "is to move 9007199254740993 cents"),
        # one digit of cents
        (desks("{rest:02}", "{rest}"), "Beta takes dollars as text with two decimals"),
        # dollars for both
        (desks("amount=cents", "amount=cents / 100", 2), "Alpha takes whole cents"),
        # a key that was paid before is a refusal
        (desks("        if code == 94:\n            return self.find(key)\n        if code == 51:", "        if code in (51, 94):"),
         "It raised Declined", "again"),
        # zero is charged
        (desks("if cents < 1", "if cents < 0", 2), "charge(0, 'k') is a ValueError"),
        # one cent is refused
        (desks("if cents < 1", "if cents < 2", 2), "It raised ValueError"),
        # the class keeps the company, so all desks have the last one
        (desks("self.alpha = alpha", "AlphaDesk.alpha = alpha"), "called another company than its own"),
        # the second call charges something else
        (desks("            try:\n                answer = self.alpha.create(amount=cents", "            try:\n                answer = self.alpha.create(amount=100"),
         "the same call once more is to succeed"),
        # the money is said not to have moved
        (desks("        except ConnectionError as error:\n            raise lab.Unreachable from error\n        except TimeoutError:",
               "        except (ConnectionError, TimeoutError) as error:\n            raise lab.Unreachable from error\n        except ZeroDivisionError:"),
         "the money moved, and then the call timed out"),
        # every OSError
        (desks("except ConnectionError as error:\n            raise lab.Unreachable from error\n        except TimeoutError as late",
               "except OSError as error:\n            if not isinstance(error, TimeoutError):\n                raise lab.Unreachable from error\n"
               "            late = error").replace("late = error:", "late = error"),
         "OSError('disk full'), which is to propagate", "exception"),
        # the cause is lost
        (desks("raise lab.Unreachable from error", "raise lab.Unreachable from None"), "expected lab.Unreachable with it as the __cause__"),
        # a status of the future counts as paid
        (desks('        if answer["status"] != "paid":\n            raise lab.Unknown(answer)\n        return answer["id"]',
               '        return answer.get("id")'), "is lab.Unknown"),
        # a code of the future counts as paid
        (desks("        if code != 0:\n            raise lab.Unknown(code)\n", ""), "is lab.Unknown"),
        # the second time-out propagates
        (desks("except (ConnectionError, TimeoutError) as error:\n            raise lab.Unknown", "except ConnectionError as error:\n            raise lab.Unknown"),
         "the second call raised"),
        # the second answer is not looked at
        (desks("            try:\n                answer = self.alpha.create(amount=cents, key=key)\n            except",
               "            try:\n                return self.alpha.create(amount=cents, key=key).get('id')\n            except"),
         "declined when it was called again"),
        # a time-out of the second question propagates
        (desks("        if code == 94:\n            return self.find(key)", "        if code == 94:\n            return self.beta.find(key)"),
         "after code 94"),
        # every error of the second call
        (desks("            except (ConnectionError, TimeoutError) as error:\n                raise", "            except Exception as error:\n                raise"),
         "the call after a time-out raised KeyError('k'), which is to propagate", "exception"),
        # whatever the second call answers counts as paid, unless it is a refusal
        (desks('        if answer["status"] == "declined":', '            if answer["status"] != "declined":\n                return answer.get("id")\n'
               '        if answer["status"] == "declined":'), "timed out, and the second call answered"),
        # a third call
        (desks("            except (ConnectionError, TimeoutError) as error:\n                raise",
               "            except (ConnectionError, TimeoutError) as error:\n                self.alpha.create(amount=cents, key=key)\n                raise"),
         "there is one more call and no other"),
        # the call is repeated twice
        (desks("            try:\n                answer", "            try:\n                self.alpha.create(amount=cents, key=key)\n                answer"),
         "timed out, the same call once more"),
        # nothing was paid, and nobody is told
        (desks("            if (receipt := self.find(key)) is None:\n                raise lab.Unreachable from late\n            return receipt",
               "            return self.find(key)"), "find() knows no payment"),
        # a company that was not reached is called again
        (desks("        except ConnectionError as error:\n", "        except ConnectionError as error:\n            self.alpha.create(amount=cents, key=key)\n"),
         "a ConnectionError is not repeated"),
        # a declined card is a company out of reach
        (desks("raise lab.Declined", "raise lab.Unreachable"), "a declined card is lab.Declined"),
        # the company's whole answer
        (desks('return answer["id"]', "return answer"), "is to return the receipt"),
        # called first, checked afterwards
        (desks("        if cents < 1:\n            raise ValueError(cents)\n        try:\n            answer", "        try:\n            answer").replace(
            '        if answer["status"] == "declined"', '        if cents < 1:\n            raise ValueError(cents)\n        if answer["status"] == "declined"'),
         "is an error before the company is called"),
        # one key for all
        (desks("amount=cents, key=key", 'amount=cents, key="key-1"', 2), "charged for key a"),
        # one desk
        (desks("return AlphaDesk(alpha), BetaDesk(beta)", "return [AlphaDesk(alpha)]"), "is to return two objects"),
        # a sign for the currency
        (desks('f"{dollars}.', 'f"${dollars}.'), "Beta cannot read total"),
        # a try round everything
        (desks("        except ConnectionError as error:\n", "        except (ConnectionError, KeyboardInterrupt) as error:\n"),
         "KeyboardInterrupt(), which is to propagate", "base exception"),
    ],
    "clean_architecture.both_rules": [
        # no lock
        (booked(LOCK, ""), "Twelve customers want seat 1A at once: expected 1 booked, got 12"),
        # the lock is taken after the read
        (booked(LOCK, "").replace("    if len(set", LOCK + "    if len(set"), "Twelve customers want seat 1A at once: expected 1 booked, got 12"),
        # a refusal takes back what the caller has done
        (booked("        raise lab.SeatTaken", "        db.rollback()\n        raise lab.SeatTaken"), "9A is lost", "exception"),
        # a lock that others can have, too
        (booked("no key update", "share"), "Twelve customers want seat 1A at once: expected 1 booked, got 12"),
        # those who find the lock taken do not wait
        (booked("no key update", "no key update nowait"), "some got LockNotAvailable"),
        # the customer's row: two customers do not wait for each other
        (booked('flights where flight_id = %s for no key update", [flight_id]', 'customers where customer_id = %s for no key update", [customer_id]'),
         "expected 1 booked, got 12"),
        # the whole table
        (booked(LOCK, '    db.execute("lock table seats in share row exclusive mode")\n'), "a booking of flight 2 had to wait"),
        # one lock for all flights
        (booked(LOCK, '    db.execute("select pg_advisory_xact_lock(4)")\n'), "a booking of flight 2 had to wait"),
        # what was given back counts
        (booked(" and active", ""), "were given back"),
        # seats of all flights count
        (booked('where seats.flight_id = %s and active""", [flight_id]', 'where active"""'), "flight 2 has seats of its own"),
        # the order alone
        (booked("list(taken.values()).count(customer_id) + len(seats) > 4", "len(seats) > 4"), "is to raise lab.TooMany"),
        # five are allowed
        (booked("+ len(seats) > 4", ">= 4"), "is to raise lab.TooMany"),
        # its own commit
        (BOOK + "\n    db.commit()\n", "book has committed"),
        # the same seat twice in one order
        (booked("len(set(seats)) < len(seats) or any", "any"), "names a seat twice"),
        # a lock of the session, which the end of the transaction does not give back
        (booked(LOCK, '    db.execute("select pg_advisory_lock(6, %s::int)", [flight_id])\n'), "a booking of flight 2 had to wait"),
        # the first seat only
        (booked("    for seat in seats:\n", "    for seat in seats[:1]:\n"), "Customer 1 booked 1A, 1B and 1C"),
        # seat by seat
        (booked("    if len(set(seats)) < len(seats) or any(seat in taken for seat in seats):\n        raise lab.SeatTaken\n", "").replace(
            "    for seat in seats:\n", "    for seat in seats:\n        if seat in taken:\n            raise lab.SeatTaken\n"),
         "is booked all the same", "exception"),
    ],
}  # fmt: skip
RIGHT = {
    "clean_architecture.payment_desks": [
        # closures, one flow for both
        """
from types import SimpleNamespace

from helpers.labs.architecture import clean_architecture as lab


def desk(first, second, read):
    def charge(cents, key):
        if cents <= 0:
            raise ValueError("nothing to charge")
        try:
            answer = first(cents, key)
        except ConnectionError as error:
            raise lab.Unreachable("not reached") from error
        except TimeoutError as error:
            try:
                answer = second(cents, key)
            except (TimeoutError, ConnectionError) as problem:
                raise lab.Unknown("no answer") from problem
            if answer is None:
                raise lab.Unreachable("not paid") from error
        return read(answer, key)

    return SimpleNamespace(charge=charge)


def payment_desks(alpha, beta):
    def create(cents, key):
        return alpha.create(amount=cents, key=key)

    def pay(cents, key):
        text = str(cents).rjust(3, "0")
        return beta.pay(total=f"{text[:-2]}.{text[-2:]}", reference=key)

    def find(cents, key):
        return beta.find(key)

    def of_alpha(answer, key):
        match answer:
            case {"status": "paid", "id": receipt}:
                return receipt
            case {"status": "declined"}:
                raise lab.Declined
        raise lab.Unknown(answer)

    def of_beta(answer, key):
        match answer:
            case str():
                return answer
            case 0, receipt:
                return receipt
            case 51, _:
                raise lab.Declined
            case 94, _:
                try:
                    return beta.find(key)
                except (TimeoutError, ConnectionError) as problem:
                    raise lab.Unknown("paid before") from problem
        raise lab.Unknown(answer)

    return [desk(create, create, of_alpha), desk(pay, find, of_beta)]
""",
    ],
    "clean_architecture.both_rules": [
        # an advisory lock on the flight's number, and the checks in SQL
        """
from helpers.labs.architecture import clean_architecture as lab

COUNT = "select count(*) from seats join bookings using (booking_id) where seats.flight_id = %s and active and "


def book(db, flight_id, customer_id, seats):
    def count(condition, value):
        return db.execute(COUNT + condition, [flight_id, value]).fetchone()[0]

    db.execute("select pg_advisory_xact_lock(6, %s::int)", [flight_id])
    if len(set(seats)) != len(seats) or count("seat = any(%s)", list(seats)):
        raise lab.SeatTaken("taken")
    if count("customer_id = %s", customer_id) > 4 - len(seats):
        raise lab.TooMany("four")
    for seat in seats:
        db.execute(lab.INSERT, dict(flight=flight_id, customer=customer_id, seat=seat))
""",
        # insert first, look afterwards, and take back to a savepoint
        """
from helpers.labs.architecture import clean_architecture as lab


class Book:
    def __call__(self, db, flight_id, customer_id, seats):
        db.execute("select 1 from flights where flight_id = %s for update", (flight_id,))
        with db.transaction():
            for seat in seats:
                db.execute(lab.INSERT, {"flight": flight_id, "customer": customer_id, "seat": seat})
            double = "select 1 from seats where flight_id = %s and active group by seat having count(*) > 1"
            if db.execute(double, [flight_id]).fetchone():
                raise lab.SeatTaken
            many = "select count(*) from seats join bookings b using (booking_id) where b.flight_id = %s and active and customer_id = %s"
            if db.execute(many, [flight_id, customer_id]).fetchone()[0] > 4:
                raise lab.TooMany


book = Book()
""",
    ],
}
