"""The race of 1.1 for any Python 3, also those too old for the rest of the course.

Run as a script, prints how many sales two threads lose in half a second.
"""

import threading
import time


class Seats:
    """A counter without any protection."""

    def __init__(self):
        self.sold = 0


def sell(seats, times):
    """Add one, `times` times."""
    for _ in range(times):
        seats.sold += 1


def lost_updates(times, how=sell):
    """Two threads sell `times` seats each; how many sales are missing at the end."""
    seats, gate = Seats(), threading.Barrier(2)

    def clerk():
        gate.wait()
        how(seats, times)

    clerks = [threading.Thread(target=clerk) for _ in range(2)]
    for thread in clerks:
        thread.start()
    for thread in clerks:
        thread.join()
    return 2 * times - seats.sold


def lost_during(seconds, how=sell):
    """Two threads sell for some time, not a given number: on a busy machine the one might be done
    before the other begins. How many sales are missing at the end."""
    seats, gate, sold = Seats(), threading.Barrier(2), [0, 0]

    def clerk(number):
        gate.wait()
        end = time.time() + seconds
        while time.time() < end:
            how(seats, 1000)
            sold[number] += 1000

    clerks = [threading.Thread(target=clerk, args=(number,)) for number in range(2)]
    for thread in clerks:
        thread.start()
    for thread in clerks:
        thread.join()
    return sum(sold) - seats.sold


if __name__ == "__main__":
    print(lost_during(0.5))
