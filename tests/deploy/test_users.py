"""The users of docker-compose.yml, in the server that they are made for."""

from __future__ import annotations

import re
from pathlib import Path

from pullet_broker.address import Address
from pullet_broker.job import Job, new_client_id
from pullet_broker.link import Link
from pullet_broker.moves.submit import submit
from pullet_broker.settings import Queue
from tests.support.servers import Node

FILE = Path(__file__).parents[2] / "docker-compose.yml"
PASSWORD = "secret-of-a-test"


def users(folder: Path) -> Path:
    """The ACL file that the service `password` writes, with a password of our own."""
    lines = re.findall(r"""^ +echo ['"](user .*)['"]$""", FILE.read_text(), re.MULTILINE)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "users.acl"
    file.write_text("\n".join(lines).replace("#$$hash", f">{PASSWORD}") + "\n")
    return file


def test_a_server_that_crashed_comes_back_with_all_that_scripts_wrote(tmp_path: Path) -> None:
    """It reads its log as the user `default`. What that may not do is left out, with no more than a line in the log."""
    file = users(tmp_path / "acl")
    server = Node(tmp_path / "server", aclfile=file, appendonly="yes", appendfsync="always")
    server.url = f"redis://pullet:{PASSWORD}@127.0.0.1:{server.port}/0"
    with server:
        queue, link = Queue(name="users"), Link(Address(server.url), "test")
        jobs = [Job(f"{n:032}", "m", b"\x90") for n in range(1, 101)]
        link.run(submit(queue, new_client_id(), 1, 1, jobs))
        link.close()
        server.kill()
        server.start()
        assert link.execute("XLEN", queue.keys.lane("normal")) == len(jobs)
        link.close()
