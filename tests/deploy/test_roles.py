"""The accounts that `pullet acl` prints: each does all that it is for. What none must do: see test_forbidden."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path

import pytest

from pullet.dead import DeadLetters
from pullet_broker.address import Address
from pullet_broker.errors import JobExpired, ServerError, ServerRefused
from pullet_broker.events import wait_for_events, watch_until
from pullet_broker.link import Link
from pullet_broker.moves.dead import Replay
from pullet_broker.moves.emptying import empty
from pullet_broker.moves.part import part
from pullet_broker.moves.progress import progress
from pullet_broker.moves.survey import survey
from pullet_broker.scripting import FOR_OTHERS, NAMES, load
from pullet_broker.settings import Queue
from pullet_console.doctor.rights import NEEDED
from pullet_console.reading.reader import Reader
from tests.support.accounts import PROGRAMS, ROLES, Accounts, Guarded
from tests.support.leaks import wait_until
from tests.support.scribe import a_job
from tests.support.servers import Node
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(60)
HOUR = 3_600_000
PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def test_a_client_and_a_worker_need_no_more(server: Guarded, queue: Queue) -> None:
    with (
        running(queue, server.address("worker"), place="here") as worker,
        calling(queue, server.address("client")) as client,
        calling(queue, server.address("client")) as other,
    ):
        assert list(client.map(Kit.echo, range(300))) == list(range(300))
        assert client.submit(Kit.echo, b"x" * 100_000).result(10) == b"x" * 100_000
        assert list(client.stream(Kit.count, 50, 0)) == list(range(50))
        assert client.options(retries=3, backoff=0.01).submit(Kit.fail_first, "a", 2).result(10) == 3
        assert client.options(delay=0.1, priority=1).submit(Kit.echo, "later").result(10) == "later"
        assert [client.options(key="k").submit(Kit.echo, n).result(10) for n in range(3)] == [0, 1, 2]
        chosen = client.options(id="chosen", keep=True).submit(Kit.echo, 7)
        assert other.job("chosen").result(10) == chosen.result(10) == 7
        assert other.job("chosen").state == "done"
        with pytest.raises(ValueError, match="boom"):
            client.submit(Kit.boom).result(10)
        client.pause()
        assert client.paused
        held = client.submit(Kit.nap, 0.01)
        assert wait_until(lambda: worker.state in ("paused", "idle"))
        client.resume()
        assert held.result(10) == 0.01
    dead = DeadLetters(queue, server.address("admin"))
    assert len(dead) == 1
    assert dead.purge_all() == 1


def test_a_client_pauses_a_queue_before_any_worker_has_come(server: Guarded, queue: Queue, accounts: Accounts) -> None:
    accounts.links["root"].execute("SCRIPT", "FLUSH")
    with calling(queue, server.address("client")) as client:
        client.pause()
        with running(queue, server.address("worker")) as worker:
            held = client.submit(Kit.echo, 1)
            assert wait_until(lambda: worker.state == "paused")
            client.resume()
            assert held.result(10) == 1


def test_a_client_cancels_a_delayed_job_and_the_next_tick_ends_it(
    server: Guarded, queue: Queue, accounts: Accounts
) -> None:
    with calling(queue, server.address("client")) as client:
        future = client.options(delay=HOUR).submit(Kit.echo, 1)
        assert client.flush(10)
        assert client.job(future.job_id).state == "delayed"
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(0)
        assert client.flush(10)
        kit = Kit()
        with running(queue, server.address("worker"), kit):
            assert wait_until(lambda: accounts.root.ended(future.job_id) == "cancelled")
    assert kit.calls == []
    assert not accounts.root.delayed()


def test_a_tombstone_outlives_its_day_while_its_job_is_parked(accounts: Accounts) -> None:
    """Nobody made a tick for longer than tombstones are kept."""
    job = accounts.caller.one(delay_ms=HOUR)
    assert accounts.client.cancel(job) == "CANCELLED"
    accounts.links["root"].execute("ZADD", accounts.root.key("cancelled"), 1, job)
    assert accounts.root.tick().due
    assert accounts.worker.promote() == 0
    assert accounts.root.ended(job) == "cancelled"


def test_a_client_without_workers_hears_that_its_job_expired(server: Guarded, queue: Queue) -> None:
    with closing(server.link("worker")) as worker:
        worker.bring([load(name) for name in FOR_OTHERS])
    with calling(queue, server.address("client")) as client, pytest.raises(JobExpired):
        client.options(expires=0.2).submit(Kit.echo, 1).result(20)
    with closing(server.link("admin")) as admin:
        assert admin.run(empty(queue, 10**14)).ended == 1


def test_where_a_job_is_that_is_on_a_lane_is_hidden_from_clients(server: Guarded, queue: Queue) -> None:
    kit = Kit()
    with (
        running(queue, server.address("worker"), kit),
        calling(queue, server.address("client")) as client,
        calling(queue, server.address("client")) as other,
    ):
        future = client.options(keep=True).submit(Kit.hold, 1)
        assert kit.started.wait(10)
        handle = other.job(future.job_id)
        assert handle.state == "hidden"
        kit.go.set()
        assert handle.result(10) == 1


def test_a_client_waits_for_the_first_worker_to_bring_the_scripts(server: Guarded, queue: Queue) -> None:
    with closing(server.link("root")) as root, calling(queue, server.address("client")) as client:
        root.execute("SCRIPT", "FLUSH")
        future = client.submit(Kit.echo, 1)
        assert not client.flush(0.3)
        with running(queue, server.address("worker")):
            assert future.result(20) == 1
            assert all(root.execute("SCRIPT", "EXISTS", *(load(name).sha for name in FOR_OTHERS)))


def test_workers_do_all_that_keeps_a_queue_alive(accounts: Accounts) -> None:
    caller, scribe, link, queue = accounts.caller, accounts.worker, accounts.links["worker"], accounts.worker.queue
    one, two = scribe.worker("one", "here"), scribe.worker("two")
    accounts.links["admin"].execute(*watch_until(queue, 10**14))
    assert one.beat().watched_us
    ids = caller.submit(*(a_job(args=b"x" * 20_000) for _ in range(4)), a_job(delay_ms=HOUR))
    taken = one.take(4)
    assert [entry.job for entry in taken] == ids[:4]
    assert link.execute("MGET", *(queue.keys.blob(job) for job in ids))
    link.run(part(queue, "one", taken[0], 0, [b"a"]))
    link.run(progress(queue, "one", taken[0], "1 1 0.5 text"))
    assert one.fail(taken[0]) == "DEAD"
    assert one.fail(taken[1], retry_after_ms=HOUR) == "PARKED"
    assert one.give_back(taken[2]) == 1
    assert not one.reconcile(taken[3]).lost
    assert scribe.reap("one").issued == 1
    assert scribe.forget("one")
    assert two.wait()
    accounts.root.make_due()
    assert accounts.worker.promote() == 2
    assert link.run(survey(queue)).waiting
    for _ in range(10):
        two.finish(*two.take(1, alone=True), *two.reconcile().adopted)
    assert accounts.links["dash"].execute(*wait_for_events(queue, "", 1))
    assert accounts.admin.replay(ids[0]).answer is Replay.OK
    two.finish(two.take_one())
    assert scribe.forget("two")


def test_jobs_of_a_place_that_was_left_are_spilled_by_workers(accounts: Accounts) -> None:
    caller, scribe = accounts.caller, accounts.worker
    one = scribe.worker("one", "here")
    caller.one(key="k")
    one.finish(one.take_one())
    job = caller.one(key="k")
    assert accounts.root.where(job) == ["at:here"]
    assert scribe.forget("one")
    assert scribe.spill("here") == 1
    two = scribe.worker("two")
    two.finish(two.take_one())
    assert scribe.forget("two")


def test_the_console_reads_everything_as_dash(server: Guarded, queue: Queue, accounts: Accounts) -> None:
    waits, later = accounts.caller.one(), accounts.caller.one(delay_ms=HOUR)
    worker = accounts.worker.worker("w")
    fails = accounts.caller.one()
    entries = worker.take(2)
    worker.fail(next(entry for entry in entries if entry.job == fails))
    with Reader(server.address("dash")) as reader:
        assert reader.server().version
        assert queue.name in reader.queues()
        (one,) = reader.summaries([queue.name])
        assert (one.running, one.delayed, one.dead) == (1, 1, 1)
        assert len(reader.workers(queue.name)) == 1
        assert [job.id for job in reader.jobs(queue.name, "running").jobs] == [waits]
        assert [job.id for job in reader.jobs(queue.name, "delayed").jobs] == [later]
        assert reader.letters(queue.name).letters
        assert reader.letter_groups(queue.name)
        for job, state in ((waits, "running"), (later, "delayed"), (fails, "dead")):
            assert reader.job(queue.name, job).state == state
        assert reader.events(queue.name) == []
        assert reader.sizes(list(queue.keys.lanes))
    worker.finish(next(entry for entry in entries if entry.job == waits))
    assert accounts.worker.forget("w")
    assert accounts.links["admin"].run(empty(queue, 10**14)).ended == 1


def test_admin_may_do_all_that_doctor_asks_for(accounts: Accounts) -> None:
    for command in NEEDED:
        try:
            accounts.links["admin"].execute(*command)
        except ServerRefused:
            raise
        except ServerError:
            continue  # it was let through, and made no sense
    accounts.links["admin"].bring([load(name) for name in NAMES])


def test_health_is_a_ping(accounts: Accounts) -> None:
    assert accounts.links["health"].execute("PING") == b"PONG"


def test_a_server_that_crashed_knows_all_that_these_accounts_wrote(server: Guarded, tmp_path: Path) -> None:
    program = next(one for one in PROGRAMS.values() if str(one) == server.program)
    queue = Queue(name="crash")
    node = Guarded(tmp_path / "crash", program, appendonly="yes", appendfsync="always")
    with node, closing(Accounts(node, queue)) as accounts:
        accounts.links["worker"].bring([load(name) for name in FOR_OTHERS])
        jobs = accounts.caller.submit(*(a_job() for _ in range(100)))
        worker = accounts.worker.worker("w")
        worker.finish(*worker.take(40))
        accounts.close()
        node.kill()
        node.start()
        assert sum(accounts.root.ended(job) == "ok" for job in jobs) == 40
        assert accounts.links["dash"].execute("XLEN", queue.keys.lane("normal")) == 60
        accounts.links["worker"].bring([load(name) for name in FOR_OTHERS])
        assert len(accounts.worker.worker("again").take(60)) == 60


@pytest.mark.skipif("valkey-server" not in PROGRAMS or not shutil.which("openssl"), reason="needs valkey and openssl")
def test_the_commands_of_the_page_make_a_file_that_a_server_takes(tmp_path: Path) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(["sh", "-euc", block], cwd=tmp_path, env=os.environ | {"PATH": path}, check=True, text=True)
    assert done.returncode == 0
    lines = (tmp_path / "users.acl").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["default", *ROLES]
    assert not [secret for secret in (tmp_path / "secrets").iterdir() if secret.read_text().strip() in "".join(lines)]
    node = Node(tmp_path / "server", program=PROGRAMS["valkey-server"], aclfile=tmp_path / "users.acl")
    plain, node.url = node.url, node.url.replace("//", f"//admin:{(tmp_path / 'secrets/admin').read_text().strip()}@")
    with node, closing(Link(Address(plain, "health", str(tmp_path / "secrets/health")), "test")) as link:
        assert link.execute("PING") == b"PONG"
