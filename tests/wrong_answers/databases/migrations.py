"""Plausible wrong answers to the exercises of 3.5, what must be said of each, and right ones of other styles."""

from __future__ import annotations

RENAME = '''
import sqlalchemy as sa

EXPAND = [
    "set local lock_timeout = '200ms'",
    "alter table customers add column if not exists contact text",
    """create or replace function customers_contact() returns trigger language plpgsql as $$
    begin
        if tg_op = 'INSERT' then
            new.contact := coalesce(new.contact, new.email);
            new.email := new.contact;
        elsif new.contact is distinct from old.contact then
            new.email := new.contact;
        else
            new.contact := new.email;
        end if;
        return new;
    end $$""",
    "create or replace trigger customers_contact before insert or update on customers "
    "for each row execute function customers_contact()",
]
COPY = ["update customers set contact = email where contact is distinct from email"]
CONTRACT = [
    "set local lock_timeout = '200ms'",
    "drop trigger customers_contact on customers",
    "drop function customers_contact()",
    "alter table customers drop column email",
]


def execute(engine, statements):
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


class Rename:
    def expand(self, engine):
        execute(engine, EXPAND)
        execute(engine, COPY)

    def contract(self, engine):
        execute(engine, CONTRACT)
'''


def rename(old="", new=""):
    """The worked answer with one part changed."""
    assert not old or RENAME.count(old) == 1, (RENAME.count(old), old)
    return RENAME.replace(old, new) if old else RENAME


PATIENT = """    "set local lock_timeout = '200ms'",\n"""
TRIGGER = RENAME[RENAME.index("        if tg_op") : RENAME.index("        return new;")]
CREATED = RENAME[RENAME.index('    """create or replace function') : RENAME.index("]\nCOPY")]

CENTS = """
import sqlalchemy as sa


def to_cents(engine, batch):
    with engine.begin() as connection:
        connection.execute(sa.text("create table if not exists progress (last_id bigint)"))
        connection.execute(sa.text("insert into progress select null where not exists (select from progress)"))
    while True:
        with engine.begin() as connection:
            last = connection.execute(sa.text("select last_id from progress")).scalar_one()
            where = "" if last is None else "where payment_id > :last"
            ids = connection.execute(sa.text(f"select payment_id from payments {where} order by payment_id limit :batch"),
                                     {"last": last, "batch": batch}).scalars().all()
            if not ids:
                return
            connection.execute(sa.text("update payments set amount = amount * 100 where payment_id = any(:ids)"), {"ids": list(ids)})
            connection.execute(sa.text("update progress set last_id = :last"), {"last": ids[-1]})
"""


def cents(old="", new=""):
    """The worked answer with one part changed."""
    assert not old or CENTS.count(old) == 1, (CENTS.count(old), old)
    return CENTS.replace(old, new) if old else CENTS


