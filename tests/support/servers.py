"""Servers of a test's own: one that keeps its port over restarts, a master with sentinels, a cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis.crc import key_slot

from pullet_broker.address import Address
from pullet_broker.errors import ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.server_binary import find_server
from tests.support.leaks import wait_until

# The server dies with whoever holds the other end of its input, however that ends.
SUPERVISOR = """
exec 3<&0 </dev/null
"$@" >server.log 2>&1 3<&- & server=$!
echo $server
(read -r _ <&3; kill -9 $server) & watch=$!
wait $server
kill $watch
wait
"""


class Node:
    """A server in `folder`, with the settings given; `start` may be called again after it was killed."""

    def __init__(
        self, folder: Path, *, sentinel: bool = False, program: Path | None = None, **settings: object
    ) -> None:
        self.folder = folder
        self.port = int(str(settings.get("tls-port") or free_port()))
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.pid = 0
        lines = {"port": self.port, "bind": "127.0.0.1", **({} if sentinel else {"save": '""'}), **settings}
        self.program, self._sentinel = str(program or find_server().server), sentinel
        self._config = "".join(f"{name} {value}\n" for name, value in lines.items())
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Node:
        """Start it, and wait until it answers."""
        self.launch()
        assert wait_until(self.answers), (self.folder / "server.log").read_text()
        return self

    def launch(self) -> None:
        """Start it, and do not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "server.conf"
        if not (self._sentinel and config.exists()):  # sentinels keep what they know in it
            config.write_text(self._config)
        command = ["/bin/sh", "-c", SUPERVISOR, "test-server", self.program, str(config)]
        self._process = subprocess.Popen(
            command + ["--sentinel"] * self._sentinel,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the shell tells of each kill
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout
        self.pid = int(self._process.stdout.readline())

    def answers(self) -> bool:
        """Does it serve, with all its data loaded?"""
        try:
            return bool(b"loading:0" in self.ask("INFO", "persistence") or self._sentinel)
        except ServerUnavailable:
            return False

    def ask(self, *command: str | int) -> bytes:
        """The answer to one command."""
        link = Link(Address(self.url), "test-node")
        try:
            answer: bytes = link.execute(*command)
        finally:
            link.close()
        return answer

    def replicates(self, word: bytes) -> bool:
        """Does it say so of its part in a replication? One that is being told its part cuts its connections."""
        try:
            return word in self.ask("INFO", "replication")
        except ServerUnavailable:
            return False

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """As a crash does."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin
            assert process.stdout
            process.stdin.close()
            process.wait(10)
            process.stdout.close()

    def __enter__(self) -> Node:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.kill()


class Guarded:
    """A master, a replica, and three sentinels that watch them."""

    SERVICE = "jobs"

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.servers = [Node(folder / "a"), Node(folder / "b", **{"repl-diskless-sync-delay": 0})]
        for server in self.servers:
            stack.enter_context(server)
        master, replica = self.servers
        replica.ask("REPLICAOF", "127.0.0.1", master.port)
        assert wait_until(lambda: replica.replicates(b"master_link_status:up"), 20)
        watch = f"{self.SERVICE} 127.0.0.1 {master.port} 2\n"
        # A sentinel looks once a second for a server that it has no connection to: with less than that, it
        # takes each server that is new to it for dead, and masters change by themselves after a failover.
        timing = f"sentinel down-after-milliseconds {self.SERVICE} 2000\nsentinel failover-timeout {self.SERVICE} 3000"
        self.sentinels = [
            stack.enter_context(Node(folder / name, sentinel=True, **{"sentinel monitor": watch + timing}))
            for name in ("s1", "s2", "s3")
        ]
        assert wait_until(self.is_complete, 20), "the sentinels know each other and the replica"
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.address = Address(f"redis+sentinel://{hosts}/{self.SERVICE}/0")

    def master(self) -> Node:
        """The server that the sentinels name."""
        _, port = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.SERVICE)
        (found,) = [server for server in self.servers if server.port == int(port)]
        return found

    def is_complete(self) -> bool:
        """Does each sentinel see the master, the other sentinels, and a replica that it would promote?"""
        info = [sentinel.ask("INFO", "sentinel") for sentinel in self.sentinels]
        return all(b"status=ok" in one and b"slaves=1,sentinels=3" in one for one in info) and all(
            (replica[b"flags"], replica[b"master-link-status"]) == (b"slave", b"ok") for replica in self._replicas()
        )

    def _replicas(self) -> Iterator[dict[bytes, bytes]]:
        """The replica, as each sentinel sees it."""
        for sentinel in self.sentinels:
            for words in sentinel.ask("SENTINEL", "REPLICAS", self.SERVICE):
                yield dict(zip(words[::2], words[1::2], strict=True))


class Shards:
    """A cluster of three masters, of which the first has a replica. It serves when the constructor returns."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.nodes = [
            stack.enter_context(
                Node(
                    folder / name,
                    **{
                        "cluster-enabled": "yes",
                        "cluster-port": free_port(),
                        "cluster-node-timeout": 1000,
                        "cluster-replica-validity-factor": 0,
                        "repl-diskless-sync-delay": 0,
                    },
                )
            )
            for name in ("a", "b", "c", "replica")
        ]
        first, *others = self.nodes
        for node, (low, high) in zip(self.nodes, [(0, 5460), (5461, 10922), (10923, 16383)], strict=False):
            node.ask("CLUSTER", "ADDSLOTSRANGE", low, high)
        for node in others:
            bus = node.ask("CONFIG", "GET", "cluster-port")[1]
            first.ask("CLUSTER", "MEET", "127.0.0.1", node.port, bus.decode())  # type: ignore[attr-defined]
        self.replica = self.nodes[3]
        assert wait_until(lambda: all(b"cluster_known_nodes:4" in node.ask("CLUSTER", "INFO") for node in self.nodes))
        assert wait_until(self._can_replicate)
        assert wait_until(lambda: all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes), 20)
        assert wait_until(lambda: self.replica.replicates(b"master_link_status:up"), 20)
        self.address = Address("redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:3]))

    def queue_on(self, node: Node, stem: str) -> str:
        """The name of a queue that lives on this master."""
        place = self.nodes.index(node)
        return next(name for n in range(1000) if self.slot_of(name := f"{stem}-{n}") * 3 // 16384 == place)

    @staticmethod
    def slot_of(queue: str) -> int:
        return key_slot(queue.encode())

    def migrate(self, slot: int, source: Node, target: Node) -> None:
        """Move a slot with all its keys, as `redis-cli --cluster reshard` does."""
        ids = {node: node.ask("CLUSTER", "MYID").decode() for node in (source, target)}
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)  # type: ignore[arg-type]
        for node in (target, source, *[one for one in self.nodes[:3] if one not in (source, target)]):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[target])

    def _can_replicate(self) -> bool:
        try:
            self.replica.ask("CLUSTER", "REPLICATE", self.nodes[0].ask("CLUSTER", "MYID").decode())
        except Exception:  # it has not heard of that master yet
            return False
        return True


@contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    with ExitStack() as stack:
        yield Guarded(folder, stack)


@contextmanager
def shards(folder: Path) -> Iterator[Shards]:
    with ExitStack() as stack:
        yield Shards(folder, stack)


def free_port() -> int:
    """On which nothing listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
