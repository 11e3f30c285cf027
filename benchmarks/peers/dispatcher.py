"""A central dispatcher actor: the answer that Ray's forum gives to callers who want to share actors."""

from __future__ import annotations

import asyncio
from typing import Any

import ray

from benchmarks.peers import ray_calls
from benchmarks.ray_side import actors, find, until_told

SETTINGS = "an async actor that hands each call to an idle actor, 1,000 in flight"
VERSION_OF = "ray"
TOGETHER = True
RECOVERY = "none: the caller gets ActorDiedError"


class Dispatcher:
    def __init__(self, actors: list[Any]) -> None:
        self._idle: asyncio.Queue[Any] = asyncio.Queue()
        for actor in actors:
            self._idle.put_nowait(actor)

    async def echo(self, value: Any) -> Any:
        return await self._run("echo", value)

    async def nap(self, value: Any) -> Any:
        return await self._run("nap", value)

    async def _run(self, task: str, value: Any) -> Any:
        actor = await self._idle.get()
        try:
            return await getattr(actor, task).remote(value)
        finally:
            self._idle.put_nowait(actor)


def work() -> None:
    with actors() as made:
        central = ray.remote(Dispatcher).options(name="dispatcher", num_cpus=0, max_concurrency=100_000).remote(made)
        ray.get(central.echo.remote(""))
        until_told()


class Caller(ray_calls.Caller):
    def __init__(self) -> None:
        super().__init__()
        self._actors = [find("dispatcher")]


def connect() -> Caller:
    return Caller()
