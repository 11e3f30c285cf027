"""The pages for those who come from elsewhere: both sides of each diff run, and print the same."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pullet_broker.embedded import EmbeddedServer
from tests.support.examples import ROOT, Example, fenced
from tests.support.pages import OF_RAY, environment, start

pytestmark = [pytest.mark.docs, pytest.mark.ray, pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]


def diffs(page: str) -> list[Example]:
    return [one for one in fenced(ROOT / "docs" / page) if one.language == "diff"]


def side(diff: Example, sign: str) -> str:
    """The program before ("-") or after ("+")."""
    lines = diff.text.splitlines()
    assert all(line[:1] in {"-", "+", " "} for line in lines), f"{diff.place}: a line of no side"
    return "\n".join(line[1:] for line in lines if line[0] in {sign, " "}) + "\n"


def write(page: str, sign: str, folder: Path) -> Path:
    folder.mkdir()
    for diff in diffs(page):
        (folder / diff.title).write_text(side(diff, sign))
    return folder


ALONE = [
    (page, diff.title)
    for page in ("from-actor-pool.md", "from-multiprocessing.md", "from-ray-serve.md")
    for diff in diffs(page)
]


@pytest.mark.parametrize(("page", "program"), ALONE)
def test_both_sides_print_the_same(page: str, program: str, tmp_path: Path) -> None:
    if page == "from-ray-serve.md":
        pytest.importorskip("starlette", reason='Ray Serve is not installed: pip install "pullet[serve]"')
    said = []
    for name, sign in (("before", "-"), ("after", "+")):
        folder = write(page, sign, tmp_path / name)
        text = (folder / program).read_text()
        # else Ray joins whatever cluster runs on this machine
        of_its_own = (
            {"RAY_ADDRESS": "local"} if "ray.init" in text or "serve.run" in text or "pullet" not in text else {}
        )
        said.append(OF_RAY.sub("", start(["python", program], folder, 120, **of_its_own)))
    assert said[0] == said[1] != ""


@contextmanager
def in_background(command: str, folder: Path, url: str) -> Iterator[None]:
    """A worker, as the page starts it."""
    process = subprocess.Popen(
        command.split(), cwd=folder, env=environment(PULLET_REDIS=url), stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) is not None


def test_both_sides_of_celery_print_the_same(tmp_path: Path) -> None:
    pytest.importorskip("celery", reason='Celery is not installed: pip install "pullet[dev]"')
    row = re.search(r"^\| workers \| `(celery .*?)` \| `(pullet .*?)` \|$", page_text(), re.MULTILINE)
    assert row
    said = []
    for name, sign, command in (("before", "-", row[1]), ("after", "+", row[2])):
        folder = write("from-celery.md", sign, tmp_path / name)
        with EmbeddedServer.start() as server, in_background(command, folder, server.tcp_url):
            said.append(start(["python", "call.py"], folder, 120, PULLET_REDIS=server.tcp_url))
    assert said[0] == said[1] == "".join(f"PAGE {n}\n" for n in range(4))


def page_text() -> str:
    return (ROOT / "docs" / "from-celery.md").read_text()
