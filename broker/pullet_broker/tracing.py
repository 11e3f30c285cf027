"""Traces of OpenTelemetry: the context of the caller's trace travels in the options of its job.

Nothing of this is imported, and nothing travels, in a process that has not set up a tracer. The names of
attributes are those of the semantic conventions for messaging, whose status is "development".
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pullet_broker.keys import GROUP

MODULE = "opentelemetry.trace"
MOST = 1_000
"""Characters of a context that travel: `traceparent` has 55, `tracestate` at most 512 that must be kept."""


def is_used() -> bool:
    """Has this process set up a tracer? Nothing is imported to find out; redis-py may have imported OpenTelemetry.

    Asked for every job, so it looks at the variable: 0.1 us. `get_tracer_provider()` takes 3 us.
    """
    module = sys.modules.get(MODULE)
    if module is None:
        return False
    provider = getattr(module, "_TRACER_PROVIDER", module)
    if provider is module:  # the variable has another name by now
        return not isinstance(module.get_tracer_provider(), module.ProxyTracerProvider)
    return provider is not None


def attributes(queue: str, operation: str, kind: str) -> dict[str, Any]:
    """Those that all spans have."""
    return {
        "messaging.system": "redis",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": queue,
        "messaging.consumer.group.name": GROUP,
    }


def pack_context(opts: str, context: dict[str, str]) -> str:
    """The options of a job, with a context in them."""
    given = json.loads(opts) if opts else {}
    return json.dumps({**given, "trace": context}, separators=(",", ":"))


def read_context(opts: str) -> dict[str, str]:
    """The context in the options of a job; nothing where there is none: it may be hostile."""
    if '"trace"' not in opts:
        return {}
    try:
        found = json.loads(opts).get("trace")
    except (ValueError, AttributeError, RecursionError):
        return {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        return {}
    return found if sum(len(name) + len(value) for name, value in found.items()) <= MOST else {}
