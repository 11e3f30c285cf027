"""The files of the page: they are in the wheel, name nobody else's server, and carry their licences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "console" / "pullet_console" / "ui" / "static"
OWN = sorted(file for file in STATIC.iterdir() if file.suffix in (".js", ".css", ".html", ".svg"))


def test_whatever_the_page_loads_is_there() -> None:
    text = (STATIC / "index.html").read_text()
    for path in re.findall(r'(?:src|href)="/static/([^"]+)"', text):
        assert (STATIC / path).is_file(), path
    for file in OWN:
        for path in re.findall(r'from "\./([^"]+)"', file.read_text()) if file.suffix == ".js" else ():
            assert (STATIC / path).is_file(), f"{file.name} imports {path}"


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere_and_no_text_becomes_markup(file: Path) -> None:
    text = file.read_text()
    elsewhere = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
    assert not elsewhere
    assert not re.search(r"innerHTML\s*=|outerHTML\s*=|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    if file.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", text)


def test_what_was_taken_over_has_its_licence() -> None:
    vendored = {file.stem for file in (STATIC / "vendor").iterdir() if file.suffix != ".LICENSE"}
    assert vendored == {file.stem for file in (STATIC / "vendor").glob("*.LICENSE")}
    assert "MIT" in (STATIC / "vendor" / "uplot.LICENSE").read_text()


def test_git_does_not_leave_them_out() -> None:
    """The wheel has whatever git has: hatchling reads .gitignore."""
    ignored = (STATIC.parents[3] / ".gitignore").read_text().splitlines()
    assert not {"static", "static/", "vendor", "vendor/", "*.js", "*.css"} & {line.strip() for line in ignored}
