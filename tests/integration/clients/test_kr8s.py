"""kr8s, unmodified: objects, patches, scaling, watches, waiting, tables of its own, a custom resource."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import kr8s.asyncio
import pytest
import pytest_asyncio
from kr8s.asyncio.objects import ConfigMap, Deployment, Namespace, Secret

from k8slite.testing import RunningServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(server: RunningServer) -> Any:
    return await kr8s.asyncio.api(kubeconfig=str(server.kubeconfig()))


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    }


async def test_an_object_from_its_creation_to_its_end(api: Any) -> None:
    made = await ConfigMap({"metadata": {"name": "kr8s", "namespace": "default"}, "data": {"a": "1"}}, api=api)
    await made.create()
    assert await made.exists()
    await made.patch({"data": {"b": "2"}})
    assert made.raw["data"] == {"a": "1", "b": "2"}
    await made.label({"color": "blue"})
    await made.annotate({"note": "x"})
    found = [each async for each in api.get("configmaps", namespace="default", label_selector={"color": "blue"})]
    assert [each.name for each in found] == ["kr8s"]
    await made.delete()
    assert not await made.exists()


async def test_a_deployment_is_scaled(api: Any) -> None:
    made = await Deployment(deployment("kr8s-scaled"), api=api)
    await made.create()
    await made.patch({"spec": {"replicas": 3}})
    await made.refresh()
    assert made.replicas == 3
    assert made.raw["metadata"]["generation"] == 2


async def test_a_watch_tells_each_change(api: Any) -> None:
    seen: list[tuple[str, str]] = []
    first = asyncio.Event()

    async def follow() -> None:
        async for event, found in api.watch(
            "secrets", namespace="default", field_selector="metadata.name=kr8s-watched"
        ):
            seen.append((event, found.name))
            first.set()
            if event == "DELETED":
                return

    following = asyncio.create_task(follow())
    made = await Secret({"metadata": {"name": "kr8s-watched", "namespace": "default"}, "data": {}}, api=api)
    await made.create()
    async with asyncio.timeout(10):
        await first.wait()
        await made.patch({"stringData": {"a": "b"}})
        await made.delete()
        await following
    assert [event for event, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]


async def test_it_waits_for_a_field(api: Any) -> None:
    made = await Namespace({"metadata": {"name": "kr8s-active"}}, api=api)
    await made.create()
    await made.wait("jsonpath='{.status.phase}'=Active", timeout=10)


async def test_the_server_says_what_it_serves(api: Any) -> None:
    found = {(each["name"], each["version"]) for each in await api.api_resources()}
    assert {("pods", "v1"), ("deployments", "apps/v1"), ("ingresses", "networking.k8s.io/v1")} <= found
    assert (await api.version())["major"] == "1"
