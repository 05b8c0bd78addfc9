"""What a quota counts of each kind of object: how many there are, and for some kinds what they ask for.

A measure is a handful of pure functions over an object as it is stored. Every kind without one of its own, custom ones
included, is counted as `count/<resource>.<group>`.

Source: Kubernetes documentation, "Resource Quotas"; quota/v1/generic/evaluator.go, pkg/quota/v1/evaluator.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from . import pod_scopes
from .amounts import ONE, ZERO, Amount, Amounts, add, amounts, raise_to
from .charged_pods import constraint, is_pod_resource, pod_usage
from .scopes import Requirement, requirements

Document = Mapping[str, Any]
Place = tuple[str, str]
"""(group, plural) of a resource."""

STORAGE_CLASS = ".storageclass.storage.k8s.io/"
DEVICE_CLASS = ".deviceclass.resource.k8s.io/devices"
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
_CLAIM_NAMES = ("persistentvolumeclaims", "requests.storage")
_MOST_DEVICES = 32
"""As many devices a claim gets at most: what a request for all of them may come to."""
IGNORED: frozenset[Place] = frozenset({("", "events"), ("events.k8s.io", "events")})
"""Kinds that no quota counts."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How objects of one resource are measured.

    `counted` are the names that say how many there are; `tracks` knows the other names it has an amount for.
    `usage` gets an object and the time; `problem` says what an object lacks that a quota of these names needs.
    """

    counted: tuple[str, ...]
    tracks: Callable[[str], bool]
    usage: Callable[[Document, datetime], Amounts]
    scope: Callable[[Requirement, Document], bool]
    problem: Callable[[Collection[str], Document], str]
    plain: bool
    """Whether the number of objects says everything."""

    def names(self, of: Iterable[str]) -> list[str]:
        """Those names that this measure has an amount for."""
        return [name for name in of if name in self.counted or self.tracks(name)]

    def matches(self, scopes: Iterable[Requirement], obj: Document) -> bool:
        """Whether an object is within all scopes."""
        return all(self.scope(scope, obj) for scope in scopes)


def measure_of(group: str, plural: str) -> Measure:
    """The measure of a resource."""
    return _MEASURES.get((group, plural)) or _counting(group, plural)


def count_name(group: str, plural: str) -> str:
    """What a quota calls the number of objects of a resource."""
    return f"count/{plural}.{group}" if group else f"count/{plural}"


def resource_of(name: str) -> Place | None:
    """The resource whose objects a quota's resource name counts or measures; None for a name of nothing."""
    if name.startswith("count/"):
        plural, _, group = name.removeprefix("count/").partition(".")
        return group, plural
    if name in _ALIASES:
        return "", name
    return next((place for place, measure in _MEASURES.items() if measure.names([name])), None)


def places(names: Iterable[str]) -> dict[Place, list[str]]:
    """The resources that names speak of, with their names."""
    found: dict[Place, list[str]] = {}
    for name in names:
        place = resource_of(name)
        if place is not None and place not in IGNORED:
            found.setdefault(place, []).append(name)
    return found


def _no_scope(requirement: Requirement, obj: Document) -> bool:
    return False


def _no_problem(names: Collection[str], obj: Document) -> str:
    return ""


_ALIASES = frozenset({"configmaps", "resourcequotas", "replicationcontrollers", "secrets"})


@lru_cache(maxsize=4096)
def _counting(group: str, plural: str) -> Measure:
    own = count_name(group, plural)
    counted = (own, plural) if not group and plural in _ALIASES else (own,)
    usage = dict.fromkeys(counted, ONE)
    return Measure(counted, lambda name: False, lambda obj, now: usage, _no_scope, _no_problem, plain=True)


# Services


def _service_usage(service: Document, now: datetime) -> Amounts:
    spec = service.get("spec") or {}
    ports = spec.get("ports") or ()
    balancers = node_ports = 0
    match spec.get("type"):
        case "NodePort":
            node_ports = len(ports)
        case "LoadBalancer":
            balancers = 1
            if spec.get("allocateLoadBalancerNodePorts") is False:
                node_ports = sum(1 for port in ports if port.get("nodePort"))
            else:
                node_ports = len(ports)
    return {
        "count/services": ONE,
        "services": ONE,
        "services.loadbalancers": Amount(Decimal(balancers)),
        "services.nodeports": Amount(Decimal(node_ports)),
    }


