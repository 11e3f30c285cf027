"""The reference is whole: each public name is on a page of docs/api, each error has its remedy, each page its place."""

from __future__ import annotations

import inspect
import re
from types import ModuleType

import click
import pytest
import yaml

import pullet
import pullet.compat
import pullet.testing
import pullet_workers
from pullet_broker import errors
from pullet_console import refusals
from pullet_console.cli import VERBS, main
from tests.support.examples import PAGES, ROOT, fenced

API = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
ERRORS = (ROOT / "docs" / "errors.md").read_text()
NAV = (ROOT / "mkdocs.yml").read_text()
FROM_ELSEWHERE = {"index.md", "changelog.md", "contributing.md"}
"""Pages that tools/site.py makes of files outside docs/; and one for each example."""


def public(module: ModuleType) -> set[str]:
    named = getattr(module, "__all__", None)
    return set(named or [name for name, one in inspect.getmembers(module, inspect.isclass) if _is_own(one, module)])


def _is_own(one: type, module: ModuleType) -> bool:
    return one.__module__ == module.__name__ and not one.__name__.startswith("_")


@pytest.mark.parametrize(
    "module", [pullet, pullet_workers, pullet.testing, pullet.compat], ids=lambda one: one.__name__
)
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    names = public(module)
    assert names
    shown = set(re.findall(r"^::: (\S+)$", API, re.MULTILINE))
    aside = {f"pullet.testing.inline.{name}" for name in names}
    assert {f"{module.__name__}.{name}" for name in names} <= shown | aside


def error_classes() -> set[str]:
    return {name for name, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.PulletError)}


def test_every_error_has_its_remedy() -> None:
    told = set(re.findall(r"^\| `(\w+)`", ERRORS, re.MULTILINE))
    bases = {"PulletError", "ServerError", "JobError"}
    assert error_classes() - told == bases
    for base in bases:
        assert f"`{base}`" in ERRORS or f"pullet.{base}" in ERRORS


def test_every_exit_code_is_told_of() -> None:
    codes = {refusals.FAILED, refusals.USAGE, refusals.NO_CONNECTION, refusals.INTERRUPTED, 0}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", ERRORS, re.MULTILINE)} == codes


def test_every_page_is_in_the_navigation() -> None:
    in_nav = set(re.findall(r"(\S+\.md)$", NAV, re.MULTILINE))
    there = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert there | FROM_ELSEWHERE == {name for name in in_nav if not name.startswith("examples/")}
    assert yaml.safe_load(NAV)["nav"]


# -- commands


def typed() -> list[tuple[str, str]]:
    """Each command of ours in a block, or in a text, with its place."""
    found = []
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for example in fenced(page):
            if example.language in {"", "sh"}:
                joined = example.text.replace("\\\n", " ")
                found += [(example.place, line) for line in joined.splitlines() if line.startswith("pullet ")]
        prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        found += [(name, re.sub(r"\s+", " ", line)) for line in re.findall(r"`(pullet [a-z][^`]*)`", prose)]
    return found


def words(line: str) -> list[str]:
    """What a shell would make of it, roughly: quotes, redirections, comments."""
    text = re.split(r"\s(?:>|#|\|)", line)[0]
    return [word.strip("\"'") for word in re.findall(r"\"[^\"]*\"|'[^']*'|\S+", text)][1:]


def parse(command: click.Command, given: list[str]) -> None:
    """Follow the verbs down and read the options of the last one; click raises for what it does not know."""
    context = click.Context(command)
    _, rest, _ = command.make_parser(context).parse_args(list(given))
    if isinstance(command, click.Group) and rest:
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        parse(found, rest)


def test_every_command_in_the_docs_is_one_that_pullet_knows() -> None:
    commands = typed()
    assert len(commands) > 50
    assert {words(line)[0] for _, line in commands} >= set(VERBS) - {"demo", "top"}
    for place, line in commands:
        if not words(line)[0].startswith("<"):
            try:
                parse(main, words(line))
            except click.ClickException as error:
                raise AssertionError(f"{place}: {line}: {error.format_message()}") from None


def test_a_wrong_command_is_noticed() -> None:
    with pytest.raises(click.ClickException, match="--no-such"):
        parse(main, ["status", "--no-such"])
