"""The reward server under load, on loopback: requests and rows a second, and how long a request waits.

    python benchmarks/server_load.py [--seconds 5] [--workers N]

Starts `mirg-rewards serve`, and asks it by several connections that are kept open, each sending its next request when it
has the answer of the last. Client and server share the machine, and so its cores. Nothing is timed before a first request
of each size was answered rightly.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from mirg_rewards import GRAMMARS, Box, Claim, Target, render

ROWS = (1, 16, 256)
CONNECTIONS = (1, 8)
MOST_REQUESTS = 20_000
SERVE = [sys.executable, "-c", "from mirg_rewards.cli import main\nraise SystemExit(main())", "serve", "--port", "0"]


@dataclass(frozen=True)
class Load:
    """What a client saw: seconds for each of its requests, and for each look at /health meanwhile."""

    seconds: list[float]
    health: list[float]
    lasted: float


def body(rows: int) -> bytes:
    """A batch as reinforcement learning makes it: some 150 words of thinking, two boxes in two of three images."""
    sizes = ((640, 480), (800, 600), (1024, 768))
    target = Target((Claim(1, Box(0.1, 0.2, 0.5, 0.9), label="dog"), Claim(3, Box(0.3, 0.3, 0.6, 0.8))), sizes)
    said = [Claim(1, Box(0.12, 0.2, 0.5, 0.88), label="dog"), Claim(2, Box(0.3, 0.3, 0.6, 0.8))]
    text = render(said, GRAMMARS["mirg"], sizes, think="I look at each of the images in turn. " * 20)
    wire = json.loads(target.to_json())
    return json.dumps({"rows": [{"completion": text, "target": wire}] * rows}).encode()


def ask(connection: http.client.HTTPConnection, sent: bytes) -> bytes:
    """The answer to one batch; raises RuntimeError where there is none."""
    connection.request("POST", "/score", sent)
    response = connection.getresponse()
    answer = response.read()
    if response.status != http.client.OK:
        raise RuntimeError(f"{response.status}: {answer.decode()[:200]}")
    return answer


def load(address: str, sent: bytes, connections: int, seconds: float) -> Load:
    """Ask for so many seconds, or `MOST_REQUESTS` times."""
    found: list[float] = []
    health: list[float] = []
    end = time.perf_counter() + seconds

    def client() -> None:
        connection = http.client.HTTPConnection(address)
        while (began := time.perf_counter()) < end and len(found) < MOST_REQUESTS:
            ask(connection, sent)
            found.append(time.perf_counter() - began)
        connection.close()

    def look() -> None:
        connection = http.client.HTTPConnection(address)
        while (began := time.perf_counter()) < end:
            connection.request("GET", "/health")
            connection.getresponse().read()
            health.append(time.perf_counter() - began)
            time.sleep(0.05)
        connection.close()

    threads = [threading.Thread(target=task) for task in [*[client] * connections, look]]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(sorted(found), sorted(health), time.perf_counter() - began)


def milliseconds(sorted_seconds: list[float], share: float) -> str:
    """The quantile of sorted seconds."""
    return f"{1000 * sorted_seconds[min(int(share * len(sorted_seconds)), len(sorted_seconds) - 1)]:.1f}"


def main() -> None:
    """Print a row for each size of batch and number of connections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each row (default: %(default)s)")
    parser.add_argument("--workers", default="2", metavar="N", help="processes that score (default: %(default)s)")
    arguments = parser.parse_args()
    server = subprocess.Popen([*SERVE, "--workers", arguments.workers], stderr=subprocess.PIPE, text=True)
    table = Table(
        "rows a request", "connections", "requests/s", "rows/s", "p50 ms", "p99 ms", "health p99 ms", title="loopback"
    )
    try:
        line = server.stderr.readline() if server.stderr else ""
        if "http://" not in line:
            raise RuntimeError(f"the server did not start: {line.strip()}")
        address = re.sub(r".*http://", "", line).strip()
        for rows in ROWS:
            sent = body(rows)
            answered = json.loads(ask(http.client.HTTPConnection(address), sent))["rows"]
            if len(answered) != rows or any(row["terms"]["image"] != 0.5 for row in answered):
                raise RuntimeError(f"a wrong answer: {answered[0]}")
            for connections in CONNECTIONS:
                seen = load(address, sent, connections, arguments.seconds)
                rate = len(seen.seconds) / seen.lasted
                p50, p99 = milliseconds(seen.seconds, 0.5), milliseconds(seen.seconds, 0.99)
                health = milliseconds(seen.health, 0.99)
                table.add_row(str(rows), str(connections), f"{rate:.0f}", f"{rate * rows:.0f}", p50, p99, health)
        table.caption = f"a row is {len(body(1)):,} bytes; {arguments.workers} workers"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    Console().print(table)


if __name__ == "__main__":
    main()
