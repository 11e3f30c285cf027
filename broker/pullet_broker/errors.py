"""Every error that pullet raises on purpose.

    PulletError
    +-- ServerError                 something is wrong between us and the Redis server
    |   +-- ServerUnavailable       nothing answers there            (also ConnectionError)
    |   +-- ServerRefused           it answers, but cannot be used: password, version, eviction, rights
    |   +-- ServerMissing           no server binary to start an embedded server with
    |   +-- ServerFull              it is at maxmemory and takes no new jobs
    |   +-- SchemaMismatch          another, incompatible release of pullet owns this queue
    +-- NameRefused                 a queue name with a forbidden character    (also ValueError)
    +-- EncodeError                 a value that cannot travel       (also TypeError)
    +-- DecodeError                 bytes that are not a value       (also ValueError)
    +-- TooLarge                    arguments or a result over the limit       (also ValueError)
    +-- QueueFull                   the queue's backlog limit is reached
    +-- ClientClosed                submit after close, or close before the answer (also RuntimeError)
    +-- EngineFailed                the engine's constructor raised
    +-- PoolMissing                 the queue has no pool on this cluster, or not any more
    +-- RayMissing                  this needs Ray, and the process has none           (also RuntimeError)
    +-- NoJob                       current_job() where no job runs  (also RuntimeError)
    +-- Retry                       an engine asks that its job is run again
    +-- JobError                    how a job ended when it did not end with a value
        +-- RemoteError             the engine raised an exception that is not rebuilt here
        +-- UnknownMethod           the engine has no such method    (also AttributeError)
        +-- JobUnreadable           the entry or its arguments could not be decoded
        +-- JobExpired              it waited longer than options(expires=)
        +-- JobTimeout              it ran longer than options(timeout=)
        +-- JobLost                 the server forgot it (restart without persistence, FLUSHALL)
        +-- WorkerLost              its worker died with it in hand too often

Each error keeps its evidence as attributes and survives pickling, because errors cross processes.
"""

from __future__ import annotations

from typing import Any

YEAR_S = 366 * 86_400
"""The longest time that anything may be put off for."""


class PulletError(Exception):
    """Base of all errors of pullet.

    `evidence` becomes attributes: `QueueFull("...", queue="chess", limit=1000).limit == 1000`.
    """

    def __init__(self, message: str, **evidence: Any) -> None:
        super().__init__(message)
        self.evidence = evidence

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["evidence"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self.args[0]), self.evidence)


def _rebuild(cls: type[PulletError], message: str, evidence: dict[str, Any]) -> PulletError:
    return cls(message, **evidence)


class ServerError(PulletError):
    """Something is wrong between us and the Redis server."""


class ServerUnavailable(ServerError, ConnectionError):
    """Nothing answers at the address, or what does cannot serve just now. Waiting mends it."""


class ServerRefused(ServerError):
    """The server answers, but cannot be used as it is."""


class ServerMissing(ServerError):
    """There is no server binary to start an embedded server with."""


class ServerFull(ServerError):
    """The server is at `maxmemory` and takes no new jobs; what it holds can still finish."""


class SchemaMismatch(ServerError):
    """The queue belongs to an incompatible release of pullet."""


class NameRefused(PulletError, ValueError):
    """A queue name with a forbidden character."""


class EncodeError(PulletError, TypeError):
    """A value that cannot travel."""


class DecodeError(PulletError, ValueError):
    """Bytes that are not a value of ours."""


class TooLarge(PulletError, ValueError):
    """Arguments or a result over the size limit."""


class QueueFull(PulletError):
    """The queue's backlog limit is reached; this job was not accepted."""


class ClientClosed(PulletError, RuntimeError):
    """The client was closed before this could be done."""


class EngineFailed(PulletError):
    """The engine's constructor raised; `remote_traceback` has where."""


class PoolMissing(PulletError):
    """The queue has no pool on this cluster, or it has ended."""


class RayMissing(PulletError, RuntimeError):
    """This needs Ray, and the process is not connected to a Ray cluster, or not in a way that serves."""


class NoJob(PulletError, RuntimeError):
    """`current_job` was asked outside of a job."""


class Retry(PulletError):
    """Raised by an engine's method: run this job again, in `after` seconds or when the usual pause is over.

    It counts against `options(retries=)`; when these are used up the caller gets it as it was raised.
    """

    def __init__(
        self, message: str = "the engine asked for another try", after: float | None = None, **evidence: Any
    ) -> None:
        if after is not None and not 0 <= after <= YEAR_S:
            raise ValueError(f"Retry(after={after}): expected seconds, at most a year")
        super().__init__(message, **evidence)
        self.after = after
        self.args = (message, after)  # what travels, and builds it again

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {"evidence": self.evidence}

    def __str__(self) -> str:
        return str(self.args[0])


class JobError(PulletError):
    """How a job ended when it did not end with a value."""


class RemoteError(JobError):
    """The engine raised an exception that is not rebuilt here; `type_name` says which."""


class UnknownMethod(JobError, AttributeError):
    """The engine has no public method of that name."""


class JobUnreadable(JobError):
    """The entry, or the arguments in it, could not be decoded by the worker."""


class JobExpired(JobError):
    """The job waited longer than `options(expires=)` allowed."""


class JobTimeout(JobError):
    """The job ran longer than `options(timeout=)` allowed and was stopped; its cause shows where it was.

    Not a `TimeoutError`: that is what `result(timeout=)` raises, while the job goes on.
    """


class JobLost(JobError):
    """The server forgot the job, and the client no longer keeps it to send it again."""


class WorkerLost(JobError):
    """Workers died with this job in hand too often; `attempts` says how often it was tried."""
