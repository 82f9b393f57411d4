"""The way to PostgreSQL: one engine per process, one session per transaction."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from helpers.airline.models import Base
from helpers.airline.settings import Settings


def make_engine(settings: Settings) -> Engine:
    """The pool of connections; it opens the first one when the first statement is sent.

    No wait is without an end: for a connection of the pool, for the server, for a lock, for an answer.
    """
    return create_engine(
        str(settings.database_url),
        pool_size=settings.pool_size,
        max_overflow=0,  # beyond the pool a request waits, it does not add to the database's load
        pool_timeout=settings.pool_timeout,
        pool_pre_ping=True,  # after a restart of the database the old connections are replaced
        connect_args={
            "connect_timeout": 3,
            "options": f"-c statement_timeout={settings.statement_timeout_ms}",
            "application_name": "airline",
        },
    )


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """`with sessions.begin() as session:` is one transaction: commit at the end, rollback on an error."""
    return sessionmaker(engine, expire_on_commit=False)


def create_tables(engine: Engine) -> None:
    """Create what does not exist yet."""
    Base.metadata.create_all(engine)
