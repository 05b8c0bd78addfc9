"""Rules for changes of pods: little of a pod's spec may change, and each part only through its own endpoint.

Source: Kubernetes' core validation (ValidatePodUpdate, ValidatePodEphemeralContainersUpdate).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value

from .differences import difference
from .pod_annotations import MIRROR, annotation_changes

Document = dict[str, Any]

_MUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_MAX_DEADLINE = 2**31 - 1
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def validate_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a pod that must not."""
    causes = annotation_changes(new["metadata"].get("annotations") or {}, old["metadata"].get("annotations") or {})
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before == after:
        return causes
    for group in ("containers", "initContainers"):
        if len(before.get(group) or ()) != len(after.get(group) or ()):
            causes.append(forbidden_field(f"spec.{group}", "pod updates may not add or remove containers"))
            return causes
    found, stop = _deadline(after.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    causes += found
    if stop:
        return causes
    causes += _tolerations(after.get("tolerations") or [], before.get("tolerations") or [])
    causes += _gates(after.get("schedulingGates") or [], before.get("schedulingGates") or [])
    munged = _munged(after, before)
    if before.get("schedulingGates"):
        causes += _gated(munged, before)
    if munged != before:
        detail = f"{_MUTABLE}\n{difference(before, munged, 'core.PodSpec')}"
        causes.append(forbidden_field("spec", detail))
    return causes


def _deadline(new: int | None, old: int | None) -> tuple[list[Cause], bool]:
    field = "spec.activeDeadlineSeconds"
    if new is None:
        detail = "must not update from a positive integer to nil value"
        return ([invalid_value(field, None, detail)] if old is not None else []), False
    if not 0 <= new <= _MAX_DEADLINE:
        return [invalid_value(field, new, f"must be between 0 and {_MAX_DEADLINE}, inclusive")], True
    if old is not None and old < new:
        return [invalid_value(field, new, "must be less than or equal to previous value")], True
    return [], False


def _tolerations(new: list[Document], old: list[Document]) -> list[Cause]:
    kept = [_without_seconds(one) for one in new]
    if all(_without_seconds(one) in kept for one in old):
        return []
    detail = "existing toleration can not be modified except its tolerationSeconds"
    return [forbidden_field("spec.tolerations", detail)]


def _without_seconds(toleration: Document) -> Document:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds" and value}


def _gates(new: list[Document], old: list[Document]) -> list[Cause]:
    known = {gate.get("name") for gate in old}
    return [
        forbidden_field(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'",
        )
        for index, gate in enumerate(new)
        if gate.get("name") not in known
    ]


def _munged(after: Document, before: Document) -> Document:
    """The new spec with everything put back that may change."""
    spec = dict(after)
    for group in ("containers", "initContainers"):
        if group in spec:
            spec[group] = [
                {**container, "image": was["image"]} if "image" in was else container
                for container, was in zip(spec[group], before[group], strict=True)
            ]
    for name in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        _restore(spec, before, name)
    seconds = before.get("terminationGracePeriodSeconds")
    if seconds is not None and seconds < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        spec["terminationGracePeriodSeconds"] = seconds
    return spec


def _restore(spec: Document, before: Document, name: str) -> None:
    if name in before:
        spec[name] = before[name]
    else:
        spec.pop(name, None)


def _gated(spec: Document, before: Document) -> list[Cause]:
    """A pod that waits for its gates may still narrow where it can go. Puts back what it may change."""
    causes: list[Cause] = []
    new, old = spec.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if any(new.get(key) != value for key, value in old.items()):
        detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        causes.append(invalid_value("spec.nodeSelector", new, detail))
    _restore(spec, before, "nodeSelector")
    wanted = (spec.get("affinity") or {}).get("nodeAffinity")
    had = (before.get("affinity") or {}).get("nodeAffinity")
    if wanted != had:
        causes += _narrowed(wanted or {}, had or {})
        affinity = dict(spec.get("affinity") or {})
        _restore(affinity, before.get("affinity") or {}, "nodeAffinity")
        if affinity or "affinity" in before:
            spec["affinity"] = affinity
        else:
            spec.pop("affinity", None)
    return causes


def _narrowed(new: Document, old: Document) -> list[Cause]:
    was = (old.get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    now = (new.get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    field = f"spec.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
    if not was:
        return []
    if len(was) != len(now):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [invalid_value(field, now, detail)]
    return [
        invalid_value(f"{field}[{index}]", after, "only additions are allowed (no mutations or deletions)")
        for index, (after, before) in enumerate(zip(now, was, strict=True))
        if not _only_more(after, before)
    ]


def _only_more(new: Document, old: Document) -> bool:
    members = ("matchExpressions", "matchFields")
    if not any(old.get(name) for name in members):
        return not any(new.get(name) for name in members)
    return all((new.get(name) or [])[: len(old.get(name) or ())] == (old.get(name) or []) for name in members)


def ephemeral_update(new: Document, old: Document) -> list[Cause]:
    """Ephemeral containers are only ever added."""
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [forbidden_field("[]", "static pods do not support ephemeral containers")]
    field, causes = "spec.ephemeralContainers", []
    wanted = {container.get("name") or "": container for container in new["spec"].get("ephemeralContainers") or ()}
    for container in old["spec"].get("ephemeralContainers") or ():
        name = container.get("name") or ""
        if name not in wanted:
            causes.append(forbidden_field(field, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif wanted[name] != container:
            changes = difference(container, wanted[name], "core.EphemeralContainer")
            detail = f'existing ephemeral containers "{name}" may not be changed\n{changes}'
            causes.append(forbidden_field(field, detail))
    return causes
