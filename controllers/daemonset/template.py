"""The pod that a DaemonSet makes for a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k8slite import ownership
from k8slite.kinds.apps import DaemonSet

from ..revisions import POD_LABEL
from .placement import pinned, tolerations_of

GENERATION = "deprecated.daemonset.template.generation"
"""On a DaemonSet of an API server that keeps it: the number of its template."""
GENERATION_LABEL = "pod-template-generation"
"""On pods: the same, for who still asks."""


def pods_of(daemonset: DaemonSet, *, hash_: str) -> Callable[[str, str], dict[str, Any]]:
    """What makes the document of a pod from its node and its name. All of them share what they have in common."""
    template = daemonset.spec.template
    labels = dict(template.labels) | {POD_LABEL: hash_}
    generation = daemonset.metadata.annotations.get(GENERATION, "")
    if generation.isdigit():
        labels[GENERATION_LABEL] = str(int(generation))
    metadata = template.document.get("metadata") or {}
    common = {
        "generateName": f"{daemonset.name}-",
        "namespace": daemonset.namespace,
        "labels": labels,
        **{field: metadata[field] for field in ("annotations", "finalizers") if metadata.get(field)},
        "ownerReferences": [ownership.controller_reference(daemonset)],
    }
    spec = {**template.spec, "tolerations": tolerations_of(template.spec)}

    def document(node: str, name: str) -> dict[str, Any]:
        affinity = pinned(template.spec.get("affinity"), node=node)
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, **common},
            "spec": {**spec, "affinity": affinity},
        }

    return document
