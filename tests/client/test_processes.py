"""One client in many hands: threads, event loops, forked children, other processes."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.own_time import own_time
from tests.support.proxy import Proxy
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)

ROOT = Path(__file__).parents[2]


def identities(link: Link, queue: Queue) -> int:
    """How many clients the queue has heard of."""
    return len(link.execute("KEYS", queue.keys.client("*").replace("{", "\\{")))


def test_twenty_threads_share_a_client(queue: Queue, address: Address, link: Link) -> None:
    kit, found = Kit(), {}
    start = threading.Barrier(20)

    def submit(thread: int) -> None:
        start.wait(10)
        futures = [client.submit(Kit.echo, (thread, n)) for n in range(100)]
        found[thread] = [future.result(20) for future in futures]

    with running(queue, address, kit), calling(queue, address) as client:
        threads = [threading.Thread(target=submit, args=(n,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert found == {thread: [(thread, n) for n in range(100)] for thread in range(20)}
    assert set(Counter(kit.calls).values()) == {1}
    assert len(kit.calls) == 2000
    assert identities(link, queue) == 1


def test_a_client_works_on_an_event_loop(queue: Queue, address: Address) -> None:
    async def story(client: Client[Kit]) -> None:
        assert await client.submit(Kit.echo, 1) == 1
        values = await asyncio.gather(*(client.submit(Kit.echo, n) for n in range(200)))
        assert values == list(range(200))
        assert [value async for value in client.map(Kit.echo, range(50), window=8)] == list(range(50))
        with pytest.raises(ValueError, match="boom"):
            await client.submit(Kit.boom)

    with running(queue, address), calling(queue, address) as client:
        asyncio.run(story(client))


def test_submit_never_keeps_an_event_loop(queue: Queue, server: EmbeddedServer) -> None:
    """Not even while the server does not answer. The best of some rounds: a thread that has the interpreter may be
    stopped by other load, too."""

    async def longest(client: Client[Kit]) -> float:
        worst = 0.0
        for n in range(1000):
            start = own_time()
            client.submit(Kit.echo, n)
            worst = max(worst, own_time() - start)
            if n % 100 == 0:
                await asyncio.sleep(0)
        return worst

    with Proxy(server.tcp_url) as proxy, calling(queue, Address(proxy.url)) as client:
        client.submit(Kit.echo, 0)
        assert client.flush(10)
        held = proxy.hold()
        best = min(asyncio.run(longest(client)) for _ in range(4))
        for pipe in held:
            pipe.release()
    assert best < 0.020, f"{best * 1000:.0f} ms"


def test_a_forked_child_is_a_client_of_its_own(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        assert client.submit(Kit.echo, "parent").result(10) == "parent"
        held = client.submit(Kit.hold, "held")
        assert kit.started.wait(10)
        with running(queue, address, name="second"):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    values = [client.submit(Kit.echo, n).result(10) for n in range(5)]
                    status = 0 if values == list(range(5)) and not held.done() else 2
                finally:
                    os._exit(status)
            mine = [client.submit(Kit.echo, n) for n in range(50)]
            assert [future.result(10) for future in mine] == list(range(50))
            assert _exit_code(child) == 0
            assert not held.done()
            kit.go.set()
            assert held.result(10) == "held"
    assert identities(link, queue) == 2


def _exit_code(child: int) -> int:
    codes: list[int] = []

    def ended() -> bool:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            codes.append(os.waitstatus_to_exitcode(status))
        return bool(pid)

    if not wait_until(ended, 15):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise AssertionError("the child hangs")
    return codes[0]


def other_process(code: str, client: Client[Any]) -> str:
    """What this code prints in a process that is given the pickled client."""
    read = "import pickle, sys; client = pickle.loads(sys.stdin.buffer.read())\n"
    done = subprocess.run(
        [sys.executable, "-c", read + code], input=pickle.dumps(client), cwd=ROOT, capture_output=True, timeout=30
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_a_client_can_be_sent_to_another_process(queue: Queue, address: Address, link: Link) -> None:
    code = """
first = [client.submit("echo", n) for n in range(20)]
print([future.result(10) for future in first])
"""
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        assert client.submit(Kit.echo, "mine").result(10) == "mine"
        assert other_process(code, client) == f"{list(range(20))}\n"
        assert client.submit(Kit.echo, "still mine").result(10) == "still mine"
    assert Counter(kit.calls) == Counter(["mine", *range(20), "still mine"])
    assert identities(link, queue) == 2


def test_options_go_with_a_client_to_another_process(queue: Queue, address: Address, link: Link) -> None:
    with calling(queue, address) as client:
        assert "True" in other_process("client.submit('echo', 1); print(client.flush(10))", client.options(priority=1))
    assert link.execute("XLEN", queue.keys.lane("high")) == 1


def test_what_a_process_submitted_last_is_stored_before_it_ends(queue: Queue, address: Address, link: Link) -> None:
    with calling(queue, address) as client:
        other_process("for n in range(500): client.submit('echo', n)", client)
    assert link.execute("XLEN", queue.keys.lane("normal")) == 500


def test_clients_of_one_queue_share_their_connections_in_the_process_they_were_sent_to(
    queue: Queue, address: Address
) -> None:
    code = """
import pickle
from pullet_broker.link import Link
clients = [pickle.loads(pickle.dumps(client)) for _ in range(10)]
print([one.submit("echo", n).result(10) for n, one in enumerate(clients)])
link = Link(client._address, "look")
print(link.execute("CLIENT", "LIST").decode().count(f"name=pullet:{client.queue}:send"))
for one in clients:
    one.close()
print(client.submit("echo", "after").result(10))
"""
    with running(queue, address), calling(queue, address) as client:
        assert other_process(code, client) == f"{list(range(10))}\n1\nafter\n"
