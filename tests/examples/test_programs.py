"""The programs of examples/: what each prints is right, in 80 columns, with no warning, and nothing of it is left.

examples/README.md says how to run them: `make example NAME=...`, which is `python examples/NAME.py` in this
environment.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import mypy.api
import pytest

from tests.examples.conftest import EXAMPLES, Ran

Run = Callable[..., Ran]

has_stockfish = shutil.which("stockfish") or Path("/usr/games/stockfish").exists()


@pytest.mark.skipif(not has_stockfish, reason="no stockfish here: apt install stockfish")
def test_chess_engine(run: Run) -> None:
    ran = run("chess_engine")
    assert ran.err == ""
    opinions = {line[:20].strip(): line[20:].strip() for line in ran.out[:4]}
    assert opinions["the scholar's mate"] == "h5f7  mate in 1"
    assert opinions["the opera game"] == "b3b8  mate in 2"
    assert re.fullmatch(r"[a-h][1-8][a-h][1-8]  [+-]\d\.\d\d", opinions["the start"])
    depths = [int(line.split()[1].rstrip(":")) for line in ran.out[5:]]
    assert depths[0] == 1
    assert depths == sorted(depths)
    assert depths[-1] == 12, "left when it was deep enough"


def test_monte_carlo(run: Run) -> None:
    ran = run("monte_carlo", "--jobs", "60")
    many, *reports, long, exact = ran.out
    price = float(exact.split()[1])
    for line, paths in ((many, "300,000"), (long, "100,000")):
        mean, error = map(float, re.search(rf": +(\d+\.\d+) \+- (\d\.\d+) from {paths} paths", line).groups())  # type: ignore[union-attr]
        assert abs(mean - price) < 5 * error
    done = [int(re.match(r" +(\d+)%", line)[1]) for line in reports]  # type: ignore[index]
    assert done == sorted(set(done))
    assert len(done) > 3
    assert "60/60" in ran.err, "the progress bar"
    assert not re.sub(r"\r?run: .*", "", ran.err).strip()


def test_nearest_sentence(run: Run) -> None:
    ran = run("nearest_sentence")
    assert ran.err == ""
    answers = dict(zip((line[:51].strip() for line in ran.out[0:12:2]), map(str.strip, ran.out[1:12:2]), strict=True))
    assert answers == {
        "Will I need an umbrella?": "Heavy rain is expected along the coast tonight.",
        "Which piece attacks two others at once?": "The knight forks the king and the queen.",
        "How long may I wait before I transfer the money?": "The invoice has to be paid within thirty days.",
        "The machine was cut off in the middle of its task.": "A worker took the job and lost the network.",
        "Where do I board for Scotland?": "The train to the north leaves from platform nine.",
        "a recipe for a loaf": "Bake the bread until the crust is brown.",
    }
    assert re.fullmatch(r"200 in flight: \d+ sentences a second", ran.out[-1])


def test_ocr_pages(run: Run) -> None:
    pytest.importorskip("rapidocr_onnxruntime", reason="no rapidocr-onnxruntime for this Python")
    ran = run("ocr_pages")
    drawn, read, right, none = ran.out
    assert read.split(maxsplit=1)[1].replace(" ", "") == drawn.split(maxsplit=1)[1].replace(" ", "")
    good, total = map(int, re.match(r"(\d+) of (\d+) lines have all their letters", right).groups())  # type: ignore[union-attr]
    assert total == 96
    assert good >= 90
    assert none == "a page that is none: UnidentifiedImageError"
    assert "16/16" in ran.err
    assert not re.sub(r"\r?read: .*", "", ran.err).strip()


def test_self_play(run: Run) -> None:
    ran = run("self_play")
    *games, size = ran.out
    assert ran.err == ""
    assert len(games) == 16
    for game in games:
        columns, _, outcome = game.partition(" ")
        assert outcome == replayed(columns), game
    assert float(size.rpartition(" ")[2]) > 1.5, "the evaluator got several boards at once"


def test_the_types_of_pullet_fit_what_examples_do() -> None:
    """Left out: those that are mostly Ray's, which does not know what `@ray.remote` and `@serve.deployment` make."""
    files = [str(file) for file in EXAMPLES.glob("*.py") if file.stem not in ("serve_tasks", "work_stealing")]
    out, err, code = mypy.api.run(["--disable-error-code=import-untyped", *files])
    assert (code, err) == (0, ""), out


def replayed(columns: str) -> str:
    """How a game ended, by other means than those of the example: the sides' stones as sets of places."""
    stones: list[set[tuple[int, int]]] = [set(), set()]
    heights = [0] * 7
    for turn, column in enumerate(int(column) - 1 for column in columns):
        assert not any(map(has_four, stones)), "they went on after the end"
        stones[turn % 2].add((column, heights[column]))
        heights[column] += 1
        assert heights[column] <= 6
    won = [has_four(side) for side in stones]
    assert any(won) or len(columns) == 42
    return "first wins" if won[0] else "second wins" if won[1] else "drawn"


def has_four(stones: set[tuple[int, int]]) -> bool:
    steps = ((1, 0), (0, 1), (1, 1), (1, -1))
    return any(all((x + n * dx, y + n * dy) in stones for n in range(4)) for x, y in stones for dx, dy in steps)


def test_work_stealing(run: Run, tmp_path: Path) -> None:
    ran = run("work_stealing", "--jobs", "120", "--png", str(tmp_path / "timelines.png"))
    assert ran.err == ""
    *ways, told = ran.out
    assert [line[:21].strip() for line in ways] == ["ActorPool per caller", "central dispatcher", "pullet"]
    for line in ways:
        makespan, ideal = map(float, re.findall(r"(\d+\.\d+) s", line))
        assert ideal < makespan
    assert told.startswith("timelines: ")
    assert (tmp_path / "timelines.png").read_bytes().startswith(b"\x89PNG")
