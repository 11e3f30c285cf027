"""The keeper of a pool: as many workers as wanted, the jobs of the dead issued again, the dead replaced.

It is in no data path: callers and workers go on without it, and what it does at once the beats do within a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pullet_broker.backoff import Backoff
from pullet_broker.errors import EngineFailed
from pullet_workers.registry import Registry
from pullet_workers.spec import PoolSpec

log = logging.getLogger("pullet.pool")

RECONCILE_S = 1.0
SETTLED_S = 10.0
"""A worker that lived this long is no sign of a crash loop."""


class Worker(Protocol):
    """What the controller needs of a worker; `cluster.RayWorker` is one."""

    name: str

    async def wait_ready(self) -> dict[str, Any]: ...
    async def wait_closed(self) -> None: ...
    async def status(self) -> dict[str, Any]: ...
    async def drain(self, timeout_s: float) -> bool: ...
    def kill(self) -> None: ...


class Cluster(Protocol):
    """What the controller needs of a cluster; `cluster.RayCluster` is one."""

    def start_worker(self, spec: PoolSpec, name: str) -> Worker: ...
    def find_workers(self, spec: PoolSpec) -> Sequence[Worker]: ...
    def is_node_alive(self, node: str) -> bool: ...
    def is_job_over(self, job: str) -> bool: ...


@dataclass(eq=False)
class Member:
    """A worker, as the controller sees it."""

    worker: Worker
    state: str = "starting"
    """starting, ready, leaving"""
    node: str | None = None
    pid: int | None = None
    started: float = 0.0


class Controller:
    """Runs in a thread with an event loop of its own; the methods may be called from any thread."""

    def __init__(self, spec: PoolSpec, cluster: Cluster, on_over: Callable[[], None] = lambda: None) -> None:
        self._spec, self._cluster, self._on_over = spec, cluster, on_over
        self._wanted, self._drain_s = spec.workers, spec.drain_s
        self._members: dict[str, Member] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._registry = Registry(spec.queue, spec.address)
        self._backoff = Backoff(first_s=1.0, most_s=60.0)
        self._resume_at = 0.0
        self._failure: EngineFailed | None = None
        self._stopping = False
        self._orphaned = False
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Condition()
        self._looked = asyncio.Event()  # set when something has changed since the last look
        self._thread = threading.Thread(target=self._run, name="pullet-controller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_ready(self) -> None:
        """Until one worker is ready. Raises `EngineFailed` as soon as an engine could not be built."""
        self._call(self._await_ready())

    def status(self) -> list[dict[str, Any]]:
        """One record a worker: name, state, and what the worker says of itself."""
        records: list[dict[str, Any]] = self._call(self._status())
        return records

    def stop(self, drain_s: float) -> None:
        """Let each worker finish its job for `drain_s` seconds and end it, then the loop."""
        self._drain_s = drain_s
        if self._thread.is_alive() and not self._loop.is_closed():
            self._call(self._ask_to_stop())
        self._thread.join()

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # -- the loop

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()
        self._registry.close()
        if self._orphaned:
            self._on_over()

    async def _main(self) -> None:
        for worker in self._cluster.find_workers(self._spec):
            self._watch(Member(worker))
        while not self._stopping:
            try:
                await self._reconcile()
            except Exception:  # whatever Ray raises while it is upset: the pool must outlive it
                log.exception("the controller tries again", extra={"queue": self._spec.queue.name})
            await self._wait(RECONCILE_S)
        await self._end_all()

    async def _reconcile(self) -> None:
        """One look: is the owner there, are there as many workers as wanted, and a tick."""
        if self._spec.owner_job and self._cluster.is_job_over(self._spec.owner_job):
            self._orphaned = self._stopping = True
            self._looked.set()
            return
        self._fill_up()
        alive = {name for name, member in self._members.items() if member.state == "ready"}
        await asyncio.to_thread(self._registry.tick, alive)

    async def _wait(self, timeout_s: float) -> None:
        """Until something changes, at most `timeout_s`."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._looked.wait(), timeout_s)
        self._looked.clear()

    async def _notify(self) -> None:
        self._looked.set()
        async with self._changed:
            self._changed.notify_all()

    def _fill_up(self) -> None:
        while len(self._members) < self._wanted and time.monotonic() >= self._resume_at:
            name = f"{self._spec.queue.name}-{os.urandom(2).hex()}"
            self._watch(Member(self._cluster.start_worker(self._spec, name)))

    def _watch(self, member: Member) -> None:
        member.started = time.monotonic()
        self._members[member.worker.name] = member
        task = self._loop.create_task(self._follow(member))
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    async def _follow(self, member: Member) -> None:
        """The life of one worker, from its start to the moment when its jobs are issued again."""
        closed = self._loop.create_task(member.worker.wait_closed())
        try:
            about = await member.worker.wait_ready()
            member.state, member.node, member.pid = "ready", about["node"], about["pid"]
            await self._notify()
            await closed
        except EngineFailed as error:
            self._failure = error
            log.error("an engine failed", extra={"queue": self._spec.queue.name, "worker": member.worker.name})
        except Exception as error:  # Ray says in many ways that a process is gone
            log.warning("a worker is gone", extra={"worker": member.worker.name, "error": str(error)})
        closed.cancel()
        await self._replace(member)

    async def _replace(self, member: Member) -> None:
        blame = self._is_to_blame(member)
        jobs = await asyncio.to_thread(lambda: self._registry.bury(member.worker.name, blame=blame))
        if time.monotonic() - member.started < SETTLED_S and not jobs and member.state != "leaving":
            self._resume_at = time.monotonic() + self._backoff.next_s()
        else:
            self._backoff.reset()
        del self._members[member.worker.name]
        member.worker.kill()
        await self._notify()

    def _is_to_blame(self, member: Member) -> bool:
        """Did it die by itself? Not when it was told to leave, or its node went, or nobody can tell."""
        if member.state == "leaving":
            return False
        try:
            return member.node is None or self._cluster.is_node_alive(member.node)
        except Exception as error:  # whatever Ray raises while it is upset
            log.warning("cannot ask for a node", extra={"error": str(error)})
            return False

    async def _await_ready(self) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._failure is not None or any(one.state == "ready" for one in self._members.values())
            )
        if self._failure is not None and not any(one.state == "ready" for one in self._members.values()):
            raise self._failure

    async def _status(self) -> list[dict[str, Any]]:
        members = list(self._members.values())
        answers = await asyncio.gather(*(self._ask(member) for member in members))
        return [
            {"name": member.worker.name, "state": member.state, "pid": member.pid, "node": member.node, **answer}
            for member, answer in zip(members, answers, strict=True)
        ]

    async def _ask(self, member: Member) -> dict[str, Any]:
        if member.state != "ready":
            return {}
        try:
            return await asyncio.wait_for(member.worker.status(), 1.0)
        except Exception as error:  # it is dying, which its watch sees and heals
            return {"state": "silent", "error": str(error)}

    async def _ask_to_stop(self) -> None:
        self._stopping = True
        await self._notify()

    async def _end_all(self) -> None:
        await asyncio.gather(*(self._end(member) for member in list(self._members.values())))
        while self._watches:
            await asyncio.wait(self._watches)

    async def _end(self, member: Member) -> None:
        """Let a worker finish its job and leave; one that is still starting, or does not answer, is killed."""
        ready, member.state = member.state == "ready", "leaving"
        try:
            if ready and await member.worker.drain(self._drain_s):
                return
        except Exception as error:
            log.warning("a worker did not drain", extra={"worker": member.worker.name, "error": str(error)})
        member.worker.kill()
