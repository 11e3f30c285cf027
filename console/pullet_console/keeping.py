"""Keep a pool of workers until it is told to stop."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from pullet_broker.address import Address
from pullet_workers.pool import Pool

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pullet_workers.spec import WorkerKeywords


def keep_pool(
    engine: str,
    workers: int | tuple[int, int] | str,
    queue: str | None,
    redis: Address | None,
    **worker: Unpack[WorkerKeywords],
) -> None:
    """Start the workers of `engine` ("module:Class") and drain them at SIGTERM or Ctrl-C.

    Raises `EngineFailed` when the engine cannot be built, and the errors of `Pool`.
    """
    asked = threading.Event()
    pool: Pool[object]
    with Pool(engine, workers=workers, queue=queue, redis=redis, **worker) as pool:
        for number in (signal.SIGTERM, signal.SIGINT):  # here, because Ray sets its own handlers when it starts
            signal.signal(number, lambda *_: asked.set())
        print(f"pullet: {workers} workers of {engine} take jobs from queue {pool.queue!r} at {pool.redis}", flush=True)
        asked.wait()
        print("pullet: draining", flush=True)
