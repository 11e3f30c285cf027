"""One process of a measured system, in the environment of that system.

python -m benchmarks.driver work NAME      run its worker (or all of them) until SIGTERM
python -m benchmarks.driver call NAME      a caller: a JSON line on stdin names a measurement, one on stdout answers
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
from typing import Any

from benchmarks.calling import AsyncCalls, PlainCalls
from benchmarks.memory import peak_bytes


def main() -> None:
    role, name = sys.argv[1:]
    adapter = importlib.import_module(f"benchmarks.peers.{name}")
    if role == "work":
        adapter.work()
    else:
        serve(adapter)


def serve(adapter: Any) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    calls = connect(adapter)
    print('"ready"', file=answers, flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        found = {"memory": peak_bytes()} if name == "memory" else getattr(calls, name)(*arguments)
        print(json.dumps(found), file=answers, flush=True)
    calls.close()


def connect(adapter: Any) -> PlainCalls | AsyncCalls:
    if not inspect.iscoroutinefunction(adapter.connect):
        return PlainCalls(adapter.connect())
    loop = new_loop()
    return AsyncCalls(loop.run_until_complete(adapter.connect()), loop.run_until_complete)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where the adapter asks for it in REQUIRES, as its documentation recommends."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
