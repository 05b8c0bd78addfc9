"""What Kubernetes' conformance tests ask of preemption, against a real API server; a puppet runs and ends the pods."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.manager import manage
from k8slite.errors import ApiError
from k8slite.informer import Informer
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import EVENTS, NODES, PODS, PRIORITY_CLASSES
from k8slite.testing.server import RunningServer, running_server

from .test_scheduling import get_pod, scheduler, until

FOO = "scheduling.example.com/foo"
CLASSES = {"low": 1, "medium": 100, "high": 1000}


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[Client]:
    async with Client(server.admin) as connected:
        for name, value in CLASSES.items():
            body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
            await connected.create(PRIORITY_CLASSES, body | {"value": value})
        yield connected


class Puppets:
    """Says that bound pods run, and ends those that are deleted unless they are `held`. Counts what it ever saw."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.held: set[str] = set()
        self.seen: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()
        self.pods: Informer[Pod] = Informer(client, PODS, clock=SystemClock())
        self.pods.add_handler(self.on_pod)

    def on_pod(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            return
        if old is None:
            self.seen[new.metadata.labels.get("name", new.name)] += 1
        if new.deleting and new.name not in self.held and new.spec.node_name:
            self.do(self.client.delete(PODS, new.name, namespace=new.namespace, uid=new.uid, grace_period=0))
        elif new.spec.node_name and new.status.phase == "Pending":
            status = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}
            self.do(
                self.client.patch(PODS, new.name, {"status": status}, namespace=new.namespace, subresource="status")
            )

    def do(self, call: Awaitable[Any]) -> None:
        async def made() -> None:
            with contextlib.suppress(ApiError):
                await call

        task = asyncio.create_task(made())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@pytest.fixture
async def puppets(client: Client) -> AsyncIterator[Puppets]:
    found = Puppets(client)
    task = asyncio.create_task(found.pods.run())
    try:
        yield found
    finally:
        for each in (task, *found.tasks):
            each.cancel()
        await asyncio.gather(task, *found.tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def controllers(server: RunningServer, *names: str) -> AsyncIterator[None]:
    async with Client(server.client_config("system:kube-controller-manager")) as acting:
        config = ControllerManagerConfig(kubeconfig=Path("unused"), controllers=list(names))
        task = asyncio.create_task(manage(acting, config, clock=SystemClock()))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def add_node(client: Client, name: str, **amounts: str) -> None:
    has = {"cpu": "8", "memory": "8Gi", "pods": "110", FOO: "3"} | amounts
    labels = {"kubernetes.io/hostname": name}
    await client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    await client.patch(NODES, name, {"status": {"capacity": has, "allocatable": has}}, subresource="status")
    await client.patch(NODES, name, {"spec": {"taints": None}})


def a_pod(name: str, priority: str = "", *, foo: int = 2, node: str = "", **metadata: Any) -> dict[str, Any]:
    amounts = {FOO: str(foo)}
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "image": "none", "resources": {"requests": amounts, "limits": amounts}}],
        "priorityClassName": priority,
    }
    if node:
        rule = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        terms = {"nodeSelectorTerms": [rule]}
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"} | metadata,
        "spec": spec,
    }


async def run(client: Client, *pods: dict[str, Any]) -> None:
    """Make pods, one by one, and wait until each runs."""
    for pod in pods:
        where, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        await client.create(PODS, pod, namespace=where)

        async def runs(where: str = where, name: str = name) -> bool:
            return (await client.get(PODS, name, namespace=where)).status.phase == "Running"

        await until(runs)


async def pods(client: Client) -> dict[str, Pod]:
    return {pod.name: pod for pod in (await client.list(PODS)).items}


