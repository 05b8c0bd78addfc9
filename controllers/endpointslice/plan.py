"""From a Service, its pods and its slices to what has to be written: pure.

Source: Kubernetes documentation, "EndpointSlices"; k8s.io/endpointslice/reconciler.go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from k8slite.kinds.core import Service

from ..pods import Pod
from .desired import Memory, NodeZone, desired, distributes, families
from .model import HEADLESS, MANAGED_BY, SERVICE_NAME, Endpoint, EndpointSlice, Port, Ports
from .packing import Draft, pack
from .topology import Notice, add_hints, automatic

MANAGER = "endpointslice-controller.k8s.io"
MAX_ENDPOINTS = 100
"""Endpoints in a slice, unless a setting says otherwise."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a slice is to hold."""

    address_type: str
    ports: Ports
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sync writes, and says."""

    create: tuple[Content, ...]
    update: tuple[tuple[EndpointSlice, Content], ...]
    delete: tuple[EndpointSlice, ...]
    notices: tuple[Notice, ...] = ()


def plan(
    *,
    service: Service,
    pods: Iterable[Pod],
    slices: Sequence[EndpointSlice],
    labels: dict[str, str],
    zone: NodeZone,
    ratios: Mapping[str, float] | None = None,
    limit: int = MAX_ENDPOINTS,
    was_automatic: bool = False,
    memory: Memory | None = None,
) -> Plan:
    """Decide for one Service; `slices` are those that this controller manages for it, `labels` what they must carry.

    `ratios` are the zones' shares of the CPUs; `was_automatic` whether the last plan for it gave hints by them;
    `memory` spares the work for pods that did not change since.

    A Service without any endpoint keeps one empty slice, so that readers can tell "none" from "not yet". Slices of an
    earlier Service of that name go, as do those of a family that this one has no more.
    """
    pods = list(pods)
    auto = automatic(service)
    hinted = distributes(service) and not auto
    memory = memory if memory is not None else Memory()
    wanted = families(service)
    create: list[Content] = []
    update: list[tuple[EndpointSlice, Content]] = []
    delete = [item for item in slices if not _owned(item, service) or item.address_type not in wanted]
    notices: list[Notice] = []
    for family in wanted:
        own = [item for item in slices if item.address_type == family and _owned(item, service)]
        groups = desired(service, pods, family=family, zone=zone, hinted=hinted, memory=memory)
        present: dict[frozenset[Port], list[EndpointSlice]] = defaultdict(list)
        for item in own:
            present[frozenset(item.ports)].append(item)
        drafts: list[Draft] = []
        spare: list[EndpointSlice] = []
        for key, (ports, endpoints) in groups.items():
            packing = pack(present.pop(key, []), endpoints, ports=ports, limit=limit, labels=labels, keep_hints=auto)
            drafts += packing.drafts
            spare += packing.empty
        for left in present.values():
            spare += left
        if auto:
            notices += add_hints(drafts, ratios=ratios, family=family)
        elif was_automatic:
            message = f"Topology Aware Hints has been disabled, addressType: {family}"
            notices.append(Notice("Warning", "TopologyAwareHintsDisabled", message))
        if not drafts:
            drafts.append(_placeholder(spare, labels))
        _reuse(drafts, spare)
        for draft in drafts:
            content = Content(family, draft.ports, tuple(draft.endpoints))
            if draft.item is None:
                create.append(content)
            elif draft.write:
                update.append((draft.item, content))
        delete += spare
    return Plan(() if service.deleting else tuple(create), tuple(update), tuple(delete), tuple(notices))


def _placeholder(spare: list[EndpointSlice], labels: Mapping[str, str]) -> Draft:
    """The one empty slice; the one that is there, if there is one."""
    for item in spare:
        if not item.endpoints and not item.ports:
            spare.remove(item)
            return Draft(item, (), [], write=item.metadata.labels != labels)
    return Draft(None, (), [])


def _reuse(drafts: Iterable[Draft], spare: list[EndpointSlice]) -> None:
    """Turn slices that would go into those that would come: one write for two, and no moment without either."""
    for draft in drafts:
        if draft.item is None and spare:
            draft.item, draft.write = spare.pop(), True


def _owned(item: EndpointSlice, service: Service) -> bool:
    return any(owner.uid == service.uid for owner in item.metadata.owner_references)


def slice_labels(service: Service) -> dict[str, str]:
    """The labels of a Service's slices: the Service's own and those that say whose they are."""
    own = {
        key: value for key, value in service.metadata.labels.items() if key not in (SERVICE_NAME, MANAGED_BY, HEADLESS)
    }
    return own | {SERVICE_NAME: service.name, MANAGED_BY: MANAGER} | ({HEADLESS: ""} if service.headless else {})
