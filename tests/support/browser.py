"""Real headless Chromium, driven by playwright, and a page that may neither complain nor ask anybody else."""

from __future__ import annotations

import faulthandler
import os
import shutil
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.leaks import wait_until

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")
"""The first of these that is there. A whole Chromium draws its own windows and tab strips also without a screen, in
processes that take as long as the page."""
PROGRAM = next(filter(None, map(shutil.which, PROGRAMS)), "")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000


@dataclass
class Heard:
    """What a page said that it should not have said, and what it asked of whom."""

    own: str
    said: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    """Addresses of other servers that it asked."""
    asked: int = 0
    open: list[str] = field(default_factory=list)
    """What it asked and was not answered yet."""

    def ask(self, url: str) -> None:
        self.asked += 1
        self.open.append(url)
        if not url.startswith(self.own):
            self.strangers.append(url)


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; skips where there is none."""
    if not PROGRAM:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason='playwright is not installed: pip install "pullet[dev]"'
    )
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS, env=dict(os.environ))
        try:
            yield browser
        finally:
            browser.close()


def until(page: Any, expression: str) -> None:
    """Wait until it is true in the page. Playwright's own way is an eval there, which the page's policy refuses."""
    assert wait_until(lambda: bool(page.evaluate(expression)), PATIENCE_MS / 1000), f"never true: {expression}"


@contextmanager
def open_page(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """A page at an address. At the end it must have said nothing, and asked nobody but its own server."""
    page, heard = _new_page(browser, url, options)
    try:
        try:
            _visit(page, url, heard)
        except NeverAsked as stuck:  # that is between the browser and the machine: no server has heard of it
            warnings.warn(f"{stuck}; once more, in another window", stacklevel=3)
            page.close()
            page, heard = _new_page(browser, url, options)
            _visit(page, url, heard)
        until(page, "+document.body.dataset.turns >= 1")
        yield page
    finally:
        page.close()
    assert heard.said == []
    assert heard.strangers == []


def _new_page(browser: Any, url: str, options: dict[str, Any]) -> tuple[Any, Heard]:
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    page.set_default_timeout(PATIENCE_MS)
    heard = Heard(url.split("#")[0].rstrip("/"))
    page.on("console", lambda message: heard.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: heard.said.append(f"error: {error}"))
    page.on("dialog", lambda dialog: heard.said.append(f"dialog: {dialog.message}"))
    page.on("request", lambda asked: heard.ask(asked.url))
    page.on("requestfinished", lambda done: heard.open.remove(done.url))
    page.on("requestfailed", lambda done: heard.open.remove(done.url))
    return page, heard


class NeverAsked(AssertionError):
    """A page did not load, and its browser has not sent a single request."""


def _visit(page: Any, url: str, heard: Heard) -> None:
    """Load it. Where that takes too long, the error says who was waited for."""
    from playwright.sync_api import TimeoutError as TooSlow

    try:
        page.goto(url)
    except TooSlow as slow:
        faulthandler.dump_traceback()  # the dashboard is in this process
        raise (AssertionError if heard.asked else NeverAsked)(
            f"{url} did not load in {PATIENCE_MS / 1000:.0f} s: the page asked {heard.asked} times, "
            f"was not answered {heard.open}, said {heard.said}; asked by this test, its server {_answer_of(heard.own)}"
        ) from slow


def _answer_of(url: str) -> str:
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return f"answers {answer.status} after {time.monotonic() - begun:.2f} s"
    except OSError as error:
        return f"does not answer: {error}"
