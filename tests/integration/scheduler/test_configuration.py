"""The scheduler program with upstream's configuration, against a real API server and real extenders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8slite.client import Client
from k8slite.config import ConfigError, LeaderElectionConfig, SchedulerConfig
from k8slite.kinds.resources import LEASES, NODES, PODS
from k8slite.scheduler.main import serve
from k8slite.scheduler.settings import read_settings
from k8slite.testing.server import RunningServer, running_server
from tests.unit.scheduler.extender_server import Server, extender_server

from .test_scheduling import add_node, add_pod, bound_to, events, get_pod, until, waits_with

ELECTION = {"leaseDuration": "30s", "renewDeadline": "20s", "retryPeriod": "100ms"}


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[Client]:
    async with Client(server.admin) as connected:
        yield connected


def write(directory: Path, server: RunningServer, **fields: Any) -> Path:
    """A KubeSchedulerConfiguration for a scheduler with its own identity."""
    kubeconfig = server.kubeconfig(server.client_config("system:kube-scheduler"))
    document = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "leaderElection": ELECTION,
    }
    file = directory / "scheduler.yaml"
    file.write_text(yaml.safe_dump(document | fields))
    return file


@asynccontextmanager
async def scheduler(settings: SchedulerConfig) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(serve(settings))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def packing(kind: str) -> dict[str, Any]:
    """A profile that fills nodes, or keeps them empty, and looks at nothing else."""
    args = {"scoringStrategy": {"type": kind}}
    plugins = {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit"}]}}
    return {
        "schedulerName": kind,
        "plugins": plugins,
        "pluginConfig": [{"name": "NodeResourcesFit", "args": args}],
    }


async def test_two_profiles_of_one_process_place_differently(
    server: RunningServer, client: Client, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        await add_node(client, name)
    settings = read_settings(write(tmp_path, server, profiles=[packing("LeastAllocated"), packing("MostAllocated")]))
    async with scheduler(settings):
        await add_pod(client, "first", cpu="1", schedulerName="LeastAllocated")
        first = await bound_to(client, "first")
        other = {"a": "b", "b": "a"}[first]
        await add_pod(client, "beside", cpu="1", schedulerName="MostAllocated")
        assert await bound_to(client, "beside") == first
        await add_pod(client, "away", cpu="1", schedulerName="LeastAllocated")
        assert await bound_to(client, "away") == other
        await add_pod(client, "nobody", schedulerName="default-scheduler")
        await add_pod(client, "last", cpu="1", schedulerName="MostAllocated")
        assert await bound_to(client, "last") == first
        assert not (await get_pod(client, "nobody")).spec.node_name

        async def said() -> bool:
            return (await events(client, "last")).get("Scheduled") == f"Successfully assigned default/last to {first}"

        await until(said)
        sources = {
            event["metadata"]["name"].partition(".")[0]: event.get("reportingComponent") or event["source"]["component"]
            for event in (await client.request("GET", "/api/v1/namespaces/default/events"))["items"]
        }
        assert sources["last"] == "MostAllocated"
        lease = await client.get(LEASES, "kube-scheduler", namespace="kube-system")
        assert lease.spec.lease_duration_seconds == 30


async def test_our_settings_may_name_the_profiles(server: RunningServer, client: Client, tmp_path: Path) -> None:
    await add_node(client, "a")
    profiles = [{"schedulerName": "mine"}]
    file = write(tmp_path, server, profiles=profiles, leaderElection={"resourceName": "mine", **ELECTION})
    settings = SchedulerConfig(
        # The usual role of a scheduler allows the usual Lease only.
        kubeconfig=server.kubeconfig(server.admin),
        leader_election=LeaderElectionConfig(lease_duration=30, renew_deadline=20, retry_period=0.1),
        configuration=file,
    )
    async with scheduler(settings):
        await add_pod(client, "ours", schedulerName="mine")
        assert await bound_to(client, "ours") == "a"
        assert (await client.get(LEASES, "mine", namespace="kube-system")).spec.holder_identity


async def test_a_configuration_that_cannot_be_ends_the_program_before_it_leads(
    server: RunningServer, client: Client, tmp_path: Path
) -> None:
    profiles = [{"plugins": {"filter": {"enabled": [{"name": "Nope"}]}}}]
    settings = read_settings(write(tmp_path, server, profiles=profiles))
    with pytest.raises(ConfigError, match=r'scheduler.yaml:\d+: plugin "Nope" does not exist'):
        await serve(settings)
    leases = await client.list(LEASES, namespace="kube-system")
    assert [lease.name for lease in leases.items if lease.name == "kube-scheduler"] == []


@pytest.mark.parametrize("delay", [True, False])
async def test_a_second_scheduler_takes_over(
    server: RunningServer, client: Client, tmp_path: Path, delay: bool
) -> None:
    await add_node(client, "a", cpu="1")
    settings = read_settings(write(tmp_path, server, delayCacheUntilActive=delay))
    async with scheduler(settings) as first:
        await add_pod(client, "one", cpu="1")
        await bound_to(client, "one")
        async with scheduler(settings):
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await add_pod(client, "two", cpu="1")
            await waits_with(client, "two", "0/1 nodes are available: 1 Insufficient cpu.")
            await client.delete(PODS, "one", namespace="default", grace_period=0)
            assert await bound_to(client, "two") == "a"


async def bind(server: RunningServer, question: dict[str, Any]) -> dict[str, str]:
    """What an extender that binds does."""
    async with Client(server.admin) as client:
        name, namespace = question["PodName"], question["PodNamespace"]
        target = {"apiVersion": "v1", "kind": "Node", "name": question["Node"]}
        metadata = {"name": name, "namespace": namespace, "uid": question["PodUID"]}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        await client.request("POST", PODS.path(namespace=namespace, name=name, subresource="binding"), body=body)
    return {}


async def test_an_extender_sees_whole_objects_has_its_say_and_binds(
    server: RunningServer, client: Client, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        await add_node(client, name)
    await client.patch(NODES, "b", {"metadata": {"annotations": {"example.com/driver": "yes"}}})
    await client.patch(NODES, "c", {"metadata": {"annotations": {"example.com/driver": "yes"}}})

    def with_driver(question: dict[str, Any]) -> dict[str, Any]:
        nodes = question["Nodes"]["items"]
        passed = [node for node in nodes if "example.com/driver" in node["metadata"].get("annotations", {})]
        failed = {node["metadata"]["name"]: "no driver" for node in nodes if node not in passed}
        return {"Nodes": {"items": passed}, "FailedNodes": failed}

    def liking_c(question: dict[str, Any]) -> list[dict[str, Any]]:
        names = [node["metadata"]["name"] for node in question["Nodes"]["items"]]
        return [{"Host": name, "Score": 10 if name == "c" else 0} for name in names]

    answers = {"filter": with_driver, "prioritize": liking_c, "bind": lambda question: bind(server, question)}
    async with extender_server(answers) as extender:
        async with scheduler(read_settings(write(tmp_path, server, extenders=[managing_gpus(extender)]))):
            await add_pod(client, "plain")
            await bound_to(client, "plain")
            assert extender.asked == [], "no business of the extender"
            limits = {"cpu": "100m", "example.com/gpu": "1"}
            container = {"name": "main", "image": "none", "resources": {"limits": limits}, "env": [{"name": "A"}]}
            await add_pod(client, "gpu", containers=[container])
            # The resource is ignored by the scheduler: no node offers it.
            assert await bound_to(client, "gpu") == "c"
        assert [verb for verb, _ in extender.asked] == ["filter", "prioritize", "bind"]
        question = extender.asked[0][1]
        assert question["Pod"]["spec"]["containers"][0]["image"] == "none"
        assert {node["metadata"]["name"] for node in question["Nodes"]["items"]} == {"a", "b", "c"}
        assert question["Nodes"]["items"][0]["status"]["conditions"]
        assert question["NodeNames"] is None


def managing_gpus(extender: Server) -> dict[str, Any]:
    return {
        "urlPrefix": extender.url,
        "filterVerb": "filter",
        "prioritizeVerb": "prioritize",
        "weight": 1000,
        "bindVerb": "bind",
        "httpTimeout": "20s",
        "managedResources": [{"name": "example.com/gpu", "ignoredByScheduler": True}],
    }
