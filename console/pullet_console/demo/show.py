"""The demo from the first server to the last process, and how it ends."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import ray

from pullet_broker.address import URL
from pullet_console.demo import inside
from pullet_console.demo.collect import Driver, PlainProcess, RayTask
from pullet_console.demo.course import Course, View
from pullet_console.demo.engine import SLOW_PLACES, SLOWER, Digits
from pullet_console.demo.interrupt import Interrupt
from pullet_console.demo.reference import read_directly
from pullet_console.demo.verdict import Verdict
from pullet_workers import Pool
from pullet_workers.cluster import NAMESPACE, start_local_ray

WORKERS = 4
DRAIN_S = 5.0


def run(jobs: int, begun: float) -> int:
    """The whole demo; `begun` is the monotonic time when it was called. Returns the exit code."""
    view = choose_view()
    interrupt = Interrupt()
    try:
        with view:
            verdict = perform(jobs, view, interrupt)
    except KeyboardInterrupt:
        view.say("stopped; nothing is left running")
        return 130
    view.say(f"everything is taken down again; {time.monotonic() - begun:.1f} s in all")
    return 1 if verdict.failures else 0


def perform(jobs: int, view: View, interrupt: Interrupt) -> Verdict:
    """Order of the end: callers, pool (its workers, then its server), Ray, the folder of the places."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pullet-demo-", ignore_cleanup_errors=True))
        reading = stack.enter_context(ThreadPoolExecutor(1)).submit(read_directly, jobs)
        view.say("starting Ray")
        stack.enter_context(quiet_ray(interrupt))
        view.say(f"starting {WORKERS} workers: each trains its engine; {len(SLOW_PLACES)} are {SLOWER} times slower")
        pool = open_pool(Path(folder))
        stack.callback(pool.close, wait=False)  # jobs that are still open now have failed
        lines = inside.lines(pool.redis, pool.queue)
        view.say("look inside while it runs:", lines)
        reference = reading.result()
        callers = [kind(pool, reference.images, part) for part, kind in enumerate((Driver, RayTask, PlainProcess))]
        for caller in callers:
            stack.callback(caller.stop)
        verdict = Course(pool, callers, view, interrupt).run(WORKERS, reference)
        view.conclude(verdict, [look_again(), *lines])
    return verdict


def open_pool(places: Path) -> Pool[Digits]:
    """Workers that ask for half a CPU each: they sleep most of the time, and the cluster may be somebody else's."""
    return Pool(partial(Digits, places), workers=WORKERS, num_cpus=0.5, drain_timeout=DRAIN_S)


def look_again() -> str:
    if os.environ.get(URL):
        return "look inside:"
    return f"look inside (while it runs; with a {URL} of yours also afterwards):"


def choose_view() -> View:
    """The live view where stdout is a terminal that can move its cursor."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown"):
        from pullet_console.demo.view import TerminalView

        return TerminalView()
    from pullet_console.demo.plain import PlainView

    return PlainView()


@contextmanager
def quiet_ray(interrupt: Interrupt) -> Iterator[None]:
    """The cluster at `RAY_ADDRESS`, or a local one. Nothing that workers print is shown: one dies on purpose.

    Ctrl-C is held while Ray starts: one that is taken down half-way leaves agents behind, for minutes.
    """
    try:
        with interrupt.held("stopping as soon as Ray has started"):
            join_ray()
        yield
    finally:
        ray.shutdown()


def join_ray() -> None:
    address = os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    else:
        start_local_ray(WORKERS, log_to_driver=False)
