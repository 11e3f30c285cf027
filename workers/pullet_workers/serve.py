"""Ray Serve task consumers on pullet: the adapter that a `TaskProcessorConfig` names.

Each replica is a worker of the queue: it takes its next task when it is free, `async` handlers included. docs/serve.md
has the configuration. This module imports Ray Serve (`pip install "pullet[serve]"`).
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from ray import serve
from ray.serve.exceptions import RayServeException
from ray.serve.schema import TaskProcessorAdapter, TaskProcessorConfig, TaskResult

import pullet
from pullet import Client, ServerUnavailable
from pullet.connecting import find_address
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.moves.dead import count_letters
from pullet_broker.moves.survey import Survey, survey
from pullet_broker.settings import Encoding, Lease, Limits, Queue
from pullet_workers.runner import Runner
from pullet_workers.traits import HOOKS

log = logging.getLogger("pullet.serve")

STORE_S = 10.0
"""How long `enqueue_task` waits for the server to store the task, and a cancel for it to hear of that."""
READY_S = 30.0

STATUS = {
    "waiting": "PENDING",
    "delayed": "PENDING",
    "running": "STARTED",
    "done": "SUCCESS",
    "failed": "FAILURE",
    "cancelled": "REVOKED",
    "expired": "REVOKED",
    "unknown": "UNKNOWN",
}
"""Ray's documentation and its Celery adapter use Celery's words. A task that nobody knows is no pending one."""
ENDED = ("SUCCESS", "FAILURE", "REVOKED")


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """The `adapter_config` of a task processor."""

    redis: str | Address | None = None
    """The server; None: that of the environment's `PULLET_REDIS`, in each process."""
    result_ttl_s: float = 86_400.0
    """How long the result of a task can be asked for."""
    lease: Lease = field(default_factory=Lease)
    """When the tasks of a replica that died are run elsewhere: after some 10 s, unless it says otherwise."""
    limits: Limits = field(default_factory=Limits)
    encoding: Encoding = field(default_factory=Encoding)

    def queue(self, name: str) -> Queue:
        return Queue(name=name, lease=self.lease, limits=self.limits, encoding=self.encoding)


