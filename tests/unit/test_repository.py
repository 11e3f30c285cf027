"""The files around the code keep their word: the compose file is closed to the outside, the Makefile's help is true."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import pullet

ROOT = Path(__file__).parents[2]
VERBS = {"audit", "dist", "docs", "help", "demo", "test", "check", "chaos", "bench", "example", "thread", "clean"}
RAY_PORT = re.compile(r"--(?:port|address)=(?:[\w.]+:)?(\d+)")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_nothing_is_published_beyond_this_machine(services: dict[str, dict[str, Any]]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert set(published) == {"redis", "ui", "prometheus", "grafana"}, (
        "Ray has no authentication: its ports stay inside the network"
    )
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert not any(service.get("network_mode") == "host" for service in services.values())


def test_ray_leaves_port_6379_to_redis(services: dict[str, dict[str, Any]]) -> None:
    ports = {name: set(RAY_PORT.findall(str(service.get("command")))) for name, service in services.items()}

    assert {name: found for name, found in ports.items() if found} == {
        "head": {"6380"},
        "worker": {"6380"},
        "pool": {"6380"},
    }


def test_no_password_is_written_in_the_compose_file(services: dict[str, dict[str, Any]]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    assert not re.search(r"requirepass|REDIS_PASSWORD:|redis://[^/\s]*@", text)
    assert not re.search(r"on\s+(>|nopass)", text), "an ACL user with a literal password, or none"
    for name in ("head", "worker", "pool"):
        assert services[name]["environment"]["PULLET_REDIS_PASSWORD_FILE"] == "/run/pullet/worker"
        assert "secrets-worker:/run/pullet:ro" in services[name]["volumes"]


def test_every_service_is_without_privileges(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def make(*arguments: str) -> str:
    # When the tests run under make, its own variables would change what this make prints.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout


def test_make_help_lists_every_verb_and_each_exists() -> None:
    listed = set(re.findall(r"^make (\w+) +\S", make("help"), re.MULTILINE))

    assert listed == VERBS
    for verb in listed:
        assert make("--dry-run", verb).strip(), verb


def test_the_version_is_the_same_wherever_it_stands() -> None:
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project
    assert project[1] == pullet.__version__
