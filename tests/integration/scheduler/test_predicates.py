"""What Kubernetes' conformance tests ask of a scheduler's filters, against a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from k8slite.client import Client
from k8slite.kinds.resources import NODES
from k8slite.testing.server import RunningServer, running_server

from .test_scheduling import add_node, add_pod, bound_to, get_pod, scheduler, waits_with


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[Client]:
    async with Client(server.admin) as connected:
        yield connected


def on(node: str) -> dict[str, Any]:
    """Affinity to a node by its label."""
    rule = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    terms = [{"matchExpressions": [rule]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


async def test_a_pod_that_asks_for_more_than_any_node_has_left_waits(server: RunningServer, client: Client) -> None:
    capacities = {"small": 2000, "large": 8000}
    for name, cpu in capacities.items():
        await add_node(client, name, cpu=f"{cpu}m")
    async with scheduler(server):
        for name, cpu in capacities.items():
            await add_pod(client, f"filler-{name}", cpu=f"{cpu * 7 // 10}m", affinity=on(name))
            assert await bound_to(client, f"filler-{name}") == name
        await add_pod(client, "additional", cpu="2401m")
        await waits_with(client, "additional", "0/2 nodes are available: 2 Insufficient cpu.")
        await add_pod(client, "fitting", cpu="2400m")
        assert await bound_to(client, "fitting") == "large"


async def test_a_pod_goes_where_its_node_selector_sends_it(server: RunningServer, client: Client) -> None:
    for name in ("a", "b", "c"):
        await add_node(client, name)
    async with scheduler(server):
        await add_pod(client, "without-label")
        chosen = await bound_to(client, "without-label")
        key = "kubernetes.io/e2e-1234"
        await client.patch(NODES, chosen, {"metadata": {"labels": {key: "42"}}})
        await add_pod(client, "with-labels", nodeSelector={key: "42"})
        assert await bound_to(client, "with-labels") == chosen


async def test_a_port_on_all_addresses_is_in_the_way_of_the_same_port_on_one(
    server: RunningServer, client: Client
) -> None:
    await add_node(client, "only")

    def taking(address: str, protocol: str = "TCP") -> dict[str, Any]:
        port = {"containerPort": 80, "hostPort": 54322, "hostIP": address, "protocol": protocol}
        return {"containers": [{"name": "main", "image": "none", "ports": [port]}]}

    async with scheduler(server):
        await add_pod(client, "everywhere", **taking("0.0.0.0"))
        assert await bound_to(client, "everywhere") == "only"
        await add_pod(client, "here", **taking("127.0.0.1"))
        message = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
        await waits_with(client, "here", message)
        assert not (await get_pod(client, "here")).spec.node_name
        await add_pod(client, "otherwise", **taking("127.0.0.1", "UDP"))
        assert await bound_to(client, "otherwise") == "only"
