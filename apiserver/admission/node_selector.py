"""PodNodeSelector: a namespace's annotation says on which nodes its pods may run.

Source: Kubernetes documentation, "Admission Controllers: PodNodeSelector" (without its configuration file).
"""

from __future__ import annotations

from ..lookup import Objects
from .base import Admission, Operation, Plugin, refused

_ANNOTATION = "scheduler.alpha.kubernetes.io/node-selector"
_CONFLICT = "pod node label selector conflicts with its namespace node label selector"


class PodNodeSelector(Plugin):
    """Adds the namespace's node selector to new pods; refuses those whose own contradicts it."""

    kinds = frozenset({("", "pods")})
    operations = frozenset[Operation]({"CREATE"})

    def __init__(self, objects: Objects) -> None:
        self._namespaces = objects.resource("", "namespaces")

    async def mutate(self, admission: Admission) -> None:
        """Add it. Raises ApiError 403."""
        wanted = self._check(admission)
        if wanted and admission.object is not None:
            spec = admission.object["spec"]
            spec["nodeSelector"] = {**wanted, **(spec.get("nodeSelector") or {})}

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 for a contradiction."""
        self._check(admission)

    def _check(self, admission: Admission) -> dict[str, str]:
        if admission.subresource or admission.object is None:
            return {}
        entry = self._namespaces.get("", admission.namespace)
        annotations = entry.document["metadata"].get("annotations") or {} if entry is not None else {}
        wanted = _labels(annotations.get(_ANNOTATION) or "")
        own = admission.object["spec"].get("nodeSelector") or {}
        if any(own.get(key, value) != value for key, value in wanted.items()):
            raise refused(admission, _CONFLICT)
        return wanted


def _labels(text: str) -> dict[str, str]:
    """`a=b,c=d`; what is no pair is left out."""
    pairs = (part.partition("=") for part in text.split(","))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals and key.strip()}
