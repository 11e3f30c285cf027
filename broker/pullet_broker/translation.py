"""From what redis-py raises to errors of ours: is it the server's refusal, its own trouble, or ours?"""

from __future__ import annotations

import re

import redis
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)

from pullet_broker.errors import PulletError, ServerError, ServerFull, ServerRefused, ServerUnavailable

PASSING = (ReadOnlyError, AskError, TryAgainError, ClusterDownError)  # MovedError and MasterDownError are among them
PASSING_WORDS = ("BUSY ", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "UNBLOCKED force")
DISTRUST = re.compile(
    "certificate verify failed|alert (unknown ca|bad certificate|certificate required)", re.IGNORECASE
)
REFUSAL_WORDS = ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password", "ACL failure")
REFUSED_SCRIPT = re.compile("can't (run this command|access at least one of the keys)")
"""What Redis 7.0 says where a script is refused a command, or a key."""


class ScriptMissing(ServerError):
    """NOSCRIPT: the server lost its scripts, as it does at every restart."""


def translated(error: Exception, where: str) -> PulletError:
    """The error of ours that says what `error`, raised while talking to `where`, means for the caller.

    `ServerUnavailable` is what waiting mends: no connection, or a server that is loading, failing over, short of disk
    or replicas, stalled by a script, or no longer the one that has the queue.
    """
    text = str(error)
    if isinstance(error, NoScriptError):
        return ScriptMissing("the server does not know a script", server=where)
    if isinstance(error, OutOfMemoryError) or text.startswith("OOM"):
        return ServerFull(
            f"{where} is at its maxmemory and takes no new jobs; raise maxmemory or let workers drain it", server=where
        )
    if isinstance(error, (redis.AuthenticationError, NoPermissionError)) or _is_refusal(text):
        return ServerRefused(f"{where} refused: {text}; check user, password and ACL rights", server=where)
    if DISTRUST.search(text):
        return ServerRefused(
            f"no trust between us and {where}: {text}; check ssl_ca_certs, ssl_certfile and ssl_keyfile in the query "
            "of the URL, and the name in the server's certificate",
            server=where,
        )
    if isinstance(error, MovedError) and "+cluster" not in where:
        return ServerRefused(
            f"{where} is a node of a cluster, and this queue is on another one: name the cluster, as in "
            "redis+cluster://host:port,host:port",
            server=where,
        )
    if isinstance(error, PASSING) or text.startswith(PASSING_WORDS):
        return ServerUnavailable(f"{where} cannot serve just now: {_said(error, text)}", server=where)
    if isinstance(error, redis.ResponseError):
        return ServerError(f"{where} answered: {text}", server=where, answer=text)
    return ServerUnavailable(f"no answer from {where}: {text}; is the server running there?", server=where)


def _is_refusal(text: str) -> bool:
    return text.startswith(REFUSAL_WORDS) or REFUSED_SCRIPT.search(text) is not None


def _said(error: Exception, text: str) -> str:
    """redis-py takes the code off the errors it knows: READONLY, MOVED."""
    code = getattr(error, "status_code", None)
    return f"{code} {text}" if code and not text.startswith(code) else text
