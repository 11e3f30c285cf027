"""The adapter for Ray Serve's task consumers, without Serve: the consumer runs in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pullet import ServerUnavailable, UnknownMethod
from pullet_broker.address import Address
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until

pytest.importorskip("ray.serve.schema")

from ray.serve.schema import TaskProcessorConfig
from ray.serve.task_consumer import instantiate_adapter_from_config, task_consumer, task_handler

from pullet_workers.serve import AdapterConfig, PulletTaskProcessorAdapter

Adapters = Callable[[TaskProcessorConfig], PulletTaskProcessorAdapter]

pytestmark = pytest.mark.filterwarnings("ignore:nothing is persisted")


@dataclass
class Page:
    number: int


def config_of(queue: Queue, address: Address, **options: Any) -> TaskProcessorConfig:
    adapter = "pullet_workers.serve.PulletTaskProcessorAdapter"
    given = {"queue_name": queue.name, "adapter": adapter, "adapter_config": AdapterConfig(redis=address), **options}
    return TaskProcessorConfig(**given)


class Desk:
    """What the handlers of the tests share."""

    def __init__(self) -> None:
        self.go, self.started, self.calls = threading.Event(), threading.Event(), 0
        self.together = asyncio.Semaphore(0)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def adapters() -> Iterator[Adapters]:
    """Makes adapters of callers; their connections would else stay until the process ends."""
    made = []

    def make(config: TaskProcessorConfig) -> PulletTaskProcessorAdapter:
        made.append(instantiate_adapter_from_config(config))
        return made[-1]

    yield make
    for one in made:
        one.client.close(wait=False)


@pytest.fixture
def adapter(queue: Queue, address: Address, desk: Desk) -> Iterator[PulletTaskProcessorAdapter]:
    """As a replica makes it, with four tasks at once."""
    config = config_of(queue, address, max_retries=1)

    @task_consumer(task_processor_config=config)
    class Consumer:
        @task_handler(name="shop.double")
        def double(self, number: int, times: int = 2) -> int:
            return number * times

        @task_handler
        async def ponder(self, text: str) -> str:
            desk.calls += 1
            if desk.calls == 3:
                desk.go.set()
            while not desk.go.is_set():
                await asyncio.sleep(0.001)
            return text.upper()

        @task_handler
        def hold(self) -> str:
            desk.started.set()
            assert desk.go.wait(60)
            return "held"

        @task_handler
        def boom(self) -> None:
            desk.calls += 1
            raise LookupError("no such page")

        @task_handler
        def kind(self, page: Page) -> str:
            return type(page).__name__

        def not_a_task(self) -> None: ...

    consumer = Consumer()
    consumer.initialize_callable(4)
    yield consumer._adapter
    desk.go.set()
    consumer.__del__()
    consumer._adapter.client.close(wait=False)


def outcome(adapter: PulletTaskProcessorAdapter, task: str) -> Any:
    """The status and result once the task has ended."""
    assert wait_until(lambda: adapter.get_task_status_sync(task).status not in ("PENDING", "STARTED"), 20)
    ended = adapter.get_task_status_sync(task)
    return ended.status, ended.result


def test_a_task_is_stored_run_and_its_result_is_there_for_all(
    adapter: PulletTaskProcessorAdapter, queue: Queue, address: Address, adapters: Adapters
) -> None:
    task = adapter.enqueue_task_sync("shop.double", args=[21], kwargs={"times": 2})
    assert (task.status, task.result) == ("PENDING", None)
    assert task.created_at is not None
    assert outcome(adapter, task.id) == ("SUCCESS", 42)
    other = adapters(config_of(queue, address))
    for _ in range(2):
        assert other.get_task_status_sync(task.id).result == 42, "reading it does not take it away"


def test_async_handlers_run_at_once_on_a_loop(adapter: PulletTaskProcessorAdapter, desk: Desk) -> None:
    tasks = [adapter.enqueue_task_sync("ponder", args=[text]) for text in "abc"]
    assert [outcome(adapter, task.id) for task in tasks] == [("SUCCESS", text) for text in "ABC"]


def test_plain_handlers_run_at_once_too(adapter: PulletTaskProcessorAdapter, desk: Desk) -> None:
    held = adapter.enqueue_task_sync("hold")
    assert desk.started.wait(20)
    assert adapter.get_task_status_sync(held.id).status == "STARTED"
    assert outcome(adapter, adapter.enqueue_task_sync("shop.double", [1]).id) == ("SUCCESS", 2)
    desk.go.set()
    assert outcome(adapter, held.id) == ("SUCCESS", "held")


def test_models_are_built_by_the_annotations_of_a_handler(adapter: PulletTaskProcessorAdapter) -> None:
    assert outcome(adapter, adapter.enqueue_task_sync("kind", [Page(1)]).id) == ("SUCCESS", "Page")


def test_a_task_that_fails_for_good_was_retried_and_is_a_dead_letter(
    adapter: PulletTaskProcessorAdapter, desk: Desk
) -> None:
    task = adapter.enqueue_task_sync("boom")
    status, error = outcome(adapter, task.id)
    assert status == "FAILURE"
    assert isinstance(error, LookupError)
    assert desk.calls == 2, "max_retries=1"
    assert [letter.id for letter in adapter.client.dead] == [task.id]
    assert adapter.get_metrics_sync()["dead"] == 1


def test_what_is_no_task_fails_with_what_there_is(adapter: PulletTaskProcessorAdapter) -> None:
    for name in ("not_a_task", "no_such_task", "__init__"):
        if name.startswith("_"):
            with pytest.raises(UnknownMethod):
                adapter.enqueue_task_sync(name)
            continue
        status, error = outcome(adapter, adapter.enqueue_task_sync(name, retries=0).id)
        assert status == "FAILURE"
        assert isinstance(error, UnknownMethod)


def test_a_task_that_waits_can_be_cancelled(adapter: PulletTaskProcessorAdapter) -> None:
    task = adapter.enqueue_task_sync("shop.double", [1], delay=60)
    assert adapter.get_task_status_sync(task.id).status == "PENDING"
    assert adapter.cancel_task_sync(task.id)
    assert outcome(adapter, task.id) == ("REVOKED", None)


def test_metrics_and_health_name_the_replicas(adapter: PulletTaskProcessorAdapter, queue: Queue, desk: Desk) -> None:
    assert wait_until(lambda: adapter.health_check_sync() != [], 20)
    (health,) = adapter.health_check_sync()
    assert health["task-consumer"]["ok"]
    adapter.enqueue_task_sync("hold")
    assert desk.started.wait(20)
    metrics = adapter.get_metrics_sync()
    assert (metrics["queue"], metrics["running"], metrics["waiting"]) == (queue.name, 1, 0)
    assert list(metrics["workers"]) == ["task-consumer"]


def test_all_of_it_can_be_awaited(adapter: PulletTaskProcessorAdapter) -> None:
    async def use() -> None:
        task = await adapter.enqueue_task_async("shop.double", [1], {"times": 7}, priority=1)
        while (found := await adapter.get_task_status_async(task.id)).status != "SUCCESS":
            await asyncio.sleep(0.01)
        assert found.result == 7
        assert not await adapter.cancel_task_async(task.id), "it has ended"
        assert await adapter.get_metrics_async()
        assert await adapter.health_check_async()

    asyncio.run(use())


def test_a_consumer_that_stops_finishes_what_runs(adapter: PulletTaskProcessorAdapter, desk: Desk) -> None:
    task = adapter.enqueue_task_sync("hold")
    assert desk.started.wait(20)
    threading.Timer(0.3, desk.go.set).start()
    adapter.stop_consumer(20)
    assert adapter.get_task_status_sync(task.id).result == "held"
    assert wait_until(lambda: adapter.health_check_sync() == [], 20)
    adapter.stop_consumer()


def test_tasks_wait_for_a_consumer(queue: Queue, address: Address, adapters: Adapters) -> None:
    adapter = adapters(config_of(queue, address))
    task = adapter.enqueue_task_sync("later")
    assert adapter.get_metrics_sync()["waiting"] == 1
    adapter.register_task_handle(lambda: "now", name="later")
    adapter.start_consumer()
    assert outcome(adapter, task.id) == ("SUCCESS", "now")
    adapter.stop_consumer()


def test_what_cannot_work_is_refused_with_what_to_do(queue: Queue, address: Address) -> None:
    with pytest.raises(RuntimeError, match=r"failed_task_queue_name='lost': leave it out.*pullet dead"):
        instantiate_adapter_from_config(config_of(queue, address, failed_task_queue_name="lost"))
    with pytest.raises(RuntimeError, match=r"expected a pullet_workers.serve.AdapterConfig"):
        instantiate_adapter_from_config(config_of(queue, address, adapter_config={"redis": "redis://x"}))
    nowhere = AdapterConfig(redis="unix:///nowhere/at/all.sock")
    with pytest.raises(RuntimeError, match="no answer from") as caught:
        instantiate_adapter_from_config(config_of(queue, address, adapter_config=nowhere))
    assert isinstance(caught.value.__context__, ServerUnavailable)
    adapter = PulletTaskProcessorAdapter(config_of(queue, address))
    with pytest.raises(ValueError, match="task name 'close' is taken"):
        adapter.register_task_handle(lambda: None, name="close")
    with pytest.raises(RuntimeError, match="not initialized"):
        adapter.enqueue_task_sync("any")
