"""The keeper of a pool: as many workers as wanted where they are wanted, the jobs of the dead issued again, the dead
replaced.

It is in no data path: callers and workers go on without it, and what it does at once the beats do within a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from pullet_broker.errors import PoolMissing
from pullet_broker.moves.survey import Survey
from pullet_workers.fleet import Cluster, Fleet
from pullet_workers.member import Member
from pullet_workers.placement import Node, count_for
from pullet_workers.registry import Registry
from pullet_workers.scaling import Scaler
from pullet_workers.spec import PoolSpec, Scale
from pullet_workers.vitals import Vitals

log = logging.getLogger("pullet.pool")

T = TypeVar("T")

RECONCILE_S = 1.0


class Controller:
    """Runs in a thread with an event loop of its own; the methods may be called from any thread.

    `recovered`: an earlier incarnation has died, and what it noted in Redis counts.
    """

    def __init__(
        self, spec: PoolSpec, cluster: Cluster, on_over: Callable[[], None] = lambda: None, *, recovered: bool = False
    ) -> None:
        self._spec, self._cluster, self._on_over, self._recovered = spec, cluster, on_over, recovered
        self._registry = Registry(spec.queue, spec.address)
        self._fleet = Fleet(spec, cluster, self._registry, self._notify)
        self._vitals = Vitals(spec.worker)
        self._owners = {spec.owner} if spec.owner else set()
        self._set_scale(spec.scale)
        self._wanted, self._drain_s = 0, spec.worker.drain_timeout
        self._last: Survey | None = None
        self._noted: dict[str, str | int] = {}
        self._stopping = self._orphaned = False
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Condition()
        self._looked = asyncio.Event()  # set when something has changed since the last look
        self._calls: set[Future[Any]] = set()
        self._gate = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="pullet-controller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, owner: str) -> bool:
        """Count one more owner; False when the pool is ending."""
        joined: bool = self._call(self._join(owner))
        return joined

    def leave(self, owner: str, drain_s: float) -> bool:
        """One owner less. True when it was the last one: the pool has ended, unless it is detached."""
        last: bool = self._call(self._part(owner))
        if last:
            self.stop(drain_s)
        return last

    def wait_ready(self) -> None:
        """Until one worker is ready, or none is wanted. Raises `EngineFailed` when an engine could not be built."""
        self._call(self._await_ready())

    def status(self) -> dict[str, Any]:
        """Numbers of the pool, and a record for each worker: name, state, and what the worker says of itself."""
        found: dict[str, Any] = self._call(self._status())
        return found

    def scale(self, scale: Scale) -> None:
        """Have another number of workers from now on."""
        self._call(self._rescale(scale))

    def restart(self) -> None:
        """Replace all workers, one after the other, each by a warm one. Ends when the last old one has left."""
        self._call(self._restart())

    def stop(self, drain_s: float) -> None:
        """Let each worker finish its jobs for `drain_s` seconds and end it, then the loop."""
        self._drain_s = drain_s
        with contextlib.suppress(PoolMissing):
            self._call(self._ask_to_stop())
        self._thread.join()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it on the loop. Raises `PoolMissing` when the loop ends before it does."""
        with self._gate:
            if self._over:
                work.close()
                raise self._ended()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._calls.add(future)
        try:
            return future.result()
        except CancelledError:
            raise self._ended() from None
        finally:
            self._calls.discard(future)

    def _ended(self) -> PoolMissing:
        return PoolMissing(f"the pool of queue {self._spec.queue.name!r} has ended", queue=self._spec.queue.name)

    # -- the loop

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        with self._gate:
            self._over = True
            for call in list(self._calls):
                call.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))  # what was cancelled ends
        self._loop.close()
        self._registry.close()
        if self._orphaned:
            self._on_over()

    async def _main(self) -> None:
        self._fleet.adopt()
        while not self._stopping:
            try:
                if self._recovered:
                    await self._recall()
                await self._reconcile()
            except Exception:  # whatever Ray raises while it is upset: the pool must outlive it
                log.exception("the controller tries again", extra={"queue": self._spec.queue.name})
            await self._wait()
        await self._fleet.end_all(self._drain_s)
        await asyncio.to_thread(self._registry.forget_notes)

    async def _reconcile(self) -> None:
        """One look: are owners there, as many workers as wanted, where they are wanted, and alive; and a tick."""
        if await asyncio.to_thread(self._is_orphaned):
            self._orphaned = self._stopping = True
            return
        nodes = await asyncio.to_thread(self._cluster.nodes)
        self._last = await asyncio.to_thread(self._registry.look, self._examine)
        if self._stopping:
            return
        self._fleet.retire_from(nodes)
        self._wanted = self._count(nodes)
        strategy = "STRICT_SPREAD" if self._scale.per == "per-node" else self._spec.worker.scheduling_strategy
        self._fleet.arrange(self._wanted, strategy, nodes)
        await self._take_note()
        async with self._changed:
            self._changed.notify_all()

    def _examine(self, survey: Survey) -> set[str]:
        return self._vitals.examine(survey, list(self._fleet.members.values()), time.monotonic())

    async def _wait(self) -> None:
        """Until something changes, at most `RECONCILE_S`. An elastic pool without workers waits for a job."""
        if self._last is not None and self._scale.is_elastic and not self._fleet.members and not self._looked.is_set():
            await asyncio.to_thread(self._registry.wait_for_job, self._last, RECONCILE_S)
        elif not self._stopping:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._looked.wait(), RECONCILE_S)
        self._looked.clear()

    async def _notify(self) -> None:
        self._looked.set()
        async with self._changed:
            self._changed.notify_all()

    def _is_orphaned(self) -> bool:
        self._owners = {owner for owner in self._owners if not self._cluster.is_job_over(owner.partition(":")[0])}
        return not self._owners and self._spec.owner is not None and not self._spec.detached

    def _count(self, nodes: Sequence[Node]) -> int:
        """How many workers are wanted now."""
        if self._scale.per is not None:
            return count_for(self._scale, self._spec.worker, nodes)
        if not self._scale.is_elastic:
            return self._scale.most
        staying = self._fleet.staying
        if self._last is None or self._last.paused:
            return max(self._scale.least, min(self._scale.most, len(staying)))
        starting = sum(member.state != "ready" for member in staying)
        return self._scaler.wanted(self._vitals.load(self._last), len(staying), starting, time.monotonic())

    def _set_scale(self, scale: Scale) -> None:
        self._scale = scale
        self._scaler = Scaler(scale.least, scale.most, self._spec.worker.concurrency or 1)

    # -- what others ask for, on the loop

    async def _join(self, owner: str) -> bool:
        if not self._stopping:
            self._owners.add(owner)
            await self._take_note()
        return not self._stopping

    async def _part(self, owner: str) -> bool:
        self._owners.discard(owner)
        await self._take_note()
        return not self._owners and not self._spec.detached

    async def _rescale(self, scale: Scale) -> None:
        self._set_scale(scale)
        await self._take_note()
        await self._notify()

    async def _restart(self) -> None:
        for member in self._fleet.staying:
            if not member.stays:
                continue  # it went meanwhile, for another reason
            member.retiring = "the pool is restarted"
            await self._notify()
            async with self._changed:
                await self._changed.wait_for(lambda name=member.name: name not in self._fleet.members)  # type: ignore[misc]

    async def _await_ready(self) -> None:
        fleet = self._fleet
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    fleet.ready > 0
                    or fleet.failure is not None
                    or self._stopping
                    or (self._last is not None and not self._wanted)
                )
            )
        if fleet.failure is not None and not fleet.ready:
            raise fleet.failure
        if self._stopping:
            raise self._ended()

    async def _ask_to_stop(self) -> None:
        self._stopping = True
        self._registry.interrupt()
        await self._notify()

    async def _status(self) -> dict[str, Any]:
        members = list(self._fleet.members.values())
        answers = await asyncio.gather(*(_ask(member) for member in members))
        records = [one.record(answer) for one, answer in zip(members, answers, strict=True)]
        return {**self._numbers(), "workers": records}

    # -- what is noted in Redis, for the next incarnation and for others to see

    def _numbers(self) -> dict[str, Any]:
        members = self._fleet.members.values()
        return {
            "queue": self._spec.queue.name,
            "wanted": self._wanted,
            "ready": self._fleet.ready,
            "pending": sum(member.state == "pending" for member in members),
            "trouble": self._fleet.trouble,
            "waiting": self._last.waiting if self._last else None,
            "running": self._last.running if self._last else None,
        }

    async def _take_note(self) -> None:
        if self._recovered:
            return  # it has not read yet what was noted before
        fields: dict[str, str | int] = {
            "scale": json.dumps([self._scale.least, self._scale.most, self._scale.per]),
            "owners": json.dumps(sorted(self._owners)),
            "wanted": self._wanted,
            "trouble": self._fleet.trouble,
            "backlog": self._last.waiting if self._last else 0,
        }
        news = {name: value for name, value in fields.items() if self._noted.get(name) != value}
        written = bool(news) and await asyncio.to_thread(lambda: self._registry.note(news))
        if written:
            self._noted = fields

    async def _recall(self) -> None:
        noted = await asyncio.to_thread(self._registry.recall)
        if "scale" in noted:
            self._set_scale(Scale(*json.loads(noted["scale"])))
            self._owners = set(json.loads(noted["owners"]))
        self._recovered = False


async def _ask(member: Member) -> dict[str, Any]:
    if member.state != "ready":
        return {}
    try:
        return await asyncio.wait_for(member.worker.status(), 1.0)
    except Exception as error:  # it is dying, which its watch sees and heals
        return {"state": "silent", "error": str(error)}
