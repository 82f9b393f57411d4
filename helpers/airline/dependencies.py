"""What the endpoints ask for. A test replaces a part by `app.dependency_overrides`.

They are `async` because they wait for nothing: FastAPI would run each plain function in a thread.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session, sessionmaker

from helpers.airline.settings import Settings


async def get_sessions(request: Request) -> sessionmaker[Session]:
    """Where an endpoint gets its transaction.

    Not an open session: the endpoint itself ends its transaction, so the connection is back in the
    pool before the response is serialised and sent, however slow the client is.
    """
    return request.app.state.sessions


async def get_settings(request: Request) -> Settings:
    """The settings that the application was made with."""
    return request.app.state.settings


async def get_now() -> datetime:
    """The moment of the request."""
    return datetime.now(UTC)


Sessions = Annotated[sessionmaker[Session], Depends(get_sessions)]
CurrentSettings = Annotated[Settings, Depends(get_settings)]
Now = Annotated[datetime, Depends(get_now)]
