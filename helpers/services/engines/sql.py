"""What the SQL servers have in common: an address, an engine of SQLAlchemy, a plain connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from helpers.services.core import Server

if TYPE_CHECKING:
    from sqlalchemy import Engine


class SqlServer(Server):
    """A server that SQLAlchemy speaks to."""

    dialect: ClassVar[str]  # SQLAlchemy's name of engine and driver

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the notebook's database."""
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        """SQLAlchemy's URL of a database."""
        return f"{self.dialect}://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def engine(self, **options: Any) -> Engine:
        """A SQLAlchemy engine on the notebook's database; says so when the server has gone."""
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.url, **options)

        @sqlalchemy.event.listens_for(engine, "handle_error")
        def tell_if_gone(context: Any) -> None:
            lost = context.is_disconnect or context.connection is None
            if lost and not self.alive():
                raise self.gone() from None

        return engine

    def connect(self, **options: Any) -> Any:
        """A plain connection of the driver, with its options; `ServiceProblem` if the server has gone."""
        try:
            return self.driver_connect(**options)
        except Exception:
            if self.version and not self.alive():
                raise self.gone() from None
            raise

    def driver_connect(self, **options: Any) -> Any:
        """The driver's own connect()."""
        raise NotImplementedError
