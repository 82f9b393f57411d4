"""Django under uvicorn in a process of its own: `python -m helpers.labs.web.django_server`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import Any

from helpers import processes
from helpers.labs.web import django as lab


def application() -> Any:
    """One view that asks the database, behind Django's own ASGI handler."""
    lab.use(json.loads(os.environ[lab.DATABASE]))
    from django.conf import settings
    from django.core.handlers.asgi import ASGIHandler
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    from helpers.labs.web.django_bookings.models import Flight

    async def departures(request: HttpRequest) -> JsonResponse:
        return JsonResponse({"flights": await Flight.objects.acount()})

    settings.MIDDLEWARE = []
    settings.ROOT_URLCONF = (path("departures", departures),)
    return ASGIHandler()


def main() -> None:
    """Serve on a free port of loopback, print the address; end with the process that started us."""
    import uvicorn

    processes.interrupted_when_stdin_closes()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application(), log_level="warning", lifespan="off")
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    asyncio.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    sys.exit(main())
