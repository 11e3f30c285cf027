"""`Pool`: a client that also owns the workers of its queue."""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import ray
import ray.cloudpickle as cloudpickle

from pullet import Client
from pullet.connecting import queue_name
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import ServerRefused
from pullet_broker.inspection import inspect_server
from pullet_broker.settings import Queue
from pullet_workers.cluster import start_local_ray
from pullet_workers.engine import resolve_factory
from pullet_workers.keeper import KeeperHandle
from pullet_workers.spec import PoolSpec, Resources

E = TypeVar("E")

HASTY_DRAIN_S = 2.0
"""What a worker has to finish its job when the pool is closed by an exception or at the end of the program."""


class Pool(Client[E]):
    """Warm workers for one queue, and the client to use them.

        with Pool(Chess, workers=4, num_cpus=1) as pool:
            print(pool.submit(Chess.eval, fen).result())

    Nothing has to run for it. Redis: the URL given as `redis`, else `PULLET_REDIS`, else a private server that ends
    with the pool. Ray: the cluster this process is connected to, else the one at `RAY_ADDRESS`, else a local one that
    ends with the pool.

    `engine` is a class, a `functools.partial` of one, or "module:Class"; it is built once in each worker.
    `workers` is how many there are, `num_cpus`, `num_gpus` and `resources` (custom, by name) what each of them takes.
    A pool pickles to its client half: the process that opens it needs no Ray.

    The constructor returns when the first worker is ready, and raises `EngineFailed`, with the remote traceback, when
    an engine cannot be built. Leaving the `with` block waits for the open jobs, drains the workers and takes down
    what was started.
    """

    def __init__(
        self,
        engine: Callable[..., E] | str,
        *,
        workers: int = 1,
        queue: str | Queue | None = None,
        redis: str | Address | None = None,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: dict[str, float] | None = None,
        drain_timeout: float = 30.0,
    ) -> None:
        wants = Resources(num_cpus=num_cpus, num_gpus=num_gpus, custom=resources or {})
        settings = queue if isinstance(queue, Queue) else Queue(name=queue or queue_name(engine))
        self._server: EmbeddedServer | None = None
        self._owns_ray, self._drain_s = False, drain_timeout
        self._keeper: KeeperHandle | None = None
        try:
            address = self._find_server(redis)
            self._find_ray(wants.num_cpus * workers)
            super().__init__(None if isinstance(engine, str) else engine, settings, address)
            atexit.register(self.close, wait=False)
            spec = PoolSpec(
                queue=settings,
                address=address,
                engine=_pickled(engine),
                workers=workers,
                resources=wants,
                drain_s=drain_timeout,
                owner_job=ray.get_runtime_context().get_job_id(),
            )
            self._keeper = KeeperHandle(spec)
            self._keeper.wait_ready()
        except BaseException:
            self._take_down(0.0)
            raise

    def workers(self) -> list[dict[str, Any]]:
        """One record a worker: name, state, pid, node, jobs done and failed, busy seconds, the job in hand."""
        return self._keeper.status() if self._keeper else []

    def close(self, wait: bool = True) -> None:
        """Wait for the open jobs, drain the workers, take down what the pool started.

        With `wait` False the open jobs are cancelled, and a running one has 2 s to end.
        """
        super().close(wait)
        self._take_down(self._drain_s if wait else min(self._drain_s, HASTY_DRAIN_S))

    @property
    def redis(self) -> str:
        """The URL of the server, without its password: for `redis-cli -u` or `-s`, and for `pullet.connect`."""
        return str(self._address)

    def _find_server(self, redis: str | Address | None) -> Address:
        address = Address.of(redis) if redis else Address.from_environment()
        if address is None:
            self._server = EmbeddedServer.start()
            return Address(self._server.url)
        for warning in inspect_server(address):
            warnings.warn(warning, RuntimeWarning, stacklevel=4)
        return address

    def _find_ray(self, cpus: float) -> None:
        if not ray.is_initialized():
            if os.environ.get("RAY_ADDRESS"):
                ray.init(address=os.environ["RAY_ADDRESS"], namespace="pullet")
            else:
                start_local_ray(cpus)
            self._owns_ray = True
        if self._server is not None and len({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}) > 1:
            raise ServerRefused(
                "the private Redis server of a pool cannot be reached from the other machines of this Ray cluster; "
                'start one that can, and name it: Pool(..., redis="redis://host:6379/0") or PULLET_REDIS'
            )

    def _take_down(self, drain_s: float) -> None:
        """Order: workers and controller, then Ray if it is ours, then the server if it is ours."""
        atexit.unregister(self.close)
        keeper, self._keeper = self._keeper, None
        if keeper is not None and ray.is_initialized():
            keeper.stop(drain_s)
        if self._owns_ray:
            self._owns_ray = False
            ray.shutdown()
        if self._server is not None:
            self._server.close()


def _pickled(engine: Callable[..., Any] | str) -> bytes:
    factory = (lambda: resolve_factory(engine)()) if isinstance(engine, str) else engine
    data: bytes = cloudpickle.dumps(factory)  # pyright: ignore[reportPrivateImportUsage]
    return data
