"""The worker's half of a trace: a span for each call of the engine, joined to those of its callers.

A job's span is a child of the span that submitted it. One call for a batch has many parents, so it has a link to each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from pullet_broker.job import Entry
from pullet_broker.tracing import attributes, is_used, read_context


def around(queue: str, entries: Sequence[Entry]) -> Any:
    """A context in which the engine is called for these jobs; what is raised in it is noted in the span."""
    return _span(queue, entries) if is_used() else nullcontext()


def note_error(error: BaseException | None) -> None:
    """The call, whose span is the current one, raised this."""
    if error is None:
        return
    from opentelemetry import trace

    span = trace.get_current_span()
    if span.is_recording():
        span.record_exception(error)
        span.set_attribute("error.type", f"{type(error).__module__}.{type(error).__qualname__}")
        span.set_status(trace.StatusCode.ERROR, str(error)[:500])


@contextmanager
def _span(queue: str, entries: Sequence[Entry]) -> Iterator[None]:
    from opentelemetry import propagate, trace

    contexts = [propagate.extract(read_context(entry.opts)) for entry in entries]
    told = {**attributes(queue, "process", "process"), "pullet.method": entries[0].method}
    links = []
    if len(entries) == 1:
        told |= {"messaging.message.id": entries[0].job, "pullet.attempt": entries[0].attempt}
    else:
        told["messaging.batch.message_count"] = len(entries)
        spans = [trace.get_current_span(context).get_span_context() for context in contexts]
        links = [trace.Link(span) for span in spans if span.is_valid]
    with trace.get_tracer("pullet").start_as_current_span(
        f"process {queue}",
        context=contexts[0] if len(entries) == 1 else propagate.extract({}),
        kind=trace.SpanKind.CONSUMER,
        attributes=told,
        links=links,
    ):
        yield
