"""Other servers: one that takes the group over and gives it back, other groups of metrics, and a second of our own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import SimulatorConfig, StoreConfig
from k8slite.kinds.resources import NODES
from k8slite.kubelet.simulated.main import simulate
from k8slite.pki import Authority
from k8slite.testing import running_server
from k8slite.testing.extension import extension
from k8slite.testing.kubectl import Kubectl
from tests.contract.etcd_server import etcd

from .conftest import API, Metered, kubelet_settings, metered, until

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
OURS = "v1beta1.metrics.k8s.io"


async def other_server(request: web.BaseRequest) -> web.StreamResponse:
    """It serves every group of metrics: one node that nobody else knows, and one figure."""
    path = request.path.rstrip("/")
    parts = path.split("/")
    if path == "/apis" or len(parts) < 4 or parts[1] != "apis":
        return web.Response(status=404)
    version = "/".join(parts[2:4])
    if len(parts) == 4:
        rows = [
            {"name": "nodes", "singularName": "", "namespaced": False, "kind": "NodeMetrics", "verbs": ["get", "list"]}
        ]
        return web.json_response(
            {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": rows}
        )
    item = {
        "metadata": {"name": "elsewhere", "creationTimestamp": None},
        "timestamp": "2026-01-01T00:00:00Z",
        "window": "10s",
        "usage": {"cpu": "7", "memory": "1Gi"},
        "asked": path,
    }
    return web.json_response({"kind": "NodeMetricsList", "apiVersion": version, "metadata": {}, "items": [item]})


@contextlib.asynccontextmanager
async def with_other(directory: Path) -> AsyncIterator[tuple[Metered, str]]:
    """A cluster with another server behind the Service default/metrics-server; its bundle."""
    front = Authority.ensure(directory, name="front-proxy-ca")
    pair = front.issue_client("front-proxy-client", user="front-proxy-client")
    async with (
        extension(
            other_server, directory=directory, hosts=["metrics-server.default.svc"], client_ca=front.cert_file
        ) as running,
        metered(
            directory,
            nodes=1,
            requestheader_client_ca_file=front.cert_file,
            requestheader_allowed_names=["front-proxy-client"],
            proxy_client_cert_file=pair.cert_file,
            proxy_client_key_file=pair.key_file,
        ) as world,
    ):
        service = {"metadata": {"name": "metrics-server"}, "spec": {"ports": [{"port": 443}]}}
        assert (await world.http.post("/api/v1/namespaces/default/services", json=service)).status_code == 201
        # The API refuses loopback addresses in EndpointSlices; the store does not ask.
        document = {
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {
                "resourceVersion": "",
                "name": "metrics-server-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "metrics-server"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
            "ports": [{"name": "", "port": running.port, "protocol": "TCP"}],
        }
        value = json.dumps(document, separators=(",", ":")).encode()
        await world.server.app.store.create("/discovery.k8s.io/endpointslices/default/metrics-server-1", value)
        yield world, base64.b64encode(running.bundle).decode()


def registration(group: str, version: str, bundle: str) -> dict[str, Any]:
    spec = {
        "group": group,
        "version": version,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "caBundle": bundle,
        "service": {"namespace": "default", "name": "metrics-server"},
    }
    metadata = {"name": f"{version}.{group}"}
    return {"kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1", "metadata": metadata, "spec": spec}


async def nodes(world: Metered) -> list[str]:
    answer = await world.http.get(f"{API}/nodes")
    return [item["metadata"]["name"] for item in answer.json()["items"]] if answer.status_code == 200 else []


async def test_a_metrics_server_takes_over_and_gives_back(tmp_path: Path) -> None:
    """As its manifest is applied by kubectl, and deleted."""
    async with with_other(tmp_path) as (world, bundle):
        kubectl = Kubectl(world.server)
        assert await nodes(world) == ["sim-0"]

        async def theirs() -> bool:
            return await nodes(world) == ["elsewhere"]

        async def ours() -> bool:
            return await nodes(world) == ["sim-0"]

        manifest = json.dumps(registration("metrics.k8s.io", "v1beta1", bundle))
        applied = await kubectl("apply", "-f", "-", stdin=manifest)
        assert applied.code == 0, applied.err
        await until(theirs)
        shown = (await kubectl("top", "node", "--no-headers")).out
        assert shown.split()[:3] == ["elsewhere", "7000m", "1024Mi"]
        assert (await kubectl("delete", "-f", "-", stdin=manifest)).code == 0
        await until(ours)
        assert [row.split()[0] for row in (await kubectl("top", "node", "--no-headers")).out.splitlines()] == ["sim-0"]

        # Created where nothing is in the way, as Helm does.
        assert (
            await world.http.post(SERVICES, json=registration("metrics.k8s.io", "v1beta1", bundle))
        ).status_code == 201
        await until(theirs)
        assert (await world.http.delete(f"{SERVICES}/{OURS}")).status_code == 200
        await until(ours)


async def test_who_took_over_keeps_it_when_the_server_starts_again(tmp_path: Path) -> None:
    async with with_other(tmp_path) as (world, bundle):
        spec = registration("metrics.k8s.io", "v1beta1", bundle)["spec"]
        answer = await world.http.patch(
            f"{SERVICES}/{OURS}", json={"spec": spec}, headers={"content-type": "application/merge-patch+json"}
        )
        assert answer.json()["metadata"]["labels"], "it still carries the label of those that we make"
        aggregator = world.server.app.aggregator
        await aggregator.stop()
        await aggregator.start()
        kept = (await world.http.get(f"{SERVICES}/{OURS}")).json()
        assert kept["spec"]["service"]["name"] == "metrics-server"


async def test_custom_and_external_metrics_get_through(tmp_path: Path) -> None:
    async with with_other(tmp_path) as (world, bundle):
        kubectl = Kubectl(world.server)
        for group in ("custom.metrics.k8s.io", "external.metrics.k8s.io"):
            body = registration(group, "v1beta1", bundle)
            assert (await world.http.post(SERVICES, json=body)).status_code == 201
            path = f"/apis/{group}/v1beta1/namespaces/default/pods/*/requests"

            async def through(path: str = path) -> bool:
                return (await kubectl("get", "--raw", path)).code == 0

            await until(through)
            found = json.loads((await kubectl("get", "--raw", path)).out)
            assert found["items"][0]["asked"] == path
            listed = json.loads((await kubectl("get", "--raw", f"/apis/{group}/v1beta1")).out)
            assert [row["name"] for row in listed["resources"]] == ["nodes"]


async def test_each_of_two_servers_works_it_out_for_itself(tmp_path: Path) -> None:
    authority = Authority.ensure(tmp_path)
    pair = authority.issue_server("simulator", common_name="simulator", hosts=["127.0.0.1"])
    settings = kubelet_settings(authority)
    simulator = SimulatorConfig(
        name="sim", nodes=2, port=0, kubeconfig=tmp_path / "unused", cert_file=pair.cert_file, key_file=pair.key_file
    )
    with etcd(tmp_path) as [member]:
        store = StoreConfig(engine="etcd", endpoints=[member.endpoint])
        async with (
            running_server(store=store, directory=tmp_path, **settings) as first,
            running_server(store=store, directory=tmp_path, **settings) as second,
            Client(first.admin) as admin,
            Client(first.client_config("k8slite:simulator", ["k8slite:simulators"])) as player,
            first.http() as one,
            second.http() as other,
        ):
            playing = asyncio.create_task(simulate(simulator, client=player, clock=SystemClock()))
            try:

                async def ready() -> bool:
                    return sum(node.ready for node in (await admin.list(NODES)).items) == 2

                await until(ready)
                answers = await asyncio.gather(*(http.get(f"{API}/nodes") for http in (one, other)))
                for answer in answers:
                    assert [item["metadata"]["name"] for item in answer.json()["items"]] == ["sim-0", "sim-1"]
            finally:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)


async def test_without_a_certificate_for_kubelets_it_says_so() -> None:
    async with running_server() as server, server.http() as http:
        answer = await http.get(f"{API}/nodes")
        assert answer.status_code == 503
        assert "no certificate to reach kubelets" in answer.json()["message"]
