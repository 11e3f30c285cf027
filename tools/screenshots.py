"""The pictures of docs/dashboard.md: a pool without Ray at work, seen by Chromium.

.venv/bin/python tools/screenshots.py          about two minutes; writes docs/dashboard-*.png
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import pullet  # noqa: E402
from pullet_broker.address import Address  # noqa: E402
from pullet_broker.embedded import EmbeddedServer  # noqa: E402
from pullet_broker.settings import Queue  # noqa: E402
from pullet_workers.runner import Runner  # noqa: E402

START = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"
WATCH_S = 75


class Chess:
    """Sleeps as long as an engine would think."""

    def eval(self, fen: str, depth: int = 12) -> int:
        time.sleep(random.lognormvariate(-2.6, 0.5))
        return len(fen)

    def lines(self, fen: str) -> Iterator[str]:
        for depth in range(10):
            time.sleep(0.15)
            yield f"info depth {depth} score cp {depth * 7}"

    def analyse(self, fen: str) -> str:
        time.sleep(random.uniform(0.2, 0.9))
        return "e2e4"

    def probe(self, fen: str) -> int:
        time.sleep(0.05)
        raise random.choice(
            [LookupError("the tablebases hold 7 pieces, this position has 32"), TimeoutError("no answer in 50 ms")]
        )


def work(url: str, name: str) -> None:
    Runner(Queue(name="chess"), Address(url), Chess, name=name).start()
    signal.pause()


def submit(url: str, count: int, rest_s: float) -> None:
    client = pullet.Client(Chess, Queue(name="chess"), Address(url))
    while True:
        for _ in range(count):
            client.submit(Chess.eval, START, depth=random.choice([8, 12, 20]))
        client.submit(random.choices([Chess.analyse, Chess.probe, Chess.lines], [5, 2, 1])[0], START)
        time.sleep(rest_s * random.uniform(0.5, 1.5))


def start(*given: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, *map(str, given)])


def take_pictures(url: str) -> None:
    from tests.support.browser import chromium, open_page
    from tests.support.dashboard import dashboard

    with dashboard(Address(url), may_act=True) as board, chromium() as browser:
        time.sleep(WATCH_S)
        letter = board.get("/api/queues/chess/dead?limit=1")["letters"][0]["id"]
        for name, page, scheme, height in (
            ("overview", "", "light", 900),
            ("job", f"/job/{letter}", "dark", 760),
            ("dead", "/dead", "light", 620),
        ):
            look = {"viewport": {"width": 1280, "height": height}, "color_scheme": scheme}
            with open_page(browser, f"{board.url}/#/chess{page}", **look) as shown:
                shown.wait_for_timeout(6000)
                shown.screenshot(path=ROOT / "docs" / f"dashboard-{name}.png")


def main() -> None:
    os.chdir(tempfile.gettempdir())
    with EmbeddedServer.start() as server:
        others = {name: start("work", server.url, name) for name in (f"chess-{n}" for n in range(5))}
        for count, rest_s in ((5, 0.5), (9, 1.2), (40, 6)):
            others[f"caller {count}"] = start("submit", server.url, count, rest_s)
        kill = threading.Timer(WATCH_S - 8, others["chess-3"].kill)
        kill.start()
        back = threading.Timer(WATCH_S - 4, lambda: others.update(new=start("work", server.url, "chess-5")))
        back.start()
        try:
            take_pictures(server.url)
        finally:
            for timer in (kill, back):
                timer.cancel()
            for process in others.values():
                process.kill()
                process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(*sys.argv[2:])
    elif sys.argv[1:2] == ["submit"]:
        submit(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        main()
