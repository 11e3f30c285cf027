"""Calls that the type checkers must refuse: each `type: ignore` that is not needed is an error itself."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pullet
from pullet.testing import InlinePool
from pullet_workers import Pool


class Chess:
    def __init__(self, path: str = "stockfish") -> None:
        self.path = path

    def eval(self, fen: str, depth: int = 12) -> int:
        return len(fen) * depth

    async def ponder(self, fen: str) -> str:
        return fen

    async def thoughts(self, fen: str, most: int = 9) -> AsyncIterator[float]:
        yield float(most)

    @pullet.batch()
    def score(self, fens: list[str]) -> list[float]:
        return [0.0 for _ in fens]

    @pullet.batch()  # type: ignore[arg-type]
    def single(self, fen: str) -> float:
        return 0.0

    def lines(self, fen: str) -> Iterator[str]:
        yield fen

    @pullet.defaults(retris=3)  # type: ignore[call-arg]
    def careful(self) -> int:
        return 1


class Other:
    def eval(self, text: str) -> int:
        return len(text)

    def lines(self, text: str) -> Iterator[str]:
        yield text


class Telling:
    def work(self) -> None:
        pullet.current_job().report("much")  # type: ignore[arg-type]
        print(pullet.current_job().ids)  # type: ignore[attr-defined]


def wrong(client: pullet.Client[Chess]) -> None:
    client.submit(Chess.eval, 3)  # type: ignore[call-overload]
    client.submit(Chess.eval)  # type: ignore[call-overload]
    client.submit(Chess.eval, "fen", dept=3)  # type: ignore[call-arg, arg-type]
    client.submit(Other.eval, "text")  # type: ignore[call-overload]
    client.map(Chess.eval, [1, 2])  # type: ignore[arg-type]
    client.map(Chess.eval, ["a"], ["b"])  # type: ignore[arg-type]
    client.map(Chess.eval, ["a"], windows=3)  # type: ignore[call-overload]
    client.stream(Chess.lines, 3)  # type: ignore[call-overload]
    client.stream(Chess.eval, "fen")  # type: ignore[call-overload]
    client.submit(Chess.score, 3)  # type: ignore[call-overload]
    client.submit(Chess.score, ["a", "b"])  # type: ignore[call-overload]
    client.submit(Chess.lines, "fen", 3)  # type: ignore[call-overload]
    client.options(retris=3)  # type: ignore[call-arg]
    client.options(retries="many")  # type: ignore[arg-type]
    pullet.connect(Chess, defaults={"retris": 3})  # type: ignore[arg-type]
    pullet.connect(Chess, codec="json")  # type: ignore[arg-type]


def wrong_kinds_of_methods(client: pullet.Client[Chess]) -> None:
    client.submit(Chess.ponder, 3)  # type: ignore[call-overload]
    client.submit(Chess.ponder, "fen", "more")  # type: ignore[call-overload]
    client.submit(Chess.ponder)  # type: ignore[call-overload]
    client.stream(Chess.ponder, "fen")  # type: ignore[call-overload]
    client.stream(Chess.thoughts, "fen", most="all")  # type: ignore[arg-type]
    client.stream(Chess.thoughts, "fen", mots=3)  # type: ignore[call-arg]
    client.stream(Chess.score, "fen")  # type: ignore[call-overload]
    client.stream(Other.lines, "text")  # type: ignore[call-overload]
    client.map(Other.eval, ["text"])  # type: ignore[arg-type]
    client.map(Chess.ponder, [3])  # type: ignore[arg-type]
    client.map(Chess.score, [["a", "b"]])  # type: ignore[arg-type]
    length: str = client.submit(Chess.eval, "fen").result()  # type: ignore[assignment]
    print(length)


async def wrong_outcomes(client: pullet.Client[Chess]) -> None:
    pondered, thoughts = client.submit(Chess.ponder, "fen"), client.submit(Chess.thoughts, "fen")
    text: int = await pondered  # type: ignore[assignment]
    items: list[str] = await thoughts  # type: ignore[assignment]
    print(text, items)


def wrong_engines() -> None:
    Pool(partial(Chess, 3))  # type: ignore[arg-type]
    Pool(partial(Chess, pth="stockfish"))  # type: ignore[call-arg]
    pool = Pool(partial(Chess, "stockfish"))
    pool.submit(Other.eval, "text")  # type: ignore[call-overload]
    Pool(Chess, wrkers=3)  # type: ignore[call-arg]
    Pool(Chess, num_cpus="all")  # type: ignore[arg-type]
    InlinePool(Chess).submit(Chess.eval, 3)  # type: ignore[call-overload]
