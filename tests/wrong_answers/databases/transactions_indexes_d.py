"""Plausible wrong answers to the exercises of 3.1d, and what must be said of each."""

OPEN = "select id, payload from jobs where not done order by id limit 1"

WRONG = {
    "transactions_indexes.one_job": [
        (  # no lock: two workers take the same job
            """
-            "select id, payload from jobs where not done order by id limit 1 for update skip locked"
+            "select id, payload from jobs where not done order by id limit 1"
""",
            "another one took the same job",
        ),
        (  # the workers stand in line
            """
-            "select id, payload from jobs where not done order by id limit 1 for update skip locked"
+            "select id, payload from jobs where not done order by id limit 1 for update"
""",
            "waited for another one's job",
        ),
        (  # whatever row comes first
            """
-            "select id, payload from jobs where not done order by id limit 1 for update skip locked"
+            "select id, payload from jobs where not done limit 1 for update skip locked"
""",
            "in the order of id, each once",
        ),
        (  # the claim is committed: a dead worker keeps it
            f"""
def work(engine, perform):
    with engine.begin() as connection:
        job = connection.exec_driver_sql("{OPEN} for update skip locked").first()
        if job is None:
            return None
        connection.exec_driver_sql("update jobs set done = true where id = %s", (job.id,))
    try:
        perform(job.payload)
    except BaseException:
        with engine.begin() as connection:
            connection.exec_driver_sql("update jobs set done = false where id = %s", (job.id,))
        raise
    return job.id
""",
            "could read already that it was done",
        ),
        (  # one statement, which the planner runs more than once
            """
def work(engine, perform):
    with engine.begin() as connection:
        job = connection.exec_driver_sql(
            "update jobs set done = true where id in (select id from jobs where not done order by id limit 1"
            " for update skip locked) returning id, payload").first()
        if job is None:
            return None
        perform(job.payload)
        return job.id
""",
            "in the order of id, each once",
        ),
        (  # out of the table while it is performed: gone with the worker
            """
def work(engine, perform):
    with engine.begin() as connection:
        job = connection.exec_driver_sql(
            "delete from jobs where id = (select id from jobs where not done order by id limit 1"
            " for update skip locked) returning id, payload").first()
    if job is None:
        return None
    done = False
    try:
        perform(job.payload)
        done = True
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("insert into jobs values (%s, %s, %s)", (job.id, job.payload, done))
    return job.id
""",
            "A worker died while it performed job 0",
        ),
        (  # the lock ends before the work begins
            f"""
def work(engine, perform):
    with engine.begin() as connection:
        job = connection.exec_driver_sql("{OPEN} for update skip locked").first()
    if job is None:
        return None
    perform(job.payload)
    with engine.begin() as connection:
        connection.exec_driver_sql("update jobs set done = true where id = %s", (job.id,))
    return job.id
""",
            "another one took the same job",
        ),
        (  # locks the job, and does not look again whether it is done
            """
def work(engine, perform):
    with engine.begin() as connection:
        for id, payload in connection.exec_driver_sql("select id, payload from jobs where not done order by id").all():
            if connection.exec_driver_sql("select 1 from jobs where id = %s for update skip locked", (id,)).first():
                perform(payload)
                connection.exec_driver_sql("update jobs set done = true where id = %s", (id,))
                return id
""",
            "must also check that it is not done",
        ),
        (  # a number of 0 is a number
            """
-        return job.id
+        return job.id or None
""",
            "They returned [None, 1, 2, 3, None]",
            "falsy",
        ),
        (  # swallows the error
            """
-        perform(job.payload)
+        try:
+            perform(job.payload)
+        except Exception:
+            return None
""",
            "The caller must get the error",
            "exception",
        ),
        (  # marks it as done in a `finally`, and commits that when somebody stops the worker
            """
-        perform(job.payload)
-        connection.exec_driver_sql("update jobs set done = true where id = %s", (job.id,))
+        try:
+            perform(job.payload)
+        except Exception:
+            raise
+        except BaseException:
+            connection.exec_driver_sql("update jobs set done = true where id = %s", (job.id,))
+            connection.commit()
+            raise
+        connection.exec_driver_sql("update jobs set done = true where id = %s", (job.id,))
""",
            "The job must be open again",
            "base exception",
        ),
        (  # never given back
            """
-    with engine.begin() as connection:
+    connection = engine.connect()
+    if True:
@@
-        return job.id
+        connection.commit()
+        return job.id
""",
            "were not given back",
            "environment",
        ),
        (  # remembers in this process what it has done
            """
def work(engine, perform, seen=set()):
    with engine.begin() as connection:
        jobs = connection.exec_driver_sql("select id, payload from jobs where not done order by id").all()
        job = next((job for job in jobs if job.id not in seen), None)
        if job is None:
            return None
        seen.add(job.id)
        perform(job.payload)
        connection.exec_driver_sql("update jobs set done = true where id = %s", (job.id,))
        return job.id
""",
            "they got [None",
            "again",
        ),
    ],
    "transactions_indexes.free_seat": [
        (  # decides before the wait
            """
-            "select seat from cabin where holder is null order by seat limit 1 for update"
+            "select min(seat) from cabin where holder is null"
""",
            "Grace's seat is gone",
        ),
        (  # notices, and gives up
            """
-            "select seat from cabin where holder is null order by seat limit 1 for update"
+            "select min(seat) from cabin where holder is null"
@@
-            connection.exec_driver_sql("update cabin set holder = %s where seat = %s", (customer, seat))
+            done = connection.exec_driver_sql(
+                "update cabin set holder = %s where seat = %s and holder is null", (customer, seat))
+            return seat if done.rowcount else None
""",
            "expected ['12B'], got [None]",
        ),
        (  # does not wait
            """
-            "select seat from cabin where holder is null order by seat limit 1 for update"
+            "select seat from cabin where holder is null order by seat limit 1 for update skip locked"
""",
            "did not wait to learn",
        ),
        (  # gets an error
            """
-            "select seat from cabin where holder is null order by seat limit 1 for update"
+            "select seat from cabin where holder is null order by seat limit 1 for update nowait"
""",
            "Nobody should get an error",
        ),
        (  # a number of the snapshot level
            """
-    with engine.begin() as connection:
+    engine = engine.execution_options(isolation_level="REPEATABLE READ")
+    with engine.begin() as connection:
""",
            "at REPEATABLE READ",
        ),
        (  # the first row of the table
            """
-            "select seat from cabin where holder is null order by seat limit 1 for update"
+            "select seat from cabin where holder is null limit 1 for update"
""",
            "should get ['12A', '12B', '12A', '14A', None, '12B']",
        ),
        (  # one statement, which the planner runs more than once
            """
def seat_for(engine, customer):
    with engine.begin() as connection:
        own = connection.exec_driver_sql("select seat from cabin where holder = %s", (customer,)).scalar()
        return own or connection.exec_driver_sql(
            "update cabin set holder = %s where seat in (select seat from cabin where holder is null"
            " order by seat limit 1 for update) returning seat", (customer,)).scalar()
""",
            "asked one after the other and should get",
        ),
        (  # a second seat for the same customer
            """
-        if own is not None:
+        if own is None and False:
""",
            "keep theirs",
            "again",
        ),
        (  # locks before it looks
            """
-    with engine.begin() as connection:
+    with engine.begin() as connection:
+        connection.exec_driver_sql("lock table cabin in exclusive mode")
""",
            "after she had waited for Grace",
        ),
        (  # the name as part of the text
            """
-        own = connection.exec_driver_sql("select seat from cabin where holder = %s", (customer,)).scalar()
+        own = connection.exec_driver_sql(f"select seat from cabin where holder = '{customer}'").scalar()
""",
            "never as part of the text",
            "apostrophe",
        ),
        (  # never given back
            """
-    with engine.begin() as connection:
+    connection = engine.connect()
+    if True:
@@
-        return seat
+        connection.commit()
+        return seat
""",
            "were not given back",
            "environment",
        ),
    ],
}

