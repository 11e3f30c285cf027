"""What the type checkers must infer. Checked by mypy and pyright in `make check`; never run."""

from __future__ import annotations

import asyncio
from functools import partial

from typing_extensions import assert_type

import pullet
from pullet_workers import Pool


class Chess:
    def __init__(self, path: str = "stockfish") -> None:
        self.path = path

    def eval(self, fen: str, depth: int = 12) -> int:
        return len(fen) * depth

    async def ponder(self, fen: str) -> str:
        return fen


def clients(client: pullet.Client[Chess]) -> None:
    assert_type(client.submit(Chess.eval, "fen", depth=15), pullet.Future[int])
    assert_type(client.submit(Chess.eval, "fen").result(timeout=1), int)
    assert_type(client.submit(Chess.ponder, "fen"), pullet.Future[str])
    assert_type(client.options(priority=1).submit(Chess.eval, "fen"), pullet.Future[int])
    assert_type(client.map(Chess.eval, ["a", "b"]), pullet.Results[int])
    assert_type(list(client.map(Chess.eval, ["a", "b"], kwargs={"depth": 3})), list[int])
    by_name = client.submit("eval", "fen")
    assert_type(by_name.job_id, str)


async def awaiting(client: pullet.Client[Chess]) -> None:
    assert_type(await client.submit(Chess.eval, "fen"), int)
    assert_type(await asyncio.gather(client.submit(Chess.eval, "a"), client.submit(Chess.eval, "b")), tuple[int, int])


def connecting() -> None:
    assert_type(pullet.connect(Chess, "redis://host/0"), pullet.Client[Chess])


def pools() -> None:
    with Pool(Chess, workers=4, num_cpus=1) as pool:
        assert_type(pool, Pool[Chess])
        assert_type(pool.submit(Chess.eval, "fen"), pullet.Future[int])
        clients(pool)
    with Pool(partial(Chess, "/opt/stockfish")) as pool:
        assert_type(pool, Pool[Chess])
