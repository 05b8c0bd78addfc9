"""Prometheus metrics: the server every program may run, and the metrics that several programs share.

The names are those of Kubernetes' components, so that its dashboards and alerts work unchanged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

_READ_TIMEOUT = 10.0
_BUCKETS = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0)

WORKQUEUE_DEPTH = Gauge("workqueue_depth", "Keys that wait for a worker.", ["name"])
WORKQUEUE_ADDS = Counter("workqueue_adds_total", "Keys added.", ["name"])
WORKQUEUE_RETRIES = Counter("workqueue_retries_total", "Keys added again after a failure.", ["name"])
WORKQUEUE_WAIT = Histogram(
    "workqueue_queue_duration_seconds", "How long a key waits for a worker.", ["name"], buckets=_BUCKETS
)
WORKQUEUE_WORK = Histogram(
    "workqueue_work_duration_seconds", "How long a worker takes over a key.", ["name"], buckets=_BUCKETS
)
WORKQUEUE_UNFINISHED = Gauge(
    "workqueue_unfinished_work_seconds", "How long all keys together have been worked on that are.", ["name"]
)
WORKQUEUE_LONGEST = Gauge(
    "workqueue_longest_running_processor_seconds", "How long the key that takes longest has been worked on.", ["name"]
)
CLIENT_REQUESTS = Counter(
    "rest_client_requests_total", "Requests to the API server by answer.", ["code", "method", "host"]
)
EVENTS_DROPPED = Counter("events_dropped_total", "Events that were recorded and never written.")
RUNNING_CONTROLLERS = Gauge("running_managed_controllers", "1 for each controller that runs.", ["name", "manager"])
LEADER = Gauge("leader_election_master_status", "1 while this process leads.", ["name"])


Checks = Mapping[str, bool]
"""What a program's health consists of: names, and whether each is well."""


class QueueMetrics:
    """The metrics of one work queue, looked up once instead of at every key.

    `working` tells for how many seconds each key has been worked on that is; it is asked when metrics are read.
    """

    def __init__(self, name: str, *, working: Callable[[], Collection[float]]) -> None:
        self.depth = WORKQUEUE_DEPTH.labels(name)
        self.adds = WORKQUEUE_ADDS.labels(name)
        self.retries = WORKQUEUE_RETRIES.labels(name)
        self.wait = WORKQUEUE_WAIT.labels(name)
        self.work = WORKQUEUE_WORK.labels(name)
        WORKQUEUE_UNFINISHED.labels(name).set_function(lambda: sum(working()))
        WORKQUEUE_LONGEST.labels(name).set_function(lambda: max(working(), default=0.0))


def render() -> tuple[bytes, str]:
    """Every metric of this process in Prometheus' text format, and its media type."""
    return generate_latest(), CONTENT_TYPE_LATEST


@asynccontextmanager
async def serve_metrics(port: int, *, checks: Callable[[], Checks] = dict) -> AsyncIterator[None]:
    """Answer `/metrics` and `/healthz` on loopback, in plain HTTP, until the block ends; port 0 serves nothing.

    `checks` are what the program's health consists of, by name; `/healthz?verbose` shows each. Raises OSError if the
    port is taken.
    """
    if not port:
        yield
        return

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_READ_TIMEOUT):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(head, checks=checks))
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", port, limit=16384)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


def _answer(head: bytes, *, checks: Callable[[], Checks]) -> bytes:
    method, _, rest = head.partition(b" ")
    path, _, query = rest.split(b" ", 1)[0].partition(b"?")
    if method not in (b"GET", b"HEAD"):
        return _response("405 Method Not Allowed", b"method not allowed\n")
    if path == b"/metrics":
        body, media_type = render()
        return _response("200 OK", body, media_type=media_type)
    if path in (b"/healthz", b"/livez", b"/readyz"):
        return _health(path.decode()[1:], checks(), verbose=b"verbose" in query)
    return _response("404 Not Found", b"not found\n")


def _health(what: str, checks: Checks, *, verbose: bool) -> bytes:
    """As Kubernetes' components say it: `ok`, or each check with what it found."""
    well = all(checks.values())
    lines = [f"[+]{name} ok" if holds else f"[-]{name} failed" for name, holds in checks.items()]
    lines.append(f"{what} check {'passed' if well else 'failed'}")
    text = "".join(f"{line}\n" for line in lines).encode()
    if not well:
        return _response("500 Internal Server Error", text)
    return _response("200 OK", text if verbose else b"ok")


def _response(status: str, body: bytes, *, media_type: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
