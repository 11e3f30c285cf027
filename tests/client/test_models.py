"""Models go to the engine and come back as themselves, because both sides have the annotations."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

import cloudpickle
import pytest

from pullet_broker.address import Address
from pullet_broker.errors import DecodeError, JobUnreadable
from pullet_broker.settings import Queue
from tests.support.workers import ROOT, Kit, calling, running

pytestmark = pytest.mark.timeout(40)


class Side(Enum):
    WHITE, BLACK = "w", "b"


@dataclass
class Board:
    fen: str
    side: Side
    clock: timedelta = timedelta(minutes=5)


class Chess(Kit):
    def turn(self, board: Board, sides: list[Side]) -> Board:
        assert isinstance(board, Board)
        assert all(isinstance(side, Side) for side in sides)
        return Board(board.fen[::-1], sides[0], board.clock / 2)

    def both(self, boards: dict[str, Board]) -> list[Board]:
        return list(boards.values())

    def untold(self, board):  # type: ignore[no-untyped-def]
        return type(board).__name__

    def wrong(self) -> Board:
        return {"fen": 3, "colour": "red"}  # type: ignore[return-value]


def test_models_there_and_back(queue: Queue, address: Address) -> None:
    board = Board("abc", Side.WHITE)
    with running(queue, address, Chess), calling(queue, address, Chess) as client:
        turned = Board("cba", Side.BLACK, timedelta(minutes=2.5))
        assert client.submit(Chess.turn, board, [Side.BLACK]).result(10) == turned
        assert client.submit("turn", board, sides=[Side.BLACK]).result(10) == turned
        assert list(client.map(Chess.both, [{"a": board}, {}])) == [[board], []]
        assert client.submit(Chess.untold, board).result(10) == "dict"

        async def story() -> Board:
            return await client.submit(Chess.turn, board, [Side.BLACK])

        assert asyncio.run(story()) == turned


def test_a_client_that_travels_with_its_class_by_value_still_makes_models(queue: Queue, address: Address) -> None:
    here = sys.modules[__name__]
    child = """
import pickle, sys
with pickle.loads(bytes.fromhex(sys.stdin.read())) as client:
    print(client.submit("both", {"a": {"fen": "abc", "side": "w"}}).result(20))
"""
    with running(queue, address, Chess), calling(queue, address, Chess) as client:
        cloudpickle.register_pickle_by_value(here)
        try:
            data = cloudpickle.dumps(client)
        finally:
            cloudpickle.unregister_pickle_by_value(here)
        done = subprocess.run(
            [sys.executable, "-c", child],
            input=data.hex(),
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
    assert done.stdout.strip() == str([Board("abc", Side.WHITE)]), done.stderr


def test_a_caller_without_the_class_gets_plain_data(queue: Queue, address: Address) -> None:
    plain: Any = {"fen": "abc", "side": "w"}
    with running(queue, address, Chess), calling(queue, address, None) as client:
        assert client.submit("turn", plain, ["b"]).result(10) == {
            "fen": "cba",
            "side": "b",
            "clock": timedelta(minutes=2.5),
        }


def test_what_does_not_fit_fails_that_job_only(queue: Queue, address: Address) -> None:
    bad: Any = {"fen": "abc", "side": "purple"}
    with running(queue, address, Chess), calling(queue, address, Chess) as client:
        futures = [client.submit(Chess.turn, bad, []), client.submit(Chess.wrong)]
        concurrent.futures.wait(futures, 10)
        assert isinstance(futures[0].exception(0), JobUnreadable)
        assert "argument board" in str(futures[0].exception(0))
        assert isinstance(futures[1].exception(0), DecodeError)
        assert client.submit(Chess.echo, 1).result(10) == 1
