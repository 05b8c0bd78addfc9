"""Work for a controller manager that dies while it does it, and what must be true of each piece in the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from k8slite.client import Client
from k8slite.kinds.batch import Job
from k8slite.kinds.core import ConfigMap, Pod
from k8slite.kinds.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
)

FINALIZER = "batch.kubernetes.io/job-tracking"
WITHIN = 300.0


@dataclass
class Seen:
    """All that ever happened to the pods of one namespace."""

    made: dict[str, str] = field(default_factory=dict)
    """The owner's UID by the pod's."""
    living: dict[str, Pod] = field(default_factory=dict)
    most: int = 0


@dataclass
class Cluster:
    """The administrator's view: a client, and what a watch of all pods has shown, by namespace."""

    client: Client
    chance: random.Random
    nodes: int = 0
    replicas: int = 0
    completions: int = 0
    objects: int = 0
    pods: dict[str, Seen] = field(default_factory=lambda: defaultdict(Seen))
    config_maps: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The names of those that were deleted."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @contextlib.asynccontextmanager
    async def watched(cls, client: Client, chance: random.Random) -> AsyncIterator[Cluster]:
        cluster = cls(client, chance)
        pods, maps = await client.list(PODS), await client.list(CONFIG_MAPS)
        async with asyncio.TaskGroup() as group:
            watching = [
                group.create_task(cluster._watch_pods(pods.resource_version)),
                group.create_task(cluster._watch_maps(maps.resource_version)),
            ]
            yield cluster
            for task in watching:
                task.cancel()

    async def _watch_pods(self, revision: str) -> None:
        async for event in self.client.watch(PODS, resource_version=revision):
            if event.type == "BOOKMARK":
                continue
            pod, seen = event.object, self.pods[event.object.namespace]
            owner = pod.metadata.controller
            seen.made.setdefault(pod.uid, owner.uid if owner is not None else "")
            if event.type == "DELETED":
                seen.living.pop(pod.uid, None)
            else:
                seen.living[pod.uid] = pod
            seen.most = max(seen.most, sum(not each.deleting for each in seen.living.values()))
            self._news.set()
        raise AssertionError("the watch ended")

    async def _watch_maps(self, revision: str) -> None:
        async for event in self.client.watch(CONFIG_MAPS, resource_version=revision):
            if event.type == "DELETED":
                self.config_maps[event.object.namespace].add(event.object.name)
                self._news.set()
        raise AssertionError("the watch ended")

    async def shows(self, holds: Callable[[], object]) -> None:
        """Wait until the watches have shown something."""
        async with asyncio.timeout(WITHIN):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def until(self, look: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(WITHIN):
            while not (seen := await look()):  # noqa: ASYNC110 - the state is the server's
                await asyncio.sleep(0.05)
        return seen

    async def remove(self, name: str) -> None:
        """Delete a namespace and see it go."""
        await self.client.delete(NAMESPACES, name)

        async def gone() -> bool:
            return not (await self.client.list(NAMESPACES, field_selector=f"metadata.name={name}")).items

        await self.until(gone)

    async def left(self, client: Client) -> list[str]:
        """What there is in the namespaces of pieces, of the kinds that pieces and controllers make."""
        found = [item for kind in _KINDS for item in (await client.list(kind)).items]
        return [f"{item.kind} {item.key}" for item in found if "-piece-" in item.namespace]


_KINDS = (
    PODS,
    CONFIG_MAPS,
    SECRETS,
    SERVICES,
    REPLICA_SETS,
    DEPLOYMENTS,
    JOBS,
    STATEFUL_SETS,
    DAEMON_SETS,
    CONTROLLER_REVISIONS,
)
Piece = Callable[[Cluster, str], Awaitable[None]]


async def make_namespace(cluster: Cluster, name: str) -> None:
    """A namespace for a piece."""
    await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def template_of(labels: Mapping[str, str], *, command: str, **spec: Any) -> dict[str, Any]:
    """A pod template of one container."""
    container = {"name": "c", "image": "none:1", "command": [command]}
    return {"metadata": {"labels": dict(labels)}, "spec": {"containers": [container], **spec}}


async def job(cluster: Cluster, name: str) -> None:
    """A Job: so many pods as completions are made and counted, none twice, and none is held when all is over."""
    ns, client, completions = f"a-piece-{name}", cluster.client, cluster.completions
    await make_namespace(cluster, ns)
    indexed = cluster.chance.random() < 0.5
    spec = {
        "completions": completions,
        "parallelism": max(completions // 10, 1),
        "completionMode": "Indexed" if indexed else "NonIndexed",
        "template": template_of({}, command="true", restartPolicy="Never"),
    }
    await client.create(JOBS, {"metadata": {"name": "work"}, "spec": spec}, namespace=ns)

    async def complete() -> Job | None:
        found = await client.get(JOBS, "work", namespace=ns)
        over = any(one.type == "Complete" and one.status == "True" for one in found.status.conditions)
        return found if over else None

    found: Job = await cluster.until(complete)
    assert (found.status.succeeded, found.status.failed, found.status.active) == (completions, 0, 0)
    seen = cluster.pods[ns]
    assert len(seen.made) == completions, "no pod was made that was not needed"
    assert seen.most <= completions
    await cluster.shows(lambda: not any(FINALIZER in pod.metadata.finalizers for pod in seen.living.values()))
    await client.delete(JOBS, "work", namespace=ns, propagation="Background")
    await cluster.shows(lambda: not seen.living)
    await cluster.remove(ns)


async def rollout(cluster: Cluster, name: str) -> None:
    """A Deployment and its second template: as many pods as are needed, never more than the surge allows."""
    ns, client, replicas = f"a-piece-{name}", cluster.client, cluster.replicas
    await make_namespace(cluster, ns)
    labels = {"app": "web"}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "template": template_of(labels, command="serve"),
    }
    await client.create(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": spec}, namespace=ns)

    async def done() -> bool:
        found = await client.get(DEPLOYMENTS, "web", namespace=ns)
        status = found.status
        numbers = {status.updated_replicas, status.ready_replicas, status.replicas}
        return status.observed_generation == found.metadata.generation and numbers == {replicas}

    await cluster.until(done)
    change = {"spec": {"template": {"metadata": {"labels": {"app": "web", "template": "second"}}}}}
    await client.patch(DEPLOYMENTS, "web", change, namespace=ns)
    await cluster.until(done)
    seen = cluster.pods[ns]
    await cluster.shows(lambda: len(seen.living) == replicas)
    assert all(pod.metadata.labels.get("template") == "second" for pod in seen.living.values())
    assert len(seen.made) == 2 * replicas, "no pod was made that was not needed"
    assert seen.most <= replicas + -(-replicas // 4)
    await client.delete(DEPLOYMENTS, "web", namespace=ns, propagation="Foreground")
    await cluster.shows(lambda: not seen.living)
    await cluster.remove(ns)


async def namespace(cluster: Cluster, name: str) -> None:
    """A namespace full of things goes, and its neighbour keeps every one of its own."""
    full, neighbour, client = f"a-piece-{name}", f"a-piece-{name}-neighbour", cluster.client
    for ns in (full, neighbour):
        await make_namespace(cluster, ns)
    before = [await _filled(cluster, ns) for ns in (full, neighbour)][1]
    await cluster.remove(full)
    after = {item.uid for kind in (CONFIG_MAPS, SECRETS, SERVICES) for item in (await _listed(client, kind, neighbour))}
    assert before <= after
    await cluster.remove(neighbour)
    assert [item for item in await cluster.left(client) if f" {full}/" in item] == []


async def _listed(client: Client, kind: Any, ns: str) -> list[Any]:
    found: list[Any] = (await client.list(kind, namespace=ns)).items
    return found


async def _filled(cluster: Cluster, ns: str) -> set[str]:
    """Put ConfigMaps, Secrets, Services and a Deployment into a namespace; the UIDs of all but the last."""
    client = cluster.client
    labels = {"app": "some"}
    deployment = {
        "replicas": 3,
        "selector": {"matchLabels": labels},
        "template": template_of(labels, command="serve"),
    }
    await client.create(DEPLOYMENTS, {"metadata": {"name": "some"}, "spec": deployment}, namespace=ns)
    service = {"selector": labels, "ports": [{"port": 80}]}
    uids = {(await client.create(SERVICES, {"metadata": {"name": "some"}, "spec": service}, namespace=ns)).uid}
    for number in range(cluster.objects // 4):
        kind: Any = (CONFIG_MAPS, SECRETS)[number % 2]
        uids.add((await client.create(kind, {"metadata": {"name": f"o{number}"}}, namespace=ns)).uid)
    return uids


async def graph(cluster: Cluster, name: str) -> None:
    """Owners and what they own, over several levels; some are deleted: what dies is what nobody owns any more."""
    ns, client, chance = f"a-piece-{name}", cluster.client, cluster.chance
    await make_namespace(cluster, ns)
    owners: dict[str, list[str]] = {}
    made: dict[str, ConfigMap] = {}
    for number in range(cluster.objects):
        older = list(made)[-12:]
        chosen = chance.sample(older, k=min(chance.choice((0, 1, 1, 2)), len(older)))
        body = {"metadata": {"name": f"o{number}", "ownerReferences": [_reference(chance, made[o]) for o in chosen]}}
        item = await client.create(CONFIG_MAPS, body, namespace=ns)
        made[item.name], owners[item.name] = item, chosen
    mode: Literal["Background", "Foreground", "Orphan"] = chance.choice(("Background", "Foreground", "Orphan"))
    roots = [item for item, above in owners.items() if not above]
    deleted = set(chance.sample(roots, k=-(-len(roots) // 2)))
    for item in deleted:
        await client.delete(CONFIG_MAPS, item, namespace=ns, propagation=mode)
    doomed = deleted if mode == "Orphan" else _dead(owners, deleted)
    gone = cluster.config_maps[ns]
    await cluster.shows(lambda: gone >= doomed)
    assert gone == doomed, "nothing goes that a living object owns"
    for item in await _listed(client, CONFIG_MAPS, ns):
        if item.name in owners and mode == "Orphan":
            left = {reference.name for reference in item.metadata.owner_references}
            assert left == set(owners[item.name]) - deleted
    await cluster.remove(ns)


def _reference(chance: random.Random, owner: ConfigMap) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": owner.name,
        "uid": owner.uid,
        "blockOwnerDeletion": chance.random() < 0.5,
    }


def _dead(owners: Mapping[str, list[str]], deleted: set[str]) -> set[str]:
    """The deleted, and all whose every owner is dead; owners come before what they own."""
    dead = set(deleted)
    for item, above in owners.items():
        if above and dead.issuperset(above):
            dead.add(item)
    return dead
