"""The dashboard as an ASGI application."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from pullet_broker.errors import PulletError
from pullet_console.metrics import Exposition
from pullet_console.ui.api import Api, show_error
from pullet_console.ui.gate import Gate
from pullet_console.ui.live import Broadcast
from pullet_console.ui.monitor import Monitor
from pullet_console.ui.readers import Readers
from pullet_console.ui.settings import Settings

STATIC = Path(__file__).parent / "static"


def make_app(settings: Settings, monitor: Monitor, broadcast: Broadcast) -> ASGIApp:
    """The monitor runs as long as the application does."""
    readers, exposition = Readers(settings.redis), Exposition(monitor)
    api = Api(settings, readers, monitor, broadcast)
    monitor.on_turn = broadcast.tell

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def metrics(request: Request) -> Response:
        return Response(exposition.text(), media_type=exposition.media_type)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        monitor.start()
        try:
            yield
        finally:
            broadcast.close()
            monitor.stop()
            readers.close()

    of_queue = "/api/queues/{queue}"
    return Starlette(
        routes=[
            Route("/", page),
            Route("/healthz", api.health),
            Route("/metrics", metrics),
            Route("/api/session", api.session),
            Route("/api/live", api.live),
            Route("/api/queues", api.queues),
            Route(of_queue + "/backlog", api.backlog),
            Route(of_queue + "/workers", api.workers),
            Route(of_queue + "/jobs", api.jobs),
            Route(of_queue + "/jobs/{job}", api.job),
            Route(of_queue + "/dead", api.letters),
            Route(of_queue + "/dead/groups", api.letter_groups),
            Route(of_queue + "/actions", api.action_log),
            Route(of_queue + "/actions/{action}", api.act, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Gate, settings=settings)],
        exception_handlers={
            PulletError: show_error,
            ValueError: show_error,
            json.JSONDecodeError: show_error,
        },
        lifespan=lifespan,
    )
