"""The workers of a pool: asked for, followed until they are gone, replaced, let go. Runs on the controller's loop."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from pullet_broker.backoff import Backoff
from pullet_broker.errors import EngineFailed
from pullet_workers.member import PATIENCE_S, Member, Worker, is_stuck, nodes_taken, replaced, surplus
from pullet_workers.placement import Node, Target, choose
from pullet_workers.registry import Registry
from pullet_workers.spec import PoolSpec

log = logging.getLogger("pullet.pool")

ANSWER_S = 5.0
"""How much longer than its time the answer of a draining worker may take: one that is ending anyway never answers."""
SETTLED_S = 10.0
"""A worker that lived this long is no sign of a crash loop."""


class Cluster(Protocol):
    """What a pool needs of a cluster; `cluster.RayCluster` is one."""

    def start_worker(self, spec: PoolSpec, name: str, target: Target) -> Worker: ...
    def find_workers(self, spec: PoolSpec) -> Sequence[Worker]: ...
    def nodes(self) -> Sequence[Node]: ...
    def is_job_over(self, job: str) -> bool: ...


class Fleet:
    """`notify` is awaited whenever the state of a worker has changed."""

    def __init__(
        self, spec: PoolSpec, cluster: Cluster, registry: Registry, notify: Callable[[], Awaitable[None]]
    ) -> None:
        self.members: dict[str, Member] = {}
        self.failure: EngineFailed | None = None
        """Why no engine could be built; None as soon as one could."""
        self.trouble = ""
        """Why workers are started more slowly."""
        self._spec, self._cluster, self._registry, self._notify = spec, cluster, registry, notify
        self._backoff = Backoff(first_s=1.0, most_s=60.0)
        self._resume_at = self._troubled_at = self._freed_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def staying(self) -> list[Member]:
        """Those that count as the wanted ones."""
        return [member for member in self.members.values() if member.stays]

    @property
    def ready(self) -> int:
        return sum(member.state == "ready" for member in self.members.values())

    def adopt(self) -> None:
        """Follow the workers that an earlier incarnation of the controller has started."""
        for worker in self._cluster.find_workers(self._spec):
            self._watch(Member(worker, self._target_of(worker.name)))

    @property
    def is_settled(self) -> bool:
        """Are all workers ready? One that is only just adopted may be, with a job in hand, and has not said so yet."""
        return all(member.state == "ready" for member in self.members.values())

    def arrange(self, wanted: int, strategy: Any, nodes: Sequence[Node]) -> None:
        """Move towards `wanted` workers where `strategy` wants them."""
        self._forget_trouble()
        for member in list(self.members.values()):
            if member.state == "leaving":
                continue
            if member.hung:
                member.state = "leaving"
                self._spawn(self._put_down(member))
            elif member.state == "pending" and self._waits_in_vain(member, strategy, nodes):
                self.dismiss(member)
        for member in surplus(self.members.values(), wanted):
            self.dismiss(member)
        self._fill_up(wanted, strategy, nodes)
        for member in replaced(self.members.values(), wanted, time.monotonic(), stuck=self._is_stuck()):
            self.dismiss(member)

    def retire_from(self, nodes: Sequence[Node]) -> None:
        """Replace the workers on nodes that are about to leave, or gone: their death may be known a bit later."""
        staying = {node.id for node in nodes if not node.draining}
        for member in self.members.values():
            if member.node is not None and member.node not in staying and member.leave_by is None:
                member.retiring = "its node leaves"
                member.leave_by = time.monotonic() + PATIENCE_S

    def dismiss(self, member: Member) -> None:
        """Let a worker finish its jobs and leave; one that is not ready has none and is just ended."""
        ready, member.state = member.state == "ready", "leaving"
        self._spawn(self._end(member, self._spec.worker.drain_timeout if ready else None))

    async def end_all(self, drain_s: float) -> None:
        """All at once, each with `drain_s` seconds to finish its jobs."""
        for member in list(self.members.values()):
            if member.state != "leaving":
                ready, member.state = member.state == "ready", "leaving"
                self._spawn(self._end(member, drain_s if ready else None))
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _waits_in_vain(self, member: Member, strategy: Any, nodes: Sequence[Node]) -> bool:
        """Is the node that it was sent to gone, or is there one now for a worker that waits for any?"""
        target = member.target
        if target.waits:
            taken = nodes_taken(one for one in self.members.values() if one is not member)
            return choose(self._spec.worker, strategy, nodes, taken, 1) != [target]
        there = any(node.id == target.node and not node.draining for node in nodes)
        return target.node is not None and not target.soft and not there

    def _is_stuck(self) -> bool:
        """Can a successor only come when somebody has left?"""
        members = self.members.values()
        places = self._spec.worker.scheduling_strategy
        if isinstance(places, list):
            return len(members) >= len(places) and self.is_settled
        return is_stuck(members, time.monotonic(), self._freed_at)

    def _fill_up(self, wanted: int, strategy: Any, nodes: Sequence[Node]) -> None:
        missing = wanted - len(self.staying)
        if missing <= 0 or time.monotonic() < self._resume_at:
            return
        for target in self._targets(missing, strategy, nodes):
            name = self._new_name(target)
            self._watch(Member(self._cluster.start_worker(self._spec, name, target), target))

    def _new_name(self, target: Target) -> str:
        """It ends with the worker's place in a list of strategies, for the next incarnation of the controller."""
        end = "" if target.bundle is None else f"-{target.bundle}"
        while True:
            name = f"{self._spec.queue.name}-{os.urandom(2).hex()}{end}"
            if name not in self.members:
                return name

    def _target_of(self, name: str) -> Target:
        end = name.rpartition("-")[2]
        has_places = isinstance(self._spec.worker.scheduling_strategy, list)
        return Target(bundle=int(end)) if has_places and end.isdigit() else Target()

    def _targets(self, count: int, strategy: Any, nodes: Sequence[Node]) -> list[Target]:
        members = self.members.values()
        if isinstance(strategy, list):
            used = {member.target.bundle for member in members}
            return [Target(bundle=n) for n in range(len(strategy)) if n not in used][:count]
        found = choose(self._spec.worker, strategy, nodes, nodes_taken(members), count)
        if any(member.target.waits and member.state == "pending" for member in members):
            return [target for target in found if not target.waits]
        return found

    # -- the life of one worker

    def _watch(self, member: Member) -> None:
        member.asked = time.monotonic()
        self.members[member.name] = member
        self._spawn(self._follow(member))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, member: Member) -> None:
        """From its start to the moment when its jobs are issued again."""
        closed = asyncio.get_running_loop().create_task(member.worker.wait_closed())
        try:
            about = await member.worker.wait_placed()
            member.node, member.pid = about["node"], about["pid"]
            await self._enter(member, "starting")
            await member.worker.wait_ready()
            await self._enter(member, "ready")
            await closed
            member.state = "leaving"  # it has seen to its jobs, whoever asked it to leave
        except EngineFailed as error:
            self.failure, self.trouble = error, str(error).partition("\n")[0]
            self._troubled_at = time.monotonic()
            log.error("an engine failed", extra={"queue": self._spec.queue.name, "worker": member.name})
        except Exception as error:  # Ray says in many ways that a process is gone
            unasked = logging.WARNING if member.state != "leaving" else logging.INFO
            log.log(unasked, "a worker is gone", extra={"worker": member.name, "error": str(error)})
        closed.cancel()
        await self._bury(member)

    async def _enter(self, member: Member, state: str) -> None:
        if member.state != "leaving":
            member.state = state
        if state == "ready":
            self.failure = None
        await self._notify()

    async def _bury(self, member: Member) -> None:
        blame = member.state != "leaving" and await asyncio.to_thread(self._is_to_blame, member)
        jobs = await asyncio.to_thread(lambda: self._registry.bury(member.name, blame=blame))
        now = time.monotonic()
        if now - member.asked < SETTLED_S and not jobs and member.state != "leaving":
            self._resume_at, self._troubled_at = now + self._backoff.next_s(), now
            self.trouble = self.trouble or f"worker {member.name} died soon after its start, without a job"
        del self.members[member.name]
        self._freed_at = now
        member.worker.kill()
        await self._notify()

    def _forget_trouble(self) -> None:
        """When a worker that was asked for after it has lived for long enough."""
        since = time.monotonic() - SETTLED_S
        if any(m.state == "ready" and self._troubled_at < m.asked < since for m in self.members.values()):
            self._backoff.reset()
            self.trouble = ""

    def _is_to_blame(self, member: Member) -> bool:
        """Did it die by itself? Not when its node went or is about to, or nobody can tell."""
        try:
            nodes = self._cluster.nodes()
            return member.node is None or any(node.id == member.node and not node.draining for node in nodes)
        except Exception as error:  # whatever Ray raises while it is upset
            log.warning("cannot ask for a node", extra={"error": str(error)})
            return False

    async def _put_down(self, member: Member) -> None:
        """End a hung worker. Its jobs are issued again first: to kill its process may take Ray seconds."""
        log.error("a worker hangs and is replaced", extra={"worker": member.name, "jobs": member.jobs})
        await asyncio.to_thread(lambda: self._registry.bury(member.name, blame=True))
        await self._notify()
        member.worker.kill()

    async def _end(self, member: Member, drain_s: float | None) -> None:
        try:
            if drain_s is not None and await asyncio.wait_for(member.worker.drain(drain_s), drain_s + ANSWER_S):
                return
        except Exception as error:
            log.warning("a worker did not drain", extra={"worker": member.name, "error": repr(error)})
        member.worker.kill()
