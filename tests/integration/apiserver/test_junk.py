"""Whatever a client sends, the answer is a Status that blames the client, never a fault of the server."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from k8slite.catalogue import builtin

from .test_every_kind import STORED, collection, example

pytestmark = pytest.mark.asyncio(loop_scope="module")

JUNK: list[Any] = [None, "", "x y", "☃" * 300, 0, -1, 2**63, 1.5, True, [], {}, [None], [{}], {"": ""}, {"a": None}]
PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, but its kind and version."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if path or key not in ("kind", "apiVersion"):
            yield (*path, key)
            yield from places(child, (*path, key))


def spoiled(document: dict[str, Any], source: random.Random) -> dict[str, Any]:
    """A document with one or two places replaced by junk, or missing."""
    result = copy.deepcopy(document)
    for _ in range(source.choice((1, 1, 2))):
        path = source.choice(list(places(result)))
        parent: Any = result
        for key in path[:-1]:
            parent = parent[key]
        if source.random() < 0.2:
            del parent[path[-1]]
        else:
            parent[path[-1]] = copy.deepcopy(source.choice(JUNK))
    return result


@pytest.mark.parametrize("seed", range(8))
async def test_junk_is_the_clients_fault(http: httpx.AsyncClient, seed: int) -> None:
    source = random.Random(seed)
    for row in STORED:
        body = spoiled(complete(row.qualified, example(row)), source)
        answer = await http.post(collection(row), json=body, params={"dryRun": "All"})
        assert answer.status_code < 500, (row.qualified, body, answer.text)
        if answer.status_code >= 400:
            assert answer.json()["kind"] == "Status" and answer.json()["code"] == answer.status_code


@pytest.mark.parametrize("media_type", PATCHES)
async def test_junk_patches_are_the_clients_fault(http: httpx.AsyncClient, media_type: str) -> None:
    source = random.Random(media_type)
    pods = next(row for row in builtin() if row.qualified == "pods")
    services = next(row for row in builtin() if row.qualified == "services")
    for row in (pods, services):
        name = f"junk-{media_type.split('+')[0].split('/')[1]}"
        body = complete(row.qualified, example(row))
        body["metadata"]["name"] = name
        url = f"{collection(row)}/{name}"
        assert (await http.post(collection(row), json=body)).status_code == 201
        for _ in range(60):
            patch: Any = spoiled(body, source)
            if media_type.endswith("json-patch+json"):
                path = "/" + "/".join(map(str, source.choice(list(places(body)))))
                patch = [
                    {"op": source.choice(("add", "replace", "remove")), "path": path, "value": source.choice(JUNK)}
                ]
            headers = {"content-type": media_type}
            answer = await http.patch(url, headers=headers, json=patch, params={"dryRun": "All"})
            assert answer.status_code < 500, (patch, answer.text)
        await http.delete(url)


def complete(qualified: str, document: dict[str, Any]) -> dict[str, Any]:
    """More to spoil, for the kinds that have the most rules."""
    document = copy.deepcopy(document)
    document["metadata"] |= {
        "labels": {"a": "b"},
        "annotations": {"a": "b"},
        "finalizers": ["example.com/a"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u", "controller": True}],
    }
    if qualified == "pods":
        document["spec"] = copy.deepcopy(POD_SPEC)
    if qualified in ("deployments.apps", "jobs.batch"):
        document["spec"]["template"]["spec"] = {
            **copy.deepcopy(POD_SPEC),
            "restartPolicy": "Always" if qualified == "deployments.apps" else "Never",
        }
    if qualified == "services":
        document["spec"] |= {
            "type": "NodePort",
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}},
            "externalIPs": ["1.2.3.4"],
            "ports": [{"name": "a", "port": 80, "targetPort": "web", "protocol": "TCP"}, {"name": "b", "port": 81}],
        }
    return document


POD_SPEC: dict[str, Any] = {
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
    "hostNetwork": True,
    "volumes": [
        {"name": "c", "configMap": {"name": "c", "defaultMode": 0o600}},
        {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        {"name": "d", "downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ],
    "initContainers": [{"name": "first", "image": "a", "restartPolicy": "Always"}],
    "containers": [
        {
            "name": "main",
            "image": "busybox",
            "command": ["a"],
            "ports": [{"name": "web", "containerPort": 80, "hostPort": 80}],
            "env": [
                {"name": "A", "value": "b"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ],
            "envFrom": [{"configMapRef": {"name": "c"}}],
            "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "example.com/gpu": "1"}},
            "volumeMounts": [{"name": "c", "mountPath": "/c", "subPath": "a"}],
            "livenessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 3},
            "readinessProbe": {"exec": {"command": ["a"]}},
            "lifecycle": {"preStop": {"exec": {"command": ["a"]}}},
        }
    ],
}
