"""Plausible wrong answers to the exercises of 3.1a, and what must be said of each."""

SAME_BASE = "base = (select base from crew where name = %s)"

WRONG = {
    "transactions_indexes.skew_locked": [
        (  # the cure of the next exercise
            f"""
def off_call(engine, name):
    engine = engine.execution_options(isolation_level="SERIALIZABLE")
    while True:
        try:
            with engine.begin() as connection:
                left = connection.exec_driver_sql(
                    "select name from crew where on_call and {SAME_BASE}", (name,)).all()
                if len(left) < 2:
                    return False
                connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
        except sqlalchemy.exc.DBAPIError as error:
            if lab.code_of(error) not in ("40001", "40P01"):
                raise
""",
            "was taken off call at SERIALIZABLE",
        ),
        (  # reads, decides, writes: the bug itself
            f"""
def off_call(engine, name):
    with engine.begin() as connection:
        left = connection.exec_driver_sql(
            "select name from crew where on_call and {SAME_BASE}", (name,)).all()
        if len(left) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
        return True
""",
            "nobody is on call at EWR",
        ),
        (  # check and write in one statement, which sees the past as well
            f"""
def off_call(engine, name):
    with engine.begin() as connection:
        done = connection.exec_driver_sql(
            "update crew set on_call = false where name = %s"
            " and (select count(*) from crew where on_call and {SAME_BASE}) >= 2", (name, name))
        return done.rowcount == 1
""",
            "saw what was there before the other one's change",
        ),
        (  # locks, but decides by what was read before
            f"""
def off_call(engine, name):
    with engine.begin() as connection:
        left = connection.exec_driver_sql(
            "select name from crew where on_call and {SAME_BASE}", (name,)).all()
        connection.exec_driver_sql(
            "select name from crew where {SAME_BASE} order by name for update", (name,))
        if len(left) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
        return True
""",
            "nobody is on call at EWR",
        ),
        (  # locks the row that nobody else wants
            f"""
def off_call(engine, name):
    with engine.begin() as connection:
        connection.exec_driver_sql("select name from crew where name = %s for update", (name,))
        left = connection.exec_driver_sql(
            "select name from crew where on_call and {SAME_BASE}", (name,)).all()
        if len(left) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
        return True
""",
            "nobody is on call at EWR",
        ),
        (  # locks too much
            f"""
def off_call(engine, name):
    with engine.begin() as connection:
        connection.exec_driver_sql("lock table crew in exclusive mode")
        left = connection.exec_driver_sql(
            "select name from crew where on_call and {SAME_BASE}", (name,)).all()
        if len(left) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
        return True
""",
            "Grace waited for the other one",
        ),
        (  # each begins with the own row: a circle
            f"""
def off_call(engine, name):
    with engine.begin() as connection:
        connection.exec_driver_sql("select name from crew where name = %s for update", (name,))
        left = connection.exec_driver_sql(
            "select name from crew where on_call and {SAME_BASE} order by name for update", (name,)).all()
        if len(left) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
        return True
""",
            "40P01",
        ),
        (  # gives up where it should wait
            f"""
def off_call(engine, name):
    try:
        with engine.begin() as connection:
            left = connection.exec_driver_sql(
                "select name from crew where on_call and {SAME_BASE} order by name for update nowait",
                (name,)).all()
            if len(left) < 2:
                return False
            connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
    except sqlalchemy.exc.DBAPIError:
        return False
""",
            "not to give up",
        ),
        (  # the other cure, without its second half
            f"""
def off_call(engine, name):
    with engine.execution_options(isolation_level="SERIALIZABLE").begin() as connection:
        left = connection.exec_driver_sql(
            "select name from crew where on_call and {SAME_BASE}", (name,)).all()
        if len(left) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
        return True
""",
            "With locks nobody is refused",
        ),
        (  # nobody commits
            f"""
def off_call(engine, name):
    with engine.connect() as connection:
        left = connection.exec_driver_sql(
            "select name from crew where on_call and {SAME_BASE} order by name for update", (name,)).all()
        if len(left) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
        return True
""",
            "Was it committed?",
        ),
        (  # the name is part of the SQL
            """
def off_call(engine, name):
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            f"select name from crew where on_call and base = (select base from crew where name = '{name}') "
            "order by name for update", ()).all()
        if len(rows) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
    return True
""",
            "For the pilot O'Hara the server did not understand",
            "apostrophe",
        ),
        (  # keeps the connection
            """
kept = []


def off_call(engine, name):
    connection = engine.connect()
    kept.append(connection)
    rows = connection.exec_driver_sql(
        "select name from crew where on_call and base = (select base from crew where name = %s) "
        "order by name for update", (name,)).all()
    if len(rows) > 1:
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
    connection.commit()
    return len(rows) > 1
""",
            "were not given back",
            "environment",
        ),
        (  # a lock of this process
            """
import threading

everybody = threading.Lock()


def off_call(engine, name):
    with everybody, engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "select name from crew where on_call and base = (select base from crew where name = %s)", (name,)).all()
        if len(rows) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
    return True
""",
            "A lock in this process",
        ),
    ],
    "transactions_indexes.skew_retried": [
        (  # a lock, in disguise
            f"""
def off_call_again(engine, name, tries=5):
    for attempt in range(1, tries + 1):
        try:
            with engine.begin() as connection:
                left = connection.exec_driver_sql(
                    "select name from crew where on_call and {SAME_BASE} order by name for update nowait", (name,)).all()
                if len(left) < 2:
                    return False
                connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
        except sqlalchemy.exc.DBAPIError as error:
            if lab.code_of(error) not in ("40001", "40P01", "55P03") or attempt == tries:
                raise
""",
            "at READ COMMITTED; the task",
        ),
        (  # a class of the driver's, not a code
            f"""
def off_call_again(engine, name, tries=5):
    engine = engine.execution_options(isolation_level="SERIALIZABLE")
    for attempt in range(1, tries + 1):
        try:
            with engine.begin() as connection:
                left = connection.exec_driver_sql(
                    "select name from crew where on_call and {SAME_BASE}", (name,)).all()
                if len(left) < 2:
                    return False
                connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
        except sqlalchemy.exc.OperationalError:
            if attempt == tries:
                raise
""",
            "ends with 40003",
        ),
        (  # a snapshot alone does not refuse this
            f"""
def off_call_again(engine, name, tries=5):
    engine = engine.execution_options(isolation_level="REPEATABLE READ")
    for attempt in range(1, tries + 1):
        try:
            with engine.begin() as connection:
                left = connection.exec_driver_sql(
                    "select name from crew where on_call and {SAME_BASE}", (name,)).all()
                if len(left) < 2:
                    return False
                connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
        except sqlalchemy.exc.DBAPIError as error:
            if lab.code_of(error) not in ("40001", "40P01") or attempt == tries:
                raise
""",
            "nobody is on call at EWR",
        ),
        (  # the commit is outside of the try
            f"""
def off_call_again(engine, name, tries=5):
    engine = engine.execution_options(isolation_level="SERIALIZABLE")
    with engine.connect() as connection:
        for attempt in range(1, tries + 1):
            try:
                left = connection.exec_driver_sql(
                    "select name from crew where on_call and {SAME_BASE}", (name,)).all()
                if len(left) >= 2:
                    connection.exec_driver_sql(
                        "update crew set on_call = false where name = %s", (name,))
                break
            except sqlalchemy.exc.DBAPIError as error:
                connection.rollback()
                if lab.code_of(error) not in ("40001", "40P01") or attempt == tries:
                    raise
        connection.commit()
        return len(left) >= 2
""",
            "was refused with 40001 at its commit",
        ),
        (  # repeats the write, remembers the decision
            f"""
def off_call_again(engine, name, tries=5):
    engine = engine.execution_options(isolation_level="SERIALIZABLE")
    with engine.begin() as connection:
        left = connection.exec_driver_sql(
            "select name from crew where on_call and {SAME_BASE}", (name,)).all()
    if len(left) < 2:
        return False
    for attempt in range(1, tries + 1):
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
        except sqlalchemy.exc.DBAPIError as error:
            if lab.code_of(error) not in ("40001", "40P01") or attempt == tries:
                raise
""",
            "nobody is on call at EWR",
        ),
        (  # repeats whatever went wrong
            f"""
def off_call_again(engine, name, tries=5):
    engine = engine.execution_options(isolation_level="SERIALIZABLE")
    for attempt in range(1, tries + 1):
        try:
            with engine.begin() as connection:
                left = connection.exec_driver_sql(
                    "select name from crew where on_call and {SAME_BASE}", (name,)).all()
                if len(left) < 2:
                    return False
                connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
        except sqlalchemy.exc.DBAPIError:
            if attempt == tries:
                raise
""",
            "it will fail for ever",
        ),
        (  # one code only
            f"""
def off_call_again(engine, name, tries=5):
    engine = engine.execution_options(isolation_level="SERIALIZABLE")
    for attempt in range(1, tries + 1):
        try:
            with engine.begin() as connection:
                left = connection.exec_driver_sql(
                    "select name from crew where on_call and {SAME_BASE}", (name,)).all()
                if len(left) < 2:
                    return False
                connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
        except sqlalchemy.exc.DBAPIError as error:
            if lab.code_of(error) != "40001" or attempt == tries:
                raise
""",
            "Joan's update was refused with 40P01",
        ),
        (  # for ever
            f"""
def off_call_again(engine, name, tries=5):
    engine = engine.execution_options(isolation_level="SERIALIZABLE")
    while True:
        try:
            with engine.begin() as connection:
                left = connection.exec_driver_sql(
                    "select name from crew where on_call and {SAME_BASE}", (name,)).all()
                if len(left) < 2:
                    return False
                connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
        except sqlalchemy.exc.DBAPIError as error:
            if lab.code_of(error) not in ("40001", "40P01"):
                raise
""",
            "Hedy's update is refused every time",
        ),
        (  # a refusal is not a No
            f"""
def off_call_again(engine, name, tries=5):
    engine = engine.execution_options(isolation_level="SERIALIZABLE")
    for attempt in range(tries):
        try:
            with engine.begin() as connection:
                left = connection.exec_driver_sql(
                    "select name from crew where on_call and {SAME_BASE}", (name,)).all()
                if len(left) < 2:
                    return False
                connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
        except sqlalchemy.exc.DBAPIError as error:
            if lab.code_of(error) not in ("40001", "40P01"):
                raise
    return False
""",
            "raise the last error",
        ),
        (  # the other cure
            f"""
def off_call_again(engine, name, tries=5):
    with engine.begin() as connection:
        left = connection.exec_driver_sql(
            "select name from crew where on_call and {SAME_BASE} order by name for update", (name,)).all()
        if len(left) < 2:
            return False
        connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
        return True
""",
            "That is the other cure",
        ),
        (  # the name is part of the SQL
            """
import sqlalchemy


def off_call_again(engine, name, tries=5):
    serializable = engine.execution_options(isolation_level="SERIALIZABLE")
    for attempt in range(1, tries + 1):
        try:
            with serializable.begin() as connection:
                rows = connection.exec_driver_sql(
                    f"select name from crew where on_call and base = (select base from crew where name = '{name}')").all()
                if len(rows) < 2:
                    return False
                connection.exec_driver_sql("update crew set on_call = false where name = %s", (name,))
            return True
        except sqlalchemy.exc.DBAPIError as error:
            if lab.code_of(error) not in {"40001", "40P01"} or attempt == tries:
                raise
""",
            "For the pilot O'Hara the server did not understand",
            "apostrophe",
        ),
    ],
}
