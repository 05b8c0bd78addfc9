"""Rules for the status of pods: what a kubelet may report.

Source: Kubernetes' core validation (ValidatePodStatusUpdate).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, not_supported

from . import names
from .addresses import both_families, ip_address
from .pod_annotations import annotation_changes, pod_annotations
from .sequences import repeats

Document = dict[str, Any]

_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")
_HEALTH = ("Healthy", "Unhealthy", "Unknown")
_MAX_ID = (1 << 31) - 1
_GROUPS = (
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
)


def validate_status(new: Document, old: Document) -> list[Cause]:
    """What is wrong with a write of a pod's status."""
    spec, after, before = new.get("spec") or {}, new.get("status") or {}, old.get("status") or {}
    annotations, had = new["metadata"].get("annotations") or {}, old["metadata"].get("annotations") or {}
    causes: list[Cause] = []
    if annotations or had:
        causes += annotation_changes(annotations, had) + pod_annotations(annotations, spec, "metadata.annotations")
    for index, condition in enumerate(after.get("conditions") or ()):
        kind = condition.get("type") or ""
        if kind not in _SYSTEM_CONDITIONS and (problem := names.qualified_name(kind)):
            causes.append(invalid_value(f"metadata.conditions[{index}].Type", kind, problem))
    node = after.get("nominatedNodeName")
    if node and node != before.get("nominatedNodeName") and (problem := names.dns_subdomain(node)):
        causes.append(invalid_value("status.nominatedNodeName", node, problem))
    if after.get("qosClass") != before.get("qosClass"):
        causes.append(invalid_value("status.qosClass", after.get("qosClass") or "", "field is immutable"))
    for name, group in _GROUPS:
        if statuses := after.get(name):
            causes += _transitions(statuses, before.get(name) or (), name, spec)
            causes += _users(statuses, f"status.{name}", spec)
            causes += _allocated(statuses, f"status.{name}", spec.get(group) or (), name)
    if claims := after.get("resourceClaimStatuses"):
        causes += _claims(claims, spec, "status.resourceClaimStatuses")
    causes += _addresses(after.get("podIPs") or (), "status.podIPs")
    if hosts := after.get("hostIPs"):
        if after.get("hostIP") != hosts[0].get("ip"):
            detail = "must be equal to `hostIP`"
            causes.append(invalid_value("status.hostIPs[0].ip", hosts[0].get("ip"), detail))
        causes += _addresses(hosts, "status.hostIPs")
    return causes


def _transitions(new: Iterable[Document], old: Iterable[Document], name: str, spec: Document) -> list[Cause]:
    """What is over stays over, unless something may start it again."""
    policy = spec.get("restartPolicy")
    if name == "ephemeralContainerStatuses":
        policy = "Never"
    if policy == "Always":
        return []
    own = {one.get("name"): one for group in ("containers", "initContainers") for one in spec.get(group) or ()}
    now = {status.get("name"): status for status in new}
    causes: list[Cause] = []
    for index, status in enumerate(old):
        ended = (status.get("state") or {}).get("terminated")
        if ended is None or (ended.get("exitCode") and policy == "OnFailure"):
            continue
        container = own.get(status.get("name")) or {}
        if container.get("restartPolicy") in ("Always", "OnFailure") or container.get("restartPolicyRules"):
            continue
        if any((one.get("restartPolicyRules")) for one in own.values()):
            continue  # A rule of another container may start all of them again.
        after = now.get(status.get("name"))
        if after is not None and (after.get("state") or {}).get("terminated") is None:
            detail = "may not be transitioned to non-terminated state"
            causes.append(forbidden_field(f"status.{name}[{index}].state", detail))
    return causes


def _users(statuses: Iterable[Document], field: str, spec: Document) -> list[Cause]:
    causes: list[Cause] = []
    windows = (spec.get("os") or {}).get("name") == "windows"
    for index, status in enumerate(statuses):
        user = (status.get("user") or {}).get("linux")
        if user is None:
            continue
        here = f"{field}[{index}].linux"
        if windows:
            causes.append(forbidden_field(here, "cannot be set for a windows pod"))
            continue
        numbers = [("uid", user.get("uid") or 0), ("gid", user.get("gid") or 0)]
        numbers += [
            (f"supplementalGroups[{at}]", group) for at, group in enumerate(user.get("supplementalGroups") or ())
        ]
        causes += [
            invalid_value(f"{here}.{name}", number, f"must be between 0 and {_MAX_ID}, inclusive")
            for name, number in numbers
            if not 0 <= number <= _MAX_ID
        ]
    return causes


def _allocated(statuses: Iterable[Document], field: str, containers: Iterable[Document], name: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, status in enumerate(statuses):
        here, found = f"{field}[{index}].allocatedResourcesStatus", status.get("allocatedResourcesStatus") or ()
        if found and name == "ephemeralContainerStatuses":
            causes.append(forbidden_field(here, "must not be specified in container status"))
            continue
        for place, item in enumerate(found):
            owner = next((one for one in containers if one.get("name") == status.get("name")), None)
            if owner is not None and (problem := _not_asked(item.get("name") or "", owner.get("resources") or {})):
                causes.append(invalid_value(f"{here}[{place}].name", item.get("name") or "", problem))
            seen: set[str] = set()
            for at, resource in enumerate(item.get("resources") or ()):
                number, health = resource.get("resourceID") or "", resource.get("health") or ""
                if health not in _HEALTH:
                    causes.append(not_supported(f"{here}[{place}].resources[{at}].health", health, _HEALTH))
                if number in seen:
                    causes.append(duplicate(f"{here}[{place}].resources[{at}].resourceID", number))
                seen.add(number)
    return causes


def _not_asked(name: str, resources: Document) -> str | None:
    if not name.startswith("claim:"):
        requests = resources.get("requests") or {}
        return None if name in requests else "must match one of the container's resource requests"
    claims = {
        f"claim:{claim.get('name')}" + (f"/{claim['request']}" if claim.get("request") else "")
        for claim in resources.get("claims") or ()
    }
    if name in claims:
        return None
    return (
        "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or "
        "'claim:<claimName>' if request is empty"
    )


def _claims(statuses: list[Document], spec: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    known = {claim.get("name") for claim in spec.get("resourceClaims") or ()}
    seen: set[str] = set()
    for index, status in enumerate(statuses):
        name, here = status.get("name") or "", f"{field}[{index}].name"
        if name not in known:
            detail = "must match the name of an entry in `spec.resourceClaims`"
            causes.append(invalid_value(here, name, detail))
        if name in seen:
            causes.append(duplicate(here, name))
        seen.add(name)
        claim = status.get("resourceClaimName")
        if claim is not None and (problem := names.dns_subdomain(claim)):
            causes.append(invalid_value(here, claim, problem))
    return causes


def _addresses(listed: Any, field: str) -> list[Cause]:
    causes: list[Cause] = []
    texts = [one.get("ip") or "" for one in listed]
    for index, text in enumerate(texts):
        causes += ip_address(text, f"{field}[{index}]")
    if len(texts) > 1:
        if len(texts) > 2 or not both_families(texts):
            detail = "may specify no more than one IP for each IP family"
            causes.append(invalid_value(field, list(listed), detail))
        causes += [duplicate(f"{field}[{index}]", listed[index]) for index in repeats(texts)]
    return causes
