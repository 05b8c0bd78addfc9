"""`resource.k8s.io`: devices.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from .base import Strategy
from .simple import SimpleStrategy, fields

STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("resource.k8s.io", "resourceclaims"): SimpleStrategy(initial_status={}),
    ("resource.k8s.io", "resourceslices"): SimpleStrategy(
        generation=True, fields=fields("spec.nodeName", "spec.driver")
    ),
    ("resource.k8s.io", "deviceclasses"): SimpleStrategy(generation=True),
    ("resource.k8s.io", "devicetaintrules"): SimpleStrategy(generation=True),
}
