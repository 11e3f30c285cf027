"""Options and questions that verbs have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pullet_console.configuration import credential, from_file
from pullet_console.refusals import FAILED, NO_CONNECTION, USAGE, Refusal

if TYPE_CHECKING:
    from pullet_broker.address import Address
    from pullet_console.reading.reader import Reader

F = TypeVar("F", bound=Callable[..., Any])

redis_option = click.option(
    "--redis",
    metavar="URL",
    envvar="PULLET_REDIS",
    default=from_file("redis"),
    help="The server. [PULLET_REDIS]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
queue_option = click.option(
    "--queue", "-q", envvar="PULLET_QUEUE", default=from_file("queue"), help="The queue. [PULLET_QUEUE]"
)
queue_argument = click.argument("queue", required=False, envvar="PULLET_QUEUE", default=from_file("queue"))
"""A queue that may be left out where the server has only one."""


def named_address(redis: str | None) -> Address | None:
    """The server that was named by a flag, the environment or the file, with the login from the last two."""
    from pullet_broker.address import PASSWORD_FILE, USER, Address

    if not redis:
        return None
    return Address(redis, credential(USER, "redis_user"), credential(PASSWORD_FILE, "redis_password_file"))


def address_of(redis: str | None) -> Address:
    """The server that was named; without one there is nothing to look at."""
    found = named_address(redis)
    if found is None:
        raise Refusal(
            "no server is named: give --redis, set PULLET_REDIS, or write redis = ... into pullet.toml",
            "export PULLET_REDIS=redis://127.0.0.1:6379/0",
            NO_CONNECTION,
        )
    return found


@contextmanager
def reading(redis: str | None) -> Iterator[Reader]:
    """A reader of the server that was named."""
    from pullet_console.reading.reader import Reader

    with Reader(address_of(redis)) as reader:
        yield reader


def pick_queue(reader: Reader, name: str | None) -> str:
    """The queue that is meant: the one named, or the only one there is."""
    from pullet_broker.keys import check_queue_name

    if name:
        check_queue_name(name)
        if not reader.exists(name):
            raise Refusal(f"there is no queue {name!r} on {reader.address}", "pullet status", FAILED)
        return name
    names = reader.queues()
    if len(names) == 1:
        return names[0]
    if not names:
        raise Refusal(f"there are no queues on {reader.address}", "pullet worker --help", FAILED)
    shown = ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")
    raise Refusal(f"which queue? There are {shown}", f"{_verb()} {_named(names[0])}", USAGE)


def _verb() -> str:
    return click.get_current_context().command_path


def _named(queue: str) -> str:
    """As this verb takes a queue."""
    parameters = click.get_current_context().command.params
    return (
        queue if any(isinstance(one, click.Argument) and one.name == "queue" for one in parameters) else f"-q {queue}"
    )


def confirm(what: str, yes: bool) -> None:
    """Ask before something is gone: the question says how much. Without a terminal nobody can be asked."""
    if yes:
        return
    if not is_terminal():
        raise Refusal(f"{what}? Nobody can be asked here", f"{_typed()} --yes", USAGE)
    from pullet_console.inert import inert

    if not click.confirm(inert(f"{what}?", 500)):
        raise click.Abort


def is_terminal() -> bool:
    """Is somebody there to answer?"""
    return sys.stdin.isatty()


def _typed() -> str:
    """The command as it was typed."""
    import shlex

    return shlex.join(["pullet", *sys.argv[1:]])
