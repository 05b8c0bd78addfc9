"""lightkube, unmodified: typed objects, server-side apply, watches, status, a generic custom resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from lightkube import ApiError, AsyncClient, KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap
from lightkube.types import PatchType

from k8slite.testing import RunningServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

Lamp = create_namespaced_resource("lamps.example.com", "v1", "Lamp", "lamps")
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "lamps.lamps.example.com"},
    "spec": {
        "group": "lamps.example.com",
        "scope": "Namespaced",
        "names": {"plural": "lamps", "kind": "Lamp"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"color": {"type": "string"}, "watts": {"type": "integer", "default": 5}},
                            }
                        },
                    }
                },
            }
        ],
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kube(server: RunningServer) -> AsyncIterator[Any]:
    async with AsyncClient(KubeConfig.from_file(server.kubeconfig()), field_manager="lightkube") as client:
        yield client


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


async def test_an_object_from_its_creation_to_its_end(kube: AsyncClient) -> None:
    made = await kube.create(config_map("lightkube", a="1"))
    made.data = {"a": "2"}
    assert (await kube.replace(made)).data == {"a": "2"}
    patched = await kube.patch(ConfigMap, "lightkube", {"data": {"b": "3"}}, namespace="default")
    assert patched.data == {"a": "2", "b": "3"}
    assert [each.metadata.name async for each in kube.list(ConfigMap, fields={"metadata.name": "lightkube"})] == [
        "lightkube"
    ]
    await kube.delete(ConfigMap, "lightkube", namespace="default")
    with pytest.raises(ApiError) as caught:
        await kube.get(ConfigMap, "lightkube", namespace="default")
    assert caught.value.status.reason == "NotFound"


async def test_what_is_applied_is_owned(kube: AsyncClient) -> None:
    labels = {"app": "applied"}
    deployment = Deployment(
        apiVersion="apps/v1",
        kind="Deployment",
        metadata=ObjectMeta(name="applied", namespace="default"),
        spec=DeploymentSpec(
            replicas=2,
            selector=LabelSelector(matchLabels=labels),
            template=PodTemplateSpec(
                metadata=ObjectMeta(labels=labels), spec=PodSpec(containers=[Container(name="web", image="web:1")])
            ),
        ),
    )
    applied = await kube.apply(deployment)
    assert [(entry.manager, entry.operation) for entry in applied.metadata.managedFields] == [("lightkube", "Apply")]
    deployment.spec.replicas = 3
    with pytest.raises(ApiError) as caught:
        await kube.apply(deployment, field_manager="somebody-else")
    assert caught.value.status.reason == "Conflict"
    taken = await kube.apply(deployment, field_manager="somebody-else", force=True)
    assert taken.spec.replicas == 3


async def test_a_scale_is_a_resource_of_its_own(kube: AsyncClient) -> None:
    labels = {"app": "scaled"}
    await kube.apply(
        Deployment(
            apiVersion="apps/v1",
            kind="Deployment",
            metadata=ObjectMeta(name="scaled", namespace="default"),
            spec=DeploymentSpec(
                selector=LabelSelector(matchLabels=labels),
                template=PodTemplateSpec(
                    metadata=ObjectMeta(labels=labels), spec=PodSpec(containers=[Container(name="web", image="web:1")])
                ),
            ),
        )
    )
    scale = await kube.get(Deployment.Scale, "scaled", namespace="default")
    assert scale.spec.replicas == 1
    scale.spec.replicas = 4
    await kube.replace(scale, "scaled", namespace="default")
    assert (await kube.get(Deployment, "scaled", namespace="default")).spec.replicas == 4


async def test_a_custom_resource_needs_no_more_than_its_name(kube: AsyncClient) -> None:
    await kube.apply(CustomResourceDefinition.from_dict(CRD))
    await kube.wait(CustomResourceDefinition, "lamps.lamps.example.com", for_conditions=["Established"])
    lamp = Lamp(metadata=ObjectMeta(name="desk", namespace="default"), spec={"color": "red"})
    made = await kube.create(lamp)
    assert made.spec == {"color": "red", "watts": 5}
    changed = await kube.patch(
        Lamp, "desk", {"spec": {"color": "blue"}}, namespace="default", patch_type=PatchType.MERGE
    )
    assert changed.spec["color"] == "blue"
    async for event, found in kube.watch(Lamp, namespace="default", resource_version="0"):
        assert (event, found.metadata.name) == ("ADDED", "desk")
        break
    await kube.delete(Lamp, "desk", namespace="default")
