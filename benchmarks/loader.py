"""A load generator without dependencies: keep-alive connections, one request at a time on each.

Run by `load.py` as a process of its own; settings come on standard input, the result goes to standard output.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

from .kubeconfig import Target


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer to the last one is complete."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._answer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        """Go on when the answer is complete."""
        self._answer += data
        if _complete(self._answer):
            self._load.answered(self._answer[9:12], time.perf_counter() - self._sent)
            self._answer = b""
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up."""
        self._load.lost()

    def _next(self) -> None:
        assert self._transport is not None
        request = self._load.request()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)


def _complete(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    head = head.lower()
    _, found, rest = head.partition(b"content-length:")
    if found:
        return len(body) >= int(rest.partition(b"\r\n")[0])
    return body.endswith(b"0\r\n\r\n") if b"transfer-encoding: chunked" in head else True


class Load:
    """What is to be sent, and what came of it."""

    def __init__(self, target: Target, spec: dict[str, Any]) -> None:
        body = spec["template"]
        head = [
            f"{'POST' if body else 'GET'} {spec['path']} HTTP/1.1",
            f"Host: {target.host}:{target.port}",
            "Accept: application/json",
            "Content-Type: application/json",
        ]
        if target.token:
            head.append(f"Authorization: Bearer {target.token}")
        self._head = "\r\n".join(head)
        self._body = body
        self._left = spec["count"] or -1
        self._number = 0
        self._until = time.perf_counter() + spec["seconds"]
        self._open = spec["connections"]
        self.latencies: list[float] = []
        self.errors = 0
        self.done = asyncio.Event()

    def request(self) -> bytes | None:
        """The next request; None at the end."""
        if not self._left or time.perf_counter() > self._until:
            return None
        self._left -= 1
        self._number += 1
        body = self._body.replace("@NUMBER@", str(self._number))
        return f"{self._head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    def answered(self, status: bytes, seconds: float) -> None:
        """An answer is complete."""
        self.latencies.append(seconds)
        if status >= b"400":
            self.errors += 1

    def lost(self) -> None:
        """A connection ended."""
        self._open -= 1
        if not self._open:
            self.done.set()


async def main() -> None:
    """Load until the time is over or everything is sent."""
    spec = json.loads(sys.stdin.readline())
    target = Target(**{key: spec[key] for key in Target.__slots__})
    load = Load(target, spec)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    for _ in range(spec["connections"]):
        await loop.create_connection(lambda: Connection(load), target.host, target.port, ssl=target.tls())
    await load.done.wait()
    seconds = time.perf_counter() - began
    found = sorted(load.latencies) or [0.0]
    print(
        json.dumps(
            {
                "requests": len(load.latencies),
                "seconds": seconds,
                "errors": load.errors,
                "p50": found[len(found) // 2],
                "p99": found[min(len(found) - 1, int(len(found) * 0.99))],
            }
        )
    )


def run() -> None:
    """With uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())


if __name__ == "__main__":
    run()
