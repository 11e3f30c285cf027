"""Find the server to connect to: the one that the URL names, the master that sentinels know, or the node of a cluster
that holds a queue.

    redis://host:6379/0                                  that server; also rediss:// (TLS) and unix:///path
    redis+sentinel://host:26379,host:26379/service/0     the master of a service, at whichever sentinel answers
    redis+cluster://host:6379,host:6379                  the master of the queue's slot, at whichever node answers

A master is looked for at every connect and never remembered: whoever lost its connection asks again. All else in the
URL means what it means to redis-py, for each server that is found; `rediss+` is TLS to all of them.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import redis
from redis.crc import key_slot
from redis.exceptions import MovedError

from pullet_broker.address import Address
from pullet_broker.errors import ServerRefused, ServerUnavailable
from pullet_broker.translation import translated

URL = re.compile(
    r"(?P<scheme>rediss?)\+(?P<kind>sentinel|cluster)://(?P<place>[^/?#]*)(?P<path>[^?#]*)(?P<query>[^#]*)"
)
NODE = re.compile(r"(?P<host>\[[^]]+\]|[^:]+)(:(?P<port>\d+))?")
PORTS = {"sentinel": 26379, "cluster": 6379}


class Node(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Finder(Protocol):
    """Makes connections. Raises `ServerUnavailable`, `ServerRefused`, or what redis-py raises."""

    def connect(self) -> Any: ...

    def moved(self, error: MovedError, connection: Any) -> None:
        """What the queue's node said of where the queue is now."""


@dataclass(frozen=True)
class Recipe:
    """How redis-py makes a connection. `login` is asked each time: a password in a file may have been changed."""

    kind: Any
    settings: dict[str, Any]
    login: Callable[[], dict[str, Any]] = dict

    def at(self, node: Node) -> Recipe:
        return Recipe(self.kind, {**self.settings, "host": node.host, "port": node.port}, self.login)

    def connect(self) -> Any:
        settings = {**self.settings, **self.login()}
        try:
            connection = self.kind(**settings)  # not by a pool, which refuses after max_connections reconnects
        except TypeError as error:
            raise ServerRefused(f"the URL of the server has an option that redis-py does not know: {error}") from None
        connection.connect()
        return connection

    def ask(self, *command: str) -> Any:
        """The answer to one command, on a connection for it alone."""
        connection = self.connect()
        try:
            connection.send_command(*command)
            return connection.read_response(disable_decoding=True)
        finally:
            connection.disconnect()


def finder(address: Address, key: str, ours: dict[str, Any]) -> Finder:
    """For connections to the server that holds `key`. `ours` are settings that no URL may change."""
    found = URL.fullmatch(address.url.partition("#")[0])
    if found is None:
        return Named(_recipe(address, address.url, ours))
    user, at, hosts = found["place"].rpartition("@")
    nodes = _nodes(address, hosts, PORTS[found["kind"]])
    words = [word for word in found["path"].split("/") if word]
    service = words.pop(0) if found["kind"] == "sentinel" and words else ""
    db = words[0] if words else "0"
    if len(words) > 1 or not db.isdigit() or (found["kind"] == "cluster" and db != "0"):
        raise _not_a_url(address)
    recipe = _recipe(address, f"{found['scheme']}://{user}{at}{nodes[0]}/{db}{found['query']}", ours)
    if found["kind"] == "cluster":
        return Cluster(address, recipe, nodes, key_slot(key.encode()))
    if not service:
        raise _not_a_url(address)
    return Sentinels(address, recipe, nodes, service)


