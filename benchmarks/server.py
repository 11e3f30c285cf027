"""The server of a run: one private process, without persistence, for everybody over TCP on the loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.inspection import parse_info
from pullet_broker.link import Link


@dataclass(frozen=True)
class Cost:
    """What the server has done so far."""

    cpu_s: float
    scripts: int
    """Script calls."""
    commands: int
    """All commands, those inside scripts too."""
    round_trips: int
    """Reads from sockets: what a client sends at once counts once."""


class Server:
    def __init__(self) -> None:
        self._embedded = EmbeddedServer.start()
        self.url = self._embedded.tcp_url
        parts = urlsplit(self.url)
        self.host, self.port = str(parts.hostname), int(parts.port or 0)

    @contextlib.contextmanager
    def link(self) -> Iterator[Link]:
        with contextlib.closing(Link(Address(self.url), "bench")) as link:
            yield link

    def clear(self) -> None:
        with self.link() as link:
            link.execute("FLUSHALL")

    def cost(self) -> Cost:
        with self.link() as link:
            cpu = parse_info(link.execute("INFO", "cpu").decode())
            stats = parse_info(link.execute("INFO", "commandstats").decode())
            reads = parse_info(link.execute("INFO", "stats").decode())["total_reads_processed"]
        calls = {
            name.removeprefix("cmdstat_"): int(text.partition("calls=")[2].partition(",")[0])
            for name, text in stats.items()
        }
        return Cost(
            cpu_s=float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"]),
            scripts=calls.get("evalsha", 0),
            commands=sum(calls.values()),
            round_trips=int(reads),
        )

    @property
    def version(self) -> str:
        with self.link() as link:
            info = parse_info(link.execute("INFO", "server").decode())
        return f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"

    def memory(self) -> int:
        """Bytes in use."""
        with self.link() as link:
            return int(parse_info(link.execute("INFO", "memory").decode())["used_memory"])

    def close(self) -> None:
        self._embedded.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
