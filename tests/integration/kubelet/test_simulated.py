"""Simulated nodes against a real API server: no Docker, and they say that they are simulated."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8slite.client import Client, Patch
from k8slite.clock import SystemClock
from k8slite.config import SimulatorConfig
from k8slite.errors import ApiError
from k8slite.kinds.core import Node, Pod
from k8slite.kinds.resources import LEASES, NODES, PODS
from k8slite.kubelet.simulated.main import simulate
from k8slite.testing.server import RunningServer, running_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with running_server(directory=tmp_path) as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[Client]:
    async with Client(server.admin) as admin:
        yield admin


@contextlib.asynccontextmanager
async def playing(
    server: RunningServer, *, stages: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[None]:
    """A simulator with the rights that it has in a cluster of `k8slite up`."""
    if stages is not None:
        settings["stages_file"] = server.directory / "stages.yaml"
        settings["stages_file"].write_text(yaml.safe_dump(stages))
    config = SimulatorConfig(**{"name": "sim", "kubeconfig": server.directory / "unused", "port": 0} | settings)
    identity = server.client_config("k8slite:simulator", ["k8slite:simulators"])
    async with Client(identity) as own:
        task = asyncio.ensure_future(simulate(config, client=own, clock=SystemClock()))
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def eventually(holds: Callable[[], Awaitable[bool]], *, within: float = 60) -> None:
    async with asyncio.timeout(within):
        while not await holds():  # noqa: ASYNC110 — the state is the server's
            await asyncio.sleep(0.02)


async def nodes_ready(client: Client, count: int) -> list[Node]:
    """The nodes, once so many are Ready and have a Lease."""

    async def ready() -> bool:
        nodes = (await client.list(NODES)).items
        leases = (await client.list(LEASES, namespace="kube-node-lease")).items
        return sum(node.ready for node in nodes) == count == len(leases)

    await eventually(ready)
    return (await client.list(NODES)).items


async def create(client: Client, name: str, *, node: str = "sim-0", **spec: Any) -> None:
    container = {"name": "main", "image": "any/image", "command": spec.pop("command", ["serve"])}
    body = {"metadata": {"name": name}, "spec": {"nodeName": node, "containers": [container]} | spec}
    await client.create(PODS, {"apiVersion": "v1", "kind": "Pod"} | body, namespace="default")


async def pod(client: Client, name: str, holds: Callable[[Pod], bool]) -> Pod:
    """The pod, once something holds of it."""
    found = Pod()

    async def look() -> bool:
        nonlocal found
        found = await client.get(PODS, name, namespace="default")
        return holds(found)

    await eventually(look)
    return found


async def gone(client: Client, name: str) -> None:
    async def look() -> bool:
        try:
            await client.get(PODS, name, namespace="default")
        except ApiError as error:
            return error.code == 404
        return False

    await eventually(look)


async def test_nodes_are_ready_labelled_and_renew_leases(server: RunningServer, client: Client) -> None:
    settings = {"nodes": 3, "zones": ["a", "b"], "labels": {"pool": "x"}, "pod_cidr": "10.9.0.0/16"}
    async with playing(server, node_lease_duration=1, **settings):
        nodes = await nodes_ready(client, 3)
        assert sorted(node.name for node in nodes) == ["sim-0", "sim-1", "sim-2"]
        assert all(node.metadata.labels["type"] == "k8slite-simulated" for node in nodes)
        assert all(node.metadata.labels["pool"] == "x" for node in nodes)
        assert all("k8slite.io/simulated" in node.metadata.annotations for node in nodes)
        zones = [node.metadata.labels["topology.kubernetes.io/zone"] for node in sorted(nodes, key=lambda n: n.name)]
        assert zones == ["a", "b", "a"]
        assert {node.spec.pod_cidr for node in nodes} == {"10.9.0.0/25", "10.9.0.128/25", "10.9.1.0/25"}
        before = {lease.name: lease.spec.renew_time for lease in (await client.list(LEASES)).items}

        async def renewed() -> bool:
            leases = (await client.list(LEASES, namespace="kube-node-lease")).items
            return all(lease.spec.renew_time != before[lease.name] for lease in leases)

        await eventually(renewed)
        owners = [lease.metadata.owner_references[0].uid for lease in (await client.list(LEASES)).items]
        assert sorted(owners) == sorted(node.uid for node in nodes)


async def test_hundreds_of_nodes_run_hundreds_of_pods(server: RunningServer, client: Client) -> None:
    async with playing(server, nodes=200):
        await nodes_ready(client, 200)
        await asyncio.gather(*(create(client, f"p-{n}", node=f"sim-{n % 200}") for n in range(500)))

        async def run() -> bool:
            return sum(one.ready for one in (await client.list(PODS)).items) == 500

        await eventually(run)
        pods = (await client.list(PODS)).items
        assert len({one.status.pod_ip for one in pods}) == 500
        await client.delete_collection(PODS, namespace="default")

        async def none() -> bool:
            return not (await client.list(PODS)).items

        await eventually(none)


async def test_pods_run_finish_and_go(server: RunningServer, client: Client) -> None:
    async with playing(server):
        await nodes_ready(client, 1)
        await create(client, "serves")
        await create(client, "works", command=["true"], restartPolicy="Never")
        await create(client, "fails", command=["exit", "4"], restartPolicy="Never")
        found = await pod(client, "serves", lambda one: one.ready)
        assert found.status.container_statuses[0].container_id.startswith("simulated://")
        await pod(client, "works", lambda one: one.status.phase == "Succeeded")
        failed = await pod(client, "fails", lambda one: one.status.phase == "Failed")
        ended = failed.status.container_statuses[0].state.terminated
        assert ended is not None
        assert ended.exit_code == 4
        await client.delete(PODS, "serves", namespace="default")
        await gone(client, "serves")


async def test_a_pod_that_somebody_else_calls_unready_is_ready_again(server: RunningServer, client: Client) -> None:
    async with playing(server):
        await nodes_ready(client, 1)
        await create(client, "web")
        await pod(client, "web", lambda one: one.ready)
        body = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
        changed = await client.patch(
            PODS, "web", body, namespace="default", subresource="status", patch=Patch.STRATEGIC
        )
        assert not changed.ready
        await pod(client, "web", lambda one: one.ready)


async def test_what_a_simulator_left_the_next_one_goes_on_with(server: RunningServer, client: Client) -> None:
    async with playing(server, nodes=2):
        before = {node.uid for node in await nodes_ready(client, 2)}
        await create(client, "old")
        kept = await pod(client, "old", lambda one: one.ready)
    await create(client, "new")
    await client.delete(NODES, "sim-1")
    async with playing(server, nodes=2, labels={"pool": "y"}):
        fresh = await pod(client, "new", lambda one: one.ready)

        async def labelled() -> bool:
            return all(node.metadata.labels.get("pool") == "y" for node in (await client.list(NODES)).items)

        await eventually(labelled)
        nodes = {node.name: node for node in await nodes_ready(client, 2)}
        found = await client.get(PODS, "old", namespace="default")
    assert nodes["sim-0"].uid in before
    assert nodes["sim-1"].uid not in before
    assert (found.uid, found.ready, found.status.pod_ip) == (kept.uid, True, kept.status.pod_ip)
    assert fresh.status.pod_ip != kept.status.pod_ip


async def test_a_silent_node_does_nothing_until_it_is_back(server: RunningServer, client: Client) -> None:
    stages = {
        "nodes": [
            {"name": "off", "match": {"state": "Ready", "annotations": "off"}, "next": {"state": "Silent"}},
            {"name": "on", "match": {"state": "Silent", "annotations": "!off"}, "next": {"state": "Ready"}},
        ]
    }

    async def annotate(value: str | None) -> None:
        await client.patch(NODES, "sim-1", {"metadata": {"annotations": {"off": value}}})

    async def renewed(name: str, since: Any) -> bool:
        return (await client.get(LEASES, name, namespace="kube-node-lease")).spec.renew_time > since

    async with playing(server, stages=stages, nodes=2, node_lease_duration=1):
        await nodes_ready(client, 2)
        await annotate("true")

        async def silent() -> bool:
            """The other node's Lease is renewed twice while this one's is not."""
            at = (await client.get(LEASES, "sim-1", namespace="kube-node-lease")).spec.renew_time
            for _ in range(2):
                other = (await client.get(LEASES, "sim-0", namespace="kube-node-lease")).spec.renew_time
                await eventually(lambda other=other: renewed("sim-0", other))  # type: ignore[misc]
            return (await client.get(LEASES, "sim-1", namespace="kube-node-lease")).spec.renew_time == at

        await eventually(silent)
        await create(client, "held", node="sim-1")
        await create(client, "runs", node="sim-0")
        await pod(client, "runs", lambda one: one.ready)
        assert (await client.get(PODS, "held", namespace="default")).status.phase == "Pending"
        await annotate(None)
        await pod(client, "held", lambda one: one.ready)


async def test_stages_make_pods_and_nodes_fail(server: RunningServer, client: Client) -> None:
    stages = {
        "pods": [
            {"name": "pull", "match": {"state": "Pending", "node": "zone=bad"}, "next": {"state": "ImagePullBackOff"}},
            {"name": "crash", "match": {"state": "Running"}, "next": {"state": "Ended", "exitCode": 3}},
            {"name": "again", "match": {"state": "CrashLoopBackOff"}, "delay": 0.2, "next": {"state": "Running"}},
        ],
        "nodes": [
            {
                "name": "full",
                "match": {"state": "Ready", "annotations": "full"},
                "next": {"state": "NotReady", "message": "no room", "conditions": {"DiskPressure": True}},
            }
        ],
    }
    async with playing(server, stages=stages):
        await nodes_ready(client, 1)
        await create(client, "web")
        crashed = await pod(
            client, "web", lambda one: any(each.restart_count >= 2 for each in one.status.container_statuses)
        )
        last = crashed.status.container_statuses[0].last_state.terminated
        assert last is not None
        assert last.exit_code == 3
        await client.patch(NODES, "sim-0", {"metadata": {"labels": {"zone": "bad"}, "annotations": {"full": "yes"}}})
        await create(client, "pulled")
        await pod(
            client,
            "pulled",
            lambda one: any(
                each.state.waiting is not None and each.state.waiting.reason == "ImagePullBackOff"
                for each in one.status.container_statuses
            ),
        )

        async def pressed() -> bool:
            found = {one.type: one for one in (await client.get(NODES, "sim-0")).status.conditions}
            return (found["Ready"].status, found["Ready"].message, found["DiskPressure"].status) == (
                "False",
                "no room",
                "True",
            )

        await eventually(pressed)


async def test_a_deleted_node_stays_away_and_others_go_at_the_end_if_that_is_asked_for(
    server: RunningServer, client: Client
) -> None:
    async with playing(server, nodes=3, node_lease_duration=1, remove_nodes=True):
        await nodes_ready(client, 3)
        await client.delete(NODES, "sim-2")
        since = (await client.get(LEASES, "sim-0", namespace="kube-node-lease")).spec.renew_time

        async def beaten() -> bool:
            lease = await client.get(LEASES, "sim-0", namespace="kube-node-lease")
            return lease.spec.renew_time is not None and since is not None and lease.spec.renew_time > since

        await eventually(beaten)
        assert {node.name for node in (await client.list(NODES)).items} == {"sim-0", "sim-1"}
    assert not (await client.list(NODES)).items


async def test_a_node_of_somebody_else_that_has_the_name_is_left_alone_and_so_are_its_pods(
    server: RunningServer, client: Client
) -> None:
    await client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "sim-0"}})
    await create(client, "theirs")
    before = await client.get(PODS, "theirs", namespace="default")
    async with playing(server, nodes=2, remove_nodes=True):
        await nodes_ready(client, 1)
        await create(client, "ours", node="sim-1")
        await pod(client, "ours", lambda one: one.ready)
        found = await client.get(PODS, "theirs", namespace="default")
        assert found.metadata.resource_version == before.metadata.resource_version
    assert [node.name for node in (await client.list(NODES)).items] == ["sim-0"]


async def test_a_stage_for_pods_by_their_node_heeds_a_label_that_the_node_gets_later(
    server: RunningServer, client: Client
) -> None:
    stages = {"pods": [{"name": "die", "match": {"state": "Running", "node": "doomed"}, "next": {"state": "Failed"}}]}
    async with playing(server, stages=stages):
        await nodes_ready(client, 1)
        await create(client, "web")
        await pod(client, "web", lambda one: one.ready)
        await client.patch(NODES, "sim-0", {"metadata": {"labels": {"doomed": "yes"}}})
        await pod(client, "web", lambda one: one.status.phase == "Failed")
