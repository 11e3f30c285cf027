"""What `Client.options` sets: how the next jobs are treated, and where that may be said beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pullet.retrying import check_types, pack_opts
from pullet_broker.errors import YEAR_S
from pullet_broker.job import Job, lane_of
from pullet_broker.keys import check_job_id, check_length
from pullet_broker.parts import Buffer

if TYPE_CHECKING:
    from typing_extensions import TypedDict, Unpack
else:
    from typing import TypedDict

T = TypeVar("T")
Error = type[BaseException] | str

MARK = "__pullet_options__"


class OptionWords(TypedDict, total=False):
    """The keyword arguments that set options: the fields of `Options`, which says what each of them means."""

    priority: int
    retries: int
    retry_on: tuple[Error, ...]
    no_retry_on: tuple[Error, ...]
    backoff: float | None
    expires: float | None
    timeout: float | None
    delay: float
    key: str | None
    keep: float | bool
    id: str | None
    repeat: bool
    when_full: str
    when_down: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """Times in seconds. Checked when built: `ValueError` says which is wrong."""

    priority: int = 0
    """Above 0: before all others; below 0: after them."""
    retries: int = 0
    """How often a job that raised, or ran into its `timeout`, is run again. A worker that died does not count."""
    retry_on: tuple[Error, ...] = ()
    """Run it again only after these, or classes derived from them; a name has its module, as in "shop.errors.Busy"."""
    no_retry_on: tuple[Error, ...] = ()
    """Never after these, whatever `retry_on` says."""
    backoff: float | None = None
    """The first retry comes at a random moment within this time (1 s when None), each further one within twice the time
    of the one before, at most 5 min. `pullet.Retry(after=)` names its own."""
    expires: float | None = None
    """Drop the job when it was not started, or not tried again, this long after it was submitted."""
    timeout: float | None = None
    """Stop a run that takes longer, as `JobTimeout`. An async method gets a `CancelledError`, a generator is closed at
    its next item; a worker that is in any other code is replaced. Each attempt has this time; see `retries`."""
    delay: float = 0.0
    """Do not start it before this has passed; a tick of about 1 s more or less."""
    key: str | None = None
    """Run the job where others with this key (1 to 128 bytes of UTF-8) ran, as long as that node has workers."""
    keep: float | bool = False
    """Leave the reply in Redis after it was read: True for the usual result TTL, or a number of seconds."""
    id: str | None = None
    """The id of the job, for `submit` only: 1 to 128 letters, digits and `. _ -`. A second submit with it, by any
    client, does not run it again, whatever method and arguments it has: it gets the same outcome, as long as the reply
    lives, which is `keep`, or the usual result TTL."""
    repeat: bool = True
    """False: never run it a second time. When its worker is lost with it in hand, it may have begun, and ends as
    `WorkerLost`. For what must not be done twice, and for generators that would not yield the same items again."""
    when_full: str = "raise"
    """What becomes of a job that a full queue or server refuses: "raise" lets its future raise `QueueFull` or
    `ServerFull`, "wait" offers it again, in its order, until there is room or it is cancelled."""
    when_down: str = "wait"
    """What becomes of a job that the server has not accepted when it is away: "wait" keeps it until the server is back,
    "raise" lets its future raise `ServerUnavailable` when a connect has failed. `stored` of that error is False where
    the job was never sent, and None where it was sent and the answer got lost: then it may run."""

    def __post_init__(self) -> None:
        for name in ("priority", "retries"):
            if not isinstance(getattr(self, name), int):
                raise ValueError(f"{name}={getattr(self, name)!r}: expected a whole number")
        if self.retries < 0:
            raise ValueError(f"retries={self.retries}: expected 0 or more")
        for name in ("delay", "keep", "expires", "backoff", "timeout"):
            _check_seconds(name, getattr(self, name))
        for name in ("expires", "timeout"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name}=0: expected a number of seconds above 0, or None")
        if self.key is not None:
            check_length("key", self.key)
        for name in ("when_full", "when_down"):
            if getattr(self, name) not in ("raise", "wait"):
                raise ValueError(f'{name}={getattr(self, name)!r}: expected "raise" or "wait"')
        if self.id is not None:
            check_job_id(self.id)
        if self.retries and not self.repeat:
            raise ValueError(f"retries={self.retries} and repeat=False: a job that must not be repeated has no retries")
        check_types("retry_on", self.retry_on)
        check_types("no_retry_on", self.no_retry_on)

    @cached_property
    def keeps(self) -> bool:
        """The reply is left in Redis after it was read."""
        return self.keep is not False or self.id is not None

    @cached_property
    def waits(self) -> bool:
        """A full queue does not end the job."""
        return self.when_full == "wait"

    @cached_property
    def hasty(self) -> bool:
        """A server that is away ends the job."""
        return self.when_down == "raise"

    def job(self, job_id: str, method: str, args: Buffer, *, stream: bool = False) -> Job:
        """A job with these options."""
        if self is DEFAULT and not stream:
            return Job(job_id, method, args)
        return Job(
            job_id,
            method,
            args,
            opts=pack_opts(self.retries, self.backoff, self.retry_on, self.no_retry_on, stream, self.timeout),
            lane=lane_of(self.priority),
            delay_ms=_milliseconds(self.delay),
            expires_ms=_milliseconds(self.expires or 0),
            ttl_ms=_milliseconds(0 if self.keep is True else self.keep),
            key=self.key or "",
            named=self.id is not None,
            once=not self.repeat,
        )


def _check_seconds(name: str, seconds: float | None) -> None:
    if seconds is not None and not 0 <= seconds <= YEAR_S:
        raise ValueError(f"{name}={seconds}: expected a number of seconds from 0 to a year")


DEFAULT = Options()


def defaults(**options: Unpack[OptionWords]) -> Callable[[T], T]:
    """The options of every job of an engine, or of one of its methods, unless the caller says otherwise.

        @pullet.defaults(retries=2)
        class Chess:
            @pullet.defaults(expires=60)
            def eval(self, fen: str) -> int: ...

    What is said nearer to the call counts more: `client.options`, `connect(defaults=)` and `Pool(defaults=)`, the
    method, the class, its bases. It counts where the class is at hand, so not for methods that are submitted by name
    to a queue of an unknown engine.
    """
    Options(**options)  # refuses what makes no sense while the line that says it is being read
    if "id" in options:
        raise ValueError("id names one job: give it to client.options")

    def mark(target: T) -> T:
        setattr(target, MARK, options)
        return target

    return mark


def defaults_of(engine: type, method: Any) -> OptionWords:
    """What an engine and its method say of their jobs."""
    found: dict[str, Any] = {}
    for cls in reversed(engine.__mro__):
        found |= vars(cls).get(MARK, {})
    return OptionWords(**(found | getattr(method, MARK, {})))  # type: ignore[typeddict-item]


def choose(*layers: Mapping[str, Any]) -> Options:
    """The options that result; what a later one says counts."""
    given: dict[str, Any] = {}
    for layer in layers:
        given |= layer
    return Options(**given) if given else DEFAULT


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds else 0
