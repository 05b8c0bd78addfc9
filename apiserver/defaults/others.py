"""Defaults of the groups whose kinds need one or two each.

Source: Kubernetes API reference (pkg/apis/<group>/v1/defaults.go).
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"


def horizontalpodautoscaler(obj: Document) -> None:
    """Fill in a HorizontalPodAutoscaler (autoscaling/v2)."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if "behavior" in spec:
        up = spec["behavior"].setdefault("scaleUp", {})
        down = spec["behavior"].setdefault("scaleDown", {})
        up.setdefault("stabilizationWindowSeconds", 0)
        for rules in (up, down):
            rules.setdefault("selectPolicy", "Max")
        up.setdefault(
            "policies",
            [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
        )
        down.setdefault("policies", [{"type": "Percent", "value": 100, "periodSeconds": 15}])


def networkpolicy(obj: Document) -> None:
    """Fill in a NetworkPolicy: it is about ingress, and about egress if it says anything of it."""
    spec = obj.setdefault("spec", {})
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def rolebinding(obj: Document) -> None:
    """Fill in a RoleBinding or ClusterRoleBinding: the API groups of the role and the subjects."""
    role = obj.setdefault("roleRef", {})
    if not role.get("apiGroup"):
        role["apiGroup"] = RBAC
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
            subject["apiGroup"] = RBAC


def priorityclass(obj: Document) -> None:
    """Fill in a PriorityClass."""
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def storageclass(obj: Document) -> None:
    """Fill in a StorageClass."""
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def csidriver(obj: Document) -> None:
    """Fill in a CSIDriver."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("attachRequired", True)
    for name in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
        spec.setdefault(name, False)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    spec.setdefault("volumeLifecycleModes", ["Persistent"])


def webhookconfiguration(obj: Document) -> None:
    """Fill in a ValidatingWebhookConfiguration or MutatingWebhookConfiguration."""
    mutating = obj.get("kind") == "MutatingWebhookConfiguration"
    for webhook in obj.get("webhooks") or ():
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("matchPolicy", "Equivalent")
        webhook.setdefault("namespaceSelector", {})
        webhook.setdefault("objectSelector", {})
        webhook.setdefault("timeoutSeconds", 10)
        if mutating:
            webhook.setdefault("reinvocationPolicy", "Never")
        for rule in webhook.get("rules") or ():
            rule.setdefault("scope", "*")
        service = (webhook.get("clientConfig") or {}).get("service")
        if service:
            service.setdefault("port", 443)


def apiservice(obj: Document) -> None:
    """Fill in an APIService."""
    service = obj.setdefault("spec", {}).get("service")
    if service:
        service.setdefault("port", 443)


def ingressclass(obj: Document) -> None:
    """Fill in an IngressClass: where its parameters stand."""
    parameters = obj.setdefault("spec", {}).get("parameters")
    if parameters:
        parameters.setdefault("scope", "Cluster")


def flowschema(obj: Document) -> None:
    """Fill in a FlowSchema."""
    obj.setdefault("spec", {}).setdefault("matchingPrecedence", 1000)
