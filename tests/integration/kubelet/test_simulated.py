"""Simulated nodes against a real API server: no Docker, and they say that they are simulated."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import KubeletConfig
from k8slite.kinds.resources import LEASES, NODES, PODS
from k8slite.kubelet.simulation import simulate
from k8slite.testing.server import running_server


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running_server(directory=tmp_path) as server:
        serving = server.authority.issue_server("kubelet", common_name="kubelet", hosts=["127.0.0.1"])
        config = KubeletConfig(
            node_name="sim",
            kubeconfig=tmp_path / "unused",
            state_dir=tmp_path / "state",
            runtime="simulated",
            simulated_nodes=3,
            port=0,
            cert_file=serving.cert_file,
            key_file=serving.key_file,
            client_ca_file=server.authority.cert_file,
        )
        identity = server.client_config("k8slite:simulator", ["k8slite:simulators"])
        async with Client(server.admin) as admin, Client(identity) as own:
            task = asyncio.ensure_future(simulate(config, client=own, clock=SystemClock()))
            try:
                yield admin
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110 — the state is the server's
            await asyncio.sleep(0.02)


async def until_three_nodes_are_ready(client: Client) -> None:
    async def ready() -> bool:
        return sum(node.ready for node in (await client.list(NODES)).items) == 3

    await eventually(ready)


async def test_nodes_are_ready_labelled_and_renew_leases(client: Client) -> None:
    await until_three_nodes_are_ready(client)
    nodes = (await client.list(NODES)).items
    assert sorted(node.name for node in nodes) == ["sim-0", "sim-1", "sim-2"]
    assert all(node.metadata.labels["type"] == "k8slite-simulated" for node in nodes)
    assert all("k8slite.io/simulated" in node.metadata.annotations for node in nodes)
    assert len((await client.list(LEASES, namespace="kube-node-lease")).items) == 3


async def test_pods_run_finish_and_go(client: Client) -> None:
    await until_three_nodes_are_ready(client)
    for name, words, policy in (("serves", ["serve"], "Always"), ("works", ["true"], "Never")):
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "nodeName": "sim-1",
                "restartPolicy": policy,
                "containers": [{"name": "main", "image": "any/image", "command": words}],
            },
        }
        await client.create(PODS, body, namespace="default")

    async def serves() -> bool:
        return (await client.get(PODS, "serves", namespace="default")).ready

    async def worked() -> bool:
        return (await client.get(PODS, "works", namespace="default")).status.phase == "Succeeded"

    async def gone() -> bool:
        listed = await client.list(PODS, namespace="default", field_selector="metadata.name=serves")
        return not listed.items

    await eventually(serves)
    found = await client.get(PODS, "serves", namespace="default")
    assert found.status.container_statuses[0].container_id.startswith("simulated://")
    await eventually(worked)
    await client.delete(PODS, "serves", namespace="default")
    await eventually(gone)
