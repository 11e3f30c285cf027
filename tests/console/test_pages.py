"""Each page of the dashboard in a real browser, against a live pool."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Lease, Queue
from tests.support.browser import chromium, open_page, until
from tests.support.dashboard import Dashboard, dashboard
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, a_job
from tests.support.workers import Kit, calling, registered, running, worker_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

HOSTILE = [
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "\"onmouseover='window.hacked=1'",
    "javascript:window.hacked=1",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "\u202egnp.exe\u202c\u2066x",
    "null\x00byte\r\nline",
    "{{7*7}}${7*7}",
    "\ufeff\u200b\u2028",
    "__proto__",
]
LONG = "A" * 1_000_000
CLOSE_AND_PRESS_T = """() => {
    document.querySelector("dialog").close();
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "t", bubbles: true}));
}"""
ROWS = "document.querySelectorAll('section[aria-label=\"%s\"] tbody tr').length"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def quick(queue: Queue) -> Queue:
    import dataclasses

    return dataclasses.replace(queue, lease=Lease(beat_s=0.1, tick_ms=90, ticks=30))


@pytest.fixture
def shown(address: Address) -> Iterator[Dashboard]:
    with dashboard(address, may_act=True) as found:
        yield found


@pytest.fixture
def client(quick: Queue, address: Address) -> Iterator[Client[Kit]]:
    with calling(quick, address) as found:
        yield found


def card(page: Any, name: str) -> str:
    """The number that a card shows."""
    text: str = page.locator(f'section.card[aria-label="{name}"] .value').inner_text()
    return re.sub(r"\s+", " ", text)


def turn(page: Any, more: int = 1) -> None:
    """Wait for so many messages."""
    until(page, f"+document.body.dataset.turns >= {int(page.evaluate('+document.body.dataset.turns')) + more}")


def test_the_overview_shows_what_the_api_says(
    browser: Any, shown: Dashboard, quick: Queue, address: Address, client: Client[Kit]
) -> None:
    kit = Kit()
    with running(quick, address, kit, name="one"):
        assert list(client.map(Kit.echo, range(1234))) == list(range(1234))
        held = client.submit(Kit.hold, 1)
        assert kit.started.wait(10)
        waiting = [client.submit(Kit.echo, i) for i in range(7)]
        client.flush()
        with open_page(browser, f"{shown.url}/#/{quick.name}") as page:
            page.wait_for_selector(".card .value:has-text('1,234')", state="detached")
            turn(page, 2)
            (summary,) = [one for one in shown.get("/api/queues") if one["name"] == quick.name]
            assert (summary["waiting"], summary["done"]) == (7, 1234)
            assert card(page, "Waiting") == "7"
            assert card(page, "Running") == str(summary["running"])
            assert "1,234 in all" in page.locator('section.card[aria-label="Done"]').inner_text()
            assert card(page, "Workers busy") == "1/ 1"
            assert page.locator("canvas.timeline").get_attribute("aria-label").startswith("Timeline: 1 workers")
            until(page, "document.querySelectorAll('.plot canvas').length === 4")
            kit.go.set()
            held.result(10)
            assert [one.result(10) for one in waiting] == list(range(7))
            until(page, "document.querySelector('section.card[aria-label=\"Waiting\"] .value').textContent === '0'")


def test_jobs_are_shown_page_after_page(
    browser: Any, shown: Dashboard, quick: Queue, address: Address, client: Client[Kit]
) -> None:
    client.options(delay=600).submit(Kit.nap, 1.5)
    futures = [client.submit(Kit.echo, i) for i in range(120)]
    client.flush()
    with open_page(browser, f"{shown.url}/#/{quick.name}/jobs") as page:
        until(page, "document.querySelectorAll('tbody tr').length === 50")
        page.get_by_role("button", name="Next page").click()
        until(page, "document.body.textContent.includes('Page 2')")
        page.get_by_role("button", name="Next page").click()
        until(page, "document.querySelectorAll('tbody tr').length === 20")
        assert page.get_by_role("button", name="Next page").is_disabled()
        page.get_by_role("button", name="Delayed").click()
        until(page, "document.querySelectorAll('tbody tr').length === 1")
        assert "1.5" in page.locator("tbody").inner_text()
        page.get_by_role("button", name="Waiting").click()
        page.get_by_label("Only jobs of this method").fill("nap")
        page.keyboard.press("Enter")
        until(page, "document.body.textContent.includes('No job is waiting')")
        page.get_by_label("Open the job with this id").fill(futures[3].job_id)
        page.keyboard.press("Enter")
        until(page, "document.body.textContent.includes('echo(3)')")
        assert futures[3].job_id in page.locator("h1").inner_text()
    for future in futures:
        future.cancel()


class Tap:
    """Yields an item whenever the test lets it."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)

    def drip(self, items: int) -> Iterator[str]:
        for i in range(items):
            assert self.go.acquire(timeout=60)
            yield f"item {i}"


