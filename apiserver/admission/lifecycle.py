"""NamespaceLifecycle: nothing is created in a namespace that does not exist or is ending; some namespaces never end.

Source: Kubernetes documentation, "Admission Controllers: NamespaceLifecycle".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from k8slite.errors import ApiError, not_found

from ..lookup import Objects
from .base import Admission, Operation, Plugin

_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


class NamespaceLifecycle(Plugin):
    """Refuses; changes nothing."""

    operations = frozenset[Operation]({"CREATE", "DELETE"})

    def __init__(self, objects: Objects, *, consistent: Callable[[], Awaitable[None]]) -> None:
        self._consistent = consistent
        self._namespaces = objects.resource("", "namespaces")
        self._terminating: dict[str, tuple[int, bool]] = {}

    async def mutate(self, admission: Admission) -> None:
        """Refuse before other plugins work on it. Raises ApiError 404, 403."""
        resource = admission.resource
        if admission.operation == "DELETE" and not resource.group and resource.plural == "namespaces":
            if admission.name in _IMMORTAL:
                raise ApiError(
                    403,
                    "Forbidden",
                    f'namespaces "{admission.name}" is forbidden: this namespace may not be deleted',
                    details={"name": admission.name, "kind": "namespaces"},
                )
            return
        if admission.operation != "CREATE" or not resource.namespaced:
            return
        namespace = admission.namespace
        entry = self._namespaces.get("", namespace)
        if entry is None:  # another server may have made it a moment ago
            await self._consistent()
            entry = self._namespaces.get("", namespace)
        if entry is None:
            raise not_found("namespaces", namespace)
        known = self._terminating.get(namespace)
        if known is None or known[0] != entry.revision:
            if len(self._terminating) > 10_000:
                self._terminating.clear()
            ending = bool(entry.document["metadata"].get("deletionTimestamp"))
            known = self._terminating[namespace] = (entry.revision, ending)
        if known[1]:
            raise _ending(admission)


def _ending(admission: Admission) -> ApiError:
    resource = admission.resource
    cause = f"namespace {admission.namespace} is being terminated"
    details = {"name": admission.name, "kind": resource.plural}
    if resource.group:
        details["group"] = resource.group
    message = (
        f'{resource.qualified} "{admission.name}" is forbidden: unable to create new content in namespace '
        f"{admission.namespace} because it is being terminated"
    )
    causes = [{"reason": "NamespaceTerminating", "message": cause, "field": "metadata.namespace"}]
    return ApiError(403, "Forbidden", message, details={**details, "causes": causes})
