"""Calls that the type checkers must refuse: each `type: ignore` that is not needed is an error itself."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Iterator

import pullet


class Chess:
    def eval(self, fen: str, depth: int = 12) -> int:
        return len(fen) * depth

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
