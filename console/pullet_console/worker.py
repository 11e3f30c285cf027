"""`pullet worker`: keep a pool of workers until it is told to stop."""

from __future__ import annotations

import signal
import threading

from pullet_workers import Pool


def keep_pool(engine: str, queue: str | None, workers: int, num_cpus: float, num_gpus: float) -> None:
    """Start the workers of `engine` ("module:Class") and drain them at SIGTERM or Ctrl-C.

    Raises `EngineFailed` when the engine cannot be built, and the errors of `Pool`.
    """
    asked = threading.Event()
    pool: Pool[object]
    with Pool(engine, workers=workers, queue=queue, num_cpus=num_cpus, num_gpus=num_gpus) as pool:
        for number in (signal.SIGTERM, signal.SIGINT):  # here, because Ray sets its own handlers when it starts
            signal.signal(number, lambda *_: asked.set())
        print(f"pullet: {workers} workers of {engine} take jobs from queue {pool.queue!r} at {pool.redis}", flush=True)
        asked.wait()
        print("pullet: draining", flush=True)
