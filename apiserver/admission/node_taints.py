"""TaintNodesByCondition: a new node takes no pods until its kubelet said that it is ready.

Source: Kubernetes documentation, "Taints and Tolerations"; plugin/pkg/admission/nodetaint.
"""

from __future__ import annotations

from .base import Admission, Operation, Plugin

_TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition(Plugin):
    """Adds a taint to new nodes; the node lifecycle controller takes it away."""

    kinds = frozenset({("", "nodes")})
    operations = frozenset[Operation]({"CREATE"})

    async def mutate(self, admission: Admission) -> None:
        """Add the taint."""
        if admission.subresource or admission.object is None:
            return
        taints = admission.object.setdefault("spec", {}).setdefault("taints", [])
        if not any(one.get("key") == _TAINT["key"] and one.get("effect") == _TAINT["effect"] for one in taints):
            taints.append(dict(_TAINT))
