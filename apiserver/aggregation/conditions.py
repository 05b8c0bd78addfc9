"""Whether an APIService's server can be used: what the cluster's objects say of it, and the condition that tells. Pure.

Source: Kubernetes' kube-aggregator, controllers/status (reasons and messages).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from k8slite.clock import timestamp

from ..backends import ServiceReference
from ..strategies.base import Document
from . import services


@dataclass(frozen=True, slots=True)
class Availability:
    """The condition `Available` without its time."""

    status: bool
    reason: str
    message: str


LOCAL = Availability(True, "Local", "Local APIServices are always available")
PASSED = Availability(True, "Passed", "all checks passed")


def unreachable(
    service: ServiceReference, document: Document | None, slices: Sequence[Document]
) -> Availability | None:
    """Why the Service (None: there is none) with these EndpointSlices leads nowhere; None if it may lead somewhere."""
    place = f'{service.name} in "{service.namespace}"'
    if document is None:
        return Availability(False, "ServiceNotFound", f"service/{place} is not present")
    spec = document.get("spec") or {}
    if (spec.get("type") or "ClusterIP") != "ClusterIP":
        return None
    port = next((each for each in spec.get("ports") or () if each["port"] == service.port), None)
    if port is None:
        return Availability(False, "ServicePortError", f"service/{place} is not listening on port {service.port}")
    if not slices:
        return Availability(False, "EndpointsNotFound", f"cannot find endpointslices for service/{place}")
    name = port.get("name") or ""
    if not any(_serves(each, name) for each in slices):
        message = f'endpointslices for service/{place} have no addresses with port name "{name}"'
        return Availability(False, "MissingEndpoints", message)
    return None


def _serves(document: Document, port: str) -> bool:
    ready = any((each.get("conditions") or {}).get("ready") is not False for each in document.get("endpoints") or ())
    return ready and any((each.get("name") or "") == port and each.get("port") for each in document.get("ports") or ())


def failed_check(message: str) -> Availability:
    """The server is there but does not answer as it must."""
    return Availability(False, "FailedDiscoveryCheck", message)


def with_condition(document: Document, availability: Availability, now: datetime) -> Document:
    """An APIService with that condition; the same object if it has it. The time is that of the status' last change."""
    known = services.available(document)
    wanted = {
        "type": "Available",
        "status": "True" if availability.status else "False",
        "lastTransitionTime": timestamp(now),
        "reason": availability.reason,
        "message": availability.message,
    }
    if known is not None and known.get("status") == wanted["status"]:
        wanted["lastTransitionTime"] = known.get("lastTransitionTime") or wanted["lastTransitionTime"]
        if known == wanted:
            return document
    status = document.get("status") or {}
    others = [each for each in status.get("conditions") or () if each is not known]
    return {**document, "status": {**status, "conditions": [*others, wanted]}}
