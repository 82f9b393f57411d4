# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6.3 Repository, Unit of Work: worked answers
#
# Read these after you tried. Each answer says how one gets there, not only where.

# %%
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError

from helpers import check

# %% [markdown]
# **Messages after the commit.** Two orders matter. The commit comes before the first message, because a message cannot be taken
# back. And the list is emptied before the first message, because `publish` may fail in the middle, and what has been sent must not
# be sent by the next commit. It is emptied even before the commit: if that fails, the rows are gone, and so must be the messages
# about them. `session.commit()` gives the connection back, so `publish` may take its time. An error of one message
# says nothing about the next one. All errors are collected, and the group tells the caller that the *commit* has succeeded and
# something after it has not.

# %% exercise="repository_unit_of_work.after_commit" tags=["solution"]
class UnitOfWork:
    """One transaction; its messages are published when it is committed."""

    def __init__(self, sessions, publish):
        self.sessions, self.publish = sessions, publish

    def __enter__(self):
        self.session, self.messages = self.sessions(), []
        return self

    def __exit__(self, *problem):
        self.session.close()

    def tell(self, message):
        self.messages.append(message)

    def commit(self):
        messages, self.messages = self.messages, []
        self.session.commit()
        failed = []
        for message in messages:
            try:
                self.publish(message)
            except Exception as error:
                failed.append(error)
        if failed:
            raise ExceptionGroup("committed, and not published", failed)


# %%
check("repository_unit_of_work.after_commit", UnitOfWork)

# %% [markdown]
# **Repeat a conflict.** What must be repeated is the decision, and the decision rests on what was read. So the loop is around the
# session and not inside of it. `sessions.begin()` commits at the end of its block, which is inside the `try`: a flush at the commit
# compares versions, and SERIALIZABLE may refuse at the commit. A broken connection at the commit is no conflict: the first attempt
# may have been committed, so the caller must know of it. The list of codes is short on purpose. A unique violation would
# come again. `getattr` is for drivers whose errors have no `sqlstate`, such as sqlite3.

# %% exercise="repository_unit_of_work.optimistic_retry" tags=["solution"]
def optimistic(sessions, work, attempts=5):
    """The result of `work(session)`, committed; conflicts are repeated."""
    for left in reversed(range(attempts)):
        try:
            with sessions.begin() as session:
                return work(session)
        except StaleDataError:
            if not left:
                raise
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in ("40001", "40P01") or not left:
                raise


# %%
check("repository_unit_of_work.optimistic_retry", optimistic)
