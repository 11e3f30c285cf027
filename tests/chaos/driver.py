"""One run: the real parts are started, faults happen to them, all of it ends, and the checker looks at what is left."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from pullet_broker.address import Address
from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.settings import Lease, Lifetimes, Prefetch, Queue
from pullet_workers import Pool
from pullet_workers.cluster import start_local_ray
from tests.chaos.caller import Part
from tests.chaos.cast import Callers
from tests.chaos.checker import Remains, Verdict, check
from tests.chaos.engine import Work
from tests.chaos.faults import Faults
from tests.chaos.forgotten import Forgotten, find_forgotten
from tests.chaos.history import Event, Recorder, read_history
from tests.chaos.ledger import read_ledger
from tests.chaos.meanwhile import Meanwhile, look_meanwhile
from tests.chaos.plan import Plan
from tests.chaos.store import Store
from tests.support.leaks import FIXED, wait_until
from tests.support.proxy import Proxy

LEASE = Lease(beat_s=0.4, tick_ms=360, ticks=10)
HANG_S = 30.0
"""Longer than faults of the network and the server can keep a worker from being heard: it waits 10 s for an answer that
is held back, and the server may be down when it asks again. So only a process that is stopped is replaced. With 12 s a
live worker was, once in 10^5 jobs, and its job ran again."""
REPLY_MS = 7 * 86_400_000
"""Longer than the clock is set ahead: no reply may expire before the successor of a caller has read it."""
START_S = 60.0
REST_S = 30.0
"""How long the queue may take to be clean when all callers are done."""


@dataclass(frozen=True)
class Run:
    verdict: Verdict
    faults: dict[str, int]
    program: str
    took_s: float
    crashes: list[Forgotten]
    meanwhile: Meanwhile | None


def play(plan: Plan, folder: Path, server: str) -> Run:
    """`folder` keeps the histories and the server's data."""
    queue = Queue(
        name="chaos", lease=LEASE, prefetch=Prefetch(budget_s=plan.budget_s), lifetimes=Lifetimes(reply_ms=REPLY_MS)
    )
    with contextlib.ExitStack() as stack:
        store = Store(folder, server, plan.fsync)
        stack.callback(store.close)
        proxy = stack.enter_context(Proxy(store.url))
        pool = stack.enter_context(_pool(plan, queue, proxy, folder))
        memory = _memory(store)
        began_at = time.monotonic()
        parts = [Part(plan, queue, Address(proxy.url), folder, began_at, n, 0) for n in range(plan.callers)]
        callers = Callers(parts, folder / "callers.log")
        stack.callback(callers.close)
        faults = Faults(queue, store, proxy, callers, Recorder(folder, "faults"))
        stack.callback(faults.close)
        faults.run(plan.acts(), began_at, began_at + plan.seconds)
        callers.wait(began_at + plan.seconds + plan.drain_s + 10)
        wait_until(lambda: not any(_stranded(store, queue, pool).values()), REST_S)
        remains = _remains(store, queue, pool, memory)
        took_s = time.monotonic() - began_at
    events, prefix = read_history(folder), queue.keys.fixed("")
    ledger, crashes = read_ledger(store.log_files, prefix), _forgotten(store, events, prefix)
    verdict = check(events, ledger, remains, crashes, durable=plan.fsync == "always", hand=plan.hand)
    return Run(verdict, faults.done, store.program, took_s, crashes, look_meanwhile(events))


def _forgotten(store: Store, events: list[Event], prefix: str) -> list[Forgotten]:
    """In each crash of the server's machine."""
    found = []
    for crash in store.crashes:
        lost = read_ledger([crash.lost], prefix)
        known = read_ledger(store.log_files, prefix, crash.kept) if lost else {}  # the log may be long
        found.append(find_forgotten(events, crash.at, crash.unsynced_s, known, lost))
    return found


@contextlib.contextmanager
def _pool(plan: Plan, queue: Queue, proxy: Proxy, folder: Path) -> Iterator[Pool[Any]]:
    """All workers are ready."""
    start_local_ray(plan.workers, log_to_driver=False)
    engine = functools.partial(Work, str(folder))
    try:
        with Pool(engine, workers=plan.workers, queue=queue, redis=proxy.url, hang_timeout=HANG_S) as pool:
            if not wait_until(lambda: pool.status()["ready"] == plan.workers, START_S):
                raise TimeoutError(f"{plan.workers} workers were not ready after {START_S:g} s: {pool.status()}")
            yield pool
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _direct(store: Store) -> Iterator[Link]:
    with contextlib.closing(Link(Address(store.url), "chaos")) as link:
        yield link


def _memory(store: Store) -> int:
    """What the data takes, without the buffers of connections."""
    with _direct(store) as link:
        stats = link.execute("MEMORY", "STATS")
        return int(dict(zip(stats[::2], stats[1::2], strict=True))[b"dataset.bytes"])


def _stranded(store: Store, queue: Queue, pool: Pool[Any]) -> dict[str, int]:
    keys, living = queue.keys, {worker["name"] for worker in pool.workers()}
    with _direct(store) as link:
        lanes = [*keys.lanes, *(keys.at(place.decode()) for place in link.execute("SMEMBERS", keys.fixed("places")))]
        consumers = {row[1].decode() for lane in lanes for row in link.execute("XINFO", "CONSUMERS", lane, GROUP)}
        return {
            "entries": sum(link.execute("XLEN", lane) for lane in lanes),
            "pending entries": sum(link.execute("XPENDING", lane, GROUP)[0] for lane in lanes),
            "parked jobs": link.execute("HLEN", keys.fixed("parked")) + link.execute("ZCARD", keys.fixed("delayed")),
            "consumers of the dead": len([one for one in consumers if one.partition(".")[0] not in living]),
        }


def _remains(store: Store, queue: Queue, pool: Pool[Any], memory: int) -> Remains:
    """Looks, then throws the dead letters away and lets everything with a TTL expire, and looks at the memory."""
    stranded, forever = _stranded(store, queue, pool), []
    pool.dead.purge_all()
    prefix = queue.keys.fixed("")
    with _direct(store) as link:
        for raw in link.execute("KEYS", "*"):
            name = raw.decode().removeprefix(prefix)
            if link.execute("PTTL", raw) != -1:
                link.execute("DEL", raw)
            elif name not in FIXED and not name.startswith("jobs:at:"):
                forever.append(name)
    return Remains(stranded, forever, _memory(store) - memory)