def test_a_job_shows_its_items_as_they_come_and_its_end(
    browser: Any, shown: Dashboard, quick: Queue, address: Address
) -> None:
    tap = Tap()
    with running(quick, address, lambda: tap), calling(quick, address, Tap) as client:
        stream = client.options(keep=60).stream(Tap.drip, 3)
        client.flush()
        with open_page(browser, f"{shown.url}/#/{quick.name}/job/{stream.job_id}") as page:
            until(page, "document.querySelector('.chip')?.textContent === 'running'")
            for seen in (1, 2):
                tap.go.release()
                until(page, f"document.querySelectorAll('.parts li').length === {seen}")
            assert "item 1" in page.locator(".parts").inner_text()
            assert "client.job(" in page.locator('pre[aria-label="From Python"]').inner_text()
            assert "redis-cli -u" in page.locator('pre[aria-label="From redis-cli"]').inner_text()
            tap.go.release()
            until(page, "document.querySelector('.chip').textContent === 'done'")
        assert list(stream) == ["item 0", "item 1", "item 2"]


def test_a_dead_letter_is_retried_by_clicks(
    browser: Any, shown: Dashboard, quick: Queue, address: Address, client: Client[Kit]
) -> None:
    kit = Kit()
    with running(quick, address, kit):
        doomed = client.submit(Kit.fail_first, "first", 1)
        assert isinstance(doomed.exception(10), ConnectionError)
        for text in ("one", "two"):
            client.submit(Kit.boom, text).exception(10)
        with open_page(browser, f"{shown.url}/#/{quick.name}/dead") as page:
            until(page, "document.querySelectorAll('section[aria-label=\"By error\"] tbody tr').length === 2")
            assert page.locator('section[aria-label="Letters"] tbody tr').count() == 3
            page.locator(f'a[href$="{doomed.job_id}"]').click()
            until(page, "document.body.textContent.includes('Traceback (most recent call last)')")
            assert "ConnectionError" in page.locator("main").inner_text()
            page.get_by_role("button", name="Retry").click()
            page.wait_for_selector(".toast:has-text('1 job runs once more')")
            assert client.job(doomed.job_id).result(10) == 2
            page.get_by_role("link", name="Dead letters").click()
            page.get_by_role("button", name="Purge all ValueError in boom").click()
            page.get_by_role("button", name="Purge", exact=True).last.click()
            until(page, "document.body.textContent.includes('No dead letters')")
            page.get_by_role("link", name="Actions").click()
            until(page, "document.body.textContent.includes('purge')")
    assert len(client.dead) == 0


def test_a_killed_worker_is_seen_and_its_job_comes_back(
    browser: Any, shown: Dashboard, quick: Queue, address: Address, link: Link, client: Client[Kit]
) -> None:
    with (
        worker_process(quick, address, name="victim") as process,
        open_page(browser, f"{shown.url}/#/{quick.name}") as page,
    ):
        assert wait_until(lambda: "victim" in registered(link, quick).values(), 20)
        turn(page, 2)
        future = client.submit(Kit.nap, 0.6)
        assert wait_until(lambda: bool(link.execute("XPENDING", quick.keys.lane("normal"), "workers")[0]))
        process.kill()
        process.wait()
        with running(quick, address, name="rescuer") as rescuer:
            assert future.result(30) == 0.6
            # the first job may have ended before its worker had heard that somebody watches
            assert wait_until(lambda: rescuer.runner.report.witness.offset_us is not None)
            assert client.submit(Kit.echo, "seen").result(10) == "seen"
            line = "document.querySelector('canvas.timeline')?.dataset"
            until(page, f"{line}?.rows?.includes('victim') && {line}.rows.includes('rescuer') && +{line}.lost >= 1")


def test_workers_and_callers_are_listed(
    browser: Any, shown: Dashboard, quick: Queue, address: Address, client: Client[Kit]
) -> None:
    both = running(quick, address, name="alpha"), running(quick, address, name="beta")
    with both[0] as alpha, both[1] as beta, open_page(browser, f"{shown.url}/#/{quick.name}/workers") as page:
        until(page, "document.querySelectorAll('tbody tr').length === 2")
        for worker in (alpha, beta):  # both have heard that somebody watches
            assert wait_until(lambda one=worker: one.runner.report.witness.offset_us is not None)  # type: ignore[misc]
        assert list(client.map(Kit.echo, range(50))) == list(range(50))
        names = page.locator("tbody tr td:first-child").all_inner_texts()
        assert names == ["alpha", "beta"]
        assert sum(one["done"] for one in shown.get(f"/api/queues/{quick.name}/workers")) <= 50
        page.get_by_role("link", name="Callers").click()
        until(page, "document.querySelectorAll('tbody tr').length === 1")
        until(page, "document.querySelector('tbody tr td:nth-child(3)').innerText === '50'")
        page.get_by_role("link", name="pullet: all queues").click()
        until(page, f"document.body.textContent.includes('{quick.name}')")


