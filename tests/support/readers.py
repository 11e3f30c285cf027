"""The engines of those who read the docs: examples take them for granted, are typed with them and run on them."""

from __future__ import annotations

from typing import Any


class Chess:
    """The reader's engine. It answers at once."""

    def eval(self, fen: str, depth: int = 12) -> int:
        return len(fen) + depth

    def score(self, fen: str) -> float:
        return len(fen) / 100

    def load(self, path: str) -> None:
        self.loaded = path


class Engine:
    def run(self, value: Any) -> Any:
        return value


class Ocr: ...


class Crawler: ...


class Cache: ...


class Model: ...


class Evaluator: ...


class Searcher:
    def __init__(self, evaluator: Any) -> None:
        self.evaluator = evaluator

    def move(self, board: str) -> str:
        return "e2e4"
