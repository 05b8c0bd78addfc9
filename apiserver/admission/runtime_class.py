"""RuntimeClass: a new pod takes the overhead of its runtime class, and its wishes about nodes.

Source: Kubernetes documentation, "Runtime Class", "Pod Overhead"; plugin/pkg/admission/runtimeclass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from k8slite.usage.amounts import amounts

from ..lookup import Objects
from ..strategies.base import Document
from .base import Admission, Operation, Plugin, refused

_OTHER = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
_NONE = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"


class RuntimeClass(Plugin):
    """Sets overhead, node selector and tolerations; refuses classes that do not exist and overhead of one's own."""

    kinds = frozenset({("", "pods")})
    operations = frozenset[Operation]({"CREATE"})

    def __init__(self, objects: Objects, *, consistent: Callable[[], Awaitable[None]]) -> None:
        self._classes = objects.resource("node.k8s.io", "runtimeclasses")
        self._consistent = consistent

    async def mutate(self, admission: Admission) -> None:
        """Complete the pod. Raises ApiError 403."""
        pod = admission.object
        if admission.subresource or pod is None:
            return
        found = await self._class(admission, pod)
        if found is None:
            return
        spec = pod["spec"]
        if overhead := (found.get("overhead") or {}).get("podFixed"):
            if spec.get("overhead") is not None and not _equal(spec["overhead"], overhead):
                raise refused(admission, _OTHER)
            spec["overhead"] = overhead
        scheduling = found.get("scheduling") or {}
        if wanted := scheduling.get("nodeSelector"):
            spec["nodeSelector"] = _selector(admission, spec.get("nodeSelector") or {}, wanted)
        if tolerations := scheduling.get("tolerations"):
            spec["tolerations"] = merged([*(spec.get("tolerations") or ()), *tolerations])

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 for overhead that is not the class's."""
        pod = admission.object
        if admission.subresource or pod is None:
            return
        found = await self._class(admission, pod)
        own, defined = pod["spec"].get("overhead"), ((found or {}).get("overhead") or {}).get("podFixed")
        if defined and not _equal(own or {}, defined):
            raise refused(admission, _OTHER)
        if own is not None and not defined:
            raise refused(admission, _NONE)

    async def _class(self, admission: Admission, pod: Document) -> Document | None:
        name = pod["spec"].get("runtimeClassName")
        if name is None:
            return None
        entry = self._classes.get("", name)
        if entry is None:
            await self._consistent()
            entry = self._classes.get("", name)
        if entry is None:
            raise refused(admission, f'pod rejected: RuntimeClass "{name}" not found')
        return entry.document


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    mine, theirs = ({name: value.value for name, value in amounts(each).items()} for each in (one, other))
    return mine == theirs


def _selector(admission: Admission, own: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    for key, value in wanted.items():
        if own.get(key, value) != value:
            detail = (
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {own[key]}"
            )
            raise refused(admission, detail)
    return {**own, **wanted}


def merged(tolerations: Sequence[Document]) -> list[Document]:
    """Tolerations without those that another one includes."""
    kept: list[Document] = []
    for index, one in enumerate(tolerations):
        later = (other for other in tolerations[index + 1 :] if other != one)
        if not any(_includes(other, one) for other in (*kept, *later)):
            kept.append(one)
    return kept


def _includes(wide: Document, narrow: Document) -> bool:
    """Whether a toleration tolerates all that another one does."""
    if wide == narrow:
        return True
    exists = wide.get("operator") == "Exists"
    key, effect = wide.get("key") or "", wide.get("effect") or ""
    if key != (narrow.get("key") or "") and (key or not exists):
        return False
    if effect and effect != (narrow.get("effect") or ""):
        return False
    most, seconds = wide.get("tolerationSeconds"), narrow.get("tolerationSeconds")
    if effect == "NoExecute" and most is not None and (seconds is None or seconds > most):
        return False
    if exists:
        return True
    equal = ("", "Equal", None)
    same_value = (narrow.get("value") or "") == (wide.get("value") or "")
    return wide.get("operator") in equal and narrow.get("operator") in equal and same_value
