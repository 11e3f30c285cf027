"""The keeper of a pool: as many workers as wanted where they are wanted, the jobs of the dead issued again, the dead
replaced.

It is in no data path: callers and workers go on without it, and what it does at once the beats do within a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pullet_broker.errors import PoolMissing, ServerError
from pullet_broker.moves.survey import Survey
from pullet_workers.fleet import Cluster, Fleet
from pullet_workers.loop_thread import LoopThread
from pullet_workers.member import PATIENCE_S, Member
from pullet_workers.placement import Node, count_for
from pullet_workers.registry import Registry
from pullet_workers.scaling import Scaler
from pullet_workers.spec import PoolSpec, Scale
from pullet_workers.vitals import Vitals

log = logging.getLogger("pullet.pool")

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
        self._vitals = Vitals(spec.worker, spec.queue.lease)
        self._owners = {spec.owner} if spec.owner else set()
        self._set_scale(spec.scale)
        self._wanted, self._drain_s = 0, spec.worker.drain_timeout
        self._last: Survey | None = None
        self._noted: dict[str, str | int] = {}
        self._upset = ""
        self._stopping = self._orphaned = False
        self._changed = asyncio.Condition()
        self._looked = asyncio.Event()  # set when something has changed since the last look
        self._thread = LoopThread("pullet-controller", self._main, self._after, self._ended)

    def start(self) -> None:
        self._thread.start()

    def join(self, owner: str) -> bool:
        """Count one more owner; False when the pool is ending."""
        joined: bool = self._thread.call(self._join(owner))
        return joined

    def leave(self, owner: str, drain_s: float) -> bool:
        """One owner less. True when it was the last one: the pool has ended, unless it is detached."""
        last: bool = self._thread.call(self._part(owner, drain_s))
        if last:
            self.stop(drain_s)
        return last

    def wait_ready(self) -> None:
        """Until one worker is ready, or none is wanted. Raises `EngineFailed` when an engine could not be built."""
        self._thread.call(self._await_ready())

    def status(self) -> dict[str, Any]:
        """Numbers of the pool, and a record for each worker: name, state, and what the worker says of itself."""
        found: dict[str, Any] = self._thread.call(self._status())
        return found

    def scale(self, scale: Scale) -> None:
        """Have another number of workers from now on."""
        self._thread.call(self._rescale(scale))

    def restart(self) -> None:
        """Replace all workers, one after the other, each by a warm one. Ends when the last old one has left."""
        self._thread.call(self._restart())

    def stop(self, drain_s: float) -> None:
        """Let each worker finish its jobs for `drain_s` seconds and end it, then the loop."""
        self._drain_s = drain_s
        with contextlib.suppress(PoolMissing):
            self._thread.call(self._ask_to_stop())
        self._thread.join()

    def _ended(self) -> PoolMissing:
        return PoolMissing(f"the pool of queue {self._spec.queue.name!r} has ended", queue=self._spec.queue.name)

    # -- the loop

    def _after(self) -> None:
        self._registry.close()
        if self._orphaned:
            self._on_over()

    async def _main(self) -> None:
        adopted = False
        while not self._stopping:
            try:
                if not adopted:
                    self._fleet.adopt()
                    adopted = True
                    await self._wait_for_adopted()
                await self._recall()
                await self._reconcile()
                self._upset = ""
            except ServerError as error:
                log.info("the controller waits for the server", extra={"error": str(error)})
            except Exception as error:  # whatever Ray raises while it is upset: the pool must outlive it
                self._last, self._upset = None, f"{type(error).__name__}: {error}".partition("\n")[0]
                log.exception("the controller tries again", extra={"queue": self._spec.queue.name})
            await self._wait()
        await self._fleet.end_all(self._drain_s)
        await asyncio.to_thread(self._registry.forget_notes)

    async def _wait_for_adopted(self) -> None:
        """Give the workers of an earlier incarnation time to answer: nobody may take a busy one for one that starts."""
        with contextlib.suppress(asyncio.TimeoutError):
            async with self._changed:
                known = self._changed.wait_for(lambda: self._stopping or self._fleet.is_settled)
                await asyncio.wait_for(known, PATIENCE_S)

    async def _reconcile(self) -> None:
        """One look: are the workers alive, owners there, as many workers as wanted, where they are wanted; and a tick.

        The look comes first: it vouches for the workers, also while Ray does not answer.
        """
        found = await asyncio.to_thread(self._registry.look, self._examine)
        if found is None:
            self._vitals.lose_sight()
        gone = await asyncio.to_thread(self._gone, list(self._owners))
        self._owners -= gone
        if not self._owners and self._spec.owner is not None and not self._spec.detached:
            self._orphaned = self._stopping = True
            return
        nodes = await asyncio.to_thread(self._cluster.nodes)
        if self._stopping:
            return
        self._last = found
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
        came, since = None, self._awaiting_job()
        if since is not None and not self._looked.is_set():
            came = await self._wait_for_job(since)
        if came is None and not self._stopping:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._looked.wait(), RECONCILE_S)
        self._looked.clear()

    async def _wait_for_job(self, since: Survey) -> bool | None:
        waiting = self._thread.loop.create_task(asyncio.to_thread(self._registry.wait_for_job, since, RECONCILE_S))
        looked = self._thread.loop.create_task(self._looked.wait())
        await asyncio.wait({waiting, looked}, return_when=asyncio.FIRST_COMPLETED)
        looked.cancel()
        while not waiting.done():  # one that has not begun to wait cannot be interrupted yet
            self._registry.interrupt()
            await asyncio.wait({waiting}, timeout=0.01)
        return await waiting

    def _awaiting_job(self) -> Survey | None:
        """The look after which only a new job is news. Jobs that wait though nobody is there need something else."""
        if self._last is None or self._last.waiting or self._wanted or self._fleet.members:
            return None
        return self._last if self._scale.is_elastic else None

    async def _notify(self) -> None:
        self._looked.set()
        async with self._changed:
            self._changed.notify_all()

    def _gone(self, owners: Iterable[str]) -> set[str]:
        """Those of the owners whose job is over."""
        return {owner for owner in owners if self._cluster.is_job_over(owner.partition(":")[0])}

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
        await self._recall()
        if not self._stopping:
            self._owners.add(owner)
            await self._take_note()
        return not self._stopping

    async def _part(self, owner: str, drain_s: float) -> bool:
        with contextlib.suppress(ServerError):  # then it counts until its job is over
            await self._recall()
        self._owners.discard(owner)
        last = not self._recovered and not self._owners and not self._spec.detached
        if last:  # in the same step: nobody may join in between
            self._drain_s = drain_s
            await self._ask_to_stop()
        else:
            await self._take_note()
        return last

    async def _rescale(self, scale: Scale) -> None:
        await self._recall()
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
            if self._stopping:
                raise self._ended()

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
            "trouble": self._fleet.trouble or self._upset or self._registry.foreign,
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
            "trouble": self._fleet.trouble or self._registry.foreign,
            "backlog": self._last.waiting if self._last else 0,
        }
        news = {name: value for name, value in fields.items() if self._noted.get(name) != value}
        written = bool(news) and await asyncio.to_thread(lambda: self._registry.note(news))
        if written:
            self._noted = fields

    async def _recall(self) -> None:
        """Before anything else after a crash. Raises `ServerError` while the notes cannot be read."""
        if not self._recovered:
            return
        noted = await asyncio.to_thread(self._registry.recall)
        if not self._recovered:
            return  # somebody else was faster
        self._recovered = False
        try:
            owners, scale = json.loads(noted["owners"]), Scale(*json.loads(noted["scale"]))
            self._owners = {str(owner) for owner in owners}
            self._set_scale(scale)
        except (KeyError, TypeError, ValueError) as error:  # anybody may have written or removed them
            log.warning("no notes of the pool", extra={"queue": self._spec.queue.name, "error": repr(error)})


async def _ask(member: Member) -> dict[str, Any]:
    if member.state != "ready":
        return {}
    try:
        return await asyncio.wait_for(member.worker.status(), 1.0)
    except Exception as error:  # it is dying, which its watch sees and heals
        return {"state": "silent", "error": str(error)}
