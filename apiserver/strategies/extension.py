"""Kinds that extend or steer the API server itself: webhooks, admission policies, custom resources, flow control.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..defaults import extension as defaults
from .base import Strategy
from .simple import SimpleStrategy

_ADMISSION = "admissionregistration.k8s.io"


_SPECIFIED = SimpleStrategy(generation=True, initial_status={})
_WEBHOOKS = SimpleStrategy(default=defaults.webhookconfiguration, generation=True, unconditional_update=False)
_CONDITIONAL = SimpleStrategy(generation=True, unconditional_update=False)

STRATEGIES: dict[tuple[str, str], Strategy] = {
    (_ADMISSION, "validatingwebhookconfigurations"): _WEBHOOKS,
    (_ADMISSION, "mutatingwebhookconfigurations"): _WEBHOOKS,
    (_ADMISSION, "validatingadmissionpolicies"): _CONDITIONAL,
    (_ADMISSION, "validatingadmissionpolicybindings"): _CONDITIONAL,
    (_ADMISSION, "mutatingadmissionpolicies"): _CONDITIONAL,
    (_ADMISSION, "mutatingadmissionpolicybindings"): _CONDITIONAL,
    ("apiextensions.k8s.io", "customresourcedefinitions"): SimpleStrategy(
        generation=True, unconditional_update=False, initial_status={}
    ),
    ("apiregistration.k8s.io", "apiservices"): SimpleStrategy(
        default=defaults.apiservice, unconditional_update=False, initial_status={}
    ),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): SimpleStrategy(
        default=defaults.flowschema, generation=True, initial_status={}
    ),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): _SPECIFIED,
    ("storagemigration.k8s.io", "storageversionmigrations"): SimpleStrategy(initial_status={}),
}
