"""Real headless Chromium, driven by playwright, and a page that may neither complain nor ask anybody else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.leaks import wait_until

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
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
class Complaints:
    """What a page said that it should not have, and whom it asked."""

    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


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
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    page.set_default_timeout(PATIENCE_MS)
    complaints = Complaints()
    own = url.split("#")[0].rstrip("/")
    page.on("console", lambda message: complaints.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.said.append(f"error: {error}"))
    page.on("dialog", lambda dialog: complaints.said.append(f"dialog: {dialog.message}"))
    page.on("request", lambda asked: None if asked.url.startswith(own) else complaints.asked.append(asked.url))
    try:
        page.goto(url)
        until(page, "+document.body.dataset.turns >= 1")
        yield page
    finally:
        page.close()
    assert complaints.said == []
    assert complaints.asked == []
