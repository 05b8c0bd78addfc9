"""StorageObjectInUseProtection: volumes, claims and their attribute classes are not removed while they are in use.

The plugin only adds the finalizer; the controllers of `controllers/protection/` know who uses what, and take it away.

Source: Kubernetes documentation, "Persistent Volumes: Storage Object in Use Protection".
"""

from __future__ import annotations

from .base import Admission, Operation, Plugin

_FINALIZERS = {
    ("", "persistentvolumes"): "kubernetes.io/pv-protection",
    ("", "persistentvolumeclaims"): "kubernetes.io/pvc-protection",
    ("storage.k8s.io", "volumeattributesclasses"): "kubernetes.io/vac-protection",
}


class StorageObjectInUseProtection(Plugin):
    """Adds a finalizer to new objects."""

    kinds = frozenset(_FINALIZERS)
    operations = frozenset[Operation]({"CREATE"})

    async def mutate(self, admission: Admission) -> None:
        """Add it."""
        if admission.subresource or admission.object is None:
            return
        finalizer = _FINALIZERS[admission.resource.group, admission.resource.plural]
        finalizers = admission.object["metadata"].setdefault("finalizers", [])
        if finalizer not in finalizers:
            finalizers.append(finalizer)
