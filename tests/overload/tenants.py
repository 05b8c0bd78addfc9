"""Clients of an overloaded server: a tenant that floods, a kubelet with its lease, others. And what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp

from k8slite.client import Client, ClientConfig
from k8slite.errors import ApiError
from tests.chaos.processes import ROOT, ControlPlane

from .flood import Outcome, Plan

NODE = "overloaded"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@dataclass
class Seen:
    """How long requests took in seconds, and what was not answered as it should be."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def slowest(self) -> float:
        """The longest that a request took."""
        return max(self.seconds, default=0.0)

    def __str__(self) -> str:
        ordered = sorted(self.seconds) or [0.0]
        quantiles = ", ".join(f"p{q} {ordered[len(ordered) * q // 100] * 1000:.0f} ms" for q in (50, 90, 99))
        return (
            f"{len(self.seconds)} requests, {quantiles}, slowest {self.slowest * 1000:.0f} ms; failed: {self.failures}"
        )


@contextlib.asynccontextmanager
async def repeating(request: Callable[[], Awaitable[object]], *, every: float) -> AsyncIterator[Seen]:
    """Send a request again and again until the block ends; one that is under way then is waited for."""
    seen, over = Seen(), asyncio.Event()

    async def run() -> None:
        while not over.is_set():
            began = time.monotonic()
            try:
                await request()
            except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
                seen.failures.append(repr(error))
            seen.seconds.append(time.monotonic() - began)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), max(0.0, every - seen.seconds[-1]))

    task = asyncio.create_task(run())
    try:
        yield seen
    finally:
        over.set()
        await task


@contextlib.asynccontextmanager
async def lease(plane: ControlPlane, *, every: float = 0.2) -> AsyncIterator[Seen]:
    """A kubelet that renews its node's lease by PUT. Each renewal is a request of its own that is never repeated."""
    user = plane.client_config("kubelet", user=f"system:node:{NODE}", groups=["system:nodes"])
    async with Client(user) as client:
        made = await client.request("POST", LEASES, body={"metadata": {"name": NODE}, "spec": {"holderIdentity": NODE}})

        async def renew() -> None:
            made["spec"]["renewTime"] = f"2026-01-01T00:00:00.{time.monotonic_ns() // 1000 % 1_000_000:06d}Z"
            made.update(await client.request("PUT", f"{LEASES}/{NODE}", body=made))

        async with repeating(renew, every=every) as seen:
            yield seen


async def flood(plane: ControlPlane, user: ClientConfig, **what: object) -> Outcome:
    """Let a tenant flood, in a process of its own; what came of it."""
    plan = Plan(
        port=int(plane.urls[0].rpartition(":")[2]),
        ca_file=str(user.ca_file),
        cert_file=str(user.cert_file),
        key_file=str(user.key_file),
        **what,  # type: ignore[arg-type]
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.overload.flood",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        out, _ = await process.communicate(json.dumps(asdict(plan)).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Outcome(**json.loads(out))


def resident(plane: ControlPlane) -> int:
    """Bytes of memory that the first server holds."""
    process = plane.servers[0].process
    assert process is not None
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096
