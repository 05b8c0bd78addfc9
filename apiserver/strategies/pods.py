"""Pods: pending when new, gone only when their kubelet says so.

Source: Kubernetes' registry/core/pod/strategy.go; Kubernetes documentation, "Pod Lifecycle".
"""

from __future__ import annotations

from typing import Any

import orjson

from k8slite.errors import Cause
from k8slite.quantity import QuantityError, parse
from k8slite.remembering import Recent

from ..defaults import pods as defaults
from ..validation import pod_changes as changes
from ..validation import pods as rules
from ..validation import resizing
from ..validation.pod_status import validate_status
from ..validation.pod_warnings import pod_name_warnings, pod_warnings
from .base import Context, Document, Strategy
from .simple import field

_RESOURCES = ("cpu", "memory")
_FINISHED = ("Succeeded", "Failed")


class PodStrategy(Strategy):
    """The strategy of pods."""

    returns_deleted = True
    status_keeps_labels = False
    selectable_fields = {
        **{
            path: field(path)
            for path in (
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "status.phase",
                "status.podIP",
                "status.nominatedNodeName",
            )
        },
        "spec.hostNetwork": lambda pod: "true" if (pod.get("spec") or {}).get("hostNetwork") else "false",
    }

    def default(self, obj: Document) -> None:
        """Fill in what the user left out."""
        defaults.pod(obj)

    def prepare_create(self, obj: Document, context: Context) -> None:
        """A new pod is pending, whatever it says of itself."""
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj["spec"])}
        _merge_label_keys(obj)
        if obj["spec"].get("schedulingGates"):
            obj["status"]["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                    "lastProbeTime": None,
                    "lastTransitionTime": None,
                }
            ]

    def prepare_status_update(self, obj: Document, old: Document, context: Context) -> None:
        """The quality of service never changes, and what was observed is not forgotten."""
        status, before = obj.setdefault("status", {}), old.get("status") or {}
        if not status.get("qosClass") and before.get("qosClass"):
            status["qosClass"] = before["qosClass"]
        if not status.get("observedGeneration") and before.get("observedGeneration"):
            status["observedGeneration"] = before["observedGeneration"]
        observed = {
            one.get("type"): one["observedGeneration"]
            for one in before.get("conditions") or ()
            if one.get("observedGeneration")
        }
        for condition in (status.get("conditions") or ()) if observed else ():
            if not condition.get("observedGeneration") and condition.get("type") in observed:
                condition["observedGeneration"] = observed[condition["type"]]

    def __init__(self) -> None:
        self._right: Recent[bytes, list[str]] = Recent(_REMEMBERED)
        """What was found right lately, and what there was to warn of: pods of one template differ in names alone, which
        their rules do not read."""
        self._last: tuple[Document, bytes] = ({}, b"")
        """The pod that was validated last, with its likeness: warnings are asked for right after."""

    def validate(self, obj: Document) -> list[Cause]:
        """A pod's rules."""
        likeness = _likeness(obj)
        if likeness in self._right:
            self._last = obj, likeness
            return []
        causes = rules.validate(obj)
        if not causes and likeness:
            self._right.keep(likeness, pod_warnings(obj, ""))
        return causes

    def validate_create(self, obj: Document) -> list[Cause]:
        """A new pod's rules."""
        return rules.validate_create(obj)

    def validate_update(self, obj: Document, old: Document) -> list[Cause]:
        """Almost nothing of a pod's spec may change."""
        return changes.validate_update(obj, old)

    def validate_subresource(self, subresource: str, obj: Document, old: Document) -> list[Cause]:
        """Each endpoint has rules of its own."""
        match subresource:
            case "status":
                return validate_status(obj, old)
            case "ephemeralcontainers":
                return rules.validate(obj) + changes.ephemeral_update(obj, old)
            case "resize":
                quality = (old.get("status") or {}).get("qosClass") or qos_class(old["spec"]), qos_class(obj["spec"])
                return rules.validate(obj) + resizing.validate(obj, old, quality=quality)
            case _:
                return super().validate_subresource(subresource, obj, old)

    def warn(self, obj: Document, old: Document | None) -> list[str]:
        """Of new pods only: people seldom change one by hand."""
        if old is not None:
            return []
        (judged, likeness), self._last = self._last, ({}, b"")
        known = self._right.get(likeness) if judged is obj else None
        if known is None:
            known = pod_warnings(obj, "")
        return pod_name_warnings(obj["metadata"].get("name") or "") + known

    def graceful(self, obj: Document, requested: int | None) -> int:
        """As asked, or as the pod says; at once if no kubelet has it or all is over."""
        spec, status = obj["spec"], obj.get("status") or {}
        if not spec.get("nodeName") or status.get("phase") in _FINISHED:
            return 0
        if requested is not None:
            return requested
        seconds: int = spec.get("terminationGracePeriodSeconds", 30)
        return max(seconds, 1) if seconds < 0 else seconds


_REMEMBERED = 512
_LONGEST = 8192


def _likeness(pod: Document) -> bytes:
    """All that a pod's rules read; empty if they read its name too (ephemeral volumes), or it is long."""
    spec = pod.get("spec") or {}
    if any("ephemeral" in volume for volume in spec.get("volumes") or ()):
        return b""
    found = orjson.dumps((pod["metadata"].get("annotations"), spec))
    return found if len(found) <= _LONGEST else b""


_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _merge_label_keys(pod: Document) -> None:
    """Write what `matchLabelKeys` mean for this pod's labels into the selectors beside them."""
    labels, spec = pod["metadata"].get("labels") or {}, pod["spec"]
    if affinity := spec.get("affinity"):
        for kind in ("podAffinity", "podAntiAffinity"):
            terms = affinity.get(kind) or {}
            for weighted in terms.get(_PREFERRED) or ():
                _merge(weighted.get("podAffinityTerm") or {}, labels)
            for term in terms.get(_REQUIRED) or ():
                _merge(term, labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _merge(constraint, labels)


def _merge(term: Document, labels: Document) -> None:
    selector = term.get("labelSelector")
    if selector is None:
        return
    for name, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        found = [key for key in term.get(name) or () if key in labels]
        if found:
            expressions = selector.setdefault("matchExpressions", [])
            expressions += [{"key": key, "operator": operator, "values": [labels[key]]} for key in found]


def qos_class(spec: Document) -> str:
    """`Guaranteed`, `Burstable` or `BestEffort`: what the pod's own requests and limits promise, or its containers'."""
    own = spec.get("resources") or {}
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    whole = bool(own.get("requests") or own.get("limits"))
    any_set, guaranteed = False, True
    for resources in [own] if whole else [container.get("resources") or {} for container in containers]:
        requests, limits = _positive(resources.get("requests")), _positive(resources.get("limits"))
        if requests or limits:
            any_set = True
        if set(limits) != set(_RESOURCES) or any(requests.get(name, value) != value for name, value in limits.items()):
            guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _positive(quantities: Any) -> dict[str, Any]:
    found = {}
    for name in _RESOURCES:
        if (quantities or {}).get(name) is not None:
            try:
                value = parse(quantities[name])
            except QuantityError:
                continue
            if value > 0:
                found[name] = value
    return found
