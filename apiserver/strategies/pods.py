"""Pods: pending when new, gone only when their kubelet says so.

Source: Kubernetes' registry/core/pod/strategy.go; Kubernetes documentation, "Pod Lifecycle".
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid
from k8slite.quantity import QuantityError, parse

from ..defaults import pods as defaults
from ..validation import pods as rules
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

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """Resources change through the subresource `resize` only. Raises ApiError 422."""
        before, after = rules.resources_of(old), rules.resources_of(obj)
        if before.keys() == after.keys() and before != after:
            cause = forbidden_field("spec", rules.MUTABLE)
            raise invalid("Pod", old["metadata"]["name"], [cause])

    def prepare_status_update(self, obj: Document, old: Document, context: Context) -> None:
        """The quality of service never changes."""
        status = obj.setdefault("status", {})
        if (known := (old.get("status") or {}).get("qosClass")) is not None:
            status["qosClass"] = known

    def validate(self, obj: Document) -> list[Cause]:
        """A pod's rules."""
        return rules.validate(obj)

    def validate_update(self, obj: Document, old: Document) -> list[Cause]:
        """Almost nothing of a pod's spec may change."""
        return rules.validate_update(obj, old)

    def graceful(self, obj: Document, requested: int | None) -> int:
        """As asked, or as the pod says; at once if no kubelet has it or all is over."""
        spec, status = obj["spec"], obj.get("status") or {}
        if not spec.get("nodeName") or status.get("phase") in _FINISHED:
            return 0
        if requested is not None:
            return requested
        seconds: int = spec.get("terminationGracePeriodSeconds", 30)
        return max(seconds, 1) if seconds < 0 else seconds


def qos_class(spec: Document) -> str:
    """`Guaranteed`, `Burstable` or `BestEffort`: what the containers' requests and limits promise."""
    any_set, guaranteed = False, True
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.get("resources") or {}
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
