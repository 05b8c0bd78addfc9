"""The official Python client with custom resources: its dynamic client and its CustomObjectsApi."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from kubernetes import client, config, dynamic, watch
from kubernetes.client import ApiException

from k8slite.testing import running_server

_GROUP, _PLURAL = "python.example.com", "gadgets"
_SCHEMA = {
    "type": "object",
    "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 1, "maximum": 9}}}},
}
_DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{_PLURAL}.{_GROUP}"},
    "spec": {
        "group": _GROUP,
        "scope": "Namespaced",
        "names": {"plural": _PLURAL, "kind": "Gadget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": _SCHEMA},
                "subresources": {"status": {}},
            }
        ],
    },
}


def _gadget(name: str) -> dict[str, Any]:
    return {"apiVersion": f"{_GROUP}/v1", "kind": "Gadget", "metadata": {"name": name}, "spec": {}}


async def test_the_official_client_defines_and_uses_a_kind() -> None:
    async with running_server() as server:
        await asyncio.to_thread(_use, server.kubeconfig())


def _use(kubeconfig: Path) -> None:
    with config.new_client_from_config(str(kubeconfig)) as api:
        extensions = client.ApiextensionsV1Api(api)
        extensions.create_custom_resource_definition(_DEFINITION)
        events = watch.Watch()
        for event in events.stream(extensions.list_custom_resource_definition, timeout_seconds=10):
            conditions = event["object"].status.conditions or ()
            if any(each.type == "Established" and each.status == "True" for each in conditions):
                events.stop()
        objects = client.CustomObjectsApi(api)
        place = (_GROUP, "v1", "default", _PLURAL)
        created = objects.create_namespaced_custom_object(*place, _gadget("one"))
        assert created["spec"] == {"size": 1}
        objects.patch_namespaced_custom_object_status(*place, "one", {"status": {}})
        patched = objects.patch_namespaced_custom_object(*place, "one", {"spec": {"size": 2}})
        assert patched["spec"] == {"size": 2}
        try:
            objects.patch_namespaced_custom_object(*place, "one", {"spec": {"size": 10}})
        except ApiException as error:
            assert error.status == 422
        else:
            raise AssertionError("a size beyond the maximum was taken")
        found = dynamic.DynamicClient(api).resources.get(api_version=f"{_GROUP}/v1", kind="Gadget")
        found.create(body=_gadget("two"), namespace="default")
        listed = found.get(namespace="default")
        assert [(item.metadata.name, item.spec.size) for item in listed.items] == [("one", 2), ("two", 1)]
        found.delete(name="one", namespace="default")
        objects.delete_collection_namespaced_custom_object(*place)
        assert objects.list_cluster_custom_object(_GROUP, "v1", _PLURAL)["items"] == []
        extensions.delete_custom_resource_definition(f"{_PLURAL}.{_GROUP}")
