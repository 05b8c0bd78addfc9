"""Namespaces and nodes.

Source: Kubernetes' registry/core/{namespace,node}/strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause, duplicate, invalid_value, not_supported

from ..defaults import core as defaults
from ..validation import names
from .base import Context, Document, Strategy
from .simple import field, fields

_FINALIZER = "kubernetes"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class NamespaceStrategy(Strategy):
    """A Namespace ends once its content is gone: its controller then takes `kubernetes` from spec.finalizers."""

    has_generation = False
    status_keeps_labels = False
    name_rule = staticmethod(names.dns_label)
    selectable_fields = fields("status.phase")

    def default(self, obj: Document) -> None:
        """Fill in what the user left out."""
        defaults.namespace(obj)

    def prepare_create(self, obj: Document, context: Context) -> None:
        """A new Namespace is active and waits for its content when it goes."""
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"].get("name") or ""
        finalizers = obj.setdefault("spec", {}).setdefault("finalizers", [])
        if _FINALIZER not in finalizers:
            finalizers.append(_FINALIZER)
        obj["status"] = {"phase": "Active"}

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """The finalizers have an endpoint of their own."""
        obj["spec"] = {**(obj.get("spec") or {}), "finalizers": (old.get("spec") or {}).get("finalizers") or []}

    def prepare_status_update(self, obj: Document, old: Document, context: Context) -> None:
        """A Namespace that is being deleted stays so."""
        if obj["metadata"].get("deletionTimestamp"):
            obj.setdefault("status", {})["phase"] = "Terminating"

    def begin_deletion(self, obj: Document) -> None:
        """Say so in its status."""
        obj.setdefault("status", {})["phase"] = "Terminating"

    def removable(self, obj: Document) -> bool:
        """Once neither kind of finalizer is left."""
        return super().removable(obj) and not (obj.get("spec") or {}).get("finalizers")


class NodeStrategy(Strategy):
    """Nodes register themselves, status and all."""

    has_generation = False
    status_keeps_labels = False
    selectable_fields = {"spec.unschedulable": lambda node: field("spec.unschedulable")(node) or "false"}

    def default(self, obj: Document) -> None:
        """Fill in what the kubelet left out."""
        defaults.node(obj)
        obj.setdefault("spec", {})

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """The pod CIDR, once given, stays."""
        before, spec = old.get("spec") or {}, obj.setdefault("spec", {})
        for name in ("podCIDR", "podCIDRs", "providerID"):
            if name in before:
                spec.setdefault(name, before[name])

    def validate(self, obj: Document) -> list[Cause]:
        """Taints are well formed and unique."""
        causes: list[Cause] = []
        seen = set()
        for index, taint in enumerate((obj.get("spec") or {}).get("taints") or ()):
            key, effect = taint.get("key") or "", taint.get("effect") or ""
            here = f"spec.taints[{index}]"
            if problem := names.qualified_name(key):
                causes.append(invalid_value(f"{here}.key", key, problem))
            if problem := names.label_value(taint.get("value") or ""):
                causes.append(invalid_value(f"{here}.value", taint["value"], problem))
            if effect not in _EFFECTS:
                causes.append(not_supported(f"{here}.effect", effect, _EFFECTS))
            if (key, effect) in seen:
                causes.append(duplicate(here, {"key": key, "effect": effect}))
            seen.add((key, effect))
        return causes

    def validate_update(self, obj: Document, old: Document) -> list[Cause]:
        """The pod CIDR does not change."""
        before, after = old.get("spec") or {}, obj.get("spec") or {}
        if before.get("podCIDR") and before["podCIDR"] != after.get("podCIDR"):
            detail = 'node updates may not change podCIDR except from "" to valid'
            return [Cause("FieldValueForbidden", f"Forbidden: {detail}", "spec.podCIDRs")]
        return []


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("", "namespaces"): NamespaceStrategy(),
    ("", "nodes"): NodeStrategy(),
}
