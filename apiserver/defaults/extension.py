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


def apiservice(obj: Document) -> None:
    """Fill in an APIService."""
    service = obj.setdefault("spec", {}).get("service")
    if service:
        service.setdefault("port", 443)


def flowschema(obj: Document) -> None:
    """Fill in a FlowSchema."""
    obj.setdefault("spec", {}).setdefault("matchingPrecedence", 1000)
