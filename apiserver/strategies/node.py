"""`node.k8s.io`: runtime classes.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..validation import node as rules
from .base import Strategy
from .simple import SimpleStrategy

STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("node.k8s.io", "runtimeclasses"): SimpleStrategy(
        validate=rules.runtime_class, validate_update=rules.runtime_class_update
    ),
}
