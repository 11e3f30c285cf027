"""The site is built strictly, is whole, and works in a browser, also on a phone and in the dark."""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import pullet
from tests.support.browser import chromium
from tests.support.examples import ROOT

SITE = ROOT / "build" / "site"

FOUND = "[...document.querySelectorAll('*')].some(one => one.shadowRoot?.textContent.includes('Look inside'))"
"""The search draws its results in a shadow of its own."""

pytestmark = [pytest.mark.docs, pytest.mark.xdist_group("site"), pytest.mark.timeout(240)]


class Found(HTMLParser):
    """The links of a page, and the places that others can link to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places |= {given.get("id") or "", given.get("name") or ""} - {""}
        self.links |= {given.get(name) or "" for name in ("href", "src") if tag in {"a", "img", "script", "link"}}


@pytest.fixture(scope="module")
def site() -> Path:
    pytest.importorskip("zensical", reason="zensical needs Python 3.11 or newer")
    made = subprocess.run([sys.executable, "tools/site.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return SITE


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_every_link_leads_to_a_file_and_a_place_in_it(site: Path) -> None:
    pages = {file: Found(file) for file in site.rglob("*.html") if file.name != "404.html"}
    assert len(pages) > 30
    for file, found in pages.items():
        for link in found.links:
            path, _, place = unquote(link).partition("#")
            if not link or ":" in path.partition("/")[0]:
                continue
            target = (file.parent / path.partition("?")[0]).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{file.relative_to(site)} links to {link}"
            assert not place or target not in pages or place in pages[target].places | {"__top"}, f"{file}: {link}"


def test_every_public_name_is_a_place_of_the_reference(site: Path) -> None:
    places = set().union(*(Found(file).places for file in (site / "api").glob("*.html")))
    assert {f"pullet.{name}" for name in pullet.__all__} <= places
    assert {"pullet.Client.submit", "pullet_workers.Pool.scale", "pullet.testing.InlinePool"} <= places


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_reads_well_at_any_width_and_asks_no_other_server(url: str, width: int, scheme: str) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        asked: list[str] = []
        shown = "slate" if scheme == "dark" else "default"
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "quickstart", "promises", "api/client", "errors"):
            assert page.goto(f"{url}/{name}.html").ok, name  # a server's error page has an h1, too
            page.wait_for_selector("h1")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
            page.wait_for_function(f"document.body.dataset.mdColorScheme == {shown!r}")
        assert page.goto(f"{url}/index.html").ok
        page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert not [one for one in asked if not one.startswith((url, "data:", "blob:"))]
        page.close()


def test_the_search_finds_a_word(url: str) -> None:
    with chromium() as browser:
        page = browser.new_page()
        assert page.goto(f"{url}/index.html").ok
        page.wait_for_selector("h1")
        page.keyboard.press("Control+k")
        page.keyboard.type("redis-cli")
        page.wait_for_function(FOUND)
        page.close()
