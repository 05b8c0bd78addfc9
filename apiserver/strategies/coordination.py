"""`coordination.k8s.io`: leases.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..validation.coordination import lease
from .base import Strategy
from .simple import SimpleStrategy

STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("coordination.k8s.io", "leases"): SimpleStrategy(
        validate=lease, unconditional_update=False, create_on_update=True
    ),
}
