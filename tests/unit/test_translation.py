"""What each answer of a server means for the caller."""

from __future__ import annotations

import pytest
import redis
from redis._parsers.base import BaseParser

from pullet_broker.errors import PulletError, ServerError, ServerFull, ServerRefused, ServerUnavailable
from pullet_broker.translation import ScriptMissing, translated

ANSWERS = {
    "NOSCRIPT No matching script.": ScriptMissing,
    "OOM command not allowed when used memory > 'maxmemory'.": ServerFull,
    "NOAUTH Authentication required.": ServerRefused,
    "WRONGPASS invalid username-password pair or user is disabled.": ServerRefused,
    "NOPERM User reader has no permissions to run the 'set' command": ServerRefused,
    "ACL failure in script: User worker has no permissions to run the 'set' command": ServerRefused,
    "ERR The user executing the script can't run this command or subcommand": ServerRefused,
    "READONLY You can't write against a read only replica.": ServerUnavailable,
    "LOADING Redis is loading the dataset in memory": ServerUnavailable,
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.": ServerUnavailable,
    "MISCONF Errors writing to the AOF file: No space left on device": ServerUnavailable,
    "NOREPLICAS Not enough good replicas to write.": ServerUnavailable,
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": ServerUnavailable,
    "CLUSTERDOWN The cluster is down": ServerUnavailable,
    "TRYAGAIN Multiple keys request during rehashing of slot": ServerUnavailable,
    "ASK 3999 127.0.0.1:6381": ServerUnavailable,
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)": ServerUnavailable,
    "ERR max number of clients reached": ServerUnavailable,
    "ERR unknown command 'NONSENSE'": ServerError,
    "WRONGTYPE Operation against a key holding the wrong kind of value": ServerError,
    "NOGROUP No such key 'k' or consumer group 'g'": ServerError,
}


def answer(text: str) -> Exception:
    error: Exception = BaseParser.parse_error(text)
    return error


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_one_of_our_errors(text: str) -> None:
    error = translated(answer(text), "redis://host")
    assert type(error) is ANSWERS[text]
    assert error.evidence["server"] == "redis://host"


@pytest.mark.parametrize("code", ["READONLY", "CLUSTERDOWN", "TRYAGAIN", "ASK", "BUSY", "NOREPLICAS"])
def test_the_code_of_what_passes_is_shown(code: str) -> None:
    (text,) = [text for text in ANSWERS if text.startswith(code)]
    assert code in str(translated(answer(text), "redis://host"))


def test_a_queue_that_is_on_another_node_is_looked_for_only_in_a_cluster() -> None:
    moved = answer("MOVED 3999 127.0.0.1:6381")
    assert type(translated(moved, "redis+cluster://host")) is ServerUnavailable
    assert type(translated(moved, "rediss+cluster://host")) is ServerUnavailable
    refused = translated(moved, "redis://host")
    assert type(refused) is ServerRefused
    assert "redis+cluster://" in str(refused)


@pytest.mark.parametrize("error", [redis.ConnectionError("x"), redis.TimeoutError("x"), OSError("x")])
def test_no_connection_is_unavailable(error: Exception) -> None:
    problem: PulletError = translated(error, "redis://host")
    assert type(problem) is ServerUnavailable
