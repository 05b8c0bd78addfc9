"""Defaults of `networking.k8s.io`: ingresses, policies, addresses.

Source: Kubernetes API reference (pkg/apis/<group>/v1/defaults.go).
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def networkpolicy(obj: Document) -> None:
    """Fill in a NetworkPolicy: it is about ingress, and about egress if it says anything of it."""
    spec = obj.setdefault("spec", {})
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def ingressclass(obj: Document) -> None:
    """Fill in an IngressClass: where its parameters stand."""
    parameters = obj.setdefault("spec", {}).get("parameters")
    if parameters:
        parameters.setdefault("scope", "Cluster")
