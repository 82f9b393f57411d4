"""Plausible wrong answers to the exercises of 3.1c, and what must be said of each."""

WRONG = {
    "transactions_indexes.local_days": [
        (  # the two odd days of this year by heart
            """
def local_days(connection):
    return connection.exec_driver_sql('''
        select day, count(*), case day when '2013-03-10' then 23 when '2013-11-03' then 25 else 24 end
        from (select (departs at time zone 'America/New_York')::date as day from gate_departures) as days
        group by day order by day''').all()
""",
            "2014-03-09 has 23 hours",
        ),
        (  # the session's days
            """
def local_days(connection):
    return connection.exec_driver_sql(
        "select departs::date, count(*), 24 from gate_departures group by 1 order by 1").all()
""",
            "time zone is America/New_York: 2013-03-10 has 23 hours",
        ),
        (  # the days of UTC
            """
def local_days(connection):
    return connection.exec_driver_sql(
        "select (departs at time zone 'UTC')::date, count(*), 24 from gate_departures"
        " group by 1 order by 1").all()
""",
            "is still the evening before there",
        ),
        (  # an offset is not a place
            """
def local_days(connection):
    return connection.exec_driver_sql(
        "select (departs at time zone interval '-05:00')::date, count(*), 24 from gate_departures"
        " group by 1 order by 1").all()
""",
            "2013-03-10 has",
        ),
        (  # right days, all of 24 hours
            """
def local_days(connection):
    return connection.exec_driver_sql(
        "select (departs at time zone 'America/New_York')::date, count(*), 24"
        " from gate_departures group by 1 order by 1").all()
""",
            "2013-03-10 has 23 hours in New York, got 24",
        ),
        (  # between two walls every day has 24 hours
            """
def local_days(connection):
    return connection.exec_driver_sql(
        "select day, count(*), extract(epoch from (day + 1)::timestamp - day::timestamp)::int / 3600"
        " from (select (departs at time zone 'America/New_York')::date as day from gate_departures) as d"
        " group by day order by day").all()
""",
            "2013-03-10 has 23 hours",
        ),
        (  # midnights of the session
            """
def local_days(connection):
    return connection.exec_driver_sql(
        "select day, count(*),"
        " extract(epoch from (day + 1)::timestamptz - day::timestamptz)::int / 3600"
        " from (select (departs at time zone 'America/New_York')::date as day from gate_departures) as d"
        " group by day order by day").all()
""",
            "time zone is UTC: 2013-03-10 has 23 hours",
        ),
        (  # no rows become one
            """
def local_days(connection):
    return connection.exec_driver_sql(
        "select day, count(*), extract(epoch from (day + 1)::timestamp at time zone 'America/New_York' - "
        "day::timestamp at time zone 'America/New_York')::int / 3600 from (select (departs at time zone "
        "'America/New_York')::date as day from gate_departures) as d group by day order by day").all() or [(__import__('datetime').date(2013, 1, 1), 0, 24)]
""",
            "No departures, no days",
            "falsy",
        ),
        (  # the changes of one year
            """
from datetime import date


def local_days(connection):
    rows = connection.exec_driver_sql(
        "select day, count(*), extract(epoch from (day + 1)::timestamp at time zone 'America/New_York' - "
        "day::timestamp at time zone 'America/New_York')::int / 3600 from (select (departs at time zone "
        "'America/New_York')::date as day from gate_departures) as d group by day order by day").all()
    hours = {date(2013, 3, 10): 23, date(2014, 3, 9): 23, date(2013, 11, 3): 25, date(2014, 11, 2): 25}
    return [(day, number, hours.get(day, 24)) for day, number, _ in rows]
""",
            "2024-03-10 has 23 hours",
            "again",
        ),
        (  # sets the session's zone
            """
def local_days(connection):
    connection.exec_driver_sql("set timezone = 'America/New_York'")
    return connection.exec_driver_sql(
        "select day, count(*), extract(epoch from (day + 1)::timestamp at time zone 'America/New_York' - "
        "day::timestamp at time zone 'America/New_York')::int / 3600 from (select (departs at time zone "
        "'America/New_York')::date as day from gate_departures) as d group by day order by day").all()
""",
            "the connection is the caller's",
            "environment",
        ),
    ],
    "transactions_indexes.check_in": [
        (  # subtracts on the wall
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    return (departs - timedelta(hours=24)).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
""",
            "2013-03-10 08:00:00 (fold=0) in America/New_York: 2013-03-09 13:00Z is 23 hours",
        ),
        (  # subtracts an aware datetime of one zone: the wall again
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    return (departs.replace(tzinfo=ZoneInfo(zone)) - timedelta(hours=24)).astimezone(UTC)
""",
            "is 23 hours before",
        ),
        (  # no zone
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    return departs.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None) - timedelta(hours=24)
""",
            "has no offset",
        ),
        (  # the right instant on another clock
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    instant = departs.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(hours=24)
    return instant.astimezone(ZoneInfo(zone))
""",
            "the offset -0400",
        ),
        (  # takes the wall for UTC
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    return departs.replace(tzinfo=UTC) - timedelta(hours=24)
""",
            "is 28 hours before",
        ),
        (  # one place for all
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    return departs.replace(tzinfo=ZoneInfo("America/New_York")).astimezone(UTC) - timedelta(hours=24)
""",
            "2018-12-02 08:00:00",
        ),
        (  # always the first of the two
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    return departs.replace(fold=0, tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(hours=24)
""",
            "(fold=1) in America/New_York: 2013-11-02 05:30Z is 25 hours",
        ),
        (  # the text has no fold
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    whole = datetime.fromisoformat(departs.isoformat())
    return whole.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(hours=24)
""",
            "(fold=1)",
        ),
        (  # one offset for the whole year
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    offset = datetime(departs.year, 7, 1, tzinfo=ZoneInfo(zone)).utcoffset()
    return (departs - offset).replace(tzinfo=UTC) - timedelta(hours=24)
""",
            "2013-11-03 08:00:00",
        ),
        (  # takes the wall for that of the machine
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    return departs.astimezone(ZoneInfo(zone)).astimezone(UTC) - timedelta(hours=24)
""",
            "2013-07-04 18:00:00",
            "environment",
        ),
        (  # an hour too early
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    return departs.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(days=1, hours=1)
""",
            "is 25 hours before",
        ),
        (  # a text
            """
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    opens = departs.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(hours=24)
    return opens.isoformat()
""",
            "return a datetime",
        ),
    ],
}

# Right ones in another style.
RIGHT = {
    "transactions_indexes.check_in": [
        """
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo


def check_in_opens(departs, zone):
    departure = departs.replace(tzinfo=ZoneInfo(zone))
    return departure.astimezone(ZoneInfo("UTC")) - timedelta(days=1)
""",
        """
import datetime as dt
import zoneinfo


def check_in_opens(departs, zone):
    seconds = departs.replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp() - 24 * 60 * 60
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc)
""",
        """
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

check_in_opens = lambda departs, zone: (
    (departs - departs.replace(tzinfo=ZoneInfo(zone)).utcoffset()).replace(tzinfo=UTC, fold=0) - timedelta(hours=24))
""",
    ],
}
