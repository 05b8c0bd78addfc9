"""PodTopologyLabels: a pod that is bound to a node bears the node's zone and region, for all who read the pod.

Source: Kubernetes documentation, "Downward API: topology labels"; plugin/pkg/admission/podtopologylabels.
"""

from __future__ import annotations

from ..lookup import Objects
from .base import Admission, Operation, Plugin

_LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels(Plugin):
    """Labels bindings, whose labels go over to the pod, and new pods that name their node."""

    kinds = frozenset({("", "pods")})
    operations = frozenset[Operation]({"CREATE"})

    def __init__(self, objects: Objects) -> None:
        self._nodes = objects.resource("", "nodes")

    async def mutate(self, admission: Admission) -> None:
        """Copy the labels."""
        obj = admission.object
        if obj is None:
            return
        if admission.subresource == "binding":
            target = obj.get("target") or {}
            node = target.get("name") if target.get("kind") in ("Node", "", None) else None
        elif not admission.subresource:
            node = obj["spec"].get("nodeName")
        else:
            return
        entry = self._nodes.get("", node) if node else None
        if entry is None:
            return
        labels = entry.labels
        if found := {key: labels[key] for key in _LABELS if key in labels}:
            obj["metadata"]["labels"] = {**(obj["metadata"].get("labels") or {}), **found}
