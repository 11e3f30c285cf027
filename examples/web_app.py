"""A web service in front of a pool: submit and look later, await, stream, and stop when the browser goes away.

make example NAME=web_app
curl -N 'http://127.0.0.1:8000/solutions?n=8'
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.sse import EventSourceResponse

import pullet
from pullet_workers import Pool


class Queens:
    """Places n queens on a board of n by n so that none attacks another."""

    def solutions(self, n: int, columns: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
        """The column of the queen in each row. A generator, so that it can be streamed, and stopped when cancelled."""
        if len(columns) == n:
            yield columns
            return
        for column in range(n):
            if not columns:
                pullet.current_job().report(column / n, f"first queen in column {column + 1} of {n}")
            if all(column != other and abs(column - other) != len(columns) - row for row, other in enumerate(columns)):
                yield from self.solutions(n, (*columns, column))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with Pool(Queens, workers=2) as app.state.queens:  # or pullet.connect(Queens, url), where a pool runs elsewhere
        yield


def queens(request: Request) -> pullet.Client[Queens]:
    return request.app.state.queens  # type: ignore[no-any-return]


app = FastAPI(lifespan=lifespan)
Client = Annotated[pullet.Client[Queens], Depends(queens)]
Size = Annotated[int, Query(ge=1, le=12)]


@app.post("/jobs", status_code=202)
async def submit(client: Client, n: Size) -> dict[str, str]:
    """The result is kept for an hour."""
    return {"job": client.options(keep=3600).submit(Queens.solutions, n).job_id}


@app.get("/jobs/{job}")
def look(client: Client, job: str) -> dict[str, Any]:
    """Looks ask the server, and wait for it: FastAPI calls what is not async in a thread."""
    found = client.job(job)
    state = found.state
    if state == "unknown":
        raise HTTPException(404, "there is no such job, or its hour is over")
    count = len(found.result()) if state == "done" else None
    return {"state": state, "progress": str(found.progress or ""), "count": count}


@app.get("/count")
async def count(request: Request, client: Client, n: Size) -> int:
    """The answer, or the end of the job when nobody waits for it any more."""
    future = client.submit(Queens.solutions, n)

    async def cancel_when_gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            continue
        future.cancel()

    watch = asyncio.create_task(cancel_when_gone())
    try:
        return len(await future)
    except asyncio.CancelledError:
        raise HTTPException(499, "the client has gone") from None
    finally:
        watch.cancel()


@app.get("/solutions", response_class=EventSourceResponse)
async def solutions(client: Client, n: Size) -> AsyncIterator[tuple[int, ...]]:
    """An event for each. When the client goes, FastAPI ends the loop, and that closes the generator in the worker."""
    async for solution in client.stream(Queens.solutions, n):
        yield solution


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    uvicorn.run(app, port=parser.parse_args().port)
