"""Metrics of a server, in the text format of Prometheus."""

from collections.abc import Iterable

from mirg_rewards.server.handlers import Reply

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one server: requests by path and status, scored rows, seconds and defects."""

    def __init__(self, paths: Iterable[str]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        self._paths = {*paths}
        self._requests = Counter(
            "mirg_rewards_requests", "Requests answered.", ["path", "status"], registry=self._registry
        )
        self._rows = Counter("mirg_rewards_rows", "Rows scored.", ["path"], registry=self._registry)
        self._defects = Counter(
            "mirg_rewards_defects", "Defects of the rows of /score.", ["defect"], registry=self._registry
        )
        self._seconds = Histogram(
            "mirg_rewards_request_seconds",
            "From the head of a request to its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.running = Gauge("mirg_rewards_requests_running", "Requests not answered yet.", registry=self._registry)

    def answered(self, path: str, status: int) -> None:
        """Count a request; all unknown paths count as one."""
        self._requests.labels(path if path in self._paths else "other", status).inc()

    def scored(self, path: str, reply: Reply, seconds: float) -> None:
        """Count the scored rows of a request."""
        self._rows.labels(path).inc(reply.rows)
        self._seconds.labels(path).observe(seconds)
        for name, count in reply.defects.items():
            self._defects.labels(name).inc(count)

    def text(self) -> bytes:
        """Return all metrics, as Prometheus scrapes them."""
        from prometheus_client import generate_latest

        return bytes(generate_latest(self._registry))
