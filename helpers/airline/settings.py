"""What differs from one deployment to the next: environment variables, checked once, at the start."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, PostgresDsn
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The variables AIRLINE_DATABASE_URL, AIRLINE_HOLD_FOR …; a keyword argument comes first."""

    model_config = SettingsConfigDict(env_prefix="airline_", frozen=True)

    database_url: PostgresDsn
    hold_for: timedelta = timedelta(
        minutes=15
    )  # in the environment as ISO 8601: PT15M, or 00:15:00
    pool_size: int = Field(default=10, ge=1)
    pool_timeout: float = Field(default=3, gt=0)  # seconds that a request waits for a connection
    statement_timeout_ms: int = Field(default=5_000, ge=1)
