"""What the type checkers must infer. Checked by mypy and pyright in `make check`; never run."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

from typing_extensions import assert_type

import pullet
from pullet.compat import ActorPool
from pullet.testing import InlinePool
from pullet_workers import Pool


class Chess:
    def __init__(self, path: str = "stockfish") -> None:
        self.path = path

    def eval(self, fen: str, depth: int = 12) -> int:
        return len(fen) * depth

    def compare(self, one: str, other: str, depth: int) -> float:
        return depth * (len(one) - len(other))

    async def ponder(self, fen: str) -> str:
        return fen

    @pullet.batch(max_batch_size=64, batch_wait_timeout_s=0.005)
    def score(self, fens: list[str]) -> list[float]:
        return [0.0 for _ in fens]

    @pullet.batch()
    def guess(self, fens: list[str]) -> list[int | Exception]:
        return [len(fen) or ValueError(fen) for fen in fens]

    @pullet.batch()
    async def weigh(self, fens: list[str]) -> list[bytes]:
        return [fen.encode() for fen in fens]

    def lines(self, fen: str) -> Iterator[str]:
        yield fen

    async def thoughts(self, fen: str, most: int = 9) -> AsyncIterator[float]:
        yield float(len(fen) * most)


def clients(client: pullet.Client[Chess]) -> None:
    assert_type(client.submit(Chess.eval, "fen", depth=15), pullet.Future[int])
    assert_type(client.submit(Chess.eval, "fen").result(timeout=1), int)
    assert_type(client.submit(Chess.ponder, "fen"), pullet.Future[str])
    assert_type(client.options(priority=1).submit(Chess.eval, "fen"), pullet.Future[int])
    assert_type(client.map(Chess.eval, ["a", "b"]), pullet.Results[int])
    assert_type(list(client.map(Chess.eval, ["a", "b"], kwargs={"depth": 3})), list[int])
    assert_type(client.map(Chess.eval, ["a", "b"], [3, 4], window=10, progress=True), pullet.Results[int])
    assert_type(client.map(Chess.compare, ["a"], ["b"], [3], timeout=5.0), pullet.Results[float])
    assert_type(list(client.map("eval", ["a", "b"], [3, 4])), list[Any])
    by_name = client.submit("eval", "fen")
    assert_type(by_name.job_id, str)


def streams(client: pullet.Client[Chess]) -> None:
    assert_type(client.stream(Chess.lines, "fen"), pullet.Stream[str])
    assert_type(client.stream(Chess.thoughts, "fen", most=3), pullet.Stream[float])
    assert_type(list(client.stream(Chess.lines, "fen")), list[str])
    assert_type(client.submit(Chess.lines, "fen"), pullet.Future[list[str]])
    assert_type(client.submit(Chess.thoughts, "fen").result(), list[float])
    assert_type(client.stream("lines", "fen").job_id, str)


def batches(client: pullet.Client[Chess]) -> None:
    assert_type(client.submit(Chess.score, "fen"), pullet.Future[float])
    assert_type(client.submit(Chess.guess, "fen").result(), int)
    assert_type(client.submit(Chess.weigh, "fen"), pullet.Future[bytes])
    assert_type(list(client.map(Chess.score, ["a", "b"])), list[float])


async def async_streams(client: pullet.Client[Chess]) -> None:
    async for thought in client.stream(Chess.thoughts, "fen"):
        assert_type(thought, float)


async def awaiting(client: pullet.Client[Chess]) -> None:
    assert_type(await client.submit(Chess.eval, "fen"), int)
    assert_type(await client.submit(Chess.ponder, "fen"), str)
    assert_type(await client.submit(Chess.score, "fen"), float)
    assert_type([thought async for thought in client.stream(Chess.thoughts, "fen")], list[float])
    assert_type([score async for score in client.map(Chess.eval, ["a"])], list[int])
    assert_type(await asyncio.create_task(waited(client)), int)
    assert_type(await asyncio.gather(client.submit(Chess.eval, "a"), client.submit(Chess.eval, "b")), tuple[int, int])


async def waited(client: pullet.Client[Chess]) -> int:
    return await asyncio.wait_for(client.submit(Chess.eval, "fen"), timeout=1)


def executing(client: pullet.Client[Chess]) -> None:
    executor: concurrent.futures.Executor = client
    executor.shutdown(wait=False, cancel_futures=True)
    futures = [client.submit(Chess.eval, "a"), client.submit(Chess.eval, "b")]
    done, _ = concurrent.futures.wait(futures, timeout=1)
    assert_type([future.result() for future in done], list[int])
    assert_type([future.result() for future in concurrent.futures.as_completed(futures)], list[int])


@pullet.defaults(retries=2)
class Careful:
    @pullet.defaults(expires=60, priority=1)
    def eval(self, fen: str, depth: int = 12) -> int:
        return len(fen) * depth

    @pullet.batch()
    @pullet.defaults(delay=1.5)
    def score(self, fens: list[str]) -> list[float]:
        return [0.0 for _ in fens]


def said_beforehand(client: pullet.Client[Careful]) -> None:
    assert_type(Careful(), Careful)
    assert_type(client.submit(Careful.eval, "fen", depth=3), pullet.Future[int])
    assert_type(client.submit(Careful.score, "fen"), pullet.Future[float])
    assert_type(client.options(retries=3, retry_on=(TimeoutError, "shop.Busy"), id="a-1"), pullet.Client[Careful])


class Telling:
    def work(self) -> str:
        job = pullet.current_job()
        job.report(0.4, "loading")
        assert_type(job, pullet.RunningJob)
        assert_type(job.attempt, int)
        assert_type(job.deadline, float | None)
        assert_type(pullet.current_jobs(), tuple[pullet.RunningJob, ...])
        return job.id


def told(client: pullet.Client[Telling]) -> None:
    future = client.submit(Telling.work)
    future.add_progress_callback(lambda progress: print(progress.fraction, progress.text))
    assert_type(future.progress, pullet.Progress | None)
    assert_type(future.wait_s, float | None)
    assert_type(client.job(future.job_id).progress, pullet.Progress | None)


def connecting() -> None:
    assert_type(pullet.connect(Chess, "redis://host/0"), pullet.Client[Chess])
    assert_type(pullet.connect(Chess, codec="pickle"), pullet.Client[Chess])
    assert_type(pullet.connect(Chess, defaults={"expires": 60, "when_full": "wait"}), pullet.Client[Chess])


def pools() -> None:
    with Pool(Chess, workers=4, num_cpus=1) as pool:
        assert_type(pool, Pool[Chess])
        assert_type(pool.submit(Chess.eval, "fen"), pullet.Future[int])
        clients(pool)
    with Pool(partial(Chess, "/opt/stockfish"), defaults={"retries": 1}) as pool:
        assert_type(pool, Pool[Chess])
        assert_type(pool.options(key="game-17"), Pool[Chess])


def testing() -> None:
    with InlinePool(Chess) as pool:
        assert_type(pool, InlinePool[Chess])
        assert_type(pool.submit(Chess.eval, "fen"), pullet.Future[int])
        clients(pool)
    assert_type(InlinePool(partial(Chess, "/opt/stockfish")).engine, Chess)


def handles(client: pullet.Client[Chess]) -> None:
    assert_type(client.job("id"), pullet.JobHandle)
    assert_type(client.job("id").state, str)
    actors = ActorPool(client, 4)
    list(actors.map(lambda actor, fen: actor.eval.remote(fen), ["a", "b"]))