class Named:
    """The URL names the server."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def connect(self) -> Any:
        return self._recipe.connect()

    def moved(self, error: MovedError, connection: Any) -> None:
        """It was named, and is all there is."""


class Sentinels:
    """The master of a service, which any of several sentinels can tell.

    The password of the URL is that of the servers. Sentinels with one of their own get `sentinel_username=` and
    `sentinel_password=` from the query.
    """

    def __init__(self, address: Address, recipe: Recipe, nodes: list[Node], service: str) -> None:
        settings = dict(recipe.settings)
        login = {name: settings.pop(f"sentinel_{name}", None) for name in ("username", "password")}
        self._recipe = Recipe(recipe.kind, settings, recipe.login)
        self._sentinel = Recipe(recipe.kind, {**settings, **login, "db": 0})
        self._where, self._nodes, self._service = str(address), nodes, service

    def connect(self) -> Any:
        master = self._master()
        connection = self._recipe.at(master).connect()
        try:
            connection.send_command("ROLE")
            role = connection.read_response(disable_decoding=True)[0]
        except BaseException:
            connection.disconnect()
            raise
        if role != b"master":  # the sentinel has not heard of it yet
            connection.disconnect()
            raise ServerUnavailable(
                f"{master}, the last master of {self._service!r}, is a replica now; waiting for the next one",
                server=self._where,
            )
        return connection

    def moved(self, error: MovedError, connection: Any) -> None:
        """Sentinels watch over servers that are no cluster."""

    def _master(self) -> Node:
        answers = Answers(self._where)
        for node in list(self._nodes):
            with answers.of(node):
                found = self._sentinel.at(node).ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
                if found:
                    self._nodes.remove(node)
                    self._nodes.insert(0, node)  # the next one to ask, too
                    return Node(found[0].decode(), int(found[1]))
                answers.problems.append(f"{node} knows no master of that name")
        raise answers.nobody(f"no sentinel names the master of {self._service!r}")


class Cluster:
    """The node of a slot, which any node can tell."""

    def __init__(self, address: Address, recipe: Recipe, nodes: list[Node], slot: int) -> None:
        self._recipe, self._where, self._slot = recipe, str(address), slot
        self._seeds, self._nodes = nodes, list(nodes)
        self._moved_to: Node | None = None

    def connect(self) -> Any:
        node, self._moved_to = self._moved_to, None
        return self._recipe.at(node or self._owner()).connect()

    def moved(self, error: MovedError, connection: Any) -> None:
        """It knows better than others who have not heard of it yet. No host means that of the node that says so."""
        self._moved_to = Node(error.host or connection.host, error.port)

    def _owner(self) -> Node:
        answers = Answers(self._where)
        for node in list(self._nodes):
            self._nodes.remove(node)
            self._nodes.append(node)  # another one is asked next time: this one may be cut off from the rest
            with answers.of(node):
                owners = read_slots(self._recipe.at(node).ask("CLUSTER", "SLOTS"), node)
                self._nodes = list(dict.fromkeys([*self._nodes, *(owner for _, _, owner in owners)]))
                for first, last, owner in owners:
                    if first <= self._slot <= last:
                        return owner
                answers.problems.append(f"{node} says that nobody has it")
        self._nodes = list(self._seeds)
        raise answers.nobody(f"no node says where slot {self._slot} is")


class Answers:
    """Why several servers that were asked the same gave no answer."""

    def __init__(self, where: str) -> None:
        self.problems: list[str] = []
        self._where = where
        self._refusal: ServerRefused | None = None

    @contextlib.contextmanager
    def of(self, node: Node) -> Any:
        try:
            yield
        except ServerRefused:
            raise
        except (redis.RedisError, OSError) as error:
            problem = translated(error, str(node))
            self.problems.append(str(problem))
            if isinstance(problem, ServerRefused):
                self._refusal = problem

    def nobody(self, what: str) -> ServerUnavailable | ServerRefused:
        """A refusal, where there was one, because waiting does not mend it."""
        text = f"{what} ({self._where}): {'; '.join(self.problems)}"
        return (ServerRefused if self._refusal else ServerUnavailable)(text, server=self._where)


def read_slots(rows: Sequence[Any], asked: Node) -> list[tuple[int, int, Node]]:
    """First slot, last slot and master of each row of CLUSTER SLOTS. One without a host has that of `asked`."""
    found = []
    for first, last, master, *_ in rows:
        host = (master[0] or b"").decode()
        found.append((int(first), int(last), Node(asked.host if host in ("", "?") else host, int(master[1]))))
    return found


def _nodes(address: Address, hosts: str, port: int) -> list[Node]:
    found = [NODE.fullmatch(host) for host in hosts.split(",")]
    nodes = [Node(one["host"], int(one["port"] or port)) for one in found if one]
    if len(nodes) < len(found):
        raise _not_a_url(address)
    return nodes


def _recipe(address: Address, url: str, ours: dict[str, Any]) -> Recipe:
    """redis-py's reading of a URL."""
    with contextlib.suppress(ValueError):  # its text may quote the password, so it must not even be our context
        pool = redis.ConnectionPool.from_url(url, **ours)
        settings = {**pool.connection_kwargs, **ours}
        if not url.startswith("unix:"):
            settings["socket_keepalive"] = True
        _check_files(settings)
        return Recipe(pool.connection_class, settings, address.credentials)
    raise _not_a_url(address)


def _check_files(settings: dict[str, Any]) -> None:
    """redis-py would take a file that is missing for a server that is."""
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        path = settings.get(name)
        if path and not os.access(path, os.R_OK):
            raise ServerRefused(f"cannot read {name}={path}; it must be on every machine that connects")


def _not_a_url(address: Address) -> ServerRefused:
    return ServerRefused(
        f"{address} is not the URL of a server: expected redis://host:port/db, rediss://, unix:///path, "
        "redis+sentinel://host:port,host:port/service/db or redis+cluster://host:port,host:port, with / ? # @ of a "
        "password written as %2F %3F %23 %40"
    )
