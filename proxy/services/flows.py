"""Which datagram flows a change leaves stale: pure.

Connection tracking keeps sending a client's datagrams to the endpoint that it first got. For TCP that is what makes a
change harmless; a UDP client that never pauses would talk to a vanished endpoint for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .model import Frontend, Target


@dataclass(frozen=True, slots=True, order=True)
class StaleFlow:
    """Flows through a frontend to an endpoint that it no longer has; an empty address is any."""

    address: str
    port: int
    endpoint: str


def stale_flows(old: Mapping[Frontend, Target], new: Mapping[Frontend, Target]) -> list[StaleFlow]:
    """The flows to forget after `old` was replaced by `new`."""
    stale: set[StaleFlow] = set()
    for frontend, target in old.items():
        if frontend.protocol != "udp":
            continue
        kept = new[frontend].endpoints if frontend in new else ()
        gone = set(target.endpoints) - set(kept)
        stale.update(StaleFlow(frontend.address, frontend.port, endpoint.address) for endpoint in gone)
    return sorted(stale)
