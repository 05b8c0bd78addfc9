"""The garbage collector over random graphs of owners: what has a live owner stays, everything else goes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from k8slite.errors import ApiError
from k8slite.kinds.resources import CONFIG_MAPS, NAMESPACES

SPACES = ("left", "right")
OBJECTS = 40


@dataclass
class Node:
    namespace: str
    name: str
    uid: str = ""
    owners: list[dict[str, Any]] = field(default_factory=list)


def reference(to: Node, uid: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": to.name,
        "uid": uid or to.uid,
        "blockOwnerDeletion": True,
    }


def survivors(nodes: list[Node], deleted: Iterable[Node]) -> set[tuple[str, str]]:
    """The largest set in which everything that names owners has one in its own namespace."""
    gone = {node.uid for node in deleted}
    while True:
        alive = {(node.namespace, node.uid) for node in nodes if node.uid not in gone}
        lost = {
            node.uid
            for node in nodes
            if node.uid not in gone
            and node.owners
            and not any((node.namespace, owner["uid"]) in alive for owner in node.owners)
        }
        if not lost:
            return {(node.namespace, node.name) for node in nodes if node.uid not in gone}
        gone |= lost


@pytest.mark.parametrize("seed", range(4))
async def test_random_graphs(cluster, seed):
    random, client = Random(seed), cluster.client
    for name in SPACES:
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    nodes = [Node(random.choice(SPACES), f"o{number}") for number in range(OBJECTS)]
    for node in nodes:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": node.name, "labels": {"graph": "x"}}}
        node.uid = (await client.create(CONFIG_MAPS, body, namespace=node.namespace)).uid
    for node in nodes[5:]:
        # Rings are likely, references to oneself and into the other namespace possible; some UIDs are wrong.
        chosen = random.sample(nodes, random.choice([0, 1, 1, 2]))
        node.owners = [reference(to, "no-such-uid" if random.random() < 0.1 else "") for to in chosen]

    async def own(node: Node) -> None:
        body = {"metadata": {"ownerReferences": node.owners}}
        await client.patch(CONFIG_MAPS, node.name, body, namespace=node.namespace)

    async def left() -> set[tuple[str, str]]:
        found = await client.list(CONFIG_MAPS, label_selector="graph=x")
        return {(item.namespace, item.name) for item in found.items}

    await asyncio.gather(*(own(node) for node in nodes if node.owners))
    expected = survivors(nodes, [])

    async def settled() -> bool:
        return await left() == expected

    await cluster.until(settled)
    alive = [node for node in nodes if (node.namespace, node.name) in expected]
    doomed = random.sample(alive, min(6, len(alive)))
    for node in doomed:
        policy: Any = random.choice(["Background", "Foreground"])
        try:
            await client.delete(CONFIG_MAPS, node.name, namespace=node.namespace, uid=node.uid, propagation=policy)
        except ApiError as error:
            assert error.code == 404  # it went with one of the others
    expected = survivors(nodes, [*doomed, *(node for node in nodes if node not in alive)])
    await cluster.until(settled)


async def test_a_ring_that_is_deleted_in_the_foreground_goes(cluster):
    client = cluster.client
    ring = [Node("default", name) for name in ("a", "b", "c")]
    for node in ring:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": node.name}}
        node.uid = (await client.create(CONFIG_MAPS, body, namespace="default")).uid
    for node, owner in zip(ring, [*ring[1:], ring[0]], strict=True):
        body = {"metadata": {"ownerReferences": [reference(owner)]}}
        await client.patch(CONFIG_MAPS, node.name, body, namespace="default")
    await client.delete(CONFIG_MAPS, "a", namespace="default", propagation="Foreground")

    async def gone():
        return not {item.name for item in await cluster.list(CONFIG_MAPS)} & {"a", "b", "c"}

    await cluster.until(gone)
