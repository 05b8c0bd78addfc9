"""ExtendedResourceToleration: pods that ask for a device bear the taint that keeps its nodes for such pods.

Source: Kubernetes documentation, "Admission Controllers: ExtendedResourceToleration".
"""

from __future__ import annotations

from ..validation.resources import is_extended
from .base import Admission, Plugin


class ExtendedResourceToleration(Plugin):
    """Adds a toleration for each extended resource that a container requests."""

    kinds = frozenset({("", "pods")})

    async def mutate(self, admission: Admission) -> None:
        """Add what is missing."""
        if admission.subresource or admission.object is None:
            return
        spec = admission.object["spec"]
        containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
        asked = {name for one in containers for name in (one.get("resources") or {}).get("requests") or ()}
        for name in sorted(filter(is_extended, asked)):
            wanted = {"key": name, "operator": "Exists"}
            tolerations = spec.setdefault("tolerations", [])
            if wanted not in tolerations:
                tolerations.append(wanted)
