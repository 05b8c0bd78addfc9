"""DefaultTolerationSeconds: pods bear a node that is not ready or not reachable for five minutes, unless they say else.

Source: Kubernetes documentation, "Taints and Tolerations: taint based evictions".
"""

from __future__ import annotations

from ..strategies.base import Document
from .base import Admission, Plugin

_SECONDS = 300
_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds(Plugin):
    """Adds two tolerations to pods, also when they change: a manifest names its own alone, and is applied again."""

    kinds = frozenset({("", "pods")})

    async def mutate(self, admission: Admission) -> None:
        """Add what is missing."""
        if admission.subresource or admission.object is None:
            return
        tolerations = admission.object["spec"].setdefault("tolerations", [])
        for taint in _TAINTS:
            if not (tolerations and _tolerated(taint, tolerations)):
                tolerations.append(
                    {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS}
                )


def _tolerated(taint: str, tolerations: list[Document]) -> bool:
    return any(
        item.get("key") in (None, "", taint) and item.get("effect") in (None, "", "NoExecute") for item in tolerations
    )
