"""docs/promises.md names tests that exist, for every hole."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`((?:chaos|client|protocol|unit|workers|ray)/test_\w+)(?:::(test_\w+))?`", PAGE)
    assert len(named) > 40
    for file, test in named:
        source = ROOT / "tests" / f"{file}.py"
        assert source.is_file(), file
        assert not test or f"def {test}(" in source.read_text(), f"{file} has no {test}"


def test_every_hole_has_its_row() -> None:
    rows = re.findall(r"^\| (H\d+) \|", PAGE, re.MULTILINE)
    assert rows == [f"H{n}" for n in range(1, 24)]
