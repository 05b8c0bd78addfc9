"""`coordination.k8s.io/v1`: leases."""

from __future__ import annotations

from datetime import datetime

from .base import Model, Object


class LeaseSpec(Model):
    """Who holds the lease, and since when."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: datetime | None = None
    renew_time: datetime | None = None
    lease_transitions: int | None = None


class Lease(Object):
    """`coordination.k8s.io/v1.Lease`."""

    spec: LeaseSpec = LeaseSpec()
