"""Plain calls of Ray actors, in turn: what users have before they need more."""

from __future__ import annotations

from itertools import count
from typing import Any

import ray

from benchmarks.ray_side import IN_FLIGHT, actors, find_actors, until_told

SETTINGS = "actor.method.remote(), 1,000 in flight, actors in turn"
VERSION_OF = "ray"
TOGETHER = True
RECOVERY = "none: the caller gets ActorDiedError"


def work() -> None:
    with actors() as made:
        ray.get([actor.echo.remote("") for actor in made])
        until_told()


class Caller:
    def __init__(self) -> None:
        self._actors, self._turn = find_actors(), count()

    def submit(self, task: str, values: list[Any]) -> list[Any]:
        handles: list[Any] = []
        flying: list[Any] = []
        for value in values:
            if len(flying) >= IN_FLIGHT:
                _, flying = ray.wait(flying, num_returns=100)
            method = getattr(self._actors[next(self._turn) % len(self._actors)], task)
            handles.append(method.remote(value))
            flying.append(handles[-1])
        return handles

    def result(self, handle: Any) -> Any:
        return ray.get(handle)

    def close(self) -> None:
        ray.shutdown()


def connect() -> Caller:
    return Caller()
