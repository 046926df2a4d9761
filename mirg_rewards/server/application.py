"""The server's paths: what is bounded, what is counted, and who does the work."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import BrokenExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import mirg_rewards
from mirg_rewards.data.jobs import processes
from mirg_rewards.scorer import Scorer
from mirg_rewards.server.answers import FORMS, Refused, Reply, answer
from mirg_rewards.server.metrics import Metrics

_FINE = 200
_PATIENCE = 16
"""How many times the largest body is read to its end, so that its sender hears what is wrong."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may hold: rows, and bytes of its body."""

    rows: int = 16_384
    bytes: int = 64 * 2**20


def application(
    scorer: Scorer,
    *,
    workers: int = 1,
    limits: Limits = Limits(),
    about: str = "",
    ready: Callable[[], object] = str,
) -> Any:
    """A FastAPI application that scores in `workers` processes, so that it listens while it does.

    `about` is told at `/health`, and `ready` is called when these are there. Raises ImportError without FastAPI.
    """
    fastapi = _fastapi()
    metrics, crew = Metrics((*FORMS, "/health", "/metrics")), _Crew(workers)
    there = ", ".join((*(f"POST {path}" for path in FORMS), "GET /health", "GET /metrics"))

    @asynccontextmanager
    async def living(_: Any) -> AsyncIterator[None]:
        await crew.begin(partial(answer, "/score", scorer, limits.rows, b'{"rows": []}'))
        ready()
        yield
        crew.end()

    def answered(request: Any, reply: Reply) -> Any:
        metrics.answered(request.url.path, reply.status)
        return fastapi.Response(reply.body, reply.status, media_type="application/json")

    async def score(request: Any) -> Any:
        began, path = time.perf_counter(), request.url.path
        with metrics.running.track_inprogress():
            try:
                body = await _body(request, limits.bytes)
                reply = await crew.run(partial(answer, path, scorer, limits.rows, body))
            except Refused as refused:
                reply = refused.reply()
        if reply.status == _FINE:
            metrics.scored(path, reply, time.perf_counter() - began)
        return answered(request, reply)

    async def health(request: Any) -> Any:
        wire = {"status": "ok", "version": mirg_rewards.__version__, "scorer": about, "workers": workers}
        return answered(request, Reply(_FINE, json.dumps(wire).encode(), 0, {}))

    async def scrape(request: Any) -> Any:
        metrics.answered(request.url.path, _FINE)
        return fastapi.Response(metrics.text(), media_type="text/plain; version=0.0.4")

    async def lost(request: Any, error: Any) -> Any:
        message = f"there is no {request.method} {request.url.path}; there are {there}"
        return answered(request, Refused(error.status_code, message).reply())

    async def failed(request: Any, error: Exception) -> Any:
        return answered(request, Refused(500, f"the reward could not be computed: {error}").reply())

    # What failed is also raised again, for the log.
    handlers = {404: lost, 405: lost, Exception: failed}
    app = fastapi.FastAPI(lifespan=living, openapi_url=None, exception_handlers=handlers)
    for path in FORMS:
        app.add_route(path, score, methods=["POST"])
    app.add_route("/health", health, methods=["GET"])
    app.add_route("/metrics", scrape, methods=["GET"])
    return app


class _Crew:
    """Processes that work; where one dies, all are replaced, and what they had in hand is done once more."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._executor = processes(count)

    async def begin(self, work: Callable[[], Reply]) -> None:
        """Have every process do some work, since the first takes seconds of imports."""
        await asyncio.gather(*(self.run(work) for _ in range(self._count)))

    async def run(self, work: Callable[[], Reply]) -> Reply:
        for _ in range(2):
            executor = self._executor
            try:
                return await asyncio.get_running_loop().run_in_executor(executor, work)
            except BrokenExecutor:
                if executor is self._executor:
                    self._executor = processes(self._count)
        raise Refused(503, "a process died over it, perhaps for want of memory; send fewer rows, or send it again")

    def end(self) -> None:
        self._executor.shutdown()


async def _body(request: Any, most: int) -> bytes:
    from starlette.requests import ClientDisconnect

    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size <= most:
                pieces.append(piece)
            elif size > _PATIENCE * most:
                break
            else:
                pieces.clear()
    except ClientDisconnect:
        raise Refused(400, "the request ended before its body did") from None
    if size > most:
        raise Refused(413, f"the body is too large: at most {most} bytes (--max-bytes)")
    return b"".join(pieces)


def _fastapi() -> Any:
    try:
        import fastapi
        import prometheus_client  # noqa: F401 - what Metrics needs
        import uvicorn  # noqa: F401 - what serve needs
    except ImportError:
        raise ImportError('the reward server needs FastAPI: pip install "mirg-rewards[serve]"') from None
    return fastapi
