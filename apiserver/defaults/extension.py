"""Defaults of kinds that extend or steer the API server itself: webhooks, API services, flow control.

Source: Kubernetes API reference (pkg/apis/<group>/v1/defaults.go).
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


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


def validatingadmissionpolicy(obj: Document) -> None:
    """Fill in a ValidatingAdmissionPolicy."""
    _policy(obj)


def mutatingadmissionpolicy(obj: Document) -> None:
    """Fill in a MutatingAdmissionPolicy."""
    _policy(obj).setdefault("reinvocationPolicy", "Never")


def policybinding(obj: Document) -> None:
    """Fill in the binding of an admission policy."""
    spec = obj.setdefault("spec", {})
    if "paramRef" in spec:
        spec["paramRef"].setdefault("parameterNotFoundAction", "Deny")
    if "matchResources" in spec:
        _match_resources(spec["matchResources"])


def _policy(obj: Document) -> Document:
    spec: Document = obj.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    if "matchConstraints" in spec:
        _match_resources(spec["matchConstraints"])
    return spec


def _match_resources(match: Document) -> None:
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for name in ("resourceRules", "excludeResourceRules"):
        for rule in match.get(name) or ():
            rule.setdefault("scope", "*")


def apiservice(obj: Document) -> None:
    """Fill in an APIService."""
    service = obj.setdefault("spec", {}).get("service")
    if service:
        service.setdefault("port", 443)


def flowschema(obj: Document) -> None:
    """Fill in a FlowSchema."""
    obj.setdefault("spec", {}).setdefault("matchingPrecedence", 1000)


def prioritylevelconfiguration(obj: Document) -> None:
    """Fill in a PriorityLevelConfiguration."""
    spec = obj.setdefault("spec", {})
    match spec.get("type"):
        case "Exempt":
            exempt = spec.setdefault("exempt", {})
            exempt.setdefault("nominalConcurrencyShares", 0)
            exempt.setdefault("lendablePercent", 0)
        case "Limited" if "limited" in spec:
            limited = spec["limited"]
            limited.setdefault("nominalConcurrencyShares", 30)
            limited.setdefault("lendablePercent", 0)
            queuing = (limited.get("limitResponse") or {}).get("queuing")
            if queuing is not None:
                for name, value in (("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)):
                    queuing.setdefault(name, value)


def customresourcedefinition(obj: Document) -> None:
    """Fill in a CustomResourceDefinition."""
    spec = obj.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind") or ""
    if not names.get("singular"):
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service:
        service.setdefault("port", 443)
