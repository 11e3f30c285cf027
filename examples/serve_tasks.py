"""A Ray Serve application whose tasks wait in Redis: an HTTP handler enqueues, replicas take when they are free.

pip install "pullet[serve]"
PULLET_REDIS=redis://127.0.0.1:6379/0 python examples/serve_tasks.py
"""

from __future__ import annotations

import asyncio
import sys
import time

from ray import serve
from ray.serve.schema import TaskProcessorConfig, TaskResult
from ray.serve.task_consumer import instantiate_adapter_from_config, task_consumer, task_handler

from pullet_workers.serve import AdapterConfig

config = TaskProcessorConfig(
    queue_name="pages",
    adapter="pullet_workers.serve.PulletTaskProcessorAdapter",
    adapter_config=AdapterConfig(),  # or AdapterConfig(redis="redis://host:6379/0")
    max_retries=3,
)


@serve.deployment(num_replicas=2, max_ongoing_requests=4, ray_actor_options={"num_cpus": 0.1})
@task_consumer(task_processor_config=config)
class Pages:
    def __init__(self) -> None:
        self.model = str.upper  # what is slow to load is loaded once a replica

    @task_handler(name="pages.read")
    async def read(self, text: str) -> str:
        await asyncio.sleep(0.01)  # async handlers run at once, up to max_ongoing_requests
        return self.model(text)


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Front:
    def __init__(self, pages: object) -> None:
        self.tasks = instantiate_adapter_from_config(config)

    async def submit(self, text: str) -> str:
        return (await self.tasks.enqueue_task_async("pages.read", [text])).id

    async def status(self, task: str) -> TaskResult:
        return await self.tasks.get_task_status_async(task)


def main() -> int:
    front = serve.run(Front.bind(Pages.bind()), name="library", route_prefix=None)
    tasks = [front.submit.remote(f"page {number}").result() for number in range(20)]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [front.status.remote(task).result() for task in tasks]
        if all(one.status == "SUCCESS" for one in found):
            print(*(one.result for one in found), sep="\n")
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
