"""Self-play for Connect Four: searchers that play many games at once, and one evaluator that judges for all of them.

make example NAME=self_play
"""

from __future__ import annotations

import math
import random

import numpy as np

import pullet
from pullet_workers import Group, Part

SHAPES = ((1, range(6), range(4)), (7, range(3), range(7)), (8, range(3), range(4)), (6, range(3), range(3, 7)))
LINES = np.array([[7 * y + x + n * step for n in range(4)] for step, ys, xs in SHAPES for y in ys for x in xs])
"""The 69 places for four in a line, on a board of 42 cells, row after row from the top."""


class Evaluator:
    """Stands for a network on a GPU: a board costs the less the more of them come at once."""

    def __init__(self) -> None:
        self.calls = self.boards = 0

    @pullet.batch(max_batch_size=64, batch_wait_timeout_s=0.002)
    def value(self, boards: list[np.ndarray]) -> list[float]:
        """From -1 to 1 for who moves, whose stones are 1: lines that can still be filled count, full ones most."""
        self.calls, self.boards = self.calls + 1, self.boards + len(boards)
        stones = np.stack(boards)[:, LINES]
        mine, theirs = (stones == 1).sum(axis=2), (stones == -1).sum(axis=2)
        score = np.where(theirs == 0, mine**3, 0) - np.where(mine == 0, theirs**3, 0)
        return [float(value) for value in np.tanh(score.sum(axis=1) / 30)]

    def batch_size(self) -> float:
        return self.boards / self.calls


class Node:
    """A position: the board as who moves sees it, and what the search knows of it."""

    def __init__(self, board: np.ndarray) -> None:
        self.board, self.visits, self.total = board, 0, 0.0
        self.children: dict[int, Node] = {}
        lost = (board[LINES] == -1).all(axis=1).any()  # who moved last has four in a line
        self.result = -1.0 if lost else 0.0 if board.all() else None

    def play(self, column: int) -> Node:
        if column not in self.children:
            cell = max(cell for cell in range(column, 42, 7) if not self.board[cell])
            self.children[column] = Node(-np.where(np.arange(42) == cell, 1, self.board))
        return self.children[column]

    def bound(self, visits: int) -> float:
        """Upper confidence bound of who moves here: high where they do badly, or was not looked at enough."""
        seen = self.visits or 1e-9
        return math.sqrt(2 * math.log(visits) / seen) - self.total / seen


class Searcher:
    """Plays against itself. An engine with async methods runs many jobs at once: while one game waits, others go on."""

    def __init__(self, evaluator: pullet.Client[Evaluator]) -> None:
        self._evaluator = evaluator

    async def play(self, seed: int, searches: int) -> str:
        """A game: the columns that were played, and who won."""
        dice, node, columns = random.Random(seed), Node(np.zeros(42, np.int8)), ""
        while node.result is None:
            for _ in range(searches):
                await self._search(node)
            column = dice.choices(list(node.children), [child.visits**3 for child in node.children.values()])[0]
            columns, node = columns + str(column + 1), node.play(column)
        return f"{columns} {'drawn' if not node.result else 'first wins' if len(columns) % 2 else 'second wins'}"

    async def _search(self, root: Node) -> None:
        """Monte Carlo tree search: down to a new position, judge it, and tell those on the way."""
        path = [root]
        while path[-1].visits and path[-1].result is None:
            node = path[-1]
            following = [node.play(column) for column in range(7) if not node.board[column]]
            path.append(max(following, key=lambda child: child.bound(path[-1].visits)))
        if (value := path[-1].result) is None:
            value = await self._evaluator.submit(Evaluator.value, path[-1].board)
        for node in reversed(path):
            node.visits, node.total, value = node.visits + 1, node.total + value, -value


def main() -> None:
    parts = {"evaluator": Part(Evaluator), "searcher": Part(Searcher, workers=2, uses=["evaluator"])}
    with Group(parts) as group:  # each replica of a group is placed on one node
        print(*group["searcher"].map(Searcher.play, range(16), kwargs={"searches": 50}), sep="\n")
        print(f"boards in a call: {group['evaluator'].submit(Evaluator.batch_size).result():.1f}")


if __name__ == "__main__":
    main()
