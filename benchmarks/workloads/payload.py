"""Echo of large values: against Ray's object store, and plain SET and GET."""

from __future__ import annotations

import statistics
import time

import redis

from benchmarks.run import OURS, Figures, Run, Workload
from benchmarks.turn import a_turn

SIZES = {"1 KiB": 1 << 10, "64 KiB": 64 << 10, "1 MiB": 1 << 20, "16 MiB": (16 << 20) - 1024}
"""The largest leaves room for the name of the method: 16 MiB is the limit of a call."""
PAIRS = 8
"""Turns of a system, each beside one of SET and GET: a machine's speed changes within seconds."""
MOST_CALLS, MOST_BYTES = 300, 128 << 20
CALLS = "ray_calls"


def payload(run: Run, name: str) -> Figures:
    """Bytes there and back, one call after the other, in turns with SET and GET of as many."""
    figures = {}
    with a_turn(run.system(name), run.server) as turn, redis.Redis.from_url(run.server.url) as client:
        for label, size in SIZES.items():
            calls = max(1, min(MOST_CALLS, MOST_BYTES // size) // PAIRS)
            _set_get(client, size, 1)
            pairs = [
                (statistics.mean(turn.ask("echo_size", size, calls)["seconds"]), _set_get(client, size, calls))
                for _ in range(PAIRS)
            ]
            figures[f"{label} MB/s"] = 2 * size / statistics.median(echo for echo, _ in pairs) / 1e6
            figures[f"{label} / SET + GET"] = statistics.median(plain / echo for echo, plain in pairs)
    return figures


def _set_get(client: redis.Redis, size: int, calls: int) -> float:
    """What an echo through the server cannot do without: SET and GET on the way there, and again on the way back. In
    seconds for each."""
    value = b"x" * size
    begun = time.perf_counter()
    for _ in range(2 * calls):
        client.set("payload", value)
        if client.get("payload") != value:
            raise RuntimeError("a wrong answer")
    return (time.perf_counter() - begun) / calls


PAYLOAD = Workload(
    "payload",
    "echo of bytes, one call after the other: MB/s there and back, and as a share of what SET + GET each way do in the "
    "same moment, redis-py with hiredis. Ray: arguments and results over 100 KiB go through its object store",
    "1 MiB MB/s",
    payload,
    lambda run: [name for name in (OURS, CALLS) if name in run.names],
)