WRONG = {
    "migrations.rename": [
        # a rename at once: the old version's column is gone
        (
            rename(
                "        execute(engine, EXPAND)\n        execute(engine, COPY)",
                "        execute(engine, [EXPAND[0], 'alter table customers rename column email to contact'])",
            ),
            "After expand(engine), a query for contact and email fails",
        ),
        # no lock_timeout: everybody waits behind the ALTER
        (
            rename(f"EXPAND = [\n{PATIENT}", "EXPAND = [\n"),
            "Limit the wait with lock_timeout",
        ),
        # the copy comes first: a write between copy and trigger is lost
        (
            rename(
                "        execute(engine, EXPAND)\n        execute(engine, COPY)",
                "        execute(engine, EXPAND[:2])\n        execute(engine, COPY)\n        execute(engine, EXPAND[:1] + EXPAND[2:])",
            ),
            "that the old version wrote while expand(engine) ran",
        ),
        # copy and trigger in one transaction, which does not lock the table before the trigger is made
        (
            rename(
                "        execute(engine, EXPAND)\n        execute(engine, COPY)",
                "        execute(engine, EXPAND[:2])\n        execute(engine, EXPAND[:1] + COPY + EXPAND[2:])",
            ),
            "that the old version wrote while expand(engine) ran",
        ),
        # the copy is forgotten
        (rename("        execute(engine, COPY)\n", ""), "each old row has its contact"),
        # the copy alone
        (rename(CREATED, ""), "email and contact are to be 'a@example.com' both"),
        # one direction
        (rename(TRIGGER, "        new.contact := new.email;\n"), "'c@example.com' both"),
        # NULL is taken for "not written"
        (
            rename(
                "elsif new.contact is distinct from old.contact then",
                "elsif new.contact is not null and new.contact is distinct from old.contact then",
            ),
            "are to be None both",
            "falsy",
        ),
        # a generated column: the new version cannot write it
        (
            rename(
                "        execute(engine, EXPAND)\n        execute(engine, COPY)",
                "        execute(engine, [EXPAND[0], 'alter table customers add column if not exists contact text '\n"
                "                                   'generated always as (email) stored'])",
            ),
            "the new version fails with 428C9",
        ),
        # the trigger fires for UPDATE alone
        (
            rename("before insert or update on", "before update on"),
            "email and contact are to be 'a@example.com' both",
        ),
        # a second call fails
        (
            rename("add column if not exists contact", "add column contact"),
            "expand(engine), called a second time, failed",
            "again",
        ),
        # a trigger that names the column which is gone
        (
            rename(
                '    "drop trigger customers_contact on customers",\n    "drop function customers_contact()",\n',
                "",
            ),
            "Something still looks for email",
        ),
        # expand is patient and contract is not: the old columns go, and so does the service
        (
            rename(f"CONTRACT = [\n{PATIENT}", "CONTRACT = [\n"),
            "While a report was open, contract(engine) waited",
        ),
        # a time-out that is longer than a request can wait
        (
            rename(f"EXPAND = [\n{PATIENT}", "EXPAND = [\n" + PATIENT.replace("200", "1200")),
            "While a report was open, expand(engine) waited",
        ),
        # an index is left behind
        (
            rename(
                "COPY = [",
                'COPY = [\n    "create index if not exists ix_contact on customers (contact)",\n   ',
            ),
            "leaves behind: ['ix_contact']",
        ),
        # the function is left behind
        (rename('    "drop function customers_contact()",\n', ""), "leaves behind"),
        # the wrong column goes
        (
            rename("drop column email", "drop column contact"),
            "the columns are to be contact, customer_id and name",
        ),
        # contacts of the old version are lost
        (
            rename(
                "CONTRACT = [\n",
                "CONTRACT = [\n    \"update customers set contact = 'unknown' where contact is null\",\n",
            ),
            "has changed contacts",
        ),
        # an error that is no time-out
        (
            rename(
                "        execute(engine, COPY)\n",
                "        execute(engine, COPY)\n        execute(engine, ['drop table logs'])\n",
            ),
            "When the report had ended, expand(engine) failed",
        ),
    ],
    "migrations.backfill": [
        # all in one transaction
        (
            """
import sqlalchemy as sa

def to_cents(engine, batch):
    with engine.begin() as connection:
        if not connection.execute(sa.text("select to_regclass('done')")).scalar():
            connection.execute(sa.text("create table done (n int)"))
            connection.execute(sa.text("update payments set amount = amount * 100"))
""",
            "a transaction changed",
        ),
        # the position lives in the process
        (
            """
import sqlalchemy as sa

done = set()

def to_cents(engine, batch):
    with engine.connect() as connection:
        ids = connection.execute(sa.text("select payment_id from payments order by 1")).scalars().all()
    ids = [n for n in ids if n not in done]
    for start in range(0, len(ids), batch):
        with engine.begin() as connection:
            connection.execute(sa.text("update payments set amount = amount * 100 where payment_id = any(:ids)"),
                               {"ids": ids[start : start + batch]})
        done.update(ids[start : start + batch])
""",
            "and called again: payment",
        ),
        # no memory at all
        (
            """
import sqlalchemy as sa

def to_cents(engine, batch):
    with engine.connect() as connection:
        ids = connection.execute(sa.text("select payment_id from payments order by 1")).scalars().all()
    for start in range(0, len(ids), batch):
        with engine.begin() as connection:
            connection.execute(sa.text("update payments set amount = amount * 100 where payment_id = any(:ids)"),
                               {"ids": ids[start : start + batch]})
""",
            "Called again after it was done",
            "again",
        ),
        # the position is committed after the batch
        (
            cents(
                '            connection.execute(sa.text("update progress set',
                "            connection.commit()\n        with engine.begin() as connection:\n"
                '            connection.execute(sa.text("update progress set',
            ),
            "and called again: payment",
        ),
        # the position is committed before the batch
        (
            cents(
                '            connection.execute(sa.text("update payments set',
                '            connection.execute(sa.text("update progress set last_id = :last"), {"last": ids[-1]})\n'
                "            connection.commit()\n        with engine.begin() as connection:\n"
                '            connection.execute(sa.text("update payments set',
            ),
            "and called again: payment",
        ),
        # statements that go past the engine's connections: nothing is known about a kill
        (
            """
def to_cents(engine, batch):
    connection = engine.raw_connection()
    cursor = connection.cursor()
    cursor.execute("create table if not exists done as select payment_id from payments where false")
    connection.commit()
    while True:
        cursor.execute("select payment_id from payments except select payment_id from done limit %s", [batch])
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            connection.close()
            return
        cursor.execute("update payments set amount = amount * 100 where payment_id = any(%s)", [ids])
        cursor.execute("insert into done select unnest(%s::bigint[])", [ids])
        connection.commit()
""",
            "The check saw no statement of yours",
        ),
        # the position is in a file
        (
            """
import pathlib, tempfile
import sqlalchemy as sa

FILE = pathlib.Path(tempfile.gettempdir()) / "position-of-the-backfill"

def to_cents(engine, batch):
    last = int(FILE.read_text()) if FILE.exists() else -10**9
    while True:
        with engine.begin() as connection:
            ids = connection.execute(sa.text("select payment_id from payments where payment_id > :last order by 1 limit :n"),
                                     {"last": last, "n": batch}).scalars().all()
            if not ids:
                FILE.unlink(missing_ok=True)
                return
            connection.execute(sa.text("update payments set amount = amount * 100 where payment_id = any(:ids)"), {"ids": list(ids)})
        last = ids[-1]
        FILE.write_text(str(last))
""",
            "Called again after it was done",
        ),
        # numbers begin at 1, it is assumed
        (
            cents("insert into progress select null where", "insert into progress select 0 where"),
            "payment -7 had 3 dollars",
            "falsy",
        ),
        # the amount is asked whether it is converted
        (
            cents(
                "amount * 100 where payment_id = any(:ids)",
                "amount * 100 where payment_id = any(:ids) and amount < 10000",
            ),
            "payment 30 had 25000 dollars",
        ),
        # the first rows that come, in no order
        (
            cents("order by payment_id limit :batch", "limit :batch"),
            "and now has",
        ),
        # money as a float
        (
            cents(
                "set amount = amount * 100 where", "set amount = (amount::real * 100)::bigint where"
            ),
            "payment 40 had 30000001 dollars",
        ),
        # NULL becomes 0
        (
            cents(
                "set amount = amount * 100 where", "set amount = coalesce(amount, 0) * 100 where"
            ),
            "payment 5 had None dollars",
        ),
        # the table is made in one transaction and filled in the next
        (
            cents(
                '        connection.execute(sa.text("insert into progress select null where not exists (select from progress)"))\n',
                '        made = connection.execute(sa.text("select count(*) from progress")).scalar_one()\n'
                "    if not made:\n        with engine.begin() as connection:\n"
                '            connection.execute(sa.text("insert into progress values (null), (null)"))\n'
                '            connection.execute(sa.text("delete from progress where ctid = (select min(ctid) from progress)"))\n',
            ).replace("create table if not exists progress", "create table progress"),
            "it failed: relation",
        ),
    ],
}

