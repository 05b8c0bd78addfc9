"""The scheduler program against a real API server, under its own identity and permissions."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from k8slite.cli.main import root
from k8slite.client import Client
from k8slite.config import LeaderElectionConfig, SchedulerConfig
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import EVENTS, LEASES, NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS, SERVICES
from k8slite.scheduler.main import serve
from k8slite.testing.server import RunningServer, running_server


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[Client]:
    async with Client(server.admin) as connected:
        yield connected


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def scheduler(server: RunningServer, *, name: str = "default-scheduler") -> AsyncIterator[asyncio.Task[None]]:
    kubeconfig = server.kubeconfig(server.client_config("system:kube-scheduler"))
    election = LeaderElectionConfig(lease_duration=30, renew_deadline=20, retry_period=0.1)
    config = SchedulerConfig(kubeconfig=kubeconfig, leader_election=election, scheduler_name=name)
    task = asyncio.create_task(serve(config))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(20):
        while not (answer := await holds()):  # noqa: ASYNC110 - the state is the server's
            await asyncio.sleep(0.02)
        return answer


async def add_node(client: Client, name: str, *, cpu: str = "4", **spec: Any) -> None:
    allocatable = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": spec,
    }
    await client.create(NODES, body)
    # Admission marks new nodes as not ready; what a kubelet and the node controller would do follows.
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": ""}
    status = {"status": {"capacity": allocatable, "allocatable": allocatable, "conditions": [ready]}}
    await client.patch(NODES, name, status, subresource="status")
    await client.patch(NODES, name, {"spec": {"taints": spec.get("taints") or None}})


async def add_pod(
    client: Client, name: str, *, cpu: str = "100m", metadata: dict[str, Any] | None = None, **spec: Any
) -> None:
    container = {"name": "main", "image": "none", "resources": {"requests": {"cpu": cpu}}}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"} | (metadata or {}),
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0} | spec,
    }
    await client.create(PODS, body, namespace="default")


async def get_pod(client: Client, name: str) -> Pod:
    return await client.get(PODS, name, namespace="default")


async def bound_to(client: Client, name: str) -> str:
    async def node_name() -> str:
        return (await get_pod(client, name)).spec.node_name

    found: str = await until(node_name)
    return found


async def waits_with(client: Client, name: str, message: str) -> None:
    async def says() -> bool:
        return any(c.message.startswith(message) for c in (await get_pod(client, name)).status.conditions)

    await until(says)


async def events(client: Client, name: str) -> dict[str, str]:
    listing = await client.list(EVENTS, namespace="default")
    return {event.reason: event.message for event in listing.items if event.involved_object.name == name}


async def test_a_pod_is_bound_with_condition_and_event(server: RunningServer, client: Client) -> None:
    await add_node(client, "a")
    async with scheduler(server):
        await add_pod(client, "web")
        assert await bound_to(client, "web") == "a"
        conditions = {c.type: c.status for c in (await get_pod(client, "web")).status.conditions}
        assert conditions["PodScheduled"] == "True"

        async def said() -> bool:
            return (await events(client, "web")).get("Scheduled") == "Successfully assigned default/web to a"

        await until(said)
        lease = await client.get(LEASES, "kube-scheduler", namespace="kube-system")
        assert lease.spec.holder_identity


async def test_a_pending_pod_says_why_and_is_bound_when_a_node_comes(server: RunningServer, client: Client) -> None:
    await add_node(client, "small", cpu="1")
    await add_node(client, "tainted", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    async with scheduler(server):
        await add_pod(client, "big", cpu="2")
        message = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s)."
        message += " preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        await waits_with(client, "big", message)
        (condition,) = [c for c in (await get_pod(client, "big")).status.conditions if c.type == "PodScheduled"]
        assert (condition.status, condition.reason) == ("False", "Unschedulable")
        assert condition.last_transition_time is not None

        async def said() -> bool:
            return (await events(client, "big")).get("FailedScheduling") == message

        await until(said)
        await add_node(client, "large")
        assert await bound_to(client, "big") == "large"


async def test_a_pod_whose_node_selector_matches_no_node_waits_and_says_so(
    server: RunningServer, client: Client
) -> None:
    await add_node(client, "plain")
    async with scheduler(server):
        await add_pod(client, "choosy", nodeSelector={"label": "nonempty"})
        message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        await waits_with(client, "choosy", message)

        async def said() -> bool:
            return (await events(client, "choosy")).get("FailedScheduling", "").startswith(message)

        await until(said)
        assert not (await get_pod(client, "choosy")).spec.node_name
        await client.patch(NODES, "plain", {"metadata": {"labels": {"label": "nonempty"}}})
        assert await bound_to(client, "choosy") == "plain"


async def test_a_deleted_pod_makes_room(server: RunningServer, client: Client) -> None:
    await add_node(client, "only", cpu="1")
    async with scheduler(server):
        await add_pod(client, "first", cpu="1")
        assert await bound_to(client, "first") == "only"
        await add_pod(client, "second", cpu="1")
        await waits_with(client, "second", "0/1 nodes are available: 1 Insufficient cpu.")
        await client.delete(PODS, "first", namespace="default", grace_period=0)
        assert await bound_to(client, "second") == "only"


async def test_a_restart_knows_what_is_placed_and_misses_nothing(server: RunningServer, client: Client) -> None:
    await add_node(client, "a", cpu="1")
    async with scheduler(server):
        await add_pod(client, "first", cpu="1")
        await bound_to(client, "first")
    await add_pod(client, "second", cpu="1")
    await add_node(client, "b", cpu="1")
    async with scheduler(server):
        assert await bound_to(client, "second") == "b"


async def test_only_one_of_two_schedulers_acts_and_the_other_takes_over(server: RunningServer, client: Client) -> None:
    await add_node(client, "a")
    async with scheduler(server) as first:
        await add_pod(client, "one")
        await bound_to(client, "one")
        async with scheduler(server):
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await add_pod(client, "two")
            assert await bound_to(client, "two") == "a"


async def test_pods_of_other_schedulers_are_left_alone(server: RunningServer, client: Client) -> None:
    await add_node(client, "a")
    async with scheduler(server):
        await add_pod(client, "theirs", schedulerName="custom")
        await add_pod(client, "ours")
        await bound_to(client, "ours")
        assert not (await get_pod(client, "theirs")).spec.node_name


async def test_many_pods_fill_the_nodes_and_never_more(server: RunningServer, client: Client) -> None:
    for number in range(5):
        await add_node(client, f"n{number}", cpu="2")
    await asyncio.gather(*(add_pod(client, f"p{number}", cpu="500m") for number in range(30)))
    async with scheduler(server):

        async def settled() -> list[Pod] | None:
            pods = (await client.list(PODS, namespace="default")).items
            told = [p for p in pods if p.spec.node_name or any(c.type == "PodScheduled" for c in p.status.conditions)]
            return list(pods) if len(told) == 30 else None

        pods: list[Pod] = await until(settled)
    loads: dict[str, int] = {}
    for found in pods:
        loads[found.spec.node_name] = loads.get(found.spec.node_name, 0) + 1
    assert loads.pop("") == 10
    assert loads == {f"n{number}": 4 for number in range(5)}


async def test_replicas_and_pods_of_a_service_land_on_different_nodes(server: RunningServer, client: Client) -> None:
    for name in ("a", "b", "c"):
        await add_node(client, name)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }
    await client.create(SERVICES, service, namespace="default")
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": True}
    async with scheduler(server):
        for number in range(3):
            await add_pod(client, f"replica-{number}", metadata={"ownerReferences": [owner]})
            await add_pod(client, f"web-{number}", metadata={"labels": {"app": "web"}})
        for kind in ("replica", "web"):
            assert {await bound_to(client, f"{kind}-{number}") for number in range(3)} == {"a", "b", "c"}


async def test_a_pod_waits_for_company_in_namespaces_that_a_selector_selects(
    server: RunningServer, client: Client
) -> None:
    for name in ("a", "b"):
        await add_node(client, name)
    await client.create(NAMESPACES, {"metadata": {"name": "elsewhere"}})
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, namespace="elsewhere")
    database = {"metadata": {"name": "db", "labels": {"app": "db"}}, "spec": {"nodeName": "b"}}
    database["spec"] |= {"containers": [{"name": "main", "image": "none"}]}
    await client.create(PODS, database, namespace="elsewhere")
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"app": "db"}},
        "namespaceSelector": {"matchLabels": {"team": "data"}},
    }
    rules = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    async with scheduler(server):
        await add_pod(client, "away", affinity={"podAntiAffinity": rules}, nodeSelector={"kubernetes.io/hostname": "b"})
        assert await bound_to(client, "away") == "b"
        await add_pod(client, "web", affinity={"podAffinity": rules})
        await waits_with(client, "web", "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.")
        await client.patch(NAMESPACES, "elsewhere", {"metadata": {"labels": {"team": "data"}}})
        assert await bound_to(client, "web") == "b"


async def test_administrators_are_told_why_a_pod_is_where_it_is(server: RunningServer, client: Client) -> None:
    await add_node(client, "small", cpu="1")
    await add_node(client, "large", cpu="8")
    pair = server.authority.issue_server("scheduler-server", common_name="scheduler", hosts=["127.0.0.1"])
    config = SchedulerConfig(
        kubeconfig=server.kubeconfig(server.client_config("system:kube-scheduler")),
        leader_election=LeaderElectionConfig(enabled=False),
        port=(port := free_port()),
        cert_file=pair.cert_file,
        key_file=pair.key_file,
        client_ca_file=server.authority.cert_file,
    )
    admin = server.kubeconfig(server.admin)
    outsider = server.kubeconfig(server.client_config("somebody"))
    task = asyncio.create_task(serve(config))
    try:
        await add_pod(client, "web", cpu="2")
        await add_pod(client, "huge", cpu="20")
        assert await bound_to(client, "web") == "large"
        await waits_with(client, "huge", "0/2 nodes are available: 2 Insufficient cpu.")

        async def why(pod: str, *more: str, kubeconfig: Path = admin) -> Result:
            arguments = ["why", pod, f"--kubeconfig={kubeconfig}", f"--scheduler=https://127.0.0.1:{port}", *more]
            return await asyncio.to_thread(CliRunner().invoke, root, arguments)

        text = (await why("web")).output
        assert "default/web was placed on large (default-scheduler, attempt 1" in text
        assert re.search(r"NodeResourcesFit +1 +Insufficient cpu +small", text)
        document = json.loads((await why("pod/huge", "-o", "json")).output)
        assert document["message"].startswith("0/2 nodes are available: 2 Insufficient cpu.")
        assert sorted(document["filters"][0]["nodes"]) == ["large", "small"]
        assert "remembers no decision" in (await why("nobody")).output
        assert "administrators only" in (await why("web", kubeconfig=outsider)).output
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
