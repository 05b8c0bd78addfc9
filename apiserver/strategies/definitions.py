"""CustomResourceDefinitions: which versions were ever stored, and a deletion that waits for the custom objects.

Source: Kubernetes' apiextensions-apiserver, registry/customresourcedefinition (strategy.go, etcd.go).
"""

from __future__ import annotations

from .base import Context, Document
from .simple import SimpleStrategy

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class DefinitionStrategy(SimpleStrategy):
    """The hooks of definitions; defaults and rules are arguments, as of any simple kind."""

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Begin with no conditions and one stored version."""
        obj["status"] = {}
        _remember_stored(obj)

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """Remember a version that is stored from now on."""
        obj["status"] = dict(obj.get("status") or {})
        _remember_stored(obj)

    def removable(self, obj: Document) -> bool:
        """Not at once: the custom objects go first."""
        return bool(obj["metadata"].get("deletionTimestamp")) and super().removable(obj)

    def begin_deletion(self, obj: Document) -> None:
        """Have the deletion wait, and say so."""
        meta, now = obj["metadata"], obj["metadata"]["deletionTimestamp"]
        if FINALIZER not in (meta.get("finalizers") or ()):
            meta["finalizers"] = [*(meta.get("finalizers") or ()), FINALIZER]
        status = obj["status"] = dict(obj.get("status") or {})
        status["conditions"] = [
            *(each for each in status.get("conditions") or () if each.get("type") != "Terminating"),
            {
                "type": "Terminating",
                "status": "True",
                "lastTransitionTime": now,
                "reason": "InstanceDeletionPending",
                "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            },
        ]


def _remember_stored(obj: Document) -> None:
    known = obj["status"].get("storedVersions") or []
    stored = [each["name"] for each in obj["spec"].get("versions") or () if each.get("storage")]
    obj["status"]["storedVersions"] = known + [name for name in stored[:1] if name not in known]
