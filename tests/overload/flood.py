"""A tenant that floods, in a process of its own: `python -m tests.overload.flood < plan.json` tells what came of it.

A closed loop sends the next request of a connection when the last was answered, whatever the answer said: nobody waits
for `Retry-After`. An open loop sends at a rate, over connections that are free, and over new ones until there are
enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field

import httptools
import uvloop

CONNECTING = 32
"""Connections that are opened at the same time."""


@dataclass
class Plan:
    """What to send. `rate` is requests a second, 0 for a closed loop; `body` is JSON text; files are the user's."""

    port: int
    ca_file: str
    cert_file: str
    key_file: str
    method: str
    path: str
    connections: int
    seconds: float
    body: str = ""
    rate: float = 0.0


@dataclass
class Outcome:
    """Answers by status, refusals that did not say when to come again, connections that were made and that broke."""

    statuses: dict[str, int] = field(default_factory=dict)
    without_retry_after: int = 0
    sent: int = 0
    connected: int = 0
    broken: int = 0
    blocked: int = 0
    seconds: float = 0.0

    @property
    def served(self) -> int:
        """Requests that succeeded."""
        return sum(count for status, count in self.statuses.items() if status.startswith("2"))

    @property
    def refused(self) -> int:
        """Requests that were refused as too many."""
        return self.statuses.get("429", 0)


class Connection(asyncio.Protocol):
    """One connection of the flood."""

    def __init__(self, flood: Flood) -> None:
        self._flood = flood
        self._parser = httptools.HttpResponseParser(self)
        self._retry_after = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._flood.outcome.connected += 1
        self._flood.free(self)

    def send(self) -> None:
        assert self.transport is not None
        self._retry_after = False
        self._flood.outcome.sent += 1
        self.transport.write(self._flood.request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"retry-after":
            self._retry_after = int(value) > 0

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._flood.statuses[status] += 1
        if status == 429 and not self._retry_after:
            self._flood.outcome.without_retry_after += 1
        # The parser is in the midst of its work: what is sent now must not be answered within it.
        self._flood.loop.call_soon(self._flood.free, self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._flood.lost(self)


class Flood:
    """All connections together."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = asyncio.get_running_loop()
        self.outcome = Outcome()
        self.statuses: Counter[int] = Counter()
        self._idle: deque[Connection] = deque()
        self._open = 0
        self._ending = False
        head = f"{plan.method} {plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        if plan.body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(plan.body)}\r\n"
        self.request = f"{head}\r\n{plan.body}".encode()
        self._context = ssl.create_default_context(cafile=plan.ca_file)
        self._context.load_cert_chain(plan.cert_file, plan.key_file)
        self._gate = asyncio.Semaphore(CONNECTING)

    def free(self, connection: Connection) -> None:
        """A connection may send."""
        if self._ending or connection.transport is None or connection.transport.is_closing():
            return
        if self.plan.rate:
            self._idle.append(connection)
        else:
            connection.send()

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open -= 1
        self.outcome.broken += not self._ending

    async def connect(self) -> None:
        """Open one more connection."""
        async with self._gate:
            if self._ending:
                return
            try:
                await self.loop.create_connection(
                    lambda: Connection(self),
                    "127.0.0.1",
                    self.plan.port,
                    ssl=self._context,
                    server_hostname="127.0.0.1",
                )
            except OSError:
                self._open -= 1
                self.outcome.broken += 1

    async def run(self) -> Outcome:
        """Flood for as long as is planned."""
        began = time.monotonic()
        ends = began + self.plan.seconds
        tasks: set[asyncio.Task[None]] = set()

        def more() -> None:
            self._open += 1
            task = asyncio.create_task(self.connect())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        for _ in range(1 if self.plan.rate else self.plan.connections):
            more()
        due = 0.0
        while (now := time.monotonic()) < ends:
            if self.plan.rate:
                due = min((now - began) * self.plan.rate - self.outcome.sent - self.outcome.blocked, self.plan.rate)
                for _ in range(int(due)):
                    if self._idle:
                        self._idle.popleft().send()
                    else:
                        self.outcome.blocked += 1
                        if self._open < self.plan.connections:
                            more()
            else:
                for _ in range(self.plan.connections - self._open):
                    more()
            await asyncio.sleep(0.005 if self.plan.rate else 0.1)
        self._ending = True
        self.outcome.seconds = time.monotonic() - began
        self.outcome.statuses = {str(status): count for status, count in sorted(self.statuses.items())}
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        return self.outcome


async def main() -> None:
    """Flood as the plan on standard input says; the outcome goes to standard output."""
    plan = Plan(**json.load(sys.stdin))
    sys.stdout.write(json.dumps(asdict(await Flood(plan).run())))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
