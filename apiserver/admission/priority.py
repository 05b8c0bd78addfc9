"""Priority: a pod's priority and preemption policy come from its PriorityClass, or from the default one.

There is one default at most: a second PriorityClass that wants to be it is refused.

Source: Kubernetes documentation, "Pod Priority and Preemption".
"""

from __future__ import annotations

from typing import Any

from ..lookup import Objects
from .base import Admission, Plugin, refused

_GROUP = "scheduling.k8s.io"


class Priority(Plugin):
    """Sets `priority`, `preemptionPolicy` and `priorityClassName` of new pods."""

    kinds = frozenset({("", "pods"), (_GROUP, "priorityclasses")})

    def __init__(self, objects: Objects) -> None:
        self._classes = objects.resource(_GROUP, "priorityclasses")
        self._changed = -1
        self._default: dict[str, Any] | None = None

    async def mutate(self, admission: Admission) -> None:
        """Resolve the class of a new pod; a changed one keeps what was computed. Raises ApiError 403."""
        if admission.subresource or admission.object is None or admission.resource.plural != "pods":
            return
        spec = admission.object["spec"]
        if admission.operation == "UPDATE" and admission.old is not None:
            for name in ("priority", "preemptionPolicy"):
                if spec.get(name) is None and (kept := admission.old["spec"].get(name)) is not None:
                    spec[name] = kept
            return
        name = spec.get("priorityClassName")
        if name:
            entry = self._classes.get("", name)
            if entry is None:
                raise refused(admission, f"no PriorityClass with name {name} was found")
            chosen: dict[str, Any] | None = entry.document
        else:
            chosen = self._global_default()
            if chosen is not None:
                spec["priorityClassName"] = chosen["metadata"]["name"]
        value = (chosen or {}).get("value") or 0
        policy = (chosen or {}).get("preemptionPolicy") or "PreemptLowerPriority"
        if spec.get("priority") not in (None, value):
            detail = (
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority "
                f"admission controller computed {value} from the given PriorityClass name"
            )
            raise refused(admission, detail)
        if spec.get("preemptionPolicy") not in (None, policy):
            detail = (
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name"
            )
            raise refused(admission, detail)
        spec["priority"] = value
        spec["preemptionPolicy"] = policy

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 for a second default."""
        new = admission.object
        if new is None or admission.resource.plural != "priorityclasses" or not new.get("globalDefault"):
            return
        default = self._global_default()
        if default is None:
            return
        name = default["metadata"]["name"]
        if admission.operation == "CREATE" or name != new["metadata"]["name"]:
            detail = f"PriorityClass {name} is already marked as default. Only one default can exist"
            raise refused(admission, detail)

    def _global_default(self) -> dict[str, Any] | None:
        if self._changed != self._classes.changed:
            self._changed = self._classes.changed
            defaults = [d for d in (entry.document for entry in self._classes.select()) if d.get("globalDefault")]
            self._default = min(defaults, key=lambda d: d.get("value") or 0) if defaults else None
        return self._default