def test_whatever_names_hold_they_are_only_text(
    browser: Any, shown: Dashboard, queue: Queue, address: Address, link: Link
) -> None:
    scribe = Scribe(link, queue)
    worker = scribe.worker('<b onclick="window.hacked=1">w</b>.host-1.abc')
    link.execute("HSET", queue.keys.fixed("pool"), "trouble", f"<script>window.hacked=1</script>{HOSTILE[5]}")
    for name in [*HOSTILE, LONG]:
        job = a_job()
        job.method, job.key = name, ""
        scribe.caller().submit(job)
    for entry in worker.take(20):
        worker.fail(entry, note=f"{HOSTILE[0]} {HOSTILE[4]}")
    for name in [*HOSTILE, LONG]:
        job = a_job(HOSTILE[1].encode())
        job.method = name
        scribe.caller().submit(job)
    for path in ("", "/jobs", "/workers", "/dead", "/callers", "/actions", "/job/%3Cscript%3E", "/job/%E0%A4%A"):
        with open_page(browser, f"{shown.url}/#/{queue.name}{path}") as page:
            turn(page, 1)
            if path == "/jobs":
                until(page, "document.querySelectorAll('tbody tr').length === 11")
            assert page.evaluate("window.hacked === undefined")
            assert page.locator("main script, main img, main [onclick], main [onerror]").count() == 0
            text = page.evaluate("document.body.textContent")
            assert not set(text) & set("\x00\x1b\u202e\u2066\u200b\ufeff\u2028")
            assert len(text) < 100_000
    link.execute("DEL", queue.keys.fixed("pool"))


def test_it_fits_a_telephone_in_the_dark_and_every_control_has_a_name(
    browser: Any, shown: Dashboard, quick: Queue, address: Address, client: Client[Kit]
) -> None:
    narrow = {"viewport": {"width": 375, "height": 800}, "color_scheme": "dark"}
    nameless = """[...document.querySelectorAll('button, input, select, a, meter, canvas, [role=img], dialog')]
        .filter((one) => one.checkVisibility()
            && !(one.getAttribute('aria-label') || one.textContent.trim() || one.closest('[role=img]:not(canvas)')))
        .map((one) => one.outerHTML.slice(0, 200))"""
    with running(quick, address):
        client.submit(Kit.boom).exception(10)
        for path in ("", "/jobs", "/workers", "/dead", "/callers", "/actions"):
            with open_page(browser, f"{shown.url}/#/{quick.name}{path}", **narrow) as page:
                turn(page, 2)
                assert page.evaluate("document.documentElement.scrollWidth") <= 375, path
                assert page.evaluate(nameless) == [], path
                dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert dark == "rgb(19, 20, 22)"


def test_the_keyboard_is_enough(browser: Any, shown: Dashboard, quick: Queue, address: Address) -> None:
    with running(quick, address), open_page(browser, f"{shown.url}/#/{quick.name}") as page:
        for key, title in (("2", "Jobs"), ("3", "Workers"), ("4", "Dead letters"), ("5", "Callers"), ("6", "Actions")):
            page.keyboard.press(key)
            page.wait_for_selector(f"h1:has-text('{title}')")
        page.keyboard.press("1")
        page.wait_for_selector("canvas.timeline")
        page.keyboard.press(" ")
        page.wait_for_selector("button:has-text('Go on')")
        page.keyboard.press("?")
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog[open]", state="detached")
        page.keyboard.press("t")
        until(page, "document.documentElement.dataset.theme === 'dark'")
        page.keyboard.press("?")
        page.wait_for_selector("dialog[open]")
        page.evaluate(CLOSE_AND_PRESS_T)
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        page.keyboard.press("2")
        page.wait_for_selector("#filter")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "filter"


def test_a_dashboard_that_only_reads_offers_nothing(browser: Any, quick: Queue, address: Address, link: Link) -> None:
    scribe = Scribe(link, quick)
    scribe.caller().one()
    worker = scribe.worker()
    worker.fail(worker.take_one())
    with dashboard(address) as found, open_page(browser, f"{found.url}/#/{quick.name}/dead") as page:
        until(page, f"{ROWS % 'Letters'} === 1")
        assert page.locator("button:has-text('Retry'), button:has-text('Purge')").count() == 0
        assert "pullet ui --allow-actions" in page.locator("main").inner_text()
