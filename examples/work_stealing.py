"""Engines of unequal speed, several remote callers: who keeps all engines busy?

The program of the Ray forum's thread "Work-stealing for multiple actors?", three times with the same engines and the
same jobs: with `ray.util.ActorPool` in each caller, with a central dispatcher actor, and with pullet.

    python examples/work_stealing.py [--jobs 2400] [--png timelines.png]

Prints makespan, ideal and utilisation of each, and draws the timelines: one row an engine, white where it idled while
work was waiting. `ideal` is jobs / sum(1 / mean run time of an engine): no engine ever waits.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.util import ActorPool
from timelines import Run, Span, draw

from pullet_workers import Pool
from pullet_workers.cluster import connect_to_ray

SPEEDS = (0.005, 0.005, 0.025, 0.025)
CALLERS = 3
SETTLE_S = 3.0
"""After each start Ray makes spare processes in the background; they would take the CPU from whoever comes first."""


class Engine:
    """Warm, stateful, and as fast as the machine it stands for."""

    def __init__(self, places: str) -> None:
        self.place = _take_place(Path(places))

    def run(self, arg: int) -> Span:
        start = time.monotonic()
        time.sleep(SPEEDS[self.place])
        return self.place, start, time.monotonic()


def _take_place(places: Path) -> int:
    """The first free place: each engine of a run gets another one, and with it a speed."""
    for place in range(len(SPEEDS)):
        try:
            (places / str(place)).touch(exist_ok=False)
        except FileExistsError:
            continue
        return place
    raise RuntimeError(f"more than {len(SPEEDS)} engines")


# -- one ActorPool in each caller: it knows nothing of the others' jobs


@ray.remote(num_cpus=0)
def process_batch_with_actor_pool(actors: list, batch: list[int]) -> list[Span]:
    return list(ActorPool(actors).map_unordered(lambda actor, arg: actor.run.remote(arg), batch))


@contextmanager
def actor_pools(places: str) -> Iterator[Callable]:
    actors = [ray.remote(Engine).options(num_cpus=1).remote(places) for _ in SPEEDS]
    yield functools.partial(process_batch_with_actor_pool.remote, actors)
    for actor in actors:
        ray.kill(actor)


# -- a central dispatcher: every call goes through one process, twice


class Dispatcher:
    def __init__(self, actors: list) -> None:
        self.idle: asyncio.Queue = asyncio.Queue()
        for actor in actors:
            self.idle.put_nowait(actor)

    async def run(self, arg: int) -> Span:
        actor = await self.idle.get()
        try:
            return await actor.run.remote(arg)
        finally:
            self.idle.put_nowait(actor)


@ray.remote(num_cpus=0)
def process_batch_with_dispatcher(dispatcher, batch: list[int]) -> list[Span]:
    return ray.get([dispatcher.run.remote(arg) for arg in batch])


@contextmanager
def dispatcher(places: str) -> Iterator[Callable]:
    actors = [ray.remote(Engine).options(num_cpus=1).remote(places) for _ in SPEEDS]
    central = ray.remote(Dispatcher).options(num_cpus=0, max_concurrency=100_000).remote(actors)
    yield functools.partial(process_batch_with_dispatcher.remote, central)
    for actor in (central, *actors):
        ray.kill(actor)


# -- pullet: the queue is shared, each engine takes the next job when it is free


@ray.remote(num_cpus=0)
def process_batch_with_pullet(pool: Pool[Engine], batch: list[int]) -> list[Span]:
    return list(pool.map(Engine.run, batch, ordered=False))


@contextmanager
def pullet_pool(places: str) -> Iterator[Callable]:
    with Pool(functools.partial(Engine, places), workers=len(SPEEDS), num_cpus=1) as pool:
        while len([worker for worker in pool.workers() if worker["state"] == "idle"]) < len(SPEEDS):
            time.sleep(0.05)
        yield functools.partial(process_batch_with_pullet.remote, pool)


WAYS = {"ActorPool per caller": actor_pools, "central dispatcher": dispatcher, "pullet": pullet_pool}


def measure(way: str, jobs: int) -> Run:
    with tempfile.TemporaryDirectory() as places, WAYS[way](places) as process_batch:
        ray.get([process_batch([0] * 8) for _ in range(CALLERS)])  # every caller and every engine is warm
        time.sleep(SETTLE_S)
        batches = [list(range(caller, jobs, CALLERS)) for caller in range(CALLERS)]
        start = time.monotonic()
        results = ray.get([process_batch(batch) for batch in batches])
        return Run(way, SPEEDS, start, time.monotonic(), [span for result in results for span in result])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2400)
    parser.add_argument("--png", type=Path, default=Path("work_stealing.png"))
    options = parser.parse_args()
    connect_to_ray(2 * len(SPEEDS))
    runs = []
    for way in WAYS:
        runs.append(measure(way, options.jobs))
        print(runs[-1], flush=True)
    ray.shutdown()
    try:
        draw(runs, options.png)
        print(f"timelines: {options.png}")
    except ImportError:
        print("no picture: pip install matplotlib")


if __name__ == "__main__":
    main()