class PulletTaskProcessorAdapter(TaskProcessorAdapter):
    """Tasks are jobs of the queue `queue_name`, so whatever pullet has for queues works for them too.

    `max_retries` are retries of a task that raised; a replica that died does not count. What failed for good is a dead
    letter of the queue, which keeps arguments and errors (`adapter.client.dead`, `pullet dead`).
    """

    def __init__(self, config: TaskProcessorConfig) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if not isinstance(config.adapter_config, AdapterConfig):
            raise TypeError(f"adapter_config={config.adapter_config!r}: expected a pullet_workers.serve.AdapterConfig")
        for name in ("failed_task_queue_name", "unprocessable_task_queue_name"):
            if getattr(config, name) is not None:
                raise ValueError(
                    f"{name}={getattr(config, name)!r}: leave it out. pullet keeps a failed task as a dead letter of "
                    f"its own queue: see adapter.client.dead, or `pullet dead {config.queue_name}`"
                )
        self._settings: AdapterConfig = config.adapter_config
        self._queue = self._settings.queue(config.queue_name)
        self._retries = config.max_retries or 0
        self._handlers: dict[str, Any] = {}
        self._concurrency = 1
        self._client: Client[Any] | None = None
        self._runner: Runner | None = None
        self._ended: BaseException | None = None

    @property
    def client(self) -> Client[Any]:
        """A client of the queue, for all that Ray's interface has no word for. Tasks are its methods, by name."""
        if self._client is None:
            raise RuntimeError("the adapter is not initialized: get it from instantiate_adapter_from_config(config)")
        return self._client

    def initialize(self, consumer_concurrency: int = 1) -> None:
        """Raises `ServerUnavailable` or `ServerRefused` when the server cannot be used."""
        self._concurrency = consumer_concurrency
        if self._client is None:
            self._address = find_address(self._settings.redis)
            self._client = pullet.connect(None, self._address, queue=self._queue)

    # -- the replica

    def register_task_handle(self, func: Callable[..., Any], name: str | None = None) -> None:
        """`func` may be `async`: such tasks run on an event loop of their own, `max_ongoing_requests` at once."""
        task = name or func.__name__
        if task.startswith("_") or task in HOOKS:
            raise ValueError(f"task name {task!r} is taken: expected one without a leading _, and none of {HOOKS}")
        self._handlers[task] = staticmethod(_plain(func))

    def start_consumer(self, **kwargs: Any) -> None:
        if self._runner is None:
            engine = type("TaskHandlers", (), dict(self._handlers))
            self._runner = Runner(
                self._queue,
                self._address,
                engine,
                name=_replica_name(),
                concurrency=self._concurrency,
                about=_about(),
                on_end=self._note_end,
            )
            self._runner.start()

    def stop_consumer(self, timeout: float = 10.0) -> None:
        """Take no more tasks, and finish those that run within `timeout` seconds; then others run them again."""
        runner, self._runner = self._runner, None
        if runner is not None and not runner.drain(timeout):
            log.warning("tasks were still running and are run again elsewhere", extra={"queue": self._queue.name})

    def _note_end(self, error: BaseException | None) -> None:
        self._ended = error
        if error is not None:
            log.error("this replica takes no more tasks", extra={"queue": self._queue.name}, exc_info=error)

    # -- whoever has tasks

    def enqueue_task_sync(
        self,
        task_name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> TaskResult:
        """Returns once the server has stored the task. `options` are those of `Client.options`: `priority`, `delay`,
        `expires`, `key`, `retries`, ..."""
        given = {"retries": self._retries, "keep": self._settings.result_ttl_s, **options}
        future = self.client.options(**given).submit(task_name, *(args or ()), **(kwargs or {}))
        stored = self.client.flush(STORE_S)
        if future.done() and not future.cancelled() and not future.attempts:
            future.result()  # it was refused: QueueFull, ServerFull, ...
        if not stored and not future.accepted:
            future.cancel()
            raise ServerUnavailable(f"the server has not stored task {task_name!r} within {STORE_S:.0f} s")
        return TaskResult(id=future.job_id, status="PENDING", created_at=_made_at(future.job_id), result=None)

    def get_task_status_sync(self, task_id: str) -> TaskResult:
        """The status in Celery's words; `result` is what the task returned, or the exception that it ended with."""
        job = self.client.job(task_id)
        status, result = STATUS.get(job.state, "UNKNOWN"), None
        if status == "SUCCESS":
            result = job.result(STORE_S)
        elif status == "FAILURE":
            result = job.future.exception(STORE_S)
        return TaskResult(id=task_id, status=status, created_at=_made_at(task_id), result=result)

    def cancel_task_sync(  # pyright: ignore[reportIncompatibleMethodOverride]  # that of Ray returns nothing
        self, task_id: str
    ) -> bool:
        """Ask that the task does not run. False when it has ended; one that runs already is let be."""
        job = self.client.job(task_id)
        ended = STATUS.get(job.state) in ENDED  # the reply may be there, and not have come here yet
        asked = not ended and job.cancel()
        self.client.flush(STORE_S)
        return asked

    def get_metrics_sync(self) -> dict[str, Any]:
        """Waiting, running and dead tasks of the queue, the age of the oldest, and a record for each replica."""
        with self._link() as link:
            found: Survey = link.run(survey(self._queue))
            dead = int(link.execute(*count_letters(self._queue)))
        return {
            "queue": self._queue.name,
            "waiting": found.waiting,
            "running": found.running,
            "dead": dead,
            "oldest_s": found.oldest_s,
            "paused": found.paused,
            "workers": {str(record.get("name", consumer)): record for consumer, record in found.records.items()},
        }

    def health_check_sync(self) -> list[dict[str, Any]]:
        """One entry for each replica that the queue knows: those that stopped beating are gone after their lease.

        Raises when the server does not answer, or when this replica has ended with an error.
        """
        if self._ended is not None:
            raise RuntimeError("this replica takes no more tasks") from self._ended
        return [{name: {"ok": record.get("state", "")}} for name, record in self.get_metrics_sync()["workers"].items()]

    async def enqueue_task_async(
        self,
        task_name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> TaskResult:
        return await asyncio.to_thread(self.enqueue_task_sync, task_name, args, kwargs, **options)

    async def get_task_status_async(self, task_id: str) -> TaskResult:
        return await asyncio.to_thread(self.get_task_status_sync, task_id)

    async def cancel_task_async(self, task_id: str) -> bool:
        return await asyncio.to_thread(self.cancel_task_sync, task_id)

    async def get_metrics_async(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.get_metrics_sync)

    async def health_check_async(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self.health_check_sync)

    def _link(self) -> contextlib.closing[Link]:
        return contextlib.closing(Link.to(self._queue, self._address, "serve"))


def _plain(func: Callable[..., Any]) -> Callable[..., Any]:
    """A bound method as a function of the same kind and signature, so that its class says how it is run."""
    if inspect.iscoroutinefunction(func):

        @wraps(func)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await func(*args, **kwargs)

        return call_async

    @wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return call


def _replica_name() -> str:
    """As people know the replica; a consumer that is started elsewhere has only its process."""
    try:
        replica = serve.get_replica_context()
    except RayServeException:
        return "task-consumer"
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"{replica.app_name}-{replica.deployment}-{replica.replica_tag}")


def _about() -> dict[str, Any]:
    import ray

    if not ray.is_initialized():
        return {}
    context = ray.get_runtime_context()
    return {"node": context.get_node_id(), "actor": context.get_actor_id()}


def _made_at(task_id: str) -> float | None:
    """A job's id begins with the milliseconds at which it was made; one that somebody chose may not."""
    try:
        return int(task_id[:12], 16) / 1000 if len(task_id) == 32 else None
    except ValueError:
        return None
