"""`autoscaling`: HorizontalPodAutoscalers.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..defaults import autoscaling as defaults
from ..validation import autoscaling as rules
from .base import Strategy
from .simple import SimpleStrategy

STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("autoscaling", "horizontalpodautoscalers"): SimpleStrategy(
        default=defaults.horizontalpodautoscaler,
        validate=rules.horizontal_pod_autoscaler,
        validate_update=rules.horizontal_pod_autoscaler_update,
        generation=True,
        initial_status={"currentReplicas": 0, "desiredReplicas": 0},
    ),
}
