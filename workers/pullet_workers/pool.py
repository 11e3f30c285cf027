"""`Pool`: a client that also owns the workers of its queue."""

from __future__ import annotations

import atexit
import logging
import uuid
import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import ray

from pullet import Client
from pullet.connecting import queue_name
from pullet.options import OptionWords
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import PoolMissing, ServerRefused
from pullet_broker.inspection import inspect_server
from pullet_broker.settings import Codec, Queue
from pullet_workers.cluster import connect_to_ray
from pullet_workers.keeper import KeeperHandle
from pullet_workers.shipping import pack
from pullet_workers.spec import PoolSpec, Scale, WorkerOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pullet_workers.spec import WorkerKeywords

log = logging.getLogger("pullet.pool")

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
    `workers` is a number; (min, max) for a pool that follows its backlog; or "per-node", "per-cpu", "per-gpu".
    `defaults` are the options of the jobs that this pool's handle submits: see `pullet.defaults`. The other arguments
    say what each worker takes and where it runs: see `WorkerOptions`.

    With `codec="pickle"` it also takes jobs of callers that said so too, and answers them alike: arguments and results
    of any class, at the price that whoever can write to the server can run code in the workers.

    Several programs that open a pool of the same queue on one Ray cluster share it: it ends with the last of them, or
    with none where it is `detached`. A pool pickles to its client half: the process that opens it needs no Ray.

    The constructor returns when the first worker is ready, and raises `EngineFailed`, with the remote traceback, when
    an engine cannot be built. Leaving the `with` block waits for the open jobs, drains the workers and takes down
    what was started.
    """

    _owner: str | None

    def __init__(
        self,
        engine: Callable[..., E] | str,
        *,
        workers: int | tuple[int, int] | str = 1,
        queue: str | Queue | None = None,
        redis: str | Address | None = None,
        detached: bool = False,
        defaults: OptionWords | None = None,
        codec: Codec | None = None,
        **worker: Unpack[WorkerKeywords],
    ) -> None:
        scale, options = Scale.of(workers), WorkerOptions(**worker)
        settings = Queue.of(queue or queue_name(engine), codec)
        self._begin()
        try:
            self._owns_ray = connect_to_ray(options.num_cpus * (scale.most if scale.per is None else 1))
            address = self._find_server(redis, settings.name, detached)
            spec = PoolSpec(
                queue=settings,
                address=address,
                engine=pack(engine),
                scale=scale,
                worker=options,
                owner=f"{ray.get_runtime_context().get_job_id()}:{uuid.uuid4().hex}",
                detached=detached,
                private_server=_is_private(address),
            )
            self._owner = spec.owner
            self._open(engine, KeeperHandle.start(spec), defaults)
            self._pool.wait_ready()
        except BaseException:
            self._take_down(0.0)
            raise

    @classmethod
    def attach(cls, queue: str, engine: type[E] | None = None) -> Pool[E]:
        """A handle on a pool that runs, from any process of its Ray cluster. Closing it leaves the pool as it is.

        `engine` is the engine's class, to check calls against; without it, methods are submitted by name. Raises
        `PoolMissing` when the queue has no pool.
        """
        pool: Pool[E] = cls.__new__(cls)
        pool._begin()
        pool._owns_ray = connect_to_ray(1)
        keeper = KeeperHandle.find(queue)
        if keeper is None:
            pool._take_down(0.0)
            raise PoolMissing(
                f'no pool of queue {queue!r} runs on this Ray cluster; start one with Pool(Engine, queue="{queue}")',
                queue=queue,
            )
        pool._open(engine, keeper)
        return pool

    def workers(self) -> list[dict[str, Any]]:
        """One record a worker: name, state, pid, node, jobs done and failed, busy seconds, the job in hand."""
        found: list[dict[str, Any]] = self.status()["workers"]
        return found

    def status(self) -> dict[str, Any]:
        """The pool in numbers: workers wanted, ready and pending (without room in the cluster), jobs waiting and
        running, and `trouble`, what keeps workers from starting; with a record for each worker."""
        return self._pool.status()

    def scale(self, workers: int | tuple[int, int] | str) -> None:
        """Have another number of workers, for everybody; as `workers` of the constructor, and 0 for none."""
        self._pool.scale(Scale(0, 0) if workers == 0 else Scale.of(workers))

    def restart(self) -> None:
        """Replace the workers one after the other: each successor is warm before the old one leaves, after its job.

        Where there is no room for both, the old one leaves first. Returns when all are replaced.
        """
        self._pool.restart()

    def drain(self, timeout: float | None = None) -> None:
        """End the pool for everybody: each worker finishes its jobs within `timeout` seconds (default:
        `drain_timeout`) and leaves. Jobs that wait stay in Redis. The client can be used on."""
        keeper = self._pool
        keeper.stop(keeper.spec.worker.drain_timeout if timeout is None else timeout)

    def close(self, wait: bool = True) -> None:
        """Wait for the open jobs, drain the workers, take down what the pool started.

        With `wait` False the open jobs are cancelled, and a running one has 2 s to end.
        """
        super().close(wait)
        self._take_down(None if wait else HASTY_DRAIN_S)

    @property
    def address(self) -> Address:
        """The server, as `pullet.connect` takes it."""
        return self._address

    @property
    def redis(self) -> str:
        """The URL of the server, without its password: for `redis-cli -u` or `-s`, and for `pullet.connect`."""
        return str(self._address)

    @property
    def _pool(self) -> KeeperHandle:
        if self._keeper is None:
            raise PoolMissing("this pool is closed")
        return self._keeper

    def _begin(self) -> None:
        self._server: EmbeddedServer | None = None
        self._keeper: KeeperHandle | None = None
        self._owner = None
        self._owns_ray = False

    def _open(
        self, engine: Callable[..., E] | str | None, keeper: KeeperHandle, defaults: OptionWords | None = None
    ) -> None:
        self._keeper = keeper
        spec = keeper.spec
        Client.__init__(self, None if isinstance(engine, str) else engine, spec.queue, spec.address, defaults)
        atexit.register(self.close, wait=False)

    def _find_server(self, redis: str | Address | None, queue: str, detached: bool) -> Address:
        """The server named, or that of the pool that the queue has already, or a new private one."""
        address = Address.of(redis) if redis else Address.from_environment()
        running = KeeperHandle.find(queue)
        if running is not None:
            return _shared_address(running.spec, address)
        if address is None or _is_private(address):
            _check_reach(detached)
            return address or self._start_server()
        for warning in inspect_server(address, Queue(name=queue)):
            warnings.warn(warning, RuntimeWarning, stacklevel=4)
        return address

    def _start_server(self) -> Address:
        self._server = EmbeddedServer.start()
        _servers.add(self._server)
        return Address(self._server.url)

    def _take_down(self, drain_s: float | None) -> None:
        """Order: workers and controller, then Ray if it is ours, then the server if it is ours."""
        atexit.unregister(self.close)
        keeper, self._keeper = self._keeper, None
        if keeper is not None and self._owner is not None and ray.is_initialized():
            most = keeper.spec.worker.drain_timeout
            keeper.leave(self._owner, most if drain_s is None else min(most, drain_s))
        if self._owns_ray:
            self._owns_ray = False
            ray.shutdown()
        if self._server is not None:
            self._server.close()


_servers: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()
"""Private servers that pools of this program have started: other pools may be given one."""


def _is_private(address: Address) -> bool:
    """Does this server end with this program?"""
    return any(address.url == server.url for server in list(_servers))


def _check_reach(detached: bool) -> None:
    """Raises `ServerRefused` where a pool would outlive its private server, or have workers that cannot reach it."""
    if detached:
        raise ServerRefused(
            "a detached pool needs a Redis server that outlives this program; name it: "
            'Pool(..., redis="redis://host:6379/0") or PULLET_REDIS'
        )
    if len({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}) > 1:
        raise ServerRefused(
            "the private Redis server of a pool cannot be reached from the other machines of this Ray cluster; "
            'start one that can, and name it: Pool(..., redis="redis://host:6379/0") or PULLET_REDIS'
        )


def _shared_address(spec: PoolSpec, named: Address | None) -> Address:
    """The server of a pool that runs already. Raises `ServerRefused` when this program could not count on it."""
    if spec.private_server:
        raise ServerRefused(
            f"the pool of queue {spec.queue.name!r} runs already, on the private Redis server of another program, and "
            "ends with that; name a server in both programs (redis=, or PULLET_REDIS), or choose another queue"
        )
    if named is not None and str(named) != str(spec.address):
        log.warning(
            "the pool of queue %r runs already, on %s, which is used instead of %s",
            spec.queue.name,
            spec.address,
            named,
        )
    return spec.address
