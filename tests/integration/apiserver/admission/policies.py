"""Policies and bindings for tests, each for a namespace of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

Document = dict[str, Any]

API = "/apis/admissionregistration.k8s.io/v1"
CONFIGMAPS: Document = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["configmaps"],
}
DEPLOYMENTS: Document = {
    "apiGroups": ["apps"],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["deployments"],
}


def selector(namespace: str) -> Document:
    """A namespace's own."""
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def deployment(name: str, replicas: int = 1, **metadata: Any) -> Document:
    """A Deployment of one container."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, **metadata},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    }


@asynccontextmanager
async def policed(
    http: httpx.AsyncClient,
    namespace: str,
    spec: Document,
    *,
    rules: list[Document],
    sort: str = "validating",
    match: Mapping[str, Any] | None = None,
    cluster: bool = False,
    **bindings: Document,
) -> AsyncIterator[str]:
    """A policy and its bindings (by name; one that denies if none is given) until the block ends; the policy's name.

    The bindings are for the namespace alone, or (`cluster`) for everything.
    """
    name = f"{namespace}.test"
    constraints = {"resourceRules": rules, **(match or {})}
    body = {"metadata": {"name": name}, "spec": {"matchConstraints": constraints, **spec}}
    made = await http.post(f"{API}/{sort}admissionpolicies", json=body)
    assert made.status_code == 201, made.text
    places = [f"{sort}admissionpolicies/{name}"]
    try:
        for label, binding in (bindings or {"binding": {}}).items():
            given: Document = {"policyName": name, **binding}
            if sort == "validating":
                given.setdefault("validationActions", ["Deny"])
            if not cluster:
                given.setdefault("matchResources", {}).setdefault("namespaceSelector", selector(namespace))
            body = {"metadata": {"name": f"{namespace}.{label}"}, "spec": given}
            made = await http.post(f"{API}/{sort}admissionpolicybindings", json=body)
            assert made.status_code == 201, made.text
            places.insert(0, f"{sort}admissionpolicybindings/{namespace}.{label}")
        yield name
    finally:
        for place in places:
            await http.delete(f"{API}/{place}")
