"""What a pool is: plain data that travels to the controller and to each worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

from pullet_broker.address import Address
from pullet_broker.settings import Queue

PER = {"per-node": None, "per-cpu": "CPU", "per-gpu": "GPU"}
"""Numbers of workers that follow the cluster, and the resource that they count."""


class WorkerKeywords(TypedDict, total=False):
    """The keyword arguments of `Pool` that become `WorkerOptions`."""

    num_cpus: float
    num_gpus: float
    resources: dict[str, float]
    scheduling_strategy: Any
    label_selector: dict[str, str]
    fallback_strategy: list[dict[str, Any]]
    concurrency: int | None
    max_jobs_per_worker: int | None
    max_rss: int | None
    drain_timeout: float
    hang_timeout: float | None


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """What each worker of a pool takes and where it may run. The names are those of Ray's `.options()`."""

    num_cpus: float = 1
    num_gpus: float = 0
    """Fractions share a GPU."""
    resources: dict[str, float] = field(default_factory=dict)
    """Custom resources by name."""
    scheduling_strategy: Any = "DEFAULT"
    """"DEFAULT", "SPREAD", one of Ray's own strategy objects; or "PACK": on few nodes, "STRICT_PACK": all on one node,
    "STRICT_SPREAD": at most one on a node; or a list of Ray's objects, one for each worker."""
    label_selector: dict[str, str] = field(default_factory=dict)
    """Labels that the node must have: a value, "!value", "in(a,b)" or "!in(a,b)"."""
    fallback_strategy: list[dict[str, Any]] = field(default_factory=list)
    """Other selectors, tried in this order: `[{"label_selector": {...}}, ...]`."""
    concurrency: int | None = None
    """Jobs that one worker runs at once: threads of a sync engine (1), or jobs on the loop of an async one (1000)."""
    max_jobs_per_worker: int | None = None
    """Replace a worker that has run this many jobs, when its successor is warm. Looked at about once a second."""
    max_rss: int | None = None
    """The same for a worker whose process has this many bytes in memory."""
    drain_timeout: float = 30.0
    """Seconds in which a worker that has to leave may finish its jobs; then they are run elsewhere."""
    hang_timeout: float | None = None
    """Replace a worker whose process is there and shows no life for this many seconds. None: never while it runs a job,
    because code in C may hold the interpreter for long; after 60 s without one."""

    def __post_init__(self) -> None:
        if min(self.num_cpus, self.num_gpus, *self.resources.values(), 0) < 0:
            raise ValueError(f"resources must not be negative: {self}")
        for name in ("concurrency", "max_jobs_per_worker", "max_rss", "hang_timeout"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}={value}: expected a number above 0, or None")
        if not self.drain_timeout >= 0:
            raise ValueError(f"drain_timeout={self.drain_timeout}: expected seconds, 0 or more")

    @property
    def amounts(self) -> dict[str, float]:
        """What one worker takes of a node, under Ray's names."""
        found = {"CPU": self.num_cpus, "GPU": self.num_gpus, **self.resources}
        return {name: amount for name, amount in found.items() if amount > 0}


@dataclass(frozen=True)
class Scale:
    """How many workers: between `least` and `most`, or as the cluster has nodes, CPUs or GPUs."""

    least: int
    most: int
    per: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise ValueError(f"workers=({self.least}, {self.most}): expected 0 <= min <= max")

    @classmethod
    def of(cls, workers: int | tuple[int, int] | str) -> Scale:
        """From what users write: 4, (0, 8), "per-node"."""
        if isinstance(workers, str) and workers in PER:
            return cls(0, 1_000_000, workers)
        bounds: tuple[Any, ...] = workers if isinstance(workers, tuple) else (workers, workers)
        if len(bounds) != 2 or not all(isinstance(one, int) for one in bounds):
            raise ValueError(f"workers={workers!r}: expected a number, (min, max), or one of {', '.join(PER)}")
        if bounds[1] < 1:
            raise ValueError(f"workers={workers}: expected at least 1; (0, n) may shrink to none")
        return cls(*bounds)

    @property
    def is_elastic(self) -> bool:
        return self.per is None and self.least < self.most


@dataclass(frozen=True, kw_only=True)
class PoolSpec:
    """The pool of one queue."""

    queue: Queue
    address: Address
    engine: bytes = field(repr=False)
    """The engine, as `shipping.pack` made it: only the workers open it."""
    scale: Scale
    worker: WorkerOptions = field(default_factory=WorkerOptions)
    owner: str | None = None
    """"<id of a Ray job>:<anything>": the pool ends when the last owner has left or its job is over. None: it stays."""
    detached: bool = False
    """It lives on when its owners are gone."""
    private_server: bool = False
    """Its server belongs to the driver that started it."""
