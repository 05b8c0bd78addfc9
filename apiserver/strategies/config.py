"""ConfigMaps and Secrets.

Source: Kubernetes' registry/core/{configmap,secret}/strategy.go.
"""

from __future__ import annotations

from ..defaults import core as defaults
from ..validation import config as rules
from .base import Strategy
from .simple import SimpleStrategy, fields

STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("", "configmaps"): SimpleStrategy(validate=rules.configmap, validate_update=rules.configmap_update),
    ("", "secrets"): SimpleStrategy(
        default=defaults.secret,
        validate=rules.secret,
        validate_update=rules.secret_update,
        fields=fields("type"),
    ),
}
