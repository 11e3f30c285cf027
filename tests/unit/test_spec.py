"""What users write about a pool becomes a checked spec, or an error that names what was wrong."""

from __future__ import annotations

import dataclasses
import pickle
import typing

import pytest

from pullet_workers.spec import Scale, WorkerKeywords, WorkerOptions


@pytest.mark.parametrize(
    ("workers", "scale"),
    [
        (1, Scale(1, 1)),
        (4, Scale(4, 4)),
        ((0, 8), Scale(0, 8)),
        ((3, 3), Scale(3, 3)),
        ("per-node", Scale(0, 1_000_000, "per-node")),
        ("per-cpu", Scale(0, 1_000_000, "per-cpu")),
        ("per-gpu", Scale(0, 1_000_000, "per-gpu")),
    ],
)
def test_what_users_write_as_workers(workers: typing.Any, scale: Scale) -> None:
    assert Scale.of(workers) == scale


@pytest.mark.parametrize(
    "workers",
    [0, -1, 2.5, "4", "per-rack", "", None, (), (1,), (0, 0), (2, 1), (-1, 2), (0, 3, "per-node"), (0.0, 2), [0, 8]],
)
def test_workers_that_are_no_number_are_refused_with_what_was_given(workers: typing.Any) -> None:
    with pytest.raises(ValueError, match="workers=") as raised:
        Scale.of(workers)
    shown = workers[0] if isinstance(workers, tuple) and workers else workers
    assert str(shown) in str(raised.value)


@pytest.mark.parametrize(("workers", "elastic"), [(4, False), ((4, 4), False), ((0, 4), True), ("per-node", False)])
def test_only_a_pool_between_two_numbers_is_elastic(workers: typing.Any, elastic: bool) -> None:
    assert Scale.of(workers).is_elastic is elastic


def test_the_keywords_of_a_pool_are_the_options_of_its_workers() -> None:
    options = typing.get_type_hints(WorkerOptions)
    assert typing.get_type_hints(WorkerKeywords) == options
    assert list(WorkerKeywords.__annotations__) == [field.name for field in dataclasses.fields(WorkerOptions)]


@pytest.mark.parametrize(
    "options",
    [
        {"num_cpus": -1},
        {"num_gpus": -0.5},
        {"resources": {"disk": 1, "tape": -1}},
        {"concurrency": 0},
        {"max_jobs_per_worker": 0},
        {"max_rss": -1},
        {"hang_timeout": 0},
        {"drain_timeout": -1.0},
        {"drain_timeout": float("nan")},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, typing.Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options)).split("_")[-1]):
        WorkerOptions(**options)


def test_what_a_worker_takes_of_a_node() -> None:
    assert WorkerOptions().amounts == {"CPU": 1}
    assert WorkerOptions(num_cpus=0).amounts == {}
    given = WorkerOptions(num_cpus=0.5, num_gpus=0.25, resources={"disk": 2, "tape": 0})
    assert given.amounts == {"CPU": 0.5, "GPU": 0.25, "disk": 2}
    assert pickle.loads(pickle.dumps(given)) == given
