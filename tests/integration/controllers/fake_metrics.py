"""An adapter that serves resource, custom and external metrics as a test sets them."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from k8slite.client import Client
from k8slite.kinds.resources import PODS
from k8slite.pki import Authority
from k8slite.testing import RunningServer, running_server
from k8slite.testing.extension import extension

RESOURCE, CUSTOM, EXTERNAL = "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"
VERSIONS = {RESOURCE: "v1beta1", CUSTOM: "v1beta2", EXTERNAL: "v1beta1"}
LISTS = {RESOURCE: "PodMetricsList", CUSTOM: "MetricValueList", EXTERNAL: "ExternalMetricValueList"}


@dataclass
class FakeMetrics:
    """`usage` is what each container of every pod uses; the others are values by path below the namespace."""

    usage: dict[str, str] = field(default_factory=dict)
    custom: dict[str, str] = field(default_factory=dict)
    external: dict[str, list[str]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    """Groups that answer 500."""
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    client: Client | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if len(parts) == 3 and parts[0] == "apis":
            names = [("pods", "PodMetrics")] if parts[1] == RESOURCE else []
            resources = [{"name": name, "kind": kind, "namespaced": True, "verbs": ["list"]} for name, kind in names]
            body = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{parts[1]}/{parts[2]}"}
            return web.json_response(body | {"resources": resources})
        if len(parts) < 6 or parts[1] not in VERSIONS:
            raise web.HTTPNotFound
        group, namespace, rest = parts[1], parts[4], "/".join(parts[5:])
        self.asked.append((request.path, dict(request.query)))
        if group in self.broken:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no luck", "code": 500}
            return web.json_response(status, status=500)
        items = await self._items(group, namespace, rest, request.query.get("labelSelector", ""))
        kind = {"kind": LISTS[group], "apiVersion": f"{group}/{VERSIONS[group]}", "metadata": {}}
        return web.json_response(kind | {"items": items})

    async def _items(self, group: str, namespace: str, rest: str, selector: str) -> list[dict[str, Any]]:
        assert self.client is not None
        moment = {"timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        if group == EXTERNAL:
            return [{**moment, "metricName": rest, "value": value} for value in self.external.get(rest, [])]
        if group == CUSTOM and not rest.startswith("pods/*/"):
            return [{**moment, "describedObject": {"name": rest.split("/")[1]}, "value": self.custom[rest]}]
        pods = (await self.client.list(PODS, namespace=namespace, label_selector=selector)).items
        if group == CUSTOM:
            value = self.custom[rest]
            return [{**moment, "describedObject": {"name": pod.name}, "value": value} for pod in pods]
        return [
            {
                "metadata": {"name": pod.name, "namespace": pod.namespace},
                **moment,
                "window": "10s",
                "containers": [{"name": one.name, "usage": self.usage} for one in pod.spec.containers],
            }
            for pod in pods
        ]


@contextlib.asynccontextmanager
async def metrics_server(directory: Path, **settings: Any) -> AsyncIterator[tuple[RunningServer, FakeMetrics]]:
    """An API server with the adapter behind it, available."""
    front = Authority.ensure(directory, name="front-proxy-ca")
    pair = front.issue_client("front-proxy-client", user="front-proxy-client")
    metrics = FakeMetrics()
    async with (
        extension(
            metrics.handle, directory=directory, hosts=["metrics.default.svc"], client_ca=front.cert_file
        ) as running,
        running_server(
            directory=directory,
            serviceaccounts=False,
            requestheader_client_ca_file=front.cert_file,
            requestheader_allowed_names=["front-proxy-client"],
            proxy_client_cert_file=pair.cert_file,
            proxy_client_key_file=pair.key_file,
            **settings,
        ) as server,
        Client(server.admin) as admin,
    ):
        metrics.client = admin
        await _register(server, admin, port=running.port, bundle=base64.b64encode(running.bundle).decode())
        yield server, metrics


async def _register(server: RunningServer, admin: Client, *, port: int, bundle: str) -> None:
    """The API refuses loopback addresses in EndpointSlices; the store does not ask."""
    service = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "metrics"},
        "spec": {"ports": [{"port": 443}]},
    }
    await admin.request("POST", "/api/v1/namespaces/default/services", body=service)
    labels = {"kubernetes.io/service-name": "metrics"}
    slice_ = {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"resourceVersion": "", "name": "metrics-1", "namespace": "default", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "", "port": port, "protocol": "TCP"}],
    }
    value = json.dumps(slice_, separators=(",", ":")).encode()
    await server.app.store.create("/discovery.k8s.io/endpointslices/default/metrics-1", value)
    for group, version in VERSIONS.items():
        spec = {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"namespace": "default", "name": "metrics"},
            "caBundle": bundle,
        }
        body = {
            "kind": "APIService",
            "apiVersion": "apiregistration.k8s.io/v1",
            "metadata": {"name": f"{version}.{group}"},
            "spec": spec,
        }
        path = "/apis/apiregistration.k8s.io/v1/apiservices"
        if group == RESOURCE:  # there is one, for the built-in API: take it over
            merge = "application/merge-patch+json"
            await admin.request("PATCH", f"{path}/{version}.{group}", body={"spec": spec}, content_type=merge)
        else:
            await admin.request("POST", path, body=body)
