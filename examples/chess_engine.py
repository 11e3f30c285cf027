"""A chess engine that is started once in each worker, asked by many callers, and heard while it thinks.

apt install stockfish
make example NAME=chess_engine
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from pullet_workers import Pool

POSITIONS = {
    "the start": "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1",
    "the Italian game": "r1bqkbnr/pppp1ppp/2n5/4p3/2B1P3/5N2/PPPP1PPP/RNBQK2R b KQkq - 3 3",
    "the scholar's mate": "r1bqkb1r/pppp1ppp/2n2n2/4p2Q/2B1P3/8/PPPP1PPP/RNB1K1NR w KQkq - 4 4",
    "the opera game": "4kb1r/p2n1ppp/4q3/4p1B1/4P3/1Q6/PPP2PPP/2KR4 w k - 1 16",
}


@dataclass
class Opinion:
    """The best move, and its worth to who moves: centipawns, or moves to the mate (negative: against them)."""

    move: str
    score: int
    is_mate: bool

    def __str__(self) -> str:
        return f"{self.move}  " + (f"mate in {self.score}" if self.is_mate else f"{self.score / 100:+.2f}")


class Chess:
    """A process that speaks UCI, the protocol of chess engines: lines of text on its input and output."""

    def __init__(self, path: str) -> None:
        self._process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._say("uci")
        list(self._hear("uciok"))

    def eval(self, fen: str, depth: int = 12) -> Opinion:
        """Think to the end."""
        *_, last = map(str.split, self._search(fen, f"depth {depth}"))
        kind, score = last[last.index("score") + 1 :][:2]
        return Opinion(last[last.index("pv") + 1], int(score), kind == "mate")

    def lines(self, fen: str, seconds: float) -> Iterator[str]:
        """What it says while it thinks. Who leaves the loop ends this at the next line, and `seconds` end it anyway."""
        return self._search(fen, f"movetime {seconds * 1000:.0f}")

    def _search(self, fen: str, limit: str) -> Iterator[str]:
        self._say(f"position fen {fen}", f"go {limit}")
        heard = self._hear("bestmove")
        try:
            yield from (line for line in heard if " score " in line and " pv " in line)
        finally:
            self._say("stop")
            list(heard)  # up to its last word, so that the next job does not hear it

    def close(self) -> None:
        self._say("quit")
        self._process.wait()

    def _say(self, *lines: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.writelines(f"{line}\n" for line in lines)

    def _hear(self, last: str) -> Iterator[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(last):
                return
            yield line.strip()
        raise RuntimeError(f"the chess engine has ended with exit code {self._process.wait()}")


def main() -> None:
    path = shutil.which("stockfish") or shutil.which("/usr/games/stockfish")  # where Debian puts it
    if path is None:
        sys.exit("stockfish is not on PATH: apt install stockfish")
    with Pool(functools.partial(Chess, path), workers=2) as pool:
        for name, opinion in zip(POSITIONS, pool.map(Chess.eval, POSITIONS.values()), strict=True):
            print(f"{name:<20} {opinion}")
        print("thinking for a minute, or until somebody has heard enough:")
        for line in pool.stream(Chess.lines, POSITIONS["the Italian game"], 60.0):
            said, _, moves = line.partition(" pv ")
            depth = int(said.split()[2])
            print(f"  depth {depth:>2}: {moves:.64}")
            if depth >= 12:
                break


if __name__ == "__main__":
    main()
