"""From hand-made Endpoints and the slices that mirror them to what has to be written: pure.

Each set of ports has one slice a family, however many addresses: who makes Endpoints by hand makes few.

Source: Kubernetes documentation, "EndpointSlice mirroring"; pkg/controller/endpointslicemirroring.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from k8slite.kinds.core import Service

from ..endpoints.model import Address, Endpoints
from ..endpoints.plan import LEADER
from ..endpointslice.model import (
    MANAGED_BY,
    SERVICE_NAME,
    TRIGGER_TIME,
    Conditions,
    Endpoint,
    EndpointSlice,
    Port,
    Ports,
)
from ..endpointslice.plan import Content

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Mirror:
    """What one sync writes, and how many addresses it leaves out: those that are none, and those that are too many."""

    create: tuple[Content, ...]
    update: tuple[tuple[EndpointSlice, Content], ...]
    delete: tuple[EndpointSlice, ...]
    invalid: int = 0
    too_many: int = 0


def mirrored(endpoints: Endpoints | None, service: Service | None) -> bool:
    """Whether these Endpoints are mirrored: they are a Service's that has no selector, and nobody says no."""
    return (
        endpoints is not None
        and service is not None
        and not service.spec.selector
        and endpoints.metadata.labels.get(SKIP) != "true"
        and LEADER not in endpoints.metadata.annotations
    )


def plan(*, endpoints: Endpoints, slices: Sequence[EndpointSlice], limit: int) -> Mirror:
    """Decide for Endpoints that are mirrored; `slices` are those that mirror them now."""
    wanted, invalid, too_many = _desired(endpoints, limit)
    labels, annotations = slice_labels(endpoints), slice_annotations(endpoints)
    create: list[Content] = []
    update: list[tuple[EndpointSlice, Content]] = []
    spare: list[EndpointSlice] = []
    present: dict[tuple[str, frozenset[Port]], EndpointSlice] = {}
    for item in slices:
        key = item.address_type, frozenset(item.ports)
        if key in wanted and key not in present:
            present[key] = item
        else:
            spare.append(item)
    for key, content in wanted.items():
        found = present.get(key)
        if found is None:
            found = next((item for item in spare if item.address_type == content.address_type), None)
            if found is None:
                create.append(content)
                continue
            spare.remove(found)
        if (
            set(found.endpoints) != set(content.endpoints)
            or found.ports != content.ports
            or found.metadata.labels != labels
            or found.metadata.annotations != annotations
        ):
            update.append((found, content))
    return Mirror(() if endpoints.deleting else tuple(create), tuple(update), tuple(spare), invalid, too_many)


def slice_labels(endpoints: Endpoints) -> dict[str, str]:
    """The labels of the slices: those of the Endpoints, and those that say whose they are."""
    return {**endpoints.metadata.labels, SERVICE_NAME: endpoints.name, MANAGED_BY: MANAGER}


def slice_annotations(endpoints: Endpoints) -> dict[str, str]:
    """The annotations of the Endpoints that are about more than these alone."""
    return {
        key: value for key, value in endpoints.metadata.annotations.items() if key not in (TRIGGER_TIME, _LAST_APPLIED)
    }


def _desired(endpoints: Endpoints, limit: int) -> tuple[dict[tuple[str, frozenset[Port]], Content], int, int]:
    """The slices by family and ports, how many addresses are none, and how many there is no room for."""
    groups: dict[tuple[str, frozenset[Port]], tuple[Ports, dict[Endpoint, None]]] = {}
    invalid = skipped = 0
    for subset in endpoints.subsets:
        ports = subset.ports
        added = 0
        for address, ready in _addresses(subset.addresses, subset.not_ready_addresses):
            if added >= limit:
                break
            family, endpoint = _endpoint(address, ready=ready)
            if endpoint is None:
                invalid += 1
                continue
            added += 1
            groups.setdefault((family, frozenset(ports)), (ports, {}))[1][endpoint] = None
        skipped += len(subset.addresses) + len(subset.not_ready_addresses) - added
    contents: dict[tuple[str, frozenset[Port]], Content] = defaultdict()
    for key, (ports, found) in groups.items():
        contents[key] = Content(key[0], ports, tuple(found)[:limit])
        skipped += max(len(found) - limit, 0)
    return contents, invalid, skipped - invalid


def _addresses(ready: Iterable[Address], not_ready: Iterable[Address]) -> Iterable[tuple[Address, bool]]:
    yield from ((address, True) for address in ready)
    yield from ((address, False) for address in not_ready)


def _endpoint(address: Address, *, ready: bool) -> tuple[str, Endpoint | None]:
    try:
        ip = ipaddress.ip_address(address.ip)
    except ValueError:
        return "", None
    return f"IPv{ip.version}", Endpoint(
        (str(ip),),
        Conditions(ready=ready),
        address.hostname or None,
        address.target_ref,
        address.node_name,
    )
