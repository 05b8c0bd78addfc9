"""`scheduling.k8s.io`: priority classes.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..defaults import scheduling as defaults
from ..validation import scheduling as rules
from .base import Strategy
from .simple import SimpleStrategy

STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("scheduling.k8s.io", "priorityclasses"): SimpleStrategy(
        default=defaults.priorityclass,
        validate=rules.priority_class,
        validate_update=rules.priority_class_update,
        generation=True,
    ),
}
