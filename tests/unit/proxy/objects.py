"""Services and EndpointSlices for tests, from what matters about them."""

from __future__ import annotations

from typing import Any

from k8slite.kinds.core import Service
from k8slite.kinds.discovery import EndpointSlice


def service(name: str = "web", address: str = "10.96.0.20", *, namespace: str = "default", **spec: Any) -> Service:
    """A Service with port 80 (`http`), unless `spec` says otherwise."""
    ports = spec.pop("ports", [{"name": "http", "port": 80}])
    body = {"clusterIP": address, "clusterIPs": [address] if address else [], "ports": ports, **spec}
    return Service.model_validate({"metadata": {"name": name, "namespace": namespace}, "spec": body})


def piece(*endpoints: Any, name: str = "web", namespace: str = "default", ports: Any = None) -> EndpointSlice:
    """A slice with port 8080 (`http`); an endpoint is an address or a whole endpoint."""
    return EndpointSlice.model_validate(
        {
            "metadata": {
                "name": f"{name}-1",
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}] if ports is None else ports,
            "endpoints": [{"addresses": [each]} if isinstance(each, str) else each for each in endpoints],
        }
    )


def endpoint(address: str, **fields: Any) -> dict[str, Any]:
    """An endpoint; `ready`, `serving` and `terminating` are its conditions."""
    conditions = {key: fields.pop(key) for key in ("ready", "serving", "terminating") if key in fields}
    return {"addresses": [address], "conditions": conditions, **fields}
