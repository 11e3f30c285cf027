"""`Group`: pools whose workers are placed together, some of each on one node."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from pullet_broker.address import Address
from pullet_workers.cluster import connect_to_ray
from pullet_workers.pool import Pool
from pullet_workers.spec import WorkerOptions

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from pullet_workers.spec import WorkerKeywords


class Part:
    """The workers of one engine in each replica of a `Group`.

    `engine`, `workers` (a number) and the options are those of `Pool`. `uses` names earlier parts of the group: the
    engine's constructor gets a client of each, as a keyword argument of that name.
    """

    def __init__(
        self,
        engine: Callable[..., Any],
        *,
        workers: int = 1,
        uses: tuple[str, ...] | list[str] = (),
        **worker: Unpack[WorkerKeywords],
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers={workers}: expected at least 1")
        self.engine, self.workers, self.uses = engine, workers, tuple(uses)
        self.options: WorkerKeywords = worker
        self.bundle = WorkerOptions(**worker).amounts or {"CPU": 0.001}  # Ray has no empty bundles


class Group(Mapping[str, Pool[Any]]):
    """Several pools whose workers come in replicas, each replica placed as one.

        parts = {
            "evaluator": Part(Evaluator, num_gpus=1),
            "searcher": Part(Searcher, workers=3, uses=["evaluator"]),  # Searcher(evaluator=<client>)
        }
        with Group(parts, replicas=2) as group:
            move = group["searcher"].submit(Searcher.move, board).result()

    `strategy` is that of Ray's placement groups: "STRICT_PACK" puts each replica on one node, "PACK" does if it can.
    A replica without room waits, where an autoscaler sees it; what is lost with a node is placed anew, which is the
    whole replica where that was on one node.
    The queue of a part is `<name>.<part>`. Closing the group, or leaving its `with` block, closes its pools.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        *,
        replicas: int = 1,
        strategy: str = "STRICT_PACK",
        name: str = "group",
        redis: str | Address | None = None,
    ) -> None:
        bundles = [part.bundle for part in parts.values() for _ in range(part.workers)]
        self._owns_ray = connect_to_ray(replicas * sum(bundle.get("CPU", 0) for bundle in bundles))
        self._pools: dict[str, Pool[Any]] = {}
        self._places = [placement_group(bundles, strategy=strategy) for _ in range(replicas)]
        first = 0
        try:
            for part_name, part in parts.items():
                places = range(first, first + part.workers)
                self._pools[part_name] = self._start(f"{name}.{part_name}", part, places, redis)
                redis = redis or self._pools[part_name].address
                first += part.workers
        except BaseException:
            self.close(wait=False)
            raise

    def __getitem__(self, part: str) -> Pool[Any]:
        return self._pools[part]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pools)

    def __len__(self) -> int:
        return len(self._pools)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close(wait=error is None)

    def close(self, wait: bool = True) -> None:
        """Order: the pools, those that use others first (see `Pool.close`), their places, then Ray if it is ours."""
        with contextlib.ExitStack() as ends:  # the last one first, and all of them also when one fails
            ends.callback(self._let_go)
            for pool in self._pools.values():
                ends.callback(pool.close, wait)

    def _let_go(self) -> None:
        if ray.is_initialized():
            for place in self._places:
                remove_placement_group(place)
        if self._owns_ray:
            self._owns_ray = False
            ray.shutdown()

    def _start(self, queue: str, part: Part, places: range, redis: str | Address | None) -> Pool[Any]:
        given = {name: self._pools[name] for name in part.uses}
        options: WorkerKeywords = {
            **part.options,
            "scheduling_strategy": [
                PlacementGroupSchedulingStrategy(place, placement_group_bundle_index=index)
                for place in self._places
                for index in places
            ],
        }
        engine = functools.partial(part.engine, **given) if given else part.engine
        return Pool(engine, workers=len(self._places) * part.workers, queue=queue, redis=redis, **options)
