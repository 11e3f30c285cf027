"""The settings of a queue: small frozen values with the unit in each name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

from pullet_broker.compressed import check_algorithm
from pullet_broker.keys import Keys, check_length
from pullet_broker.pickled import check_cloudpickle

Codec: TypeAlias = Literal["msgpack", "pickle"]

SCHEMA = 1
"""Major number of the wire format. Scripts refuse a queue that was made with another one."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of anything there may be."""

    args_bytes: int = 16 << 20
    """Encoded arguments of one job."""
    result_bytes: int = 64 << 20
    """Encoded result of one job."""
    blob_over_bytes: int = 16 << 10
    """Arguments above this travel beside the entry, so that issuing the job again stays cheap."""
    inline_bytes: int = 8 << 10
    """Replies up to this also travel in the inbox; larger ones are fetched."""
    backlog_jobs: int = 1_000_000
    """Waiting, running and parked jobs of the queue. `config backlog` in Redis overrides it for everybody."""
    batch_jobs: int = 256
    """Jobs in one `submit`."""
    batch_bytes: int = 1 << 20
    """Bytes in one `submit`, unless a single job is larger."""
    dead_letters: int = 10_000
    max_crashes: int = 3
    """Workers that may die with a job in hand before it is a dead letter."""

    def __post_init__(self) -> None:
        _all_positive(self)


@dataclass(frozen=True, kw_only=True)
class Lifetimes:
    """How long keys outlive their last use, in milliseconds."""

    reply_ms: int = 3_600_000
    """A reply that nobody fetched."""
    client_ms: int = 86_400_000
    """Inbox and mark of a silent client."""
    dead_ms: int = 7 * 86_400_000
    """Large arguments of a dead letter."""

    def __post_init__(self) -> None:
        _all_positive(self)


@dataclass(frozen=True, kw_only=True)
class Lease:
    """When a silent worker counts as dead. A lease is ticks that saw no new beat, never a clock's time."""

    beat_s: float = 1.0
    tick_ms: int = 900
    ticks: int = 10

    def __post_init__(self) -> None:
        _all_positive(self)

    @property
    def seconds(self) -> float:
        """About how long a lease lasts while ticks are made."""
        return self.ticks * max(self.beat_s, self.tick_ms / 1000)


@dataclass(frozen=True, kw_only=True)
class Prefetch:
    """How much a worker takes at once."""

    budget_s: float = 0.005
    """Run time that may lie in a worker's hand; also how long a job waits there before it is given back."""
    most_jobs: int = 64
    """In one take. Where two such batches fit the budget, one is fetched while the other runs."""

    def __post_init__(self) -> None:
        _all_positive(self)


@dataclass(frozen=True, kw_only=True)
class Affinity:
    """How closely the jobs of one key keep together."""

    spill_s: float = 1.0
    """How long a job waits for the place where its key lives before any worker may run it; a tick of about 1 s more."""
    home_s: float = 600.0
    """How long a key lives at a place after its last job was submitted or begun."""

    def __post_init__(self) -> None:
        _all_positive(self)

    @cached_property
    def spill_ms(self) -> int:
        return round(self.spill_s * 1000)

    @cached_property
    def home_ms(self) -> int:
        return max(1, round(self.home_s * 1000))


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How this side writes values, and whether it reads pickles. Compressed or not, every side reads both."""

    codec: Codec = "msgpack"
    """"pickle": values of any class, for those who trust everybody who can write to the server; see `pickled`."""
    compression: Literal["zlib", "zstd"] | None = None
    """Of values above `compress_over_bytes`. `compressed` says when it pays."""
    compress_over_bytes: int = 16 << 10

    def __post_init__(self) -> None:
        _one_of(self, "codec", ("msgpack", "pickle"))
        _one_of(self, "compression", (None, "zlib", "zstd"))
        if self.compress_over_bytes < 0:
            raise ValueError(f"Encoding(compress_over_bytes={self.compress_over_bytes}): expected 0 or more")
        if self.codec == "pickle":
            check_cloudpickle()
        if self.compression is not None:
            check_algorithm(self.compression)

    @cached_property
    def reads_pickles(self) -> bool:
        return self.codec == "pickle"


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One queue: its name and the settings that client and workers of it share."""

    name: str
    limits: Limits = field(default_factory=Limits)
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    lease: Lease = field(default_factory=Lease)
    prefetch: Prefetch = field(default_factory=Prefetch)
    affinity: Affinity = field(default_factory=Affinity)
    encoding: Encoding = field(default_factory=Encoding)
    place: str = ""
    """Where the worker is that uses these settings; empty for everybody else. See `at`."""

    def __post_init__(self) -> None:
        Keys(self.name)
        if self.place:
            check_length("place", self.place)

    def __hash__(self) -> int:
        """Of its name: what is remembered for a queue is looked up for every job, and a hash of all takes 3 us."""
        return hash((self.name, self.place))

    @classmethod
    def of(cls, given: str | Queue, codec: Codec | None) -> Queue:
        """From what users write: a name or settings, and perhaps `codec=`."""
        queue = given if isinstance(given, Queue) else cls(name=given)
        return queue if codec is None else replace(queue, encoding=replace(queue.encoding, codec=codec))

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.name, self.place)

    def at(self, place: str) -> Queue:
        """The same queue as a worker at this place sees it: with the lane of that place beside the others.

        Workers of one place (a node) share what their jobs leave behind there. Raises `ValueError` for a name of more
        than 128 bytes.
        """
        return replace(self, place=place)


def _one_of(settings: object, name: str, known: tuple[str | None, ...]) -> None:
    value = getattr(settings, name)
    if value not in known:
        raise ValueError(f"{type(settings).__name__}({name}={value!r}): expected one of {', '.join(map(repr, known))}")


def _all_positive(settings: object) -> None:
    for name, value in vars(settings).items():
        if not value > 0:
            raise ValueError(f"{type(settings).__name__}({name}={value!r}): expected a number above 0")
