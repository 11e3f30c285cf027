"""Names, methods, errors, arguments and workers of an attacker: every verb shows them, and no terminal obeys them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from pullet_broker.address import Address
from pullet_broker.codec import encode, encode_call
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Outcome
from pullet_broker.moves.cycle import fail as fail_move
from pullet_broker.reply import pack_reply
from pullet_broker.settings import Queue
from pullet_console.logs import to_terminal
from tests.console.conftest import Pullet
from tests.support.scribe import Scribe, a_job
from tests.support.terminal import Terminal

TEXTS = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "ansi": "\x1b[31m\x1b[2J\x1b]0;owned\x07\x1b]8;;http://evil\x1b\\click\x9b2J",
    "direction": "\u202efdp.exe\u2066\u200f",
    "null": "nu\0ll\r\nforged: line\b\b\b",
    "markup": "[red]bold[/red] [link=http://evil]x[/link] :smile:",
    "surrogate": "\ud800lone".encode("utf-8", "backslashreplace").decode(),
}
EVIL = {"all": " ".join(TEXTS.values()), "long": TEXTS["ansi"] + "A" * 1_000_000}


@pytest.fixture(params=EVIL)
def evil(request: pytest.FixtureRequest) -> str:
    return EVIL[request.param]


@pytest.fixture
def attacked(link: Link, queue: Queue, evil: str) -> Iterator[Scribe]:
    """A queue in which everything that somebody may choose is hostile."""
    scribe = Scribe(link, queue)
    named = evil[:200]
    job, delayed, dead = (a_job(encode_call([evil], {"x": evil}), **more) for more in ({}, {"delay_ms": 60_000}, {}))
    for one in (job, delayed, dead):
        one.method = evil
    caller = scribe.caller()
    caller.submit(dead)
    worker = scribe.worker(f"{named}.1")
    entry = worker.take_one()
    failure = {
        "type_name": named,
        "text": evil,
        "traceback": f"Traceback\n  {evil}"[:30_000],
        "kind": "raised",
        "args": [evil],
    }
    outcome = Outcome(entry, pack_reply("error", 1, "w", 7, bytes(encode(failure))), f"{named} {named}")
    assert link.run(fail_move(queue, worker.name, outcome, retry_after_ms=None)) == "DEAD"
    caller.submit(job, delayed)
    worker.take_one()
    record = {"name": evil, "host": evil, "state": evil, "method": evil, "job": evil, "node": evil, "pid": evil}
    link.execute("HSET", scribe.key("workers"), worker.name, json.dumps(record))
    link.execute("HSET", scribe.key("pool"), "trouble", evil, "wanted", evil)
    yield scribe
    scribe.reap(worker.name)
    scribe.forget(worker.name)


def check_inert(text: str) -> None:
    """Only what prints, and line ends."""
    bad = set(re.findall(r"[^\n]", text)) - {sign for sign in text if sign.isprintable()}
    assert not bad, f"not escaped: {bad}"


def test_every_verb_that_looks(pullet: Pullet, attacked: Scribe) -> None:
    name = attacked.queue.name
    ids = [one["id"] for page in pullet("jobs", "ls", name, "--json").json["pages"] for one in page["jobs"]]
    (letter,) = pullet("dead", "ls", name, "--json").json["letters"]
    assert len(ids) == 2
    verbs = [["status"], ["jobs", "ls", name], ["dead", "ls", name], ["dead", "ls", name, "--grouped"]]
    verbs += [["workers", "ls", name], ["dead", "show", letter["id"]], ["queue", "keys", name], ["doctor"]]
    verbs += [["jobs", "show", job] for job in ids]
    for verb in verbs:
        shown = pullet(*verb)
        assert shown.code == 0, shown.err
        check_inert(shown.out + shown.err)
        assert len(shown.out) < 300_000
    for verb in verbs[:-3] + verbs[-2:]:
        if verb[0] != "queue":
            check_inert(pullet(*verb, "--json").out)


def test_errors_that_quote_it(pullet: Pullet, attacked: Scribe, evil: str) -> None:
    name = attacked.queue.name
    shown = pullet("check", name)
    assert shown.code == 1
    check_inert(shown.err)
    for words in (
        ["jobs", "ls", evil[:5000]],
        ["jobs", "show", evil[:5000]],
        [evil[:5000]],
        ["submit", evil[:99], "m"],
    ):
        refused = pullet(*words)
        assert refused.code in (1, 2)
        check_inert(refused.err)


def test_in_a_real_terminal(attacked: Scribe, address: Address, evil: str) -> None:
    env = {"PULLET_REDIS": address.url}
    shown = [
        Terminal("jobs", "ls", attacked.queue.name, columns=80, env=env),
        Terminal("workers", "ls", attacked.queue.name, columns=80, env=env),
    ]
    for one in shown:
        assert one.end() == 0
        codes = set(re.findall(r"\x1b[^m]*m", one.text))
        assert all(re.fullmatch(r"\x1b\[[0-9;]*m", code) for code in codes), codes
        check_inert("\n".join(one.lines))
        assert "owned\x07" not in one.text


def test_in_logs(evil: str, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("text", "json"):
        handler = to_terminal(form)
        log = logging.Logger("pullet.test")
        log.addHandler(handler)
        try:
            raise ValueError(evil)
        except ValueError:
            log.exception("job %s failed", evil, extra={"worker": evil})
        told = capsys.readouterr().err
        check_inert(told)
        assert "job" in told
        if form == "json":
            assert json.loads(told)["worker"] == evil
        else:
            assert len(told.rstrip("\n").split("\n")) < 20
