"""`pullet doctor` names the fault and the remedy: on real servers that have the fault, wherever there are such."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import ServerError
from pullet_broker.inspection import ServerFacts
from pullet_broker.link import Link
from pullet_broker.scripting import FOLDER
from pullet_console.doctor.cluster import judge_versions
from pullet_console.doctor.findings import Finding
from pullet_console.doctor.machine import judge_ray
from pullet_console.doctor.rights import KEY, NEEDED, name_of
from pullet_console.doctor.server import judge_clock, judge_memory, judge_writes
from tests.console.conftest import Pullet
from tests.support.faulty_servers import old_server, server_without_disk
from tests.support.servers import free_port


@pytest.fixture(scope="module")
def faulty() -> Iterator[EmbeddedServer]:
    """A server of our own, which the tests may set as they like."""
    with EmbeddedServer.start() as server:
        yield server


@pytest.fixture
def admin(faulty: EmbeddedServer) -> Iterator[Link]:
    link = Link(Address(faulty.url), "test")
    yield link
    link.execute("CONFIG", "SET", "maxmemory-policy", "noeviction")
    link.execute("CONFIG", "SET", "appendonly", "no")
    link.execute("ACL", "SETUSER", "default", "nopass", "on")
    link.execute("ACL", "DELUSER", "caller")
    link.close()


def findings(pullet: Pullet, url: str, code: int, **env: str | None) -> dict[str, Finding]:
    """What the doctor found that is not well, by what it is about. Text and JSON say the same."""
    given: dict[str, str | None] = {"PULLET_REDIS": url, "PULLET_REDIS_USER": None, "PULLET_REDIS_PASSWORD_FILE": None}
    shown = pullet("doctor", "--json", env=given | env)
    assert shown.code == code, shown.out
    report = json.loads(shown.out)
    assert report["ok"] == (code == 0)
    found = [typed(row) for row in report["findings"]]
    text = pullet("doctor", env=given | env)
    assert text.code == code
    for one in found:
        assert one.about in text.out
        assert bool(one.remedy) == (one.level != "ok")
        assert one.remedy in text.out
    return {one.about: one for one in found if one.level != "ok"}


def typed(row: dict[str, Any]) -> Finding:
    assert set(row) == {one.name for one in fields(Finding)}
    assert row["level"] in ("ok", "warn", "fail")
    return Finding(**row)


def test_a_server_that_is_well(pullet: Pullet, faulty: EmbeddedServer, admin: Link) -> None:
    admin.execute("CONFIG", "SET", "appendonly", "yes")
    assert set(findings(pullet, faulty.url, 0)) <= {"open files", "shared memory"}
    assert admin.execute("EXISTS", KEY) == 0, "the doctor leaves nothing behind"


def test_no_server(pullet: Pullet) -> None:
    found = findings(pullet, f"redis://127.0.0.1:{free_port()}/0", 3)["server"]
    assert (found.level, "refused" in found.found) == ("fail", True)
    assert "redis-server" in found.remedy
    assert "PULLET_REDIS" in found.remedy


def test_no_server_is_named(pullet: Pullet) -> None:
    found = findings(pullet, "", 0)["server"]
    assert (found.level, found.remedy) == ("warn", "export PULLET_REDIS=redis://127.0.0.1:6379/0")


def test_a_wrong_password_and_none(pullet: Pullet, faulty: EmbeddedServer, admin: Link, tmp_path: Path) -> None:
    admin.execute("ACL", "SETUSER", "default", "resetpass", ">right")
    secret = tmp_path / "secret"
    secret.write_text("wrong-one\n")
    found = findings(pullet, faulty.tcp_url, 3, PULLET_REDIS_PASSWORD_FILE=str(secret))["server"]
    assert f"put the right password into {secret}" in found.remedy
    assert "wrong-one" not in found.found + found.remedy
    found = findings(pullet, faulty.tcp_url, 3)["server"]
    assert found.remedy.startswith("export PULLET_REDIS_PASSWORD_FILE=")
    secret.write_text("right\n")
    assert "server" not in findings(pullet, faulty.tcp_url, 0, PULLET_REDIS_PASSWORD_FILE=str(secret))


@pytest.mark.parametrize(("policy", "level", "code"), [("allkeys-lru", "fail", 1), ("volatile-ttl", "warn", 0)])
def test_a_server_that_evicts(
    pullet: Pullet, faulty: EmbeddedServer, admin: Link, policy: str, level: str, code: int
) -> None:
    admin.execute("CONFIG", "SET", "maxmemory-policy", policy)
    found = findings(pullet, faulty.url, code)["eviction"]
    assert (found.level, policy in found.found) == (level, True)
    assert found.remedy.startswith("CONFIG SET maxmemory-policy noeviction")


def test_an_old_server(pullet: Pullet) -> None:
    with old_server() as address:
        found = findings(pullet, address.url, 1)["version"]
    assert (found.level, "redis 6.2.14; expected Redis 7.0 or newer" in found.found) == ("fail", True)


def test_a_server_that_keeps_nothing(pullet: Pullet, faulty: EmbeddedServer, admin: Link) -> None:
    found = findings(pullet, faulty.url, 0)["persistence"]
    assert (found.level, found.remedy.startswith("CONFIG SET appendonly yes")) == ("warn", True)
    admin.execute("CONFIG", "SET", "save", "900 1")
    assert "snapshots only" in findings(pullet, faulty.url, 0)["persistence"].found
    admin.execute("CONFIG", "SET", "save", "")


def test_a_missing_right(pullet: Pullet, faulty: EmbeddedServer, admin: Link, tmp_path: Path) -> None:
    """All that are missing are named at once, and the remedy mends it."""
    (tmp_path / "secret").write_text("pw")
    login = {"PULLET_REDIS_USER": "caller", "PULLET_REDIS_PASSWORD_FILE": str(tmp_path / "secret")}
    admin.execute("ACL", "SETUSER", "caller", "on", ">pw", "~pullet:*", "+@all", "-xack", "-xinfo|groups", "-zadd")
    found = findings(pullet, faulty.tcp_url, 1, **login)["rights"]
    assert found.found == "user 'caller' may not use zadd, xinfo|groups, xack"
    assert found.remedy == "ACL SETUSER caller +zadd +xinfo|groups +xack"
    admin.execute(*found.remedy.split())
    assert "rights" not in findings(pullet, faulty.tcp_url, 0, **login)


def test_keys_that_are_out_of_reach(pullet: Pullet, faulty: EmbeddedServer, admin: Link, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pw")
    login = {"PULLET_REDIS_USER": "caller", "PULLET_REDIS_PASSWORD_FILE": str(tmp_path / "secret")}
    admin.execute("ACL", "SETUSER", "caller", "on", ">pw", "~other:*", "+@all")
    found = findings(pullet, faulty.tcp_url, 1, **login)["rights"]
    assert found.remedy == "ACL SETUSER caller ~pullet:*"
    admin.execute(*found.remedy.split())
    assert "rights" not in findings(pullet, faulty.tcp_url, 0, **login)


def test_rights_of_the_console(pullet: Pullet, faulty: EmbeddedServer, admin: Link, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pw")
    login = {"PULLET_REDIS_USER": "caller", "PULLET_REDIS_PASSWORD_FILE": str(tmp_path / "secret")}
    admin.execute("ACL", "SETUSER", "caller", "on", ">pw", "~pullet:*", "+@all", "-info", "-scan")
    found = findings(pullet, faulty.tcp_url, 0, **login)
    assert found["rights"].level == "warn"
    assert found["rights"].remedy == "ACL SETUSER caller +info +scan"
    assert found["version"].remedy == "ACL SETUSER <user> +info"


def test_a_full_disk(pullet: Pullet, tmp_path: Path) -> None:
    with server_without_disk(tmp_path) as address:
        link = Link(address, "test")
        with pytest.raises(ServerError):
            for i in range(1000):
                link.execute("SET", f"fill:{i}", b"x" * 1000)
        found = findings(pullet, address.url, 1)["disk"]
        link.close()
    assert found.level == "fail"
    assert str(tmp_path) in found.found
    assert f"df -h {tmp_path}" in found.remedy


def test_an_unreachable_ray_cluster(pullet: Pullet, faulty: EmbeddedServer, admin: Link) -> None:
    port = free_port()
    found = findings(pullet, faulty.url, 1, RAY_ADDRESS=f"127.0.0.1:{port}")["cluster"]
    assert f"nothing answers at RAY_ADDRESS=127.0.0.1:{port}" in found.found
    assert found.remedy == f"ray start --head --port={port}, or unset RAY_ADDRESS"
    assert "expected host:port" in findings(pullet, faulty.url, 1, RAY_ADDRESS="nowhere")["cluster"].found


def test_versions_that_differ() -> None:
    mine = {"ray_version": "2.60.0", "python_version": "3.11.7"}
    assert judge_versions("head:6380", mine, "2.60.0", "3.11.7").level == "ok"
    found = judge_versions("head:6380", mine | {"ray_version": "2.55.1"}, "2.60.0", "3.11.7")
    assert (found.level, "Ray 2.55.1, this process Ray 2.60.0" in found.found) == ("fail", True)
    assert found.remedy.startswith("pip install ray==2.55.1 here")
    found = judge_versions("head:6380", mine | {"python_version": "3.12.1"}, "2.60.0", "3.11.7")
    assert (found.level, found.remedy.startswith("use Python 3.12.1 here")) == ("fail", True)


def test_a_ray_that_is_too_old_or_too_new() -> None:
    assert judge_ray("2.50.0").level == judge_ray("2.60.0rc1").level == "ok"
    for version in ("2.49.9", "1.13.0", "3.0.0", "odd"):
        assert (judge_ray(version).level, judge_ray(version).remedy != "") == ("fail", True)


def test_clocks_memory_and_snapshots() -> None:
    assert judge_clock(-3).level == "ok"
    assert "1m40s ahead of" in judge_clock(100).found
    assert "behind" in judge_clock(-100).found
    nearly = judge_memory(ServerFacts(memory=95, maxmemory=100))
    assert nearly is not None
    assert nearly.level == "warn"
    (one,) = judge_writes({"rdb_last_bgsave_status": "err"}, "/data")
    assert "snapshot to /data" in one.found


def test_every_command_that_a_script_uses_is_tried() -> None:
    """So that nobody has to remember the list when a script gets a new command."""
    text = "\n".join(file.read_text() for file in FOLDER.rglob("*.lua"))
    used = set(re.findall(r"redis\.p?call\('([A-Z]+)'(?:, '(CREATE\w*|DELCONSUMER|STREAM|GROUPS|CONSUMERS)')?", text))
    names = {f"{name}|{sub}".lower() if sub else name.lower() for name, sub in used}
    assert names <= {name_of(command) for command in NEEDED}


@pytest.mark.slow
@pytest.mark.ray
def test_a_real_cluster_that_runs_something_else(pullet: Pullet, faulty: EmbeddedServer, admin: Link) -> None:
    """Its own note of what it runs is changed: another Ray cannot be installed beside this one."""
    from ray._raylet import GcsClient
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        assert "cluster" not in findings(pullet, faulty.url, 0, RAY_ADDRESS=cluster.address)
        gcs = GcsClient(address=cluster.address)
        noted = json.loads(gcs.internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster"))
        changed = json.dumps(noted | {"ray_version": "2.51.0"}).encode()
        gcs.internal_kv_put(b"CLUSTER_METADATA", changed, True, namespace=b"cluster")
        found = findings(pullet, faulty.url, 1, RAY_ADDRESS=cluster.address)["cluster"]
        assert "Ray 2.51.0" in found.found
        assert found.remedy.startswith("pip install ray==2.51.0")
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_something_else_listens_where_ray_should(pullet: Pullet, faulty: EmbeddedServer, admin: Link) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        found = findings(pullet, faulty.url, 1, RAY_ADDRESS=address)["cluster"]
    assert "does not answer as a Ray cluster does" in found.found