# Claims of volumes


def _claim_usage(claim: Document, now: datetime) -> Amounts:
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    usage = {"count/persistentvolumeclaims": ONE, "persistentvolumeclaims": ONE}
    annotated = ((claim.get("metadata") or {}).get("annotations") or {}).get(_OLD_CLASS)
    class_ = annotated if annotated is not None else spec.get("storageClassName") or ""
    prefixes = ("", f"{class_}{STORAGE_CLASS}") if class_ else ("",)
    if class_:
        usage[f"{class_}{STORAGE_CLASS}persistentvolumeclaims"] = ONE
    asked = amounts((spec.get("resources") or {}).get("requests")).get("storage")
    if asked is not None:
        given = amounts(status.get("allocatedResources")).get("storage", asked)
        most = max(asked, given, key=lambda one: one.value)
        whole = most.value.to_integral_value("ROUND_CEILING")
        for prefix in prefixes:
            usage[f"{prefix}requests.storage"] = Amount(whole, most.form)
    return usage


def _is_claim_resource(name: str) -> bool:
    return name in _CLAIM_NAMES or any(name.endswith(f"{STORAGE_CLASS}{own}") for own in _CLAIM_NAMES)


def _claim_scope(requirement: Requirement, claim: Document) -> bool:
    if requirement.scope != "VolumeAttributesClass":
        return False
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    names = {
        spec.get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    }
    return requirement.accepts_any({name for name in names if name})


# Claims of devices


def _device_usage(claim: Document, now: datetime) -> Amounts:
    usage: Amounts = {"count/resourceclaims.resource.k8s.io": ONE}
    for request in ((claim.get("spec") or {}).get("devices") or {}).get("requests") or ():
        if choices := request.get("firstAvailable"):
            worst: Amounts = {}
            for choice in choices:
                raise_to(worst, _devices(choice))
            add(usage, worst)
        else:
            add(usage, _devices(request.get("exactly") or request))
    return usage


def _devices(request: Document) -> Amounts:
    match request.get("allocationMode") or "ExactCount":
        case "ExactCount":
            number = request.get("count") or 1
        case "All":
            number = _MOST_DEVICES
        case _:
            number = 0
    return {f"{request.get('deviceClassName') or ''}{DEVICE_CLASS}": Amount(Decimal(number))}


_MEASURES = {
    ("", "pods"): Measure(("count/pods",), is_pod_resource, pod_usage, pod_scopes.matches, constraint, plain=False),
    ("", "services"): Measure(
        ("count/services", "services"),
        lambda name: name in ("services.nodeports", "services.loadbalancers"),
        _service_usage,
        _no_scope,
        _no_problem,
        plain=False,
    ),
    ("", "persistentvolumeclaims"): Measure(
        ("count/persistentvolumeclaims",), _is_claim_resource, _claim_usage, _claim_scope, _no_problem, plain=False
    ),
    ("resource.k8s.io", "resourceclaims"): Measure(
        ("count/resourceclaims.resource.k8s.io",),
        lambda name: name.endswith(DEVICE_CLASS),
        _device_usage,
        _no_scope,
        _no_problem,
        plain=False,
    ),
}


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota as admission and the controller read it; `hard` and `used` are those of its status."""

    name: str
    wanted: Amounts
    hard: Amounts
    used: Amounts
    scopes: tuple[Requirement, ...]


def read_quota(document: Document) -> Quota:
    """Read a ResourceQuota."""
    spec, status = document.get("spec") or {}, document.get("status") or {}
    return Quota(
        name=document["metadata"]["name"],
        wanted=amounts(spec.get("hard")),
        hard=amounts(status.get("hard")),
        used=amounts(status.get("used")),
        scopes=requirements(spec),
    )


def total(
    measure: Measure, names: Collection[str], scopes: Iterable[Requirement], *, of: Iterable[Document], now: datetime
) -> Amounts:
    """What objects use together of the names, each of which is there."""
    scopes = tuple(scopes)
    used = dict.fromkeys(names, ZERO)
    for obj in of:
        if measure.matches(scopes, obj):
            usage = measure.usage(obj, now)
            add(used, {name: usage[name] for name in names if name in usage})
    return used
