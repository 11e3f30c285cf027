"""The caller's half of a trace: a span for each submit, whose context the job carries."""

from __future__ import annotations

from pullet_broker.job import Job
from pullet_broker.tracing import MOST, attributes, pack_context


def with_trace(queue: str, job: Job) -> str:
    """The options of a job with the context of a new span; as they are when no tracer is set up."""
    from opentelemetry import propagate, trace

    span = trace.get_tracer("pullet").start_span(
        f"submit {queue}",
        kind=trace.SpanKind.PRODUCER,
        attributes={
            **attributes(queue, "submit", "send"),
            "messaging.message.id": job.id,
            "pullet.method": job.method,
        },
    )
    try:
        if not span.get_span_context().is_valid:
            return job.opts
        context: dict[str, str] = {}
        propagate.inject(context, trace.set_span_in_context(span))
        fits = sum(len(name) + len(value) for name, value in context.items()) <= MOST
        return pack_context(job.opts, context) if fits else job.opts
    finally:
        span.end()
