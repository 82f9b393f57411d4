# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.5 Migrations: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
import sqlalchemy as sa

from helpers import check

# %% [markdown]
# **Two names for one column.** Begin with the question which write could be lost. If you copy first, a write between the copy and
# the trigger is lost. So column and trigger come first, in one short transaction with a `lock_timeout`, and the copy follows. In the trigger, compare with
# the old row: the column that has changed is the one that was written. `coalesce` would be enough for INSERT, and wrong for UPDATE, where NULL is a value
# like any other. `contract` drops the trigger in the same transaction as the column, because a trigger that names a missing column fails at each write.

# %% exercise="migrations.rename" tags=["solution"]
class Rename:
    """From `email` to `contact`, with both versions of the service running."""

    EXPAND = (
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
        """create or replace trigger customers_contact before insert or update on customers
        for each row execute function customers_contact()""",
    )
    CONTRACT = (
        "set local lock_timeout = '200ms'",
        "drop trigger customers_contact on customers",
        "drop function customers_contact()",
        "alter table customers drop column email",
    )

    def expand(self, engine):
        self._execute(engine, self.EXPAND)
        self._execute(engine, ["update customers set contact = email where contact is distinct from email"])

    def contract(self, engine):
        self._execute(engine, self.CONTRACT)

    def _execute(self, engine, statements):
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))


# %%
check("migrations.rename", Rename)

# %% [markdown]
# **Dollars to cents.** The amounts do not say whether they are converted, so something must remember it, and the only memory that changes in one step with the
# rows is a row beside them. The position starts as NULL, because a number may be 0 or less. The next batch is chosen by the key and a LIMIT, so gaps cost
# nothing. The table of positions is made and filled in one transaction, or a kill between the two would leave it empty.

# %% exercise="migrations.backfill" tags=["solution"]
def to_cents(engine, batch):
    """Multiply each amount by 100 once, at most `batch` rows per transaction, whenever this is killed."""
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


# %%
check("migrations.backfill", to_cents)
