"""Pools without a server named: it ends with their program, so no pool that is to live longer may count on it."""

from __future__ import annotations

import warnings

import pytest

from pullet_broker.errors import ServerRefused
from pullet_workers import Group, Part, Pool
from tests.ray.engines import Echo, Searcher

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


def test_the_pools_of_a_group_share_it_and_no_other_program_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULLET_REDIS", raising=False)
    parts = {"evaluator": Part(Echo), "searcher": Part(Searcher, uses=["evaluator"])}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that nothing is persisted is meant there
        group = Group(parts, name="private")
    with group:
        assert group["searcher"].submit(Searcher.move, "e4").result(20) == "after e4"
        for part in parts:
            with pytest.raises(ServerRefused, match="on the private Redis server"):
                Pool(Echo, queue=f"private.{part}")
        with pytest.raises(ServerRefused, match="outlives this program"):
            Pool(Echo, queue="lasting", redis=group["evaluator"].address, detached=True)
