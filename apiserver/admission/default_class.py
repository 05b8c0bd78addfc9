"""DefaultStorageClass and DefaultIngressClass: who names no class gets the default one.

Of several classes that say they are the default, the newest is; of those of one age, the first by name.

Source: Kubernetes documentation, "Storage Classes: default", "Ingress: default class"; plugin/pkg/admission.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..lookup import Objects, Rows
from .base import Admission, Operation, Plugin

_STORAGE = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_CLASS_OF_CLAIM = "volume.beta.kubernetes.io/storage-class"
_INGRESS = ("ingressclass.kubernetes.io/is-default-class",)
_CLASS_OF_INGRESS = "kubernetes.io/ingress.class"


class DefaultClass:
    """The default among the objects of one resource, worked out anew when one of them changes."""

    def __init__(self, rows: Rows, annotations: Sequence[str]) -> None:
        self._rows = rows
        self._annotations = annotations
        self._changed = -1
        self._name: str | None = None

    @property
    def name(self) -> str | None:
        """What it is called; None if there is none."""
        if self._changed != self._rows.changed:
            self._changed = self._rows.changed
            metadata = [entry.document["metadata"] for entry in self._rows.select()]
            defaults = [meta for meta in metadata if self._is_default(meta)]
            self._name = min(defaults, key=_newest_first)["name"] if defaults else None
        return self._name

    def _is_default(self, metadata: dict[str, Any]) -> bool:
        given = metadata.get("annotations") or {}
        return any(given.get(annotation) == "true" for annotation in self._annotations)


def _newest_first(metadata: dict[str, Any]) -> tuple[float, str]:
    made = datetime.strptime(metadata["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return -made.timestamp(), metadata["name"]


class DefaultStorageClass(Plugin):
    """Sets `storageClassName` of new claims; an empty one is a wish for none."""

    kinds = frozenset({("", "persistentvolumeclaims")})
    operations = frozenset[Operation]({"CREATE"})

    def __init__(self, objects: Objects) -> None:
        self._default = DefaultClass(objects.resource("storage.k8s.io", "storageclasses"), _STORAGE)

    async def mutate(self, admission: Admission) -> None:
        """Name the class."""
        if admission.subresource or admission.object is None:
            return
        spec = admission.object.setdefault("spec", {})
        named = _CLASS_OF_CLAIM in (admission.object["metadata"].get("annotations") or {})
        if named or spec.get("storageClassName") is not None:
            return
        if name := self._default.name:
            spec["storageClassName"] = name


class DefaultIngressClass(Plugin):
    """Sets `ingressClassName` of new ingresses."""

    kinds = frozenset({("networking.k8s.io", "ingresses")})
    operations = frozenset[Operation]({"CREATE"})

    def __init__(self, objects: Objects) -> None:
        self._default = DefaultClass(objects.resource("networking.k8s.io", "ingressclasses"), _INGRESS)

    async def mutate(self, admission: Admission) -> None:
        """Name the class."""
        if admission.subresource or admission.object is None:
            return
        spec = admission.object.setdefault("spec", {})
        named = _CLASS_OF_INGRESS in (admission.object["metadata"].get("annotations") or {})
        if named or spec.get("ingressClassName") is not None:
            return
        if name := self._default.name:
            spec["ingressClassName"] = name