def gone(client: Client, *names: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        left = await pods(client)
        return not any(name in left for name in names)

    return holds


def fillers(*nodes: str) -> Iterable[dict[str, Any]]:
    """Pods that take two of three of each node's resource; the first has low priority, the rest medium."""
    for node, priority in zip(nodes, ["low", *["medium"] * len(nodes)], strict=False):
        yield a_pod(f"filler-{node}", priority, node=node)


async def test_the_least_important_pod_makes_room(server: RunningServer, client: Client, puppets: Puppets) -> None:
    for name in ("n1", "n2", "n3"):
        await add_node(client, name)
    async with scheduler(server):
        await run(client, *fillers("n1", "n2", "n3"), a_pod("preemptor", "high"))
        left = await pods(client)
        assert sorted(left) == ["filler-n2", "filler-n3", "preemptor"]
        assert left["preemptor"].spec.node_name == "n1"
        assert not any(pod.deleting for pod in left.values())

        async def said() -> list[str]:
            listing = await client.list(EVENTS, namespace="default")
            return [event.message for event in listing.items if event.reason == "Preempted"]

        assert await until(said) == [f"Preempted by pod {left['preemptor'].uid} on node n1"]
        nominated = (await client.request("GET", PODS.path(namespace="default", name="preemptor")))["status"]
        assert "nominatedNodeName" not in nominated


async def test_a_critical_pod_takes_the_place_of_the_least_important(
    server: RunningServer, client: Client, puppets: Puppets
) -> None:
    for name in ("n1", "n2"):
        await add_node(client, name)
    async with scheduler(server):
        await run(client, *fillers("n1", "n2"))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await client.request("POST", "/api/v1/namespaces/kube-system/serviceaccounts", body=account)
        await run(client, a_pod("critical-pod", "system-cluster-critical", namespace="kube-system"))
        left = await pods(client)
        assert sorted(left) == ["critical-pod", "filler-n2"]
        assert not left["filler-n2"].deleting


async def test_the_victim_says_that_it_was_disrupted_and_its_place_waits_for_the_preemptor(
    server: RunningServer, client: Client, puppets: Puppets
) -> None:
    await add_node(client, "n1", **{FOO: "1"})
    await add_node(client, "n2", **{FOO: "0"})
    async with scheduler(server):
        await run(client, a_pod("victim", "low", foo=1, node="n1", finalizers=["example.com/hold"]))
        await client.create(PODS, a_pod("preemptor", "high", foo=1, node="n1"), namespace="default")

        async def terminating() -> bool:
            return (await get_pod(client, "victim")).deleting

        await until(terminating)
        (condition,) = [c for c in (await get_pod(client, "victim")).status.conditions if c.type == "DisruptionTarget"]
        assert (condition.status, condition.reason) == ("True", "PreemptionByScheduler")
        assert condition.message == "default-scheduler: preempting to accommodate a higher priority pod"
        assert condition.last_transition_time is not None

        async def nominated() -> bool:
            found = await client.request("GET", PODS.path(namespace="default", name="preemptor"))
            return bool(found["status"].get("nominatedNodeName") == "n1")

        await until(nominated)
        await client.patch(PODS, "victim", {"metadata": {"finalizers": None}}, namespace="default")

        async def runs() -> bool:
            return (await get_pod(client, "preemptor")).status.phase == "Running"

        await until(runs)


async def test_replica_sets_lose_what_is_needed_and_once(
    server: RunningServer, client: Client, puppets: Puppets
) -> None:
    fake = "example.com/fakecpu"
    await add_node(client, "n1", **{fake: "1000"})
    await add_node(client, "n2")
    for level in range(1, 5):
        body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": f"p{level}"}}
        await client.create(PRIORITY_CLASSES, body | {"value": level})

    def template(name: str, amount: int) -> dict[str, Any]:
        amounts = {fake: str(amount)}
        return {
            "metadata": {"labels": {"name": name}},
            "spec": {
                "containers": [{"name": "c", "image": "none", "resources": {"requests": amounts, "limits": amounts}}],
                "priorityClassName": name.replace("pod", "p"),
                "nodeSelector": {"kubernetes.io/hostname": "n1"},
            },
        }

    async with scheduler(server), controllers(server, "replicaset"):
        for name, amount in (("pod1", 200), ("pod2", 300), ("pod3", 450)):
            body = {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {"name": f"rs-{name}"},
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": {"name": name}},
                    "template": template(name, amount),
                },
            }
            await client.request("POST", "/apis/apps/v1/namespaces/default/replicasets", body=body)

            async def runs(name: str = name) -> bool:
                found = [pod for pod in (await pods(client)).values() if pod.metadata.labels["name"] == name]
                return [pod.status.phase for pod in found] == ["Running"]

            await until(runs)
        wanted = template("pod4", 500)
        wanted |= {"apiVersion": "v1", "kind": "Pod", "metadata": wanted["metadata"] | {"name": "pod4"}}
        await run(client, wanted | {"metadata": wanted["metadata"] | {"namespace": "default"}})

        async def replaced() -> bool:
            return puppets.seen == {"pod1": 2, "pod2": 2, "pod3": 1, "pod4": 1}

        await until(replaced)

        async def told() -> bool:
            left = [pod for pod in (await pods(client)).values() if not pod.spec.node_name]
            return len(left) == 2 and all(pod.status.conditions for pod in left)

        await until(told)
        assert puppets.seen == {"pod1": 2, "pod2": 2, "pod3": 1, "pod4": 1}


