"""APIServices that this server keeps by itself: one for each group version that it serves. Pure.

Those of built-in groups are made at start and then left alone, those of custom resources follow their definitions.
What carries neither label is somebody else's and never touched, so anyone can take a group version over; a group that
yields (`order.YIELDING`) is left to whom an APIService names even where it carries our label.

Source: Kubernetes' kube-aggregator, controllers/autoregister; controlplane, crdregistration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..strategies.base import Document
from . import order
from .services import ALWAYS, MANAGED, ON_START, ApiService, GroupVersion


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: objects to create, specs to put right (by name), names to delete."""

    create: tuple[Document, ...] = ()
    mend: Mapping[str, Document] | None = None
    delete: tuple[str, ...] = ()


def builtin_plan(groups: Mapping[str, Iterable[str]], present: Mapping[str, ApiService]) -> Plan:
    """What a start has to do for the built-in groups."""
    wanted = {}
    for group, versions in groups.items():
        for version in versions:
            priority = order.builtin_priority(group, version)
            if priority is not None:
                wanted[group, version] = priority
    return _plan(wanted, present, ON_START)


def custom_plan(served: Iterable[GroupVersion], present: Mapping[str, ApiService]) -> Plan:
    """What to do now that custom resources are served in these group versions."""
    wanted = {
        (group, version): order.CUSTOM for group, version in served if order.builtin_priority(group, version) is None
    }
    return _plan(wanted, present, ALWAYS)


def _plan(wanted: Mapping[GroupVersion, order.Priority], present: Mapping[str, ApiService], managed: str) -> Plan:
    create, mend = [], {}
    names = set()
    for (group, version), (group_priority, version_priority) in wanted.items():
        name = f"{version}.{group}"
        names.add(name)
        spec = {"version": version, "groupPriorityMinimum": group_priority, "versionPriority": version_priority}
        spec = {"group": group, **spec} if group else spec
        known = present.get(name)
        if known is None:
            metadata = {"name": name, "labels": {MANAGED: managed}}
            create.append({"metadata": metadata, "spec": spec})
        elif known.target is not None and group in order.YIELDING:
            continue
        elif known.managed and (
            known.target is not None
            or (known.group_priority, known.version_priority) != (group_priority, version_priority)
        ):
            mend[name] = spec
    spurious = (service.name for service in present.values() if service.managed == managed)
    return Plan(tuple(create), mend, tuple(name for name in spurious if name not in names))