RIGHT = {
    "migrations.rename": [
        # a list of statements, retries until it gets the lock, and both steps in functions
        '''
import time

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

SYNC = """
create or replace function sync() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        if new.email is distinct from old.email then new.contact = new.email; return new; end if;
        new.email = new.contact;
    elsif new.email is null then
        new.email = new.contact;
    else
        new.contact = new.email;
    end if;
    return new;
end $$"""


def patiently(engine, *statements):
    while True:
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("set local lock_timeout = '100ms'")
                for statement in statements:
                    connection.exec_driver_sql(statement)
            return
        except OperationalError as error:
            if error.orig.sqlstate != "55P03":
                raise
            time.sleep(0.05)


class Rename:
    @staticmethod
    def expand(engine):
        patiently(
            engine,
            SYNC,
            "alter table customers add if not exists contact text",
            "drop trigger if exists sync on customers",
            "create trigger sync before insert or update on customers for each row execute function sync()",
        )
        with engine.connect() as connection:
            ids = connection.scalars(sa.text("select customer_id from customers")).all()
        for start in range(0, len(ids), 100):
            with engine.begin() as connection:
                connection.execute(
                    sa.text("update customers set contact = email where customer_id = any(:ids) and contact is null "
                            "and email is not null"),
                    {"ids": list(ids[start : start + 100])},
                )

    @staticmethod
    def contract(engine):
        patiently(engine, "drop function sync() cascade", "alter table customers drop email")
''',
        # two triggers, the copy under a lock on writers, and an error of its own when the table is busy
        """
import sqlalchemy as sa

class Busy(Exception):
    pass


class Rename:
    def expand(self, engine):
        try:
            with engine.begin() as c:
                c.exec_driver_sql("set local lock_timeout to 150")
                c.exec_driver_sql("lock table customers in access exclusive mode")
                if "contact" in [x["name"] for x in sa.inspect(c).get_columns("customers")]:
                    return
                c.exec_driver_sql("alter table customers add contact text")
                c.exec_driver_sql("update customers set contact = email")
                c.exec_driver_sql("create function fresh() returns trigger as $$ begin "
                                  "if new.email is null then new.email = new.contact; else new.contact = new.email; end if; return new; end $$ language plpgsql")
                c.exec_driver_sql("create function changed() returns trigger as $$ begin "
                                  "if new.contact is not distinct from old.contact then new.contact = new.email; else new.email = new.contact; end if; "
                                  "return new; end $$ language plpgsql")
                c.exec_driver_sql("create trigger fresh before insert on customers for each row execute function fresh()")
                c.exec_driver_sql("create trigger changed before update on customers for each row execute function changed()")
        except sa.exc.OperationalError as error:
            raise Busy from error

    def contract(self, engine):
        with engine.connect() as c:
            c.exec_driver_sql("set local lock_timeout to 150")
            c.exec_driver_sql("drop function fresh, changed cascade")
            c.exec_driver_sql("alter table customers drop column email")
            c.commit()
""",
        # no copy and no trigger: a view under the table's name has the column twice
        """
class Rename:
    def _do(self, engine, *statements):
        with engine.begin() as connection:
            connection.exec_driver_sql("set local lock_timeout = '200ms'")
            for statement in statements:
                connection.exec_driver_sql(statement)

    def expand(self, engine):
        with engine.connect() as connection:
            done = connection.exec_driver_sql("select relkind = 'v' from pg_class where oid = 'customers'::regclass").scalar()
        if not done:
            self._do(engine, "alter table customers rename column email to contact", "alter table customers rename to people",
                     "create view customers as select customer_id, name, contact as email, contact from people")

    def contract(self, engine):
        self._do(engine, "drop view customers", "alter table people rename to customers")
""",
    ],
    "migrations.backfill": [
        # windows of the key, full or empty
        """
import sqlalchemy as sa


def to_cents(engine, batch):
    with engine.begin() as connection:
        connection.exec_driver_sql("create table if not exists window_end as select min(payment_id) - 1 as after from payments")
    while True:
        with engine.begin() as connection:
            after, last = connection.exec_driver_sql("select after, (select max(payment_id) from payments) from window_end").one()
            if after is None or after >= last:
                break
            connection.execute(sa.text("update payments set amount = amount * 100 where payment_id between :low and :high"),
                               {"low": after + 1, "high": after + batch})
            connection.execute(sa.text("update window_end set after = :high"), {"high": after + batch})
""",
        # a mark on each row instead of a position
        """
import sqlalchemy as sa

BATCH = sa.text('''
    with batch as (select payment_id from payments where not converted order by payment_id limit :batch)
    update payments set amount = amount * 100, converted = true from batch where batch.payment_id = payments.payment_id''')


def to_cents(engine, batch):
    with engine.begin() as connection:
        connection.exec_driver_sql("alter table payments add column if not exists converted boolean not null default false")
    changed = True
    while changed:
        with engine.begin() as connection:
            changed = connection.execute(BATCH, {"batch": batch}).rowcount
""",
        # a table of what is done, as a class
        """
import sqlalchemy as sa


class Converter:
    def __init__(self, engine, batch):
        self.engine, self.batch = engine, batch

    def __iter__(self):
        return self

    def __next__(self):
        with self.engine.begin() as connection:
            connection.execute(sa.text("create table if not exists done (payment_id bigint primary key)"))
            ids = connection.scalars(sa.text(
                "insert into done select payment_id from payments except select payment_id from done limit :n returning payment_id"),
                {"n": self.batch}).all()
            if not ids:
                raise StopIteration
            connection.execute(sa.text("update payments set amount = 100 * amount where payment_id in :ids")
                               .bindparams(sa.bindparam("ids", expanding=True)), {"ids": ids})
        return ids


def to_cents(engine, batch):
    for _ in Converter(engine, batch):
        pass
""",
    ],
}