async def test_spreading_may_cost_another_victim(server: RunningServer, client: Client, puppets: Puppets) -> None:
    resource, key = "example.com/fakePTSRes", "kubernetes.io/e2e-pts-preemption"
    for name in ("n1", "n2"):
        await add_node(client, name, **{resource: "10"})
        await client.patch(NODES, name, {"metadata": {"labels": {key: name}}})

    def spread(name: str, priority: str, amount: int) -> dict[str, Any]:
        pod = a_pod(name, priority, labels={"e2e-pts-preemption": ""})
        amounts = {resource: str(amount)}
        pod["spec"]["containers"][0]["resources"] = {"requests": amounts, "limits": amounts}
        return pod

    async with scheduler(server):
        await run(client, spread("high", "high", 9), *(spread(f"low-{index}", "low", 3) for index in (1, 2, 3)))
        medium = spread("medium", "medium", 3)
        medium["spec"]["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchExpressions": [{"key": "e2e-pts-preemption", "operator": "Exists"}]},
            }
        ]
        await run(client, medium)

        async def left() -> bool:
            # Victims count for spreading until they terminate: the last may still be on its way out.
            return sorted(name.partition("-")[0] for name in await pods(client)) == ["high", "low", "medium"]

        await until(left)


async def test_budgets_are_kept_where_that_is_possible(server: RunningServer, client: Client, puppets: Puppets) -> None:
    for name in ("n1", "n2"):
        await add_node(client, name)
    async with scheduler(server), controllers(server, "disruption"):
        protected = a_pod("protected", "low", node="n1", labels={"app": "db"})
        await run(client, protected, a_pod("free", "medium", node="n2"))
        body = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "db"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "db"}}},
        }
        path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
        await client.request("POST", path, body=body)

        async def observed() -> bool:
            found = await client.request("GET", f"{path}/db")
            return bool(found.get("status", {}).get("expectedPods") == 1)

        await until(observed)
        await run(client, a_pod("preemptor", "high"))
        assert sorted(await pods(client)) == ["preemptor", "protected"]
        await run(client, a_pod("another", "high"))
        assert sorted(await pods(client)) == ["another", "preemptor"], "nothing else helps"


async def test_a_restarted_scheduler_keeps_what_was_promised(
    server: RunningServer, client: Client, puppets: Puppets
) -> None:
    await add_node(client, "n1")
    await add_node(client, "n2", **{FOO: "2"})
    puppets.held = {"victim"}
    async with scheduler(server):
        await run(client, a_pod("stays", "medium", node="n2"), a_pod("victim", "low", node="n1"))
        await client.create(PODS, a_pod("preemptor", "high"), namespace="default")

        async def nominated() -> bool:
            found = await client.request("GET", PODS.path(namespace="default", name="preemptor"))
            return bool(found["status"].get("nominatedNodeName")) and (await get_pod(client, "victim")).deleting

        await until(nominated)
    async with scheduler(server):
        await client.create(PODS, a_pod("thief", "medium", foo=1), namespace="default")
        await run(client, a_pod("small", "low", foo=0))
        victim = await get_pod(client, "victim")
        await client.delete(PODS, "victim", namespace="default", uid=victim.uid, grace_period=0)

        async def runs() -> bool:
            return (await get_pod(client, "preemptor")).status.phase == "Running"

        await until(runs)
        assert (await get_pod(client, "preemptor")).spec.node_name == "n1"
        assert not (await get_pod(client, "stays")).deleting
