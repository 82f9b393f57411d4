"""Every error as `application/problem+json` (RFC 9457), in the responses and in the OpenAPI document alike.

An error of the service is a subclass of `ServiceError`. Handlers raise it, `responses` documents it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import exc
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
TYPES = "https://airline.example/problems/"

log = logging.getLogger("airline")


class InvalidPart(BaseModel):
    """One part of a request that cannot be accepted."""

    where: str
    message: str


class Problem(BaseModel):
    """What went wrong (`type`, `title`) and what to do about it (`detail`)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[InvalidPart] | None = None
    seats: list[str] | None = None


class ServiceError(Exception):
    """An error that the client gets to see. `members` are more members of the problem."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail, self.members = detail, members


class FlightNotFound(ServiceError):
    """The URL names a flight that does not exist."""

    status, slug, title = 404, "flight-not-found", "No such flight"


class BookingNotFound(ServiceError):
    """The URL names a booking that does not exist."""

    status, slug, title = 404, "booking-not-found", "No such booking"


class SeatTaken(ServiceError):
    """Somebody else holds or owns a seat."""

    status, slug, title = 409, "seat-taken", "Seat taken"


class HoldExpired(ServiceError):
    """The payment came too late."""

    status, slug, title = 409, "hold-expired", "Hold expired"


class BookingCancelled(ServiceError):
    """A cancelled booking cannot be paid."""

    status, slug, title = 409, "booking-cancelled", "Booking cancelled"


class WrongAmount(ServiceError):
    """The amount is not the booking's total."""

    status, slug, title = 409, "wrong-amount", "Wrong amount"


class Undecodable(ServiceError):
    """The body is no text at all."""

    status, slug, title = 400, "undecodable-body", "Body cannot be decoded"


class InvalidRequest(ServiceError):
    """The request does not have the documented form."""

    status, slug, title = 422, "invalid-request", "Invalid request"


class UnknownReference(ServiceError):
    """The body names a flight, a customer or a seat that does not exist."""

    status, slug, title = 422, "unknown-reference", "Unknown flight, customer or seat"


class KeyReused(ServiceError):
    """The Idempotency-Key belongs to a different order."""

    status, slug, title = 422, "key-reused", "Idempotency-Key used for a different order"


class InternalError(ServiceError):
    """A defect of the service."""

    status, slug, title = 500, "internal-error", "Internal error"


class Unavailable(ServiceError):
    """The database did not answer."""

    status, slug, title = 503, "unavailable", "Temporarily unavailable"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}


ANYWHERE = (InternalError, Unavailable)  # what every endpoint that asks the database may answer
BODY = (Undecodable, InvalidRequest)  # what every endpoint that reads a body may answer


def responses(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """The part of an endpoint's OpenAPI description that names its errors."""
    by_status: dict[int, list[type[ServiceError]]] = defaultdict(list)
    for error in errors:
        by_status[error.status].append(error)
    return {
        status: {
            "description": ", or ".join(error.title for error in same),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            "headers": {
                name: {"schema": {"type": "string"}, "required": True}
                for error in same
                for name in error.headers
            },
        }
        for status, same in sorted(by_status.items())
    }


def install(app: FastAPI) -> None:
    """Let every error of the application become a problem, and its OpenAPI document say so."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_exception)
    for lost in (exc.OperationalError, exc.InterfaceError, exc.TimeoutError):
        app.add_exception_handler(lost, _database_error)
    app.add_exception_handler(Exception, _defect)

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            document = get_openapi(title=app.title, version=app.version, summary=app.summary,
                                   description=app.description, routes=app.routes)  # fmt: skip
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            document["components"]["schemas"] |= schema.pop("$defs") | {"Problem": schema}
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _response(error: ServiceError) -> JSONResponse:
    problem = Problem(type=TYPES + error.slug, title=error.title, status=error.status,
                      detail=error.detail, **error.members)  # fmt: skip
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, error.status, dict(error.headers), media_type=MEDIA_TYPE)


async def _service_error(_: Request, error: Any) -> JSONResponse:
    return _response(error)


async def _invalid_request(_: Request, error: Any) -> JSONResponse:
    parts = [
        InvalidPart(where=".".join(map(str, part["loc"])), message=part["msg"])
        for part in error.errors()
    ]
    detail = "Correct what `errors` names; /openapi.json describes what is accepted."
    return _response(InvalidRequest(detail, errors=parts))


async def _http_exception(_: Request, error: Any) -> JSONResponse:
    """Errors of the framework: no such path, method not allowed, a body that it cannot read."""
    if error.status_code == 400:
        return _response(Undecodable("Send JSON in UTF-8."))
    phrase = HTTPStatus(error.status_code).phrase
    problem = Problem(type="about:blank", title=phrase, status=error.status_code,
                      detail="/openapi.json lists the paths and their methods.")  # fmt: skip
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, error.status_code, error.headers, media_type=MEDIA_TYPE)


async def _database_error(request: Request, error: Any) -> JSONResponse:
    """The connection is lost, the pool exhausted, a statement took too long, or there was a deadlock."""
    log.warning("%s %s: %s", request.method, request.url.path, str(error).splitlines()[0])
    return _response(Unavailable(
        "The database did not answer, and whether this request had an effect is not known. "
        "Send it again, with the same Idempotency-Key if it had one."
    ))  # fmt: skip


async def _defect(_: Request, error: Any) -> JSONResponse:
    """Starlette raises the error again behind this response: the server logs it and closes the connection.

    The client must know that, or its next request goes to a connection that is gone.
    """
    response = _response(InternalError("This is a defect of the service, and it is logged."))
    response.headers["Connection"] = "close"
    return response
