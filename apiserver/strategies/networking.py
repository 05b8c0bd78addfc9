"""`networking.k8s.io`: ingresses, policies, addresses.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..defaults import networking as defaults
from ..validation import names
from ..validation.networking import ingress
from ..validation.selectors import label_selector
from .base import Strategy
from .simple import SimpleStrategy

STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("networking.k8s.io", "ingresses"): SimpleStrategy(
        validate=ingress, generation=True, initial_status={"loadBalancer": {}}
    ),
    ("networking.k8s.io", "ingressclasses"): SimpleStrategy(default=defaults.ingressclass, generation=True),
    ("networking.k8s.io", "networkpolicies"): SimpleStrategy(
        default=defaults.networkpolicy,
        validate=lambda obj: label_selector((obj.get("spec") or {}).get("podSelector"), "spec.podSelector"),
        generation=True,
    ),
    ("networking.k8s.io", "ipaddresses"): SimpleStrategy(name_rule=names.ip_address, generation=True),
    ("networking.k8s.io", "servicecidrs"): SimpleStrategy(generation=True, initial_status={}),
}
