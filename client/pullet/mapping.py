"""The options of `Client.map`, and the way from several inputs to one stream of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from typing import TYPE_CHECKING, Any

from pullet.future import Future
from pullet.results import Results

if TYPE_CHECKING:
    from typing_extensions import TypedDict
else:
    from typing import TypedDict

WINDOW = 1000
"""Jobs of one `map` in flight."""


class MapOptions(TypedDict, total=False):
    """What `Client.map` takes beside the method and its inputs. All of it may be left out."""

    ordered: bool
    """Results in the order of the items (the default), or each as it comes."""
    window: int
    """At most so many jobs in flight; 1000 unless given."""
    kwargs: dict[str, Any] | None
    """Keyword arguments of every call."""
    return_exceptions: bool
    """Yield errors instead of raising the first."""
    timeout: float | None
    """Seconds from the call of `map` after which waiting for a result raises `TimeoutError`."""
    chunksize: int
    """Taken for the sake of other executors' callers, and not needed: jobs travel in batches anyway."""
    progress: bool
    """Show a progress bar: of tqdm or rich where one is installed, else a plain line on a terminal."""


def map_calls(
    submit: Callable[..., Future[Any]], method: Any, inputs: Sequence[Iterable[Any]], how: MapOptions
) -> Results[Any]:
    """The results of `submit(method, *items)` for the items that stand side by side in the inputs."""
    unknown = set(how) - set(MapOptions.__annotations__)
    if unknown:
        raise TypeError(f"map() got unexpected keyword arguments: {', '.join(sorted(unknown))}")
    if how.get("chunksize", 1) < 1:
        raise ValueError(f"chunksize={how.get('chunksize')}: expected at least 1")
    kwargs = how.get("kwargs") or {}
    results: Results[Any] = Results(
        lambda items: submit(method, *items, **kwargs),
        zip(*inputs, strict=False),
        length=min(map(len, inputs)) if all(isinstance(one, Sized) for one in inputs) else None,  # type: ignore[arg-type]
        window=how.get("window", WINDOW),
        ordered=how.get("ordered", True),
        return_exceptions=how.get("return_exceptions", False),
        timeout=how.get("timeout"),
    )
    if how.get("progress"):
        results.show_progress(str(getattr(method, "__name__", method)))
    return results
