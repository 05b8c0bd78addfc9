"""`scheduling.k8s.io`: priority classes.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause, forbidden_field, invalid_value

from ..defaults import scheduling as defaults
from .base import Document, Strategy
from .simple import SimpleStrategy


def _priority_update(new: Document, old: Document) -> list[Cause]:
    causes = []
    if new.get("value", 0) != old.get("value", 0):
        causes.append(forbidden_field("value", "may not be changed in an update."))
    if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
        causes.append(invalid_value("preemptionPolicy", new.get("preemptionPolicy"), "field is immutable"))
    return causes


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("scheduling.k8s.io", "priorityclasses"): SimpleStrategy(
        default=defaults.priorityclass, validate_update=_priority_update, generation=True
    ),
}
