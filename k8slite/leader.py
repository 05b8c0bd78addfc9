"""LeaderElection over a Lease: one of several equal programs acts.

Source: Kubernetes documentation, "Leases"; client-go leaderelection for the timing rules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .client import Client
from .clock import Clock
from .config import LeaderElectionConfig


async def lead(
    client: Client,
    *,
    name: str,
    identity: str,
    config: LeaderElectionConfig,
    clock: Clock,
    work: Callable[[], Awaitable[None]],
    namespace: str = "kube-system",
) -> None:
    """Wait for the Lease, run `work` while holding it, renew it meanwhile; raise LeadershipLost if it cannot be kept.

    The Lease is released when `work` ends or is cancelled, so that a successor need not wait for it to expire.
    """
    raise NotImplementedError


class LeadershipLost(Exception):
    """The Lease went to somebody else, or could not be renewed in time: the program must stop acting at once."""
