"""The Ray cluster: is it there, and does it run the same Python and Ray as this process? Ray refuses others."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pullet_console.doctor.findings import Finding, fail, ok, warn

CONNECT_S, ANSWER_S = 3.0, 30.0

_ASK = """
import json, sys
from ray._raylet import GcsClient
print(GcsClient(address=sys.argv[1]).internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster", timeout=10).decode())
"""
"""In a process of its own: Ray's client may end the process that it is in."""


def look_at_cluster(address: str | None) -> list[Finding]:
    """`address` is that of RAY_ADDRESS."""
    if not address:
        return [ok("cluster", "RAY_ADDRESS is not set: a pool starts a Ray of its own on this machine")]
    try:
        version("ray")
    except PackageNotFoundError:
        return []  # that is said already
    if address == "auto" or address.startswith(("ray://", "local")):
        return [ok("cluster", f"RAY_ADDRESS={address}: found when a pool starts")]
    unreachable = _connect(address)
    if unreachable:
        text = f"nothing answers at RAY_ADDRESS={address}: {unreachable}"
        return [fail("cluster", text, f"ray start --head --port={address.rpartition(':')[2]}, or unset RAY_ADDRESS")]
    return [_compare(address)]


def _connect(address: str) -> str:
    """What stands in the way; nothing when somebody listens there."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        return "expected host:port"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S):
            return ""
    except (OSError, OverflowError) as error:
        return str(error)


def _compare(address: str) -> Finding:
    try:
        command = [sys.executable, "-c", _ASK, address]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, env=os.environ | QUIET)
        found = json.loads(asked.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        text = f"what listens at RAY_ADDRESS={address} does not answer as a Ray cluster does"
        return fail("cluster", text, "ray status, on the head node; Ray's port is 6379 unless --port says another")
    return judge_versions(address, found, version("ray"), platform.python_version())


QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


def judge_versions(address: str, cluster: Any, ray: str, python: str) -> Finding:
    """`cluster` is what the head has noted of itself."""
    if not isinstance(cluster, dict):
        return warn("cluster", f"{address} does not say which versions it runs", "ray status")
    theirs_ray, theirs_python = str(cluster.get("ray_version")), str(cluster.get("python_version"))
    wrong = []
    if theirs_ray != ray:
        wrong.append(f"Ray {theirs_ray}, this process Ray {ray}")
    if theirs_python != python:
        wrong.append(f"Python {theirs_python}, this process Python {python}")
    if not wrong:
        return ok("cluster", f"{address} runs Ray {theirs_ray} and Python {theirs_python}, as this process does")
    remedy = f"pip install ray=={theirs_ray}" if theirs_ray != ray else f"use Python {theirs_python}"
    return fail(
        "cluster", f"{address} runs {'; '.join(wrong)}", f"{remedy} here, or one image for all nodes and callers"
    )
