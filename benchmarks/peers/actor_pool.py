"""`ray.util.ActorPool`: one in each caller, which is all it can do."""

from __future__ import annotations

from typing import Any

import ray
from ray.util import ActorPool

from benchmarks.peers.ray_calls import work
from benchmarks.ray_side import find_actors

__all__ = ["connect", "work"]

SETTINGS = "ActorPool(actors).map() in each caller"
VERSION_OF = "ray"
TOGETHER = True
ONE_THREAD = True
RECOVERY = "none: the caller gets ActorDiedError, the actor is not replaced"


class Caller:
    def __init__(self) -> None:
        self._pool = ActorPool(find_actors())

    def submit(self, task: str, values: list[Any]) -> list[Any]:
        """The pool's own generator: it yields the results in order, once each is there."""
        results = self._pool.map(lambda actor, value: getattr(actor, task).remote(value), values)
        return [results] * len(values)

    def result(self, handle: Any) -> Any:
        return next(handle)

    def close(self) -> None:
        ray.shutdown()


def connect() -> Caller:
    return Caller()
