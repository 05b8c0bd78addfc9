"""What tests of DaemonSets share: a set, what it says of itself, and all that ever happened to its pods."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from k8slite.client import Client
from k8slite.kinds.apps import ControllerRevision, DaemonSet
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import CONTROLLER_REVISIONS, DAEMON_SETS, PODS

from .simulated import SimulatedCluster

HASH = "controller-revision-hash"
UPDATED = "app=agent,version=v2"


def daemonset(version: str = "v1", *, spec: dict[str, Any] | None = None, **of_set: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": "agent", "version": version}},
        "spec": {"containers": [{"name": "c", "image": "agent:1"}], **(spec or {})},
    }
    wanted = {"selector": {"matchLabels": {"app": "agent"}}, "template": template, **of_set}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}, "spec": wanted}


def version(name: str) -> dict[str, Any]:
    """The patch that makes it another version."""
    return {"spec": {"template": {"metadata": {"labels": {"version": name}}}}}


def rolling(**limits: int | str) -> dict[str, Any]:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": limits}}


async def make(cluster: SimulatedCluster, body: dict[str, Any]) -> DaemonSet:
    return await cluster.client.create(DAEMON_SETS, body, namespace="default")


async def change(cluster: SimulatedCluster, body: dict[str, Any]) -> DaemonSet:
    return await cluster.client.patch(DAEMON_SETS, "agent", body, namespace="default")


async def shows(cluster: SimulatedCluster, **wanted: Any) -> DaemonSet:
    """Wait until the set says so of its present generation."""

    async def look() -> DaemonSet | None:
        found = await cluster.get(DAEMON_SETS, "agent")
        assert found is not None
        done = found.status.observed_generation == found.metadata.generation
        return found if done and all(getattr(found.status, name) == value for name, value in wanted.items()) else None

    found: DaemonSet = await cluster.until(look)
    return found


async def updated(cluster: SimulatedCluster, nodes: int) -> DaemonSet:
    return await shows(
        cluster,
        desired_number_scheduled=nodes,
        updated_number_scheduled=nodes,
        number_available=nodes,
        number_unavailable=0,
    )


async def pods(cluster: SimulatedCluster, selector: str = "app=agent") -> list[Pod]:
    return [pod for pod in await cluster.list(PODS, selector) if not pod.deleting]


async def on_nodes(cluster: SimulatedCluster, selector: str = "app=agent") -> list[str]:
    return sorted(pod.spec.node_name for pod in await pods(cluster, selector))


async def revisions(cluster: SimulatedCluster) -> list[ControllerRevision]:
    return sorted(await cluster.list(CONTROLLER_REVISIONS), key=lambda one: one.revision)


@dataclass
class Seen:
    """All that a watch has shown of the set's pods."""

    living: dict[str, Pod] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    most: int = 0
    """Pods on one node that were not going."""
    extra: int = 0
    """Nodes that had two."""
    least: int | None = None
    """Nodes with a pod that was ready and not going, since `mark`."""
    watching: bool = False

    def take(self, kind: str, pod: Pod) -> None:
        self.made.add(pod.uid)
        if kind == "DELETED":
            self.living.pop(pod.uid, None)
        else:
            self.living[pod.uid] = pod
        staying = [one for one in self.living.values() if not one.deleting]
        held = Counter(one.spec.node_name for one in staying if one.spec.node_name)
        self.most = max([self.most, *held.values()])
        self.extra = max(self.extra, sum(count > 1 for count in held.values()))
        served = len({one.spec.node_name for one in staying if one.ready})
        if self.watching:
            self.least = served if self.least is None else min(self.least, served)

    def mark(self) -> None:
        """From now on, count who is served."""
        self.watching = True


@contextlib.asynccontextmanager
async def seen(client: Client) -> AsyncIterator[Seen]:
    """Watch the set's pods meanwhile."""
    known = Seen()
    listed = await client.list(PODS, namespace="default", label_selector="app=agent")
    for pod in listed.items:
        known.take("ADDED", pod)

    async def watch() -> None:
        async for event in client.watch(
            PODS, resource_version=listed.resource_version, namespace="default", label_selector="app=agent"
        ):
            if event.type != "BOOKMARK":
                known.take(event.type, event.object)

    task = asyncio.create_task(watch())
    try:
        yield known
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
