"""What a kubelet may do to volumes: say of one whose data it kept, and which is to go with them, that they are gone.

Kubernetes' kubelets write no volumes. Ours remove the directories of local volumes, which only they can do, and take
away the finalizer that waited for it; nothing else of the volume, and of no other.
"""

from __future__ import annotations

from typing import Any

from k8slite import local_volumes

from ..strategies.base import Document
from .base import Admission
from .node_pods import refused

_NOT_THEIRS = ("managedFields", "resourceVersion", "finalizers")


def check(admission: Admission, node: str) -> None:
    """Raise ApiError 403 for anything else."""
    new, old = admission.object, admission.old
    if admission.operation != "UPDATE" or admission.subresource or new is None or old is None:
        raise refused(admission, f'node "{node}" may only let go of volumes whose data it kept')
    if local_volumes.keeper(old["metadata"].get("labels") or {}) != node:
        raise refused(admission, f'node "{node}" does not keep the data of this volume')
    if not old["metadata"].get("deletionTimestamp") or (old.get("status") or {}).get("phase") == "Bound":
        raise refused(admission, f'node "{node}" may not let go of a volume that is not to be removed yet')
    left = [name for name in _finalizers(old) if name != local_volumes.FINALIZER]
    if _finalizers(new) != left or _rest(new) != _rest(old):
        raise refused(admission, f'node "{node}" may change nothing but the finalizer {local_volumes.FINALIZER}')


def _finalizers(volume: Document) -> list[str]:
    found: list[str] = volume["metadata"].get("finalizers") or []
    return found


def _rest(volume: Document) -> dict[str, Any]:
    return {**volume, "metadata": {k: v for k, v in volume["metadata"].items() if k not in _NOT_THEIRS}}
