"""How the dashboard is served, and to whom."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field

from pullet_broker.address import Address
from pullet_broker.errors import PulletError


class NotServed(PulletError):
    """The dashboard cannot be served as asked."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Raises `NotServed` for an address beyond this machine without a token."""

    redis: Address
    queues: tuple[str, ...] = ()
    """The queues to show; empty: all of the server."""
    host: str = "127.0.0.1"
    port: int = 8420
    token: str = field(default="", repr=False)
    """Whoever looks must show it; needed beyond this machine."""
    may_act: bool = False
    """Retry, purge, pause and cancel are allowed."""
    public_hosts: tuple[str, ...] = ()
    """Names under which it is reached, beside this machine's own."""
    action_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """What a page must send with every action: only a page of ours can have read it."""

    def __post_init__(self) -> None:
        if not self.token and not is_loopback(self.host):
            raise NotServed(
                f"the dashboard shows arguments and errors of all jobs: {self.host} is reached from other machines, so "
                "it needs a token; set PULLET_UI_TOKEN (or --token-file), or leave out --host"
            )
        if self.token and len(self.token) < 16:
            raise NotServed("the token is shorter than 16 characters; make one with: openssl rand -hex 16")


def is_loopback(host: str) -> bool:
    """Is this an address that only this machine reaches?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
