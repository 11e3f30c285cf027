"""The answers to what a page asks. Each reads Redis in a thread of its own, so that a slow one holds up nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

import pullet
from pullet_broker.errors import NameRefused, PulletError, ServerUnavailable
from pullet_broker.moves.actions import last_actions, read_actions
from pullet_broker.settings import Queue
from pullet_console.reading.reader import Reader
from pullet_console.ui.actions import Actions
from pullet_console.ui.inert_json import Answer
from pullet_console.ui.job_page import show_job
from pullet_console.ui.live import Broadcast, stream
from pullet_console.ui.monitor import Monitor
from pullet_console.ui.readers import Readers
from pullet_console.ui.settings import Settings

T = TypeVar("T")

PAGE = 50
MOST_ROWS = 200


class Api:
    """One method for each question."""

    def __init__(self, settings: Settings, readers: Readers, monitor: Monitor, broadcast: Broadcast) -> None:
        self._settings, self._readers, self._monitor, self._broadcast = settings, readers, monitor, broadcast
        self._actions = Actions(settings.redis)

    async def session(self, request: Request) -> Response:
        """What a page must know once. The action token is for pages of ours: no other site can read this answer."""
        may = self._settings.may_act
        server = await self._ask(lambda reader: reader.server())
        return Answer(
            {
                "version": pullet.__version__,
                "redis": str(self._settings.redis),
                "server": server,
                "may_act": may,
                "action_token": self._settings.action_token if may else "",
            }
        )

    async def queues(self, request: Request) -> Response:
        names = list(self._settings.queues) or None
        return Answer(await self._ask(lambda reader: reader.summaries(names)))

    async def backlog(self, request: Request) -> Response:
        """For scalers: what waits, and never null."""
        (summary,) = await self._ask(lambda reader: reader.summaries([_queue(request)]))
        return Answer({"queue": summary.name, "backlog": summary.waiting, "running": summary.running})

    async def workers(self, request: Request) -> Response:
        return Answer(await self._ask(lambda reader: reader.workers(_queue(request))))

    async def jobs(self, request: Request) -> Response:
        given = request.query_params
        return Answer(
            await self._ask(
                lambda reader: reader.jobs(
                    _queue(request),
                    given.get("state", "waiting"),
                    after=given.get("after", ""),
                    limit=_limit(given.get("limit")),
                    method=given.get("method", ""),
                )
            )
        )

    async def job(self, request: Request) -> Response:
        return Answer(await self._ask(lambda reader: show_job(reader, _queue(request), request.path_params["job"])))

    async def letters(self, request: Request) -> Response:
        given = request.query_params
        return Answer(
            await self._ask(
                lambda reader: reader.letters(
                    _queue(request),
                    before=given.get("before", ""),
                    limit=_limit(given.get("limit")),
                    method=given.get("method", ""),
                    error=given.get("error", ""),
                )
            )
        )

    async def letter_groups(self, request: Request) -> Response:
        return Answer(await self._ask(lambda reader: reader.letter_groups(_queue(request))))

    async def action_log(self, request: Request) -> Response:
        queue = Queue(name=_queue(request))
        return Answer(await self._ask(lambda reader: read_actions(reader.ask(*last_actions(queue)))))

    async def live(self, request: Request) -> Response:
        name = request.query_params.get("queue", "")
        return StreamingResponse(stream(self._monitor, self._broadcast, name), media_type="text/event-stream")

    async def act(self, request: Request) -> Response:
        """The gate has let it through: it comes from a page of ours."""
        given = json.loads(await request.body() or b"{}")
        if not isinstance(given, dict):
            raise ValueError("an action is a JSON object")
        queue, action = Queue(name=_queue(request)), request.path_params["action"]
        by = request.client.host if request.client else "?"
        return Answer(await self._ask(lambda reader: self._actions.run(reader, queue, action, given, by)))

    async def health(self, request: Request) -> Response:
        problem = self._monitor.problem
        return Answer({"ok": not problem, "problem": problem}, status_code=503 if problem else 200)

    async def _ask(self, question: Callable[[Reader], T]) -> T:
        return await run_in_threadpool(self._readers.ask, question)


def _queue(request: Request) -> str:
    name: str = request.path_params["queue"]
    return Queue(name=name).name  # raises NameRefused


def _limit(text: str | None) -> int:
    return min(MOST_ROWS, max(1, int(text))) if text and text.isdecimal() and len(text) < 6 else PAGE


async def show_error(request: Request, error: Exception) -> Response:
    """What pullet or a bad request raised, as an answer."""
    status: dict[Any, int] = {ServerUnavailable: 503, NameRefused: 404}
    kinds = [code for kind, code in status.items() if isinstance(error, kind)]
    known = kinds[0] if kinds else 502 if isinstance(error, PulletError) else 400
    return Answer({"error": str(error)}, status_code=known)
