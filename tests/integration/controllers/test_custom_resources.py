"""The controllers and kinds that were defined a moment ago: namespaces empty of them, owners take them along."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from k8slite import informer
from k8slite.clock import SystemClock
from k8slite.kinds.base import ResourceType
from k8slite.kinds.core import PartialObject
from k8slite.kinds.resources import CONFIG_MAPS, NAMESPACES

GROUP = "controlled.example.com"
WIDGETS = ResourceType(GROUP, "v1", "widgets", "Widget", True, PartialObject)
DEFINITIONS = ResourceType(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, PartialObject
)


async def define(cluster, *versions: str, **spec: object) -> None:
    """The first version is the one that is stored."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {"name": name, "served": True, "storage": not index, "schema": {"openAPIV3Schema": schema}}
                for index, name in enumerate(versions or ("v1",))
            ],
            **spec,
        },
    }
    await cluster.client.create(DEFINITIONS, body)

    async def served() -> bool:
        listed = await cluster.client.request("GET", "/apis")
        return any(group["name"] == GROUP for group in listed["groups"])

    await cluster.until(served)


def widget(name: str, owners: list[dict[str, str]] | None = None) -> dict[str, object]:
    metadata = {"name": name, "ownerReferences": owners or []}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": metadata}


async def test_the_end_of_a_namespace_takes_custom_objects_along(cluster) -> None:
    await define(cluster)
    await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ends"}})
    await cluster.client.create(WIDGETS, widget("one"), namespace="ends")
    await cluster.client.delete(NAMESPACES, "ends")

    async def gone() -> bool:
        return await cluster.get(NAMESPACES, "ends") is None

    await cluster.until(gone)
    assert not await cluster.list(WIDGETS, namespace="ends")


async def test_a_webhook_that_is_gone_does_not_keep_a_namespace(cluster) -> None:
    """Clients prefer v2, into which only the webhook leads."""
    client = {"service": {"namespace": "ends", "name": "gone"}}
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": client}
    await define(cluster, "v1", "v2", conversion={"strategy": "Webhook", "webhook": webhook})
    await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ends"}})
    await cluster.client.create(WIDGETS, widget("one"), namespace="ends")
    await cluster.client.delete(NAMESPACES, "ends")

    async def gone() -> bool:
        return await cluster.get(NAMESPACES, "ends") is None

    await cluster.until(gone)
    assert not await cluster.list(WIDGETS, namespace="ends")


async def test_what_a_custom_object_owns_goes_with_it(cluster) -> None:
    await define(cluster)
    owner = await cluster.client.create(WIDGETS, widget("owner"), namespace="default")
    reference = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "name": "owner", "uid": owner.uid}
    await cluster.client.create(WIDGETS, widget("owned", [reference]), namespace="default")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [reference]}}
    await cluster.client.create(CONFIG_MAPS, body, namespace="default")
    await cluster.client.delete(WIDGETS, "owner", namespace="default")

    async def gone() -> bool:
        left = [await cluster.get(WIDGETS, "owned"), await cluster.get(CONFIG_MAPS, "owned")]
        return not any(left)

    await cluster.until(gone)


async def test_what_custom_objects_own_goes_with_their_definition(cluster) -> None:
    await define(cluster)
    for number in range(20):
        owner = await cluster.client.create(WIDGETS, widget(f"w{number}"), namespace="default")
        reference = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "name": owner.name, "uid": owner.uid}
        metadata = {"name": f"owned-{number}", "labels": {"of": "widgets"}, "ownerReferences": [reference]}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        await cluster.client.create(CONFIG_MAPS, body, namespace="default")

    async def watched() -> bool:
        """The collector has heard of the kind: a probe goes with its owner."""
        return await cluster.get(CONFIG_MAPS, "probe") is None

    owner = await cluster.client.create(WIDGETS, widget("probe"), namespace="default")
    reference = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "name": "probe", "uid": owner.uid}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "ownerReferences": [reference]}}
    await cluster.client.create(CONFIG_MAPS, body, namespace="default")
    await cluster.client.delete(WIDGETS, "probe", namespace="default")
    await cluster.until(watched)
    await cluster.client.delete(DEFINITIONS, f"widgets.{GROUP}")

    async def gone() -> bool:
        return not await cluster.list(CONFIG_MAPS, "of=widgets")

    await cluster.until(gone)


@pytest.mark.parametrize("another", [{}, {"plural": "gadgets", "kind": "Gadget"}], ids=["group", "resource"])
async def test_nobody_waits_for_a_kind_that_the_server_does_not_have(cluster, monkeypatch, another) -> None:
    """A cache of it is empty, and filled when the kind is defined after all."""
    monkeypatch.setattr(informer, "UNSERVED", 0.1)
    if another:
        await define(cluster)
    things = informer.Informer(cluster.client, replace(WIDGETS, **another), clock=SystemClock())
    task = asyncio.create_task(things.run())
    try:
        async with asyncio.timeout(20):
            await things.wait_synced()
        assert things.list() == []
        if not another:
            await define(cluster)
            await cluster.client.create(WIDGETS, widget("one"), namespace="default")

            async def seen() -> bool:
                return [item.name for item in things.list()] == ["one"]

            await cluster.until(seen)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
