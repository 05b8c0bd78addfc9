"""The order of groups and of versions in discovery: that of the priorities which APIServices name. Pure.

Clients take the first group that knows a short name, and the first version of a group: the order is part of the API.

Source: Kubernetes' kube-aggregator, apis/apiregistration (sorting); controlplane/apiserver/aggregator.go (the table).
"""

from __future__ import annotations

from collections.abc import Iterable

from k8slite.catalogue import version_rank

from .services import ApiService, GroupVersion

Priority = tuple[int, int]
"""Of a group among groups and of a version among a group's; the higher comes first."""

FIRST: Priority = (20_000, 1)
CUSTOM: Priority = (1_000, 100)
"""What custom resources get."""

_GROUPS = {
    "": 18_000,
    "apps": 17_800,
    "events.k8s.io": 17_750,
    "authentication.k8s.io": 17_700,
    "authorization.k8s.io": 17_600,
    "autoscaling": 17_500,
    "batch": 17_400,
    "certificates.k8s.io": 17_300,
    "networking.k8s.io": 17_200,
    "policy": 17_100,
    "rbac.authorization.k8s.io": 17_000,
    "storage.k8s.io": 16_800,
    "apiextensions.k8s.io": 16_700,
    "admissionregistration.k8s.io": 16_700,
    "scheduling.k8s.io": 16_600,
    "coordination.k8s.io": 16_500,
    "node.k8s.io": 16_300,
    "discovery.k8s.io": 16_200,
    "flowcontrol.apiserver.k8s.io": 16_100,
    "resource.k8s.io": 15_900,
    "storagemigration.k8s.io": 15_800,
    "metrics.k8s.io": 100,
}
_VERSIONS: dict[GroupVersion, int] = {
    ("", "v1"): 1,
    ("autoscaling", "v2"): 30,
    ("flowcontrol.apiserver.k8s.io", "v1"): 21,
    ("metrics.k8s.io", "v1beta1"): 100,
}
_VERSION = 15
YIELDING = frozenset({"metrics.k8s.io"})
"""Groups that are served here unless an administrator has installed who does it for the whole cluster."""


def builtin_priority(group: str, version: str) -> Priority | None:
    """The priority of a built-in group version; None for a group that is not in the table."""
    priority = _GROUPS.get(group)
    return None if priority is None else (priority, _VERSIONS.get((group, version), _VERSION))


def merge_groups(local: dict[str, list[str]], services: Iterable[ApiService]) -> dict[str, list[str]]:
    """Groups with their versions, those that other servers serve among our own; the preferred ones first."""
    priorities: dict[GroupVersion, Priority] = {}
    for service in services:
        known = service.target is not None or service.version in local.get(service.group, ())
        if known:
            priorities[service.group, service.version] = service.group_priority, service.version_priority
    for group, versions in local.items():
        for version in versions:
            if (group, version) not in priorities:
                default = FIRST if group == "apiregistration.k8s.io" else CUSTOM
                priorities[group, version] = builtin_priority(group, version) or default
    found: dict[str, list[str]] = {}
    for group, version in priorities:
        found.setdefault(group, []).append(version)
    for group, versions in found.items():
        versions.sort(key=lambda version: (-priorities[group, version][1], version_rank(version)))

    def rank(group: str) -> tuple[int, str]:
        return -max(priorities[group, version][0] for version in found[group]), group

    return {group: found[group] for group in sorted(found, key=rank)}
