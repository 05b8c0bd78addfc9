"""Leases as the node lifecycle sees them: whose, and whether it was renewed. Hundreds come in a second.

The garbage collector shares this cache, so that the metadata are whole.
"""

from __future__ import annotations

from k8slite.kinds.base import Model, Object, ResourceType
from k8slite.kinds.resources import LEASES

LEASE_NAMESPACE = "kube-node-lease"


class HeartbeatSpec(Model):
    """When it was renewed, as it is written: it is only compared."""

    renew_time: str | None = None


class Heartbeat(Object):
    """`coordination.k8s.io/v1.Lease`, as much as tells a heartbeat."""

    spec: HeartbeatSpec = HeartbeatSpec()


HEARTBEATS = ResourceType(LEASES.group, LEASES.version, LEASES.plural, LEASES.kind, LEASES.namespaced, Heartbeat)
