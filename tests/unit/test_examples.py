"""Every line of Python in the docs is type-checked, and every command is one that a test runs."""

from __future__ import annotations

import re
from pathlib import Path

import mypy.api
import pytest

from tests.support.examples import GIVEN, PAGES, ROOT, UNLESS_DEFINED, documented, fenced, is_python

RUN_ELSEWHERE = {
    "docs/inspect.md": "tests/protocol/test_inspect_page.py",
    "docs/command-line.md": "tests/console/test_command_line_page.py",
    "docs/security.md": "tests/deploy/test_roles.py",
    "docs/quickstart.md": "tests/docs/test_quickstart.py",
    "examples/README.md": "tests/examples/test_programs.py",
}
"""Pages whose commands are run, and by which test."""
LANGUAGES = {
    "python": "type-checked here, run by tests/docs/test_examples_run.py; files with a title by tests of their page",
    "diff": "both sides are run by tests/docs/test_migrations.py",
    "sh": "run by the test that RUN_ELSEWHERE names; or commands in a block without a language, which are parsed here",
    "yaml": "compared with the schemas by tests/deploy",
    "": "what a command prints, drawings, and commands that install things",
}
"""What becomes of each language's blocks."""
LOOSE = {"empty-body", "no-untyped-def", "no-redef"}
"""What examples may do: leave bodies and the type of `self` out, define a class again. Told apart by their codes, not
by options: with the same options as `make check` mypy finds its cache."""
WRONG = "chess.submit(Chess.eval, fen, dept=15)\n"


def module(*blocks: str) -> str:
    """Blocks that follow each other, behind what they take for granted."""
    text = "\n".join(blocks)
    given = [
        said
        for name, said in UNLESS_DEFINED.items()
        if not re.search(rf"^(class {name}\b|{name} = |.* as {name}:)", text, re.MULTILINE)
    ]
    return "\n".join([GIVEN, *given, text])


def without(own: set[str], text: str) -> str:
    """A page as one module: what its files import from each other is there already."""
    return re.sub(rf"^(?:from|import) (?:{'|'.join(map(re.escape, own)) or '$.'})\b.*$", "", text, flags=re.MULTILINE)


def modules() -> dict[str, str]:
    """One for each page, where a block may use those before it, and one for each docstring."""
    found = {}
    for page in PAGES:
        blocks = [example for example in fenced(page) if example.language == "python"]
        if blocks:
            own = {one.title.removesuffix(".py") for one in blocks if one.title}
            found[page.stem.replace("-", "_")] = without(own, module(*(example.text for example in blocks)))
    for number, example in enumerate(documented()):
        found[f"{example.file.stem}_{number}_docstring"] = module(example.text)
    return found


def check(folder: Path, texts: dict[str, str]) -> dict[str, list[str]]:
    """What mypy says of each."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    out, err, _ = mypy.api.run([str(folder / f"{name}.py") for name in texts])
    assert not err, err
    said: dict[str, list[str]] = {name: [] for name in texts}
    for line in out.splitlines():
        match = re.search(r"(\w+)\.py:(\d+): error: (.*?) +\[([a-z-]+)\]$", line)
        if match and match[4] not in LOOSE:
            source = texts[match[1]].splitlines()[int(match[2]) - 1]
            said[match[1]].append(f"{match[3]}\n    {source}")
    return said


def test_every_python_example_type_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    texts = modules()
    assert {"README", "placement"} <= set(texts)
    assert len(texts) > 8
    said = check(tmp_path, {**texts, "wrong": module(WRONG)})
    assert "dept" in said.pop("wrong")[0], "an example with a mistake passes"
    wrong = {name: lines for name, lines in said.items() if lines}
    assert not wrong, "\n".join(f"{name}: {line}" for name, lines in wrong.items() for line in lines)


def test_a_block_says_what_language_it_is() -> None:
    for page in PAGES:
        for example in fenced(page):
            assert example.language in LANGUAGES, example.place
            looks_so = re.search(r"\bimport \w|pullet\.\w+\(|Pool\(|submit\(", example.text)
            assert example.language or not (looks_so and is_python(example.text)), f"{example.place} is Python"


def test_every_command_in_a_shell_block_is_run_by_a_test() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for verb in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert verb in verbs, f"{name}: make {verb}"
        shell = [example for example in fenced(page) if example.language == "sh"]
        if shell:
            assert name in RUN_ELSEWHERE, f"{shell[0].place}: who runs this? say so in RUN_ELSEWHERE"
            assert page.name in (ROOT / RUN_ELSEWHERE[name]).read_text()
