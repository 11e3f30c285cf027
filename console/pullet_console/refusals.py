"""How verbs fail: one line that says what is wrong, one with the next command to type, and an exit code that stays.

0  ok        1  failed        2  usage        3  cannot connect        130  interrupted
"""

from __future__ import annotations

import click

from pullet_broker.errors import (
    EngineFailed,
    JobExpired,
    JobLost,
    NameRefused,
    PoolMissing,
    PulletError,
    QueueFull,
    RayMissing,
    SchemaMismatch,
    ServerFull,
    ServerMissing,
    ServerRefused,
    ServerUnavailable,
)
from pullet_console.inert import inert

FAILED, USAGE, NO_CONNECTION, INTERRUPTED = 1, 2, 3, 130
LONGEST = 20_000
"""Characters of an error: those of engines carry a traceback."""


class Refusal(Exception):
    """A verb cannot do what it was asked; `then` is what to type next."""

    def __init__(self, text: str, then: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.then, self.code = then, code

    def show(self) -> None:
        click.echo(f"pullet: {inert(self, LONGEST, lines=True)}", err=True)
        click.echo(f"try: {inert(self.then)}", err=True)


_NEXT: tuple[tuple[type[BaseException], str], ...] = (
    (ServerMissing, 'pip install "pullet[embedded]"'),
    (ServerFull, "pullet status"),
    (SchemaMismatch, "pullet --version"),
    (ServerRefused, "pullet doctor"),
    (ServerUnavailable, "pullet doctor"),
    (RayMissing, 'pip install "pullet[ray]"'),
    (PoolMissing, "pullet status"),
    (EngineFailed, "pullet doctor"),
    (QueueFull, "pullet status"),
    (NameRefused, "pullet status"),
    (JobLost, "pullet doctor"),
    (JobExpired, "pullet submit --help"),
    (ConnectionError, "pullet doctor"),  # of Ray, for a cluster that does not answer
)


def refusal_of(error: BaseException) -> Refusal | None:
    """What to tell of an error that is nobody's bug here; None for all others."""
    if isinstance(error, Refusal):
        return error
    if not isinstance(error, (PulletError, ConnectionError)):
        return None
    code = NO_CONNECTION if isinstance(error, (ServerUnavailable, ServerRefused)) else FAILED
    then = next((then for kind, then in _NEXT if isinstance(error, kind)), "pullet doctor")
    return Refusal(str(error), then, code)