RIGHT = {
    "transactions_indexes.one_job": [
        """
import contextlib

class Claim(contextlib.ExitStack):
    def __init__(self, engine):
        super().__init__()
        self.connection = self.enter_context(engine.begin())

    def take(self):
        found = self.connection.exec_driver_sql(
            "with one as materialized (select id from jobs where done = false order by id"
            " fetch first 1 rows only for no key update skip locked)"
            " update jobs set done = true from one where jobs.id = one.id returning jobs.id, payload").all()
        return found[0] if found else (None, None)

def work(engine, perform):
    with Claim(engine) as claim:
        id, payload = claim.take()
        if id is not None:
            perform(payload)
        return id
""",
        """
def work(engine, perform):
    connection = engine.connect()
    try:
        rows = connection.exec_driver_sql(
            "delete from jobs where id = (select id from jobs where not done order by id limit 1"
            " for update skip locked) returning id, payload").fetchall()
        for id, payload in rows:
            perform(payload)
            connection.exec_driver_sql("insert into jobs values (%s, %s, true)", (id, payload))
        connection.commit()
        return rows[0][0] if rows else None
    finally:
        connection.close()
""",
    ],
    "transactions_indexes.free_seat": [
        """
def seat_for(engine, customer):
    while True:
        with engine.begin() as connection:
            for (seat,) in connection.exec_driver_sql("select seat from cabin where holder = %s", (customer,)):
                return seat
            free = connection.exec_driver_sql("select min(seat) from cabin where holder is null").scalar_one()
            if free is None:
                return None
            if connection.exec_driver_sql(
                    "update cabin set holder = %s where seat = %s and holder is null", (customer, free)).rowcount:
                return free
""",
        """
def seat_for(engine, customer):
    with engine.begin() as connection:
        own = connection.exec_driver_sql("select seat from cabin where holder = %s", (customer,)).first()
        if own:
            return own[0]
        given = connection.exec_driver_sql(
            "update cabin set holder = %s where seat = (select seat from cabin where holder is null"
            " order by seat limit 1 for no key update) returning seat", (customer,)).first()
        return given and given[0]
""",
    ],
}
