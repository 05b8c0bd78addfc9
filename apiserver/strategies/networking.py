"""`networking.k8s.io`: ingresses, policies, addresses.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..defaults import networking as defaults
from ..validation import ingresses, names
from ..validation import networking as rules
from .base import Strategy
from .simple import SimpleStrategy

_GROUP = "networking.k8s.io"

STRATEGIES: dict[tuple[str, str], Strategy] = {
    (_GROUP, "ingresses"): SimpleStrategy(
        validate=ingresses.ingress,
        validate_create=ingresses.ingress_create,
        generation=True,
        initial_status={"loadBalancer": {}},
    ),
    (_GROUP, "ingressclasses"): SimpleStrategy(
        default=defaults.ingressclass,
        validate=ingresses.ingress_class,
        validate_update=ingresses.ingress_class_update,
        generation=True,
    ),
    (_GROUP, "networkpolicies"): SimpleStrategy(
        default=defaults.networkpolicy, validate=rules.network_policy, generation=True
    ),
    (_GROUP, "ipaddresses"): SimpleStrategy(
        validate=rules.ip_address,
        validate_update=rules.ip_address_update,
        name_rule=names.ip_address,
        generation=True,
    ),
    (_GROUP, "servicecidrs"): SimpleStrategy(
        validate=rules.service_cidr,
        validate_update=rules.service_cidr_update,
        generation=True,
        initial_status={},
    ),
}
