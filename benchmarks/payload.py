"""Large values: an array there and back beside pickle, and what compression costs and saves.

    make bench-payload              about a minute
    make bench-payload ARGS="--mib 64 --rounds 10"

value            encode, SET, GET, decode of an array of float64, with our codec and connection, beside pickle with
                 redis-py: what the array itself costs on one way, in turns, through the same server.
there and back   the same array goes to a worker in another process, which gives it back, as whole jobs:
                 pullet: submit, result. pullet pickled: the same with codec="pickle" on both sides.
                 pickle: the least that a queue of pickles does. `pickle.dumps`, RPUSH, BLPOP in the worker,
                 `pickle.loads`, and the same way back, with redis-py; nothing is stored under a key, fenced or kept.
compression      one thread packs and unpacks values of 4 MiB: MB/s of the value, and to what part of it they shrink.

Every answer is checked. How often our code copies an array is counted by tests/workers/test_copies.py.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import pickle
import random
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy
import redis

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.codec import decode, encode
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Encoding, Limits, Queue
from pullet_workers.runner import Runner

JOBS, REPLIES = "pickled:jobs", "pickled:replies"
LIMITS = Limits(args_bytes=1 << 30, result_bytes=1 << 30)
PLAIN, PICKLED = (
    Queue(name="plain", limits=LIMITS),
    Queue(name="pickled", limits=LIMITS, encoding=Encoding(codec="pickle")),
)
SIZE = 4 << 20


class Echo:
    def run(self, value: Any) -> Any:
        return value


def work(url: str, ready: Any) -> None:
    """The worker's process: one runner for each of our queues, and the loop of the bare one."""
    for queue in (PLAIN, PICKLED):
        started = threading.Event()
        Runner(queue, Address(url), Echo, on_ready=started.set).start()
        started.wait()
    connection = redis.Redis.from_url(url, socket_timeout=None)
    ready.set()
    while True:
        _, job = connection.blpop([JOBS])  # type: ignore[misc]
        connection.rpush(REPLIES, pickle.dumps(Echo().run(pickle.loads(job)), protocol=5))


def there_and_back(url: str, mib: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round."""
    array = numpy.random.default_rng(1).random((mib << 20) // 8)
    plain, pickled = Client(Echo, PLAIN, Address(url)), Client(Echo, PICKLED, Address(url))
    connection = redis.Redis.from_url(url, socket_timeout=None)

    def bare() -> Any:
        connection.rpush(JOBS, pickle.dumps(array, protocol=5))
        return pickle.loads(connection.blpop([REPLIES])[1])  # type: ignore[index]

    link, key = Link(Address(url), "payload"), "value"

    def value_encoded() -> Any:
        link.execute("SET", key, (encode(array, limit=1 << 30),))
        return decode(link.execute("GET", key), limit=1 << 30)

    def value_pickled() -> Any:
        connection.set(key, pickle.dumps(array, protocol=5))
        return pickle.loads(connection.get(key))  # type: ignore[arg-type]

    ways: dict[str, Callable[[], Any]] = {
        "value, encoded": value_encoded,
        "value, pickled": value_pickled,
        "pullet": lambda: plain.submit(Echo.run, array).result(60),
        "pullet pickled": lambda: pickled.submit(Echo.run, array).result(60),
        "pickle": bare,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            back = way()
            took = (time.perf_counter() - start) * 1000
            if not numpy.array_equal(back, array):
                raise SystemExit(f"{name}: a wrong answer")
            found[name] += [took] if number else []  # the first of each warms up
    plain.close()
    pickled.close()
    connection.close()
    link.close()
    return found


def samples() -> dict[str, Any]:
    """Values of about `SIZE` bytes."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 10))) for _ in range(5000)]
    rows = [{"id": i, "score": chance.random(), "name": chance.choice(words)} for i in range(SIZE // 50)]
    wave = numpy.sin(numpy.linspace(0, 40, SIZE)) * 100 + 128
    noise = numpy.random.default_rng(1)
    return {
        "JSON rows": json.dumps(rows)[:SIZE],
        "words": " ".join(chance.choices(words, k=SIZE // 6))[:SIZE],
        "picture": (wave + noise.integers(0, 3, SIZE)).astype("u1"),
        "random float64": noise.random(SIZE // 8),
    }


def best(step: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the fastest of five, and what it returned."""
    fastest, result = 1e9, None
    for _ in range(5):
        start = time.perf_counter()
        result = step()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest, result


def compression() -> list[str]:
    rows = [f"{'':<18}{'algorithm':<12}{'packs MB/s':>12}{'unpacks MB/s':>14}{'shrinks to':>12}"]
    for name, value in samples().items():
        for algorithm in (None, "zlib", "zstd"):
            how = Encoding(compression=algorithm)  # type: ignore[arg-type]
            packing, data = best(lambda how=how, value=value: encode(value, how=how))  # type: ignore[misc]
            unpacking, _ = best(lambda data=data: decode(data))  # type: ignore[misc]
            speeds = f"{SIZE / packing / 1e6:>12,.0f}{SIZE / unpacking / 1e6:>14,.0f}"
            rows.append(f"{name:<18}{algorithm or '-':<12}{speeds}{len(data) / SIZE:>12.0%}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with EmbeddedServer.start() as server:
        ready = context.Event()
        worker = context.Process(target=work, args=(server.url, ready), daemon=True)
        worker.start()
        ready.wait()
        found = there_and_back(server.url, options.mib, options.rounds)
        worker.terminate()
        worker.join()
    print(f"{options.mib} MiB of float64 there and back, {options.rounds} rounds{'median':>14}{'fastest':>12}")
    for name, times in found.items():
        print(f"{name:<48}{statistics.median(times):>11,.1f} ms{min(times):>9,.1f} ms")
    for ours, theirs in (("value, encoded", "value, pickled"), ("pullet", "pickle")):
        ratios = [b / a for a, b in zip(found[ours], found[theirs], strict=True)]
        print(f"{theirs!r} takes {statistics.median(ratios):.2f} times as long as {ours!r} (median of the rounds)")
    print()
    print("\n".join(compression()))


if __name__ == "__main__":
    main()
