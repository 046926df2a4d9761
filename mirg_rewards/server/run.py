"""The reward server on a port."""

from __future__ import annotations

import os
import pickle
import signal
import socket
from collections.abc import Callable

from mirg_rewards.adapters.columns import checked_scorer
from mirg_rewards.scorer import Scorer
from mirg_rewards.server.application import Limits, application


def serve(
    scorer: Scorer,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int | None = None,
    limits: Limits = Limits(),
    about: str = "",
    ready: Callable[[str], object] = print,
) -> None:
    """Serve rewards until SIGTERM or Ctrl-C, and then finish the open requests.

    Call it under `if __name__ == "__main__"`, since it starts processes. There is no access control: every
    client that reaches `host` can use the server.

    Args:
        scorer: The scorer, which must pickle.
        host: The address to listen at.
        port: The port, or 0 for any free one.
        workers: The number of processes that score, by default one for each core.
        limits: The limits of one request.
        about: A description of the scorer, for `/health`.
        ready: Called with the address once the server accepts requests.

    Raises:
        OSError: The address cannot be used.
        ImportError: The extra `serve` is not installed.
    """
    count = workers or len(os.sched_getaffinity(0))
    _check_pickles(checked_scorer(scorer))
    with _listening(host, port) as listener:
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        app = application(scorer, workers=count, limits=limits, about=about, ready=lambda: ready(address))
        import uvicorn

        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=75)
        # uvicorn shuts down cleanly and then raises the signal again, which must not end the process.
        handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            uvicorn.Server(config).run([listener])
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _listening(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise OSError(f"cannot listen at {host}:{port}: {error.strerror or error}") from None
    # Accepted sockets inherit it; without it a reply waits 40 ms for the acknowledgment of its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _check_pickles(scorer: Scorer) -> None:
    try:
        pickle.dumps(scorer)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"scorer must pickle, since other processes score; define its reward in a module: {error}"
        ) from None
