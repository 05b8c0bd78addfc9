"""Kinds of the other groups that need no more than data.

Source: Kubernetes' registry/{rbac,autoscaling,networking,policy,storage,…}/*/strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause, forbidden_field, invalid_value, required

from ..defaults import others as defaults
from ..validation import names
from ..validation.others import cluster_role_binding, ingress, lease, pod_disruption_budget, role_ref_immutable
from ..validation.selectors import label_selector
from .base import Context, Document, Strategy
from .simple import SimpleStrategy, fields

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"


def _validate_hpa(obj: Document) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas") or 0
    if least < 1:
        causes.append(invalid_value("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        causes.append(invalid_value("spec.maxReplicas", most, "must be greater than 0"))
    elif most < least:
        causes.append(invalid_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    causes += [required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name)]
    return causes


def _priority_update(new: Document, old: Document) -> list[Cause]:
    causes = []
    if new.get("value", 0) != old.get("value", 0):
        causes.append(forbidden_field("value", "may not be changed in an update."))
    if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
        causes.append(invalid_value("preemptionPolicy", new.get("preemptionPolicy"), "field is immutable"))
    return causes


def _storage_class_update(new: Document, old: Document) -> list[Cause]:
    causes = []
    for name in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        if new.get(name) != old.get(name):
            causes.append(forbidden_field(name, f"updates to {name} are forbidden."))
    return causes


class CertificateRequestStrategy(Strategy):
    """A request keeps what was asked for, and by whom."""

    has_generation = False
    selectable_fields = fields("spec.signerName")

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Note who asks."""
        obj["status"] = {}
        spec, user = obj.setdefault("spec", {}), context.user
        for name in ("username", "uid", "groups", "extra"):
            spec.pop(name, None)
        spec["username"] = user.name
        if user.uid:
            spec["uid"] = user.uid
        if user.groups:
            spec["groups"] = list(user.groups)
        if user.extra:
            spec["extra"] = {key: list(values) for key, values in user.extra.items()}
        spec.setdefault("usages", ["digital signature", "key encipherment"])

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """The spec is for ever."""
        obj["spec"] = old.get("spec") or {}

    def prepare_status_update(self, obj: Document, old: Document, context: Context) -> None:
        """Approval has an endpoint of its own."""
        conditions = (old.get("status") or {}).get("conditions")
        status = obj.setdefault("status", {})
        if conditions is not None:
            status["conditions"] = conditions

    def validate(self, obj: Document) -> list[Cause]:
        """A signer and a request are there."""
        spec = obj.get("spec") or {}
        return [required(f"spec.{name}") for name in ("request", "signerName") if not spec.get(name)]


_SPECIFIED = SimpleStrategy(generation=True, initial_status={})
_BINDING = SimpleStrategy(
    default=defaults.rolebinding,
    validate=cluster_role_binding,
    validate_update=role_ref_immutable,
    name_rule=names.path_segment,
    create_on_update=True,
)
_ROLE = SimpleStrategy(name_rule=names.path_segment, create_on_update=True)
_WEBHOOKS = SimpleStrategy(default=defaults.webhookconfiguration, generation=True, unconditional_update=False)
_CONDITIONAL = SimpleStrategy(generation=True, unconditional_update=False)

STRATEGIES: dict[tuple[str, str], Strategy] = {
    (_RBAC, "roles"): _ROLE,
    (_RBAC, "clusterroles"): _ROLE,
    (_RBAC, "rolebindings"): _BINDING,
    (_RBAC, "clusterrolebindings"): _BINDING,
    ("coordination.k8s.io", "leases"): SimpleStrategy(
        validate=lease, unconditional_update=False, create_on_update=True
    ),
    ("autoscaling", "horizontalpodautoscalers"): SimpleStrategy(
        default=defaults.horizontalpodautoscaler,
        validate=_validate_hpa,
        initial_status={"currentReplicas": 0, "desiredReplicas": 0},
    ),
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
    ("policy", "poddisruptionbudgets"): SimpleStrategy(
        validate=pod_disruption_budget,
        generation=True,
        unconditional_update=False,
        initial_status={"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
    ),
    ("scheduling.k8s.io", "priorityclasses"): SimpleStrategy(
        default=defaults.priorityclass, validate_update=_priority_update, generation=True
    ),
    ("storage.k8s.io", "storageclasses"): SimpleStrategy(
        default=defaults.storageclass, validate_update=_storage_class_update
    ),
    ("storage.k8s.io", "csidrivers"): SimpleStrategy(
        default=defaults.csidriver, generation=True, unconditional_update=False
    ),
    ("storage.k8s.io", "volumeattachments"): SimpleStrategy(initial_status={"attached": False}),
    ("certificates.k8s.io", "certificatesigningrequests"): CertificateRequestStrategy(),
    ("certificates.k8s.io", "clustertrustbundles"): SimpleStrategy(
        name_rule=lambda name: names.dns_subdomain(name.replace(":", ".")),
        unconditional_update=False,
        fields=fields("spec.signerName"),
    ),
    ("certificates.k8s.io", "podcertificaterequests"): SimpleStrategy(
        initial_status={}, fields=fields("spec.signerName", "spec.podName", "spec.nodeName")
    ),
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
    ("resource.k8s.io", "resourceclaims"): SimpleStrategy(initial_status={}),
    ("resource.k8s.io", "resourceslices"): SimpleStrategy(
        generation=True, fields=fields("spec.nodeName", "spec.driver")
    ),
    ("resource.k8s.io", "deviceclasses"): SimpleStrategy(generation=True),
    ("resource.k8s.io", "devicetaintrules"): SimpleStrategy(generation=True),
    ("storagemigration.k8s.io", "storageversionmigrations"): SimpleStrategy(initial_status={}),
}
