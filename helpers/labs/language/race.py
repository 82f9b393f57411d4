"""The race of 1.1 for any Python 3, also those too old for the rest of the course.

Run as a script with the sales per thread; prints how many of twice as many are missing.
"""

import sys
import threading


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


if __name__ == "__main__":
    print(lost_updates(int(sys.argv[1])))
