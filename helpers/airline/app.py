"""The application, put together from its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from helpers.airline import database, problems, routes
from helpers.airline.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """A new application; without `settings` those of the environment.

    It starts without the database, and says so at /health/ready. Any ASGI server runs it, for
    example `uvicorn --factory helpers.airline.app:create_app`.
    """
    settings = settings or Settings()  # type: ignore[call-arg]  # from the environment
    engine = database.make_engine(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        engine.dispose()

    app = FastAPI(
        title="Airline bookings",
        version="1.0.0",
        summary="Search flights, hold seats, pay, cancel",
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
    )
    app.state.settings = settings
    app.state.sessions = database.make_sessions(engine)
    app.include_router(routes.router)
    problems.install(app)
    return app


def _operation_id(route: APIRoute) -> str:
    """The function's name: generated clients call their methods so."""
    return route.name
