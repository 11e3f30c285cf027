"""Echo of large values: against Ray's object store, and plain SET and GET."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.run import OURS, Figures, Run, Workload
from benchmarks.turn import a_turn

SIZES = {"1 KiB": 1 << 10, "64 KiB": 64 << 10, "1 MiB": 1 << 20, "16 MiB": (16 << 20) - 1024}
"""The largest leaves room for the name of the method: 16 MiB is the limit of a call."""
MOST_S, MOST_CALLS = 2.0, 300
SET_GET, CALLS = "SET + GET", "ray_calls"


def payload(run: Run, name: str) -> Figures:
    """Bytes there and back, one call after the other."""
    if name == SET_GET:
        return {f"{label} MB/s": _rate(size, _set_get(run, size)) for label, size in SIZES.items()}
    figures = {}
    with a_turn(run.system(name), run.server) as turn:
        for label, size in SIZES.items():
            calls = min(MOST_CALLS, max(5, (128 << 20) // size))
            seconds = turn.ask("echo_size", size, calls)["seconds"]
            figures[f"{label} MB/s"] = 2 * size * len(seconds) / sum(seconds) / 1e6
    return figures


def _rate(size: int, call: Callable[[], None]) -> float:
    call()
    begun, calls = time.perf_counter(), 0
    while calls < MOST_CALLS and time.perf_counter() - begun < MOST_S:
        call()
        calls += 1
    return 2 * size * calls / (time.perf_counter() - begun) / 1e6


def _set_get(run: Run, size: int) -> Callable[[], None]:
    """What an echo through the server cannot do without: SET and GET on the way there, and again on the way back."""
    import redis

    client, value = redis.Redis.from_url(run.server.url), b"x" * size

    def call() -> None:
        for _ in range(2):
            client.set("payload", value)
            if client.get("payload") != value:
                raise RuntimeError("a wrong answer")

    return call


PAYLOAD = Workload(
    "payload",
    "echo of bytes, one call after the other: MB/s there and back. SET + GET: each way, redis-py with hiredis. Ray: "
    "arguments and results over 100 KiB go through its object store",
    "1 MiB MB/s",
    payload,
    lambda run: [name for name in (OURS, SET_GET, CALLS) if name == SET_GET or name in run.names],
    (("1 MiB MB/s", OURS, SET_GET),),
)
