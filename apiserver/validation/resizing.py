"""Rules for `resize` below pods: only CPU and memory of containers, and of the pod as a whole, may become other.

Source: Kubernetes' core validation (ValidatePodResize) and pod strategy (dropNonResizeUpdates).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value
from k8slite.quantity import QuantityError, parse

from .pod_annotations import MIRROR

Document = dict[str, Any]

_GROUPS = ("containers", "initContainers")
_MUTABLE = ("cpu", "memory")
_ONLY = "only cpu and memory resources are mutable"
_ONLY_INIT = "only cpu and memory resources for init or sidecar containers are mutable"
_RESTARTED_INIT = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"


def resized(spec: Document, wanted: Document) -> Document:
    """The spec with what is wanted of its containers' resources and resize policies, and nothing else."""
    made = dict(spec)
    for group in _GROUPS:
        if group in spec:
            made[group] = [_merged(*pair) for pair in zip(spec[group], wanted[group], strict=True)]
    if "resources" in wanted:
        made["resources"] = wanted["resources"]
    return made


def _merged(container: Document, wanted: Document) -> Document:
    kept = {name: value for name, value in container.items() if name not in ("resources", "resizePolicy")}
    return kept | {name: wanted[name] for name in ("resources", "resizePolicy") if name in wanted}


def validate(pod: Document, old: Document, *, quality: tuple[str, str]) -> list[Cause]:
    """What changed that must not; `quality` is the class of service before and after. The order was checked before."""
    spec, before = pod["spec"], old["spec"]
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [forbidden_field("[]", "static pods cannot be resized")]
    if (before.get("os") or {}).get("name") == "windows":
        return [forbidden_field("[]", "windows pods cannot be resized")]
    causes: list[Cause] = []
    if quality[0] != quality[1]:
        causes.append(invalid_value("spec", quality[0], "Pod QOS Class may not change as a result of resizing"))
    running = [item for item in (old.get("status") or {}).get("containerStatuses") or () if _runs(item)]
    if running and running[0].get("resources") is None:
        causes.append(forbidden_field("spec", "Pod running on node without support for resize"))
    causes += _pod_level(spec.get("resources"), before.get("resources"))
    for group in reversed(_GROUPS):
        for index, (new, was) in enumerate(zip(spec.get(group) or (), before.get(group) or (), strict=True)):
            causes += _container(new, was, f"spec.{group}[{index}]", init=group == "initContainers")
    return causes


def _runs(status: Document) -> bool:
    return (status.get("state") or {}).get("running") is not None


def order(wanted: Document, spec: Document) -> list[Cause]:
    """What is wrong with the containers' number, names and order."""
    causes: list[Cause] = []
    for group in _GROUPS:
        new, old = wanted.get(group) or [], spec.get(group) or []
        if len(new) != len(old):
            causes.append(forbidden_field(f"spec.{group}", f"{group} may not be added or removed on resize"))
            continue
        for index, (one, other) in enumerate(zip(new, old, strict=True)):
            if one.get("name") != other.get("name"):
                detail = f"{group} may not be renamed or reordered on resize"
                causes.append(forbidden_field(f"spec.{group}[{index}].name", detail))
    return causes


def _container(new: Document, old: Document, field: str, *, init: bool) -> list[Cause]:
    after, before = new.get("resources") or {}, old.get("resources") or {}
    causes = _removed(after, before, f"{field}.resources", "resource ")
    policies_changed = (new.get("resizePolicy") or []) != (old.get("resizePolicy") or [])
    if _others(after) != _others(before) or policies_changed:
        causes.append(forbidden_field(field, _ONLY_INIT) if init else forbidden_field("spec", _ONLY))
    if init and _values(after) != _values(before) and new.get("restartPolicy") != "Always":
        policies = [policy.get("restartPolicy") for policy in new.get("resizePolicy") or ()]
        if "RestartContainer" in policies:
            causes.append(forbidden_field(field, _RESTARTED_INIT))
    return causes


def _pod_level(new: Document | None, old: Document | None) -> list[Cause]:
    if old and new is None:
        return [forbidden_field("spec.resources", "pod-level resources cannot be removed")]
    after, before = new or {}, old or {}
    causes = _removed(after, before, "spec.resources", "pod-level resource ")
    if _others(after) != _others(before):
        causes.append(forbidden_field("spec", "only cpu and memory resources are mutable at pod-level"))
    return causes


def _removed(new: Document, old: Document, field: str, what: str) -> list[Cause]:
    return [
        forbidden_field(f"{field}.{kind}", f"{what}{kind} cannot be removed")
        for kind in ("requests", "limits")
        if (old.get(kind) or {}).keys() - (new.get(kind) or {}).keys()
    ]


def _values(resources: Document) -> dict[str, Any]:
    """What is asked for, by quantity: `1` and `1000m` are the same."""
    found = {}
    for kind in ("requests", "limits"):
        for name, text in (resources.get(kind) or {}).items():
            try:
                found[f"{kind}.{name}"] = parse(text)
            except QuantityError:
                found[f"{kind}.{name}"] = text
    return found


def _others(resources: Document) -> tuple[dict[str, Any], Any]:
    """What may not change."""
    values = {key: value for key, value in _values(resources).items() if key.partition(".")[2] not in _MUTABLE}
    return values, resources.get("claims") or []
