"""Links between the pages lead somewhere, also to the heading that they name."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.examples import PAGES, ROOT

LINK = re.compile(r"!?\[[^][]*\]\(([^()\s#]*)(?:#([^()\s]+))?\)")


def prose(page: Path) -> str:
    """Without its blocks and its code."""
    return re.sub(r"^```.*?^```$|`[^`\n]+`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> set[str]:
    """Of its headings, as the site and most viewers of Markdown make them; and of the names an API page shows."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in re.findall(r"^#+ (.*)$", text, re.M))
    return {re.sub(r"[-\s]+", "-", heading) for heading in headings} | set(re.findall(r"^::: (\S+)$", text, re.M))


def links(page: Path) -> list[tuple[str, str]]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [(target, anchor) for target, anchor in LINK.findall(text) if "://" not in target]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(found), f"{target} has no heading #{anchor}"


def test_there_are_links_to_look_at() -> None:
    assert sum(len(links(page)) for page in PAGES) > 100
