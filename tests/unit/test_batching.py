"""`@batch` checks what it is given, and the worker's rules of sharing out one call among jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import pullet
from pullet.batching import MOST, batch_of
from pullet_broker.codec import decode, encode_call
from pullet_broker.job import Entry
from pullet_broker.reply import read_failure, read_reply
from pullet_broker.settings import Queue
from pullet_workers.batching import run_batch, run_batch_async
from pullet_workers.engine import Done, Engine
from pullet_workers.traits import traits_of


class Model:
    def __init__(self) -> None:
        self.calls: list[list[Any]] = []

    @pullet.batch(max_batch_size=8)
    def score(self, items: list[Any]) -> list[Any]:
        self.calls.append(items)
        if "bad" in items:
            raise KeyError("bad")
        if "exit" in items:
            raise SystemExit
        return [ValueError(item) if item == "worse" else item * 2 for item in items]

    @pullet.batch()
    def wrong(self, items: list[Any]) -> list[Any]:
        self.calls.append(items)
        return {"short": items[1:], "text": "x" * len(items), "none": None, "array": Sized(items)}[items[0]]  # type: ignore[return-value]

    @pullet.batch()
    async def later(self, items: list[Any]) -> list[Any]:
        await asyncio.sleep(0)
        return self.score(items)  # type: ignore[arg-type, no-any-return]

    def plain(self, item: int) -> int:
        return item


class Sized:
    """As an array: it has a length and can be iterated, and is no Sequence."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


def entry(method: str, *args: Any, **kwargs: Any) -> Entry:
    return Entry(4, "1-0", "job", method, encode_call(args, kwargs), "", "")


def seen(done: Done) -> Any:
    assert done.reply is not None
    reply = read_reply(done.reply)
    if reply.outcome == "ok":
        return decode(reply.payload)
    failure = read_failure(reply.payload)
    return f"{failure.type_name.removeprefix('builtins.')}: {failure.text}"


def no_flow(entry: Entry) -> Any:
    raise AssertionError("nothing is streamed")


def run(method: str, *items: Any) -> tuple[list[Any], Model]:
    model = Model()
    engine = Engine(model, "w", Queue(name="q"), no_flow, no_flow)
    entries = [entry(method, item) for item in items]
    done = asyncio.run(run_batch_async(engine, entries)) if method == "later" else run_batch(engine, entries)
    return [seen(one) for one in done], model


METHODS = pytest.mark.parametrize("method", ["score", "later"])


@METHODS
def test_each_job_gets_the_value_in_its_place(method: str) -> None:
    values, model = run(method, 1, 2, 3)
    assert values == [2, 4, 6]
    assert model.calls == [[1, 2, 3]]


@METHODS
def test_an_exception_in_the_list_fails_its_item_only(method: str) -> None:
    values, _ = run(method, "a", "worse", "b")
    assert values == ["aa", "ValueError: worse", "bb"]


@METHODS
@pytest.mark.parametrize(("bad", "error"), [("bad", "KeyError: 'bad'"), ("exit", "SystemExit: ")])
def test_a_call_that_raises_is_made_again_one_by_one(method: str, bad: str, error: str) -> None:
    values, model = run(method, "a", bad, "b")
    assert values == ["aa", error, "bb"]
    assert model.calls == [["a", bad, "b"], ["a"], [bad], ["b"]]


def test_a_single_item_that_raises_is_not_tried_again() -> None:
    values, model = run("score", "bad")
    assert values == ["KeyError: 'bad'"]
    assert model.calls == [["bad"]]


@pytest.mark.parametrize(
    ("how", "text"), [("short", "returned 1 results"), ("text", "type str"), ("none", "type NoneType")]
)
def test_another_length_is_an_error_for_all(how: str, text: str) -> None:
    values, model = run("wrong", how, "b")
    assert len(model.calls) == 1
    assert len(set(values)) == 1
    assert values[0].startswith("ValueError: the batch method wrong got 2 items and")
    assert text in values[0]


def test_whatever_has_a_length_and_can_be_iterated_will_do() -> None:
    assert run("wrong", "array", "b")[0] == ["array", "b"]


def test_a_job_that_cannot_be_read_fails_alone() -> None:
    model = Model()
    engine = Engine(model, "w", Queue(name="q"), no_flow, no_flow)
    bad = entry("score", 1)
    bad.args = b"\xc1"
    streamed = entry("score", 1)
    streamed.opts = '{"stream":1}'
    jobs = [entry("score", 1), bad, entry("score", 1, 2), entry("score", items=3), streamed]
    one, two, three, four, five = (seen(done) for done in run_batch(engine, jobs))
    assert (one, four) == (2, 6)
    assert "cannot be read" in two
    assert three == "TypeError: the batch method score takes one item for each job, not 2 arguments"
    assert "cannot be streamed" in five
    assert model.calls == [[1, 3]]


def test_the_run_time_is_shared() -> None:
    values = run_batch(Engine(Model(), "w", Queue(name="q"), no_flow, no_flow), [entry("score", n) for n in "ab"])
    assert values[0].run_s == values[1].run_s > 0


def test_batch_methods_are_known_by_their_class() -> None:
    traits = traits_of(Model)
    assert {name: batch.max_batch_size for name, batch in traits.batches.items()} == {
        "score": 8,
        "wrong": 32,
        "later": 32,
    }
    assert traits.on_loop == {"later"}
    assert traits.plain
    assert batch_of(Model.plain) is None


@pytest.mark.parametrize("size", [0, -1, MOST + 1])
def test_a_size_without_sense_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="max_batch_size"):
        pullet.batch(max_batch_size=size)


@pytest.mark.parametrize("seconds", [-0.1, float("inf"), float("nan")])
def test_a_time_without_sense_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="batch_wait_timeout_s"):
        pullet.batch(batch_wait_timeout_s=seconds)


def test_what_cannot_be_batched_is_refused() -> None:
    def generator(self: Any, items: list[int]) -> Any:
        yield from items

    def two(self: Any, items: list[int], more: int = 0) -> list[int]:
        return items

    def none(self: Any) -> list[int]:
        return []

    def named(self: Any, *, items: list[int]) -> list[int]:
        return items

    for wrong, text in ((generator, "generators"), (two, "form"), (none, "form"), (named, "form"), (len, "methods")):
        with pytest.raises(TypeError, match=text):
            pullet.batch()(wrong)  # type: ignore[arg-type, call-overload]
