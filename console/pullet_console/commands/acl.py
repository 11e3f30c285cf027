"""`pullet acl`: the rules of the accounts, for the ACL file of the server."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pullet_console.commands.options import address_of, redis_option
from pullet_console.refusals import FAILED, USAGE, Refusal
from pullet_console.screen import note

if TYPE_CHECKING:
    from pullet_broker.inspection import Kind, Version


@click.command()
@redis_option
@click.option("--version", metavar="VERSION", help='Of the server, as "7.0" or "valkey 8.1". [default: asked of it]')
@click.option("--queue", "-q", "queues", multiple=True, help="Accounts for this queue alone. May be repeated.")
@click.option(
    "--password-file",
    "files",
    metavar="USER=PATH",
    multiple=True,
    help="The password of an account; its sha256 is printed. May be repeated.",
)
def acl(redis: str | None, version: str | None, queues: tuple[str, ...], files: tuple[str, ...]) -> None:
    """Print the rules of the accounts client, worker, admin, dash and health, for the server's ACL file.

    An account without a password is switched off. With --queue the accounts are client-QUEUE and so on, and see nothing
    of other queues.

    \b
    pullet acl --password-file client=client.txt --password-file worker=worker.txt > users.acl
    """
    from pullet_broker.keys import check_queue_name
    from pullet_broker.roles import DEFAULT, ROLES, rules

    kind, number = _read_version(version) if version else _ask_version(redis)
    hashes = dict(map(_read_password, files))
    lines, off = [DEFAULT], []
    names: list[str | None] = [check_queue_name(name) for name in dict.fromkeys(queues)]
    for queue in names or [None]:
        for role in ROLES:
            user = role if queue is None or role == "health" else f"{role}-{queue}"
            line = rules(role, hashes.get(user), kind=kind, version=number, user=user, queue=queue)
            if line not in lines:
                lines.append(line)
                off += [] if user in hashes else [user]
    unknown = sorted(set(hashes) - {line.split()[1] for line in lines})
    if unknown:
        known = ", ".join(line.split()[1] for line in lines[1:])
        raise Refusal(f"no account is called {', '.join(unknown)}: expected {known}", "pullet acl --help", USAGE)
    for line in lines:
        click.echo(line)  # whole, however long
    if off:
        note(f"switched off, for want of a password: {', '.join(off)}; give --password-file {off[0]}=PATH")


def _read_version(text: str) -> tuple[Kind, Version]:
    found = re.fullmatch(r"(?:(redis|valkey)[ -]?)?v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", text.strip().lower())
    if found is None or int(found[2]) < 7:
        text = f'--version {text!r}: expected one from 7.0, as "7.0", "redis 8.2" or "valkey 8.1"'
        raise Refusal(text, "pullet acl --help", USAGE)
    kind: Kind = "valkey" if found[1] == "valkey" else "redis"
    return kind, (int(found[2]), int(found[3] or 0), int(found[4] or 0))


def _ask_version(redis: str | None) -> tuple[Kind, Version]:
    from pullet_broker.inspection import judge
    from pullet_console.reading.reader import Reader

    with Reader(address_of(redis)) as reader:
        facts = reader.server()
    judge(facts)
    if facts.kind is None or facts.version is None:
        raise Refusal(f"{reader.address} does not say which version it is", 'pullet acl --version "7.0"', FAILED)
    return facts.kind, facts.version


def _read_password(given: str) -> tuple[str, str]:
    """The account, and the sha256 of what is in its file, without blanks around it, as clients read it."""
    user, equals, path = given.partition("=")
    if not (user and equals and path):
        raise Refusal("--password-file: expected USER=PATH", "pullet acl --help", USAGE)
    try:
        password = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"cannot read the password of {user} from {path}: {error}", "pullet acl --help", USAGE) from None
    if not password:
        raise Refusal(
            f"{path} is empty: an account without a password is open to all", f"openssl rand -hex 32 > {path}"
        )
    return user, hashlib.sha256(password.encode()).hexdigest()
