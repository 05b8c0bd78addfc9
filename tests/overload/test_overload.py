"""One tenant asks for ten times what the server can do: leases are renewed, others are served, memory is bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from k8slite.client import Client
from tests.chaos.processes import ControlPlane

from .flood import Outcome
from .tenants import Seen, flood, lease, repeating, resident

CONFIGMAPS = "/api/v1/namespaces/{}/configmaps"
READ: dict[str, Any] = {"method": "GET", "path": CONFIGMAPS.format("tenant") + "/own"}
LIST: dict[str, Any] = {"method": "GET", "path": CONFIGMAPS.format("tenant")}
WRITE: dict[str, Any] = {
    "method": "PUT",
    "path": CONFIGMAPS.format("tenant") + "/own",
    "body": '{"metadata":{"name":"own"},"data":{"text":"y"}}',
}
MEMORY = 64 << 20
"""Bytes that a flood may cost by what waits in queues."""
CONNECTION = 256 << 10
"""Bytes that each connection of it may cost: the buffers of TLS and of one piece of an answer."""


@dataclass(frozen=True)
class Scale:
    """How long the flood goes on, over how many connections, and how long a renewal may take then, in seconds."""

    seconds: float
    connections: int
    slowest: float


# A machine that runs other tests beside this one is slow itself: the small twin leaves it time.
SMALL = Scale(seconds=4, connections=500, slowest=3.0)
LARGE = Scale(seconds=20, connections=1000, slowest=1.0)
SCALES = [pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large", marks=pytest.mark.overload)]


async def flooded(plane: ControlPlane, scale: Scale, **what: Any) -> tuple[Outcome, Seen, Seen]:
    """What came of a flood, and what a kubelet and a neighbour saw of it."""
    tenant = plane.client_config("tenant", user="tenant")
    neighbour = plane.client_config("neighbour", user="neighbour")
    before = resident(plane)
    async with Client(neighbour) as client:

        async def read() -> None:
            await client.request("GET", CONFIGMAPS.format("neighbour") + "/own")

        async with lease(plane) as renewals, repeating(read, every=0.2) as reads:
            outcome = await flood(plane, tenant, seconds=scale.seconds, connections=scale.connections, **what)
    grown = resident(plane) - before
    summary = f"{outcome}\nrenewals: {renewals}\nneighbour: {reads}\ngrown by {grown >> 20} MiB"
    assert renewals.failures == [], summary
    assert len(renewals.seconds) > scale.seconds, summary
    assert renewals.slowest < scale.slowest, summary
    assert reads.failures == [], summary
    assert len(reads.seconds) >= scale.seconds, summary
    assert outcome.broken == 0, summary
    assert outcome.without_retry_after == 0, summary
    assert outcome.served > 0, summary
    assert grown < MEMORY + scale.connections * CONNECTION, summary
    return outcome, renewals, reads


@pytest.mark.parametrize("scale", SCALES)
async def test_a_closed_loop_of_writes(plane: ControlPlane, scale: Scale) -> None:
    outcome, _, _ = await flooded(plane, scale, **WRITE)
    assert outcome.refused or outcome.connected < scale.connections, outcome


@pytest.mark.parametrize("scale", SCALES)
async def test_an_open_loop_of_lists_at_ten_times_what_can_be_served(plane: ControlPlane, scale: Scale) -> None:
    tenant = plane.client_config("tenant", user="tenant")
    calm = await flood(plane, tenant, seconds=1.5, connections=8, **LIST)
    rate = 10 * calm.served / calm.seconds
    outcome, _, _ = await flooded(plane, scale, rate=rate, **LIST)
    assert outcome.sent + outcome.blocked > rate * scale.seconds / 2, "the flood itself could not go on"


@pytest.mark.overload
async def test_a_closed_loop_of_reads(plane: ControlPlane) -> None:
    await flooded(plane, LARGE, **READ)
