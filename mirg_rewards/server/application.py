"""The paths of the server, the limits of a request, and the pool of processes that score."""

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
from mirg_rewards.adapters.columns import checked_scorer
from mirg_rewards.data.jobs import processes
from mirg_rewards.scorer import Scorer
from mirg_rewards.server.handlers import HANDLERS, Reply, RequestError, handle
from mirg_rewards.server.metrics import Metrics

_OK = 200
_READ_FACTOR = 16
"""Bodies up to this many times the limit are read to their end, so that the sender gets the error."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request: its rows, and the bytes of its body."""

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
    """Return a FastAPI application that scores in `workers` processes, and accepts requests meanwhile.

    Args:
        scorer: The scorer, which must pickle.
        workers: The number of processes.
        limits: The limits of one request.
        about: A description of the scorer, for `/health`.
        ready: Called once the processes have started.

    Raises:
        ImportError: FastAPI is not installed.
    """
    fastapi = _fastapi()
    checked_scorer(scorer)
    metrics, pool = Metrics((*HANDLERS, "/health", "/metrics")), WorkerPool(workers)
    paths = ", ".join((*(f"POST {path}" for path in HANDLERS), "GET /health", "GET /metrics"))

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        await pool.begin(partial(handle, "/score", scorer, limits.rows, b'{"rows": []}'))
        ready()
        yield
        pool.end()

    def answered(request: Any, reply: Reply) -> Any:
        metrics.answered(request.url.path, reply.status)
        return fastapi.Response(reply.body, reply.status, media_type="application/json")

    async def score(request: Any) -> Any:
        began, path = time.perf_counter(), request.url.path
        with metrics.running.track_inprogress():
            try:
                body = await _body(request, limits.bytes)
                reply = await pool.run(partial(handle, path, scorer, limits.rows, body))
            except RequestError as error:
                reply = error.reply()
        if reply.status == _OK:
            metrics.scored(path, reply, time.perf_counter() - began)
        return answered(request, reply)

    async def health(request: Any) -> Any:
        wire = {"status": "ok", "version": mirg_rewards.__version__, "scorer": about, "workers": workers}
        return answered(request, Reply(_OK, json.dumps(wire).encode(), 0, {}))

    async def scrape(request: Any) -> Any:
        metrics.answered(request.url.path, _OK)
        return fastapi.Response(metrics.text(), media_type="text/plain; version=0.0.4")

    async def unknown_path(request: Any, error: Any) -> Any:
        message = f"there is no {request.method} {request.url.path}; there are {paths}"
        return answered(request, RequestError(error.status_code, message).reply())

    async def failed(request: Any, error: Exception) -> Any:
        return answered(request, RequestError(500, f"the reward could not be computed: {error}").reply())

    # An exception is also raised again, for the log.
    error_handlers = {404: unknown_path, 405: unknown_path, Exception: failed}
    app = fastapi.FastAPI(lifespan=lifespan, openapi_url=None, exception_handlers=error_handlers)
    for path in HANDLERS:
        app.add_route(path, score, methods=["POST"])
    app.add_route("/health", health, methods=["GET"])
    app.add_route("/metrics", scrape, methods=["GET"])
    return app


class WorkerPool:
    """Processes that score. If one dies, all are replaced, and their requests run once more."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._executor = processes(count)

    async def begin(self, work: Callable[[], Reply]) -> None:
        """Run `work` in every process, since the first run takes seconds of imports."""
        await asyncio.gather(*(self.run(work) for _ in range(self._count)))

    async def run(self, work: Callable[[], Reply]) -> Reply:
        """Run `work` in some process; raises RequestError if processes die of it twice."""
        for _ in range(2):
            executor = self._executor
            try:
                return await asyncio.get_running_loop().run_in_executor(executor, work)
            except BrokenExecutor:
                if executor is self._executor:
                    self._executor = processes(self._count)
        raise RequestError(503, "a process died over it, perhaps for want of memory; send fewer rows, or send it again")

    def end(self) -> None:
        """Wait for the processes to finish."""
        self._executor.shutdown()


async def _body(request: Any, max_bytes: int) -> bytes:
    from starlette.requests import ClientDisconnect

    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size <= max_bytes:
                pieces.append(piece)
            elif size > _READ_FACTOR * max_bytes:
                break
            else:
                pieces.clear()
    except ClientDisconnect:
        raise RequestError(400, "the request ended before its body did") from None
    if size > max_bytes:
        raise RequestError(413, f"the body is too large: at most {max_bytes} bytes (--max-bytes)")
    return b"".join(pieces)


def _fastapi() -> Any:
    try:
        import fastapi
        import prometheus_client  # noqa: F401 - for Metrics
        import uvicorn  # noqa: F401 - for serve
    except ImportError:
        raise ImportError('the reward server needs FastAPI: pip install "mirg-rewards[serve]"') from None
    return fastapi
