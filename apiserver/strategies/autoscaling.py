"""`autoscaling`: HorizontalPodAutoscalers.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause, invalid_value, required

from ..defaults import autoscaling as defaults
from .base import Document, Strategy
from .simple import SimpleStrategy


def _validate_hpa(obj: Document) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas") or 0
    if least < 1:
        causes.append(invalid_value("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        causes.append(invalid_value("spec.maxReplicas", most, "must be greater than 0"))
    elif most < least:
        causes.append(invalid_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    causes += [required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name)]
    return causes


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("autoscaling", "horizontalpodautoscalers"): SimpleStrategy(
        default=defaults.horizontalpodautoscaler,
        validate=_validate_hpa,
        initial_status={"currentReplicas": 0, "desiredReplicas": 0},
    ),
}
