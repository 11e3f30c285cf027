"""What a pool is: plain data that travels to the controller and to each worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pullet_broker.address import Address
from pullet_broker.settings import Queue


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What Ray reserves for one worker: CPUs, GPUs (fractions too) and custom resources by name."""

    num_cpus: float = 1
    num_gpus: float = 0
    custom: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(self.num_cpus, self.num_gpus, *self.custom.values(), 0) < 0:
            raise ValueError(f"resources must not be negative: {self}")

    def options(self) -> dict[str, Any]:
        """As Ray's `.options()` takes them."""
        return {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus, "resources": self.custom or None}


@dataclass(frozen=True, kw_only=True)
class PoolSpec:
    """The pool of one queue."""

    queue: Queue
    address: Address
    engine: bytes = field(repr=False)
    """The engine, pickled by value: only the workers open it."""
    workers: int
    resources: Resources = field(default_factory=Resources)
    drain_s: float = 30.0
    """How long a worker may finish its job when it is stopped."""
    owner_job: str | None = None
    """The Ray job that the pool ends with; None for a pool that stays."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers={self.workers}: expected at least 1")
