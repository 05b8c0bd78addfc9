"""Kinds that extend or steer the API server itself: webhooks, admission policies, custom resources, flow control.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause

from ..aggregation.conditions import LOCAL, with_condition
from ..defaults import extension as defaults
from ..validation import admission_policies, apiextensions, apiregistration, flowcontrol, names, webhooks
from ..validation.values import unchanged
from .base import Context, Document, Strategy
from .definitions import DefinitionStrategy
from .simple import SimpleStrategy

_ADMISSION = "admissionregistration.k8s.io"


class ApiServiceStrategy(SimpleStrategy):
    """A group version that this server serves itself is available at once."""

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Set the first status."""
        super().prepare_create(obj, context)
        if (obj.get("spec") or {}).get("service") is None:
            obj["status"] = with_condition(obj, LOCAL, context.now)["status"]


class PolicyStrategy(SimpleStrategy):
    """An admission policy: what was found right is not judged again until it changes."""

    def validate_again(self, obj: Document, old: Document) -> list[Cause]:
        """The kind's rules, for a changed spec."""
        return [] if obj.get("spec") == old.get("spec") else self.validate(obj)


_WEBHOOKS = SimpleStrategy(
    default=defaults.webhookconfiguration,
    validate=webhooks.webhook_configuration,
    generation=True,
    unconditional_update=False,
)

STRATEGIES: dict[tuple[str, str], Strategy] = {
    (_ADMISSION, "validatingwebhookconfigurations"): _WEBHOOKS,
    (_ADMISSION, "mutatingwebhookconfigurations"): _WEBHOOKS,
    (_ADMISSION, "validatingadmissionpolicies"): PolicyStrategy(
        default=defaults.validatingadmissionpolicy,
        validate=admission_policies.validating_policy,
        validate_status=admission_policies.policy_status,
        initial_status={},
        generation=True,
        unconditional_update=False,
    ),
    (_ADMISSION, "validatingadmissionpolicybindings"): SimpleStrategy(
        default=defaults.policybinding,
        validate=admission_policies.validating_binding,
        generation=True,
        unconditional_update=False,
    ),
    (_ADMISSION, "mutatingadmissionpolicies"): PolicyStrategy(
        default=defaults.mutatingadmissionpolicy,
        validate=admission_policies.mutating_policy,
        generation=True,
        unconditional_update=False,
    ),
    (_ADMISSION, "mutatingadmissionpolicybindings"): SimpleStrategy(
        default=defaults.policybinding,
        validate=admission_policies.mutating_binding,
        generation=True,
        unconditional_update=False,
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions"): DefinitionStrategy(
        default=defaults.customresourcedefinition,
        validate=apiextensions.definition,
        validate_create=apiextensions.new_definition,
        validate_update=apiextensions.changed_definition,
        generation=True,
        unconditional_update=False,
    ),
    ("apiregistration.k8s.io", "apiservices"): ApiServiceStrategy(
        default=defaults.apiservice,
        validate=apiregistration.api_service,
        name_rule=names.path_segment,
        unconditional_update=False,
        initial_status={},
    ),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): SimpleStrategy(
        default=defaults.flowschema,
        validate=flowcontrol.flow_schema,
        generation=True,
        initial_status={},
    ),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): SimpleStrategy(
        default=defaults.prioritylevelconfiguration,
        validate=flowcontrol.priority_level,
        generation=True,
        initial_status={},
    ),
    ("storagemigration.k8s.io", "storageversionmigrations"): SimpleStrategy(
        validate_update=lambda new, old: unchanged(new, old, "spec"), initial_status={}
    ),
}
