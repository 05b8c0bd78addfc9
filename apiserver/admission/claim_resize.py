"""PersistentVolumeClaimResize: a claim grows only where its storage class allows that.

Source: Kubernetes documentation, "Persistent Volumes: Expanding"; plugin/pkg/admission/storage/persistentvolume/resize.
"""

from __future__ import annotations

from decimal import Decimal

from k8slite.usage.amounts import ZERO, amounts

from ..lookup import Objects
from ..strategies.base import Document
from .base import Admission, Operation, Plugin, refused

_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


class PersistentVolumeClaimResize(Plugin):
    """Refuses; changes nothing."""

    kinds = frozenset({("", "persistentvolumeclaims")})
    operations = frozenset[Operation]({"UPDATE"})

    def __init__(self, objects: Objects) -> None:
        self._classes = objects.resource("storage.k8s.io", "storageclasses")

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 for a claim that may not grow."""
        new, old = admission.object, admission.old
        if admission.subresource or new is None or old is None or _size(new) <= _size(old):
            return
        if (old.get("status") or {}).get("phase") != "Bound":
            raise refused(admission, "Only bound persistent volume claims can be expanded")
        name = storage_class(new)
        entry = self._classes.get("", name) if name and name == storage_class(old) else None
        if entry is None or not entry.document.get("allowVolumeExpansion"):
            detail = (
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                "support resize"
            )
            raise refused(admission, detail)


def storage_class(claim: Document) -> str:
    """The class of a claim, by its annotation of old or its field."""
    annotated = (claim["metadata"].get("annotations") or {}).get(_ANNOTATION)
    name: str = annotated if annotated is not None else (claim.get("spec") or {}).get("storageClassName") or ""
    return name


def _size(claim: Document) -> Decimal:
    requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests")
    return amounts(requests).get("storage", ZERO).value
