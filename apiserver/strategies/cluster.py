"""Namespaces and nodes.

Source: Kubernetes' registry/core/{namespace,node}/strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause

from ..defaults import core as defaults
from ..validation import names
from ..validation import nodes as rules
from .base import Context, Document, Strategy
from .simple import field, fields

_FINALIZER = "kubernetes"


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
        else:
            obj.setdefault("status", {}).setdefault("phase", "Active")

    def validate(self, obj: Document) -> list[Cause]:
        """A Namespace's rules."""
        return rules.namespace(obj)

    def validate_subresource(self, subresource: str, obj: Document, old: Document) -> list[Cause]:
        """The status fits the deletion; finalizers are well named."""
        if subresource == "status":
            return rules.namespace_status(obj, old)
        return rules.namespace(obj, indexed=True)

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
        obj.setdefault("spec", {})
        defaults.node(obj)

    def validate(self, obj: Document) -> list[Cause]:
        """A Node's rules."""
        return rules.node(obj)

    def validate_update(self, obj: Document, old: Document) -> list[Cause]:
        """What was given to a Node stays."""
        return rules.node_update(obj, old)


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("", "namespaces"): NamespaceStrategy(),
    ("", "nodes"): NodeStrategy(),
}
