"""A server with the accounts that `pullet acl` prints, and one more, `root`, that may do everything."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import get_args

from click.testing import CliRunner

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.roles import Role
from pullet_broker.server_binary import find_bundled
from pullet_broker.settings import Queue
from pullet_console.cli import main
from tests.support.scribe import Caller, Scribe
from tests.support.servers import Node

ROLES = get_args(Role)
SECRET = "secret of {}"
REDIS, VALKEY = Path("/usr/bin/redis-server"), find_bundled()
PROGRAMS = {program.name: program for program in (REDIS, VALKEY) if program is not None and program.exists()}


class Guarded(Node):
    """Looks at itself as root; `address` is where an account connects."""

    def __init__(self, folder: Path, program: Path, *queues: str, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "users.acl"
        file.write_text(print_rules(folder, program, *queues) + "user root on nopass ~* &* +@all\n")
        super().__init__(folder, program=program, aclfile=file, **settings)
        self.plain, self.url = self.url, self.url.replace("//", "//root:any@")

    def address(self, user: str) -> Address:
        if user == "root":
            return Address(self.url)
        return Address(self.plain, user, str(self.folder / f"{user}.txt"))

    def link(self, user: str) -> Link:
        return Link(self.address(user), user)


class Accounts:
    """A connection of each account to one queue."""

    def __init__(self, server: Guarded, queue: Queue) -> None:
        self.links = {name: server.link(name) for name in (*ROLES, "root")}
        self.root, self.admin = Scribe(self.links["root"], queue), Scribe(self.links["admin"], queue)
        self.worker, self.client = Scribe(self.links["worker"], queue), Scribe(self.links["client"], queue)
        self.caller = Caller(self.links["client"], queue)

    def close(self) -> None:
        for link in self.links.values():
            link.close()


def print_rules(folder: Path, program: Path, *queues: str) -> str:
    """The answer of `pullet acl` for this program, with a password for each account."""
    names = [f"{role}-{queue}" for queue in queues for role in ROLES if role != "health"] + ["health"]
    asked = ["acl", "--version", version_of(program), *(word for queue in queues for word in ("--queue", queue))]
    for name in names if queues else ROLES:
        (folder / f"{name}.txt").write_text(SECRET.format(name) + "\n")
        asked += ["--password-file", f"{name}={folder}/{name}.txt"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.stderr
    assert SECRET.partition("{")[0] not in done.stdout
    return done.stdout


def version_of(program: Path) -> str:
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=([\d.]+)", said)
    assert found
    return f"{program.name.partition('-')[0]} {found[1]}"
