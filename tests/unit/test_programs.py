"""The programs of examples/ are short, the table tells of each, and a test runs each (tests/examples)."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.support.examples import ROOT

EXAMPLES = ROOT / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
SHOWN = [file for file in [*PROGRAMS, *EXAMPLES.glob("*.ipynb")] if file.name != "timelines.py"]
LONGEST = 99
SILENT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def lines_of_code(text: str) -> int:
    """Without blank lines, comments and docstrings."""
    said = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return len({token.start[0] for token in tokens if token.type not in SILENT} - said)


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: file.stem)
def test_an_example_is_short(file: Path) -> None:
    text = file.read_text()
    assert lines_of_code(text) <= LONGEST
    assert file.stem == "work_stealing" or len(text.splitlines()) <= LONGEST, "three ways of doing it need more words"


@pytest.mark.parametrize("file", SHOWN, ids=lambda file: file.stem)
def test_an_example_is_told_of_and_run(file: Path) -> None:
    assert f"| [{file.name}]({file.name}) |" in (EXAMPLES / "README.md").read_text()
    tests = [*(ROOT / "tests/examples").glob("test_*.py"), ROOT / "tests/ray/test_serve.py"]
    assert any(re.search(rf'"{file.stem}(\.\w+)?"', test.read_text()) for test in tests), "no test runs it"
