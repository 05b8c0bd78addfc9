"""Every endpoint of every built-in kind, over each store: what conformance asks of an API's operations."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.catalogue import Resource, builtin
from k8slite.testing import running_server

from .examples import EXAMPLES
from .test_every_kind import settled

pytestmark = pytest.mark.asyncio(loop_scope="module")

STORED = [row for row in builtin() if {"create", "get", "delete"} <= set(row.verbs)]
WITH_STATUS = [row for row in STORED if row.subresource("status") is not None]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
LABEL = "every-endpoint"
#: The annotations that the writes of the test leave, one after the other.
MARKS = {"also", "at-last", "by", "last"}
#: Nothing waits for a garbage collector, which is not there.
AT_ONCE = {"propagationPolicy": "Background"}
#: A member of the status that anybody may change; other kinds get a condition.
STATUS: dict[str, dict[str, Any]] = {
    "namespaces": {"conditions": [{"type": "NamespaceContentRemaining", "status": "False"}]},
    "persistentvolumeclaims": {"phase": "Bound"},
    "persistentvolumes": {"phase": "Available", "message": "seen"},
    "replicationcontrollers": {"replicas": 1},
    "resourcequotas": {"used": {"pods": "1"}},
    "horizontalpodautoscalers.autoscaling": {"currentReplicas": 2, "desiredReplicas": 3},
    "cronjobs.batch": {"lastScheduleTime": "2026-01-01T00:00:00Z"},
    "jobs.batch": {"active": 1, "startTime": "2026-01-01T00:00:00Z"},
    "ingresses.networking.k8s.io": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    "volumeattachments.storage.k8s.io": {"attached": True},
    "validatingadmissionpolicies.admissionregistration.k8s.io": {"observedGeneration": 1},
    "poddisruptionbudgets.policy": {
        "currentHealthy": 1,
        "desiredHealthy": 1,
        "disruptionsAllowed": 0,
        "expectedPods": 1,
    },
    "daemonsets.apps": {
        "currentNumberScheduled": 1,
        "desiredNumberScheduled": 1,
        "numberMisscheduled": 0,
        "numberReady": 0,
    },
    "deployments.apps": {"replicas": 1},
    "replicasets.apps": {"replicas": 1},
    "statefulsets.apps": {"replicas": 1, "availableReplicas": 0},
    "customresourcedefinitions.apiextensions.k8s.io": {"storedVersions": ["v1"]},
    "resourceclaims.resource.k8s.io": {"allocation": {"devices": {}}},
    "podcertificaterequests.certificates.k8s.io": {"notBefore": "2026-01-01T00:00:00Z"},
    "servicecidrs.networking.k8s.io": {},
}
CONDITION = {
    "type": "Tested",
    "status": "True",
    "reason": "Tested",
    "message": "seen",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
    "lastUpdateTime": "2026-01-01T00:00:00Z",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "sqlite"])
async def api(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    # No controllers run here, so nothing would take the finalizers of storage objects away.
    unprotected = {"disable_admission_plugins": ["StorageObjectInUseProtection"]}
    async with running_server(store=request.param, **unprotected) as running, running.http() as client:
        yield client


def collection(row: Resource) -> str:
    return f"{row.path}/namespaces/default/{row.plural}" if row.namespaced else f"{row.path}/{row.plural}"


def example(row: Resource) -> dict[str, Any]:
    body = {"kind": row.kind, "apiVersion": row.api_version, **EXAMPLES.get(row.qualified, {})}
    body["metadata"] = {"name": "endpoint", **body.get("metadata", {}), "labels": {LABEL: row.plural}}
    return body


def row_id(row: Resource) -> str:
    return f"{row.qualified}-{row.version}"


async def patch(api: httpx.AsyncClient, url: str, kind: str, body: Any) -> dict[str, Any]:
    query = {"fieldManager": "tester", "force": "true"} if kind == APPLY else {}
    answer = await api.patch(url, headers={"content-type": kind}, content=json.dumps(body), params=query)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def put(api: httpx.AsyncClient, url: str, body: Any) -> dict[str, Any]:
    answer = await api.put(url, json=body)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def story(api: httpx.AsyncClient, url: str, *, after: str, ended: str) -> list[dict[str, Any]]:
    """The events of a collection up to the one in which its object goes."""
    query = {"watch": "1", "resourceVersion": after, "timeoutSeconds": "5", "labelSelector": LABEL}
    seen: list[dict[str, Any]] = []
    async with api.stream("GET", url, params=query) as answer:
        async for line in answer.aiter_lines():
            seen.append(json.loads(line))
            if seen[-1]["type"] == ended and (
                ended == "DELETED" or "deletionTimestamp" in seen[-1]["object"]["metadata"]
            ):
                return seen
    raise AssertionError(f"{len(seen)} events, and it is still there")


@pytest.mark.parametrize("row", STORED, ids=row_id)
async def test_operations(row: Resource, api: httpx.AsyncClient) -> None:
    url, body = collection(row), example(row)
    one = f"{url}/{body['metadata']['name']}"
    start = (await api.get(url)).json()["metadata"]["resourceVersion"]
    made = await api.post(url, json=body)
    assert made.status_code == 201, made.text
    uid = (await settled(api, row, made.json()))["metadata"]["uid"]

    everywhere = f"{row.path}/{row.plural}"
    for place in (url, everywhere):
        listed = (await api.get(place, params={"labelSelector": f"{LABEL}={row.plural}"})).json()
        assert [item["metadata"]["uid"] for item in listed["items"]] == [uid]
        assert listed["kind"] == f"{row.kind}List" and listed["apiVersion"] == row.api_version

    assert (await patch(api, one, MERGE, {"metadata": {"annotations": {"by": "merge"}}}))["metadata"]["uid"] == uid
    patched = await patch(api, one, STRATEGIC, {"metadata": {"annotations": {"also": "strategic"}}})
    assert patched["metadata"]["annotations"] == {
        **patched["metadata"]["annotations"],
        "by": "merge",
        "also": "strategic",
    }
    patched = await patch(api, one, JSON, [{"op": "add", "path": "/metadata/annotations/last", "value": "json"}])
    patched["metadata"]["annotations"]["by"] = "update"
    updated = await put(api, one, patched)
    assert {"by": "update", "last": "json"}.items() <= updated["metadata"]["annotations"].items()
    assert (await api.get(one)).json() == updated

    intent = {"kind": row.kind, "apiVersion": row.api_version, "metadata": {"annotations": {"at-last": "apply"}}}
    applied = await patch(api, one, APPLY, intent)
    assert {"at-last": "apply", "by": "update"}.items() <= applied["metadata"]["annotations"].items()
    assert applied["metadata"]["managedFields"][0]["manager"] == "tester"

    if "deletecollection" in row.verbs:
        gone = await api.delete(url, params={"labelSelector": f"{LABEL}={row.plural}", **AT_ONCE})
    else:
        gone = await api.delete(one)
    assert gone.status_code == 200, gone.text
    ended = "MODIFIED" if row.plural == "namespaces" else "DELETED"
    seen = await story(api, url, after=start, ended=ended)
    assert [event["type"] for event in seen] == ["ADDED", *["MODIFIED"] * (len(seen) - 2), ended]
    told = [tuple(sorted(MARKS & event["object"]["metadata"].get("annotations", {}).keys())) for event in seen]
    each_once = [marks for marks, _ in itertools.groupby(told)]  # the server writes the status of some kinds between
    assert each_once == [(), ("by",), ("also", "by"), ("also", "by", "last"), ("also", "at-last", "by", "last")]
    assert {event["object"]["metadata"]["uid"] for event in seen} == {uid}
    if ended == "DELETED":
        assert (await api.get(one)).status_code == 404


@pytest.mark.parametrize("row", WITH_STATUS, ids=row_id)
async def test_status(row: Resource, api: httpx.AsyncClient) -> None:
    url, body = collection(row), example(row)
    if row.plural == "namespaces":
        body["metadata"]["name"] = "endpoint-status"
    if row.plural == "customresourcedefinitions":
        spec = body["spec"]
        body["spec"] = {**spec, "names": {"plural": "gadgets", "kind": "Gadget"}}
        body["metadata"]["name"] = "gadgets.example.com"
    answer = await api.post(url, json=body)
    assert answer.status_code == 201, answer.text
    made = await settled(api, row, answer.json())
    one = f"{url}/{made['metadata']['name']}"
    # What the server says of it stays: it would say it again.
    said = (made.get("status") or {}).get("conditions") or []
    status = STATUS.get(row.qualified) or {"conditions": [*said, CONDITION]}

    read = await api.get(f"{one}/status")
    assert read.status_code == 200
    after = await patch(api, f"{one}/status", MERGE, {"status": status, "metadata": {"annotations": {"by": "status"}}})
    for name, value in status.items():
        found = after["status"][name]
        assert found == value or CONDITION["type"] in [item["type"] for item in found]
    assert after.get("spec") == made.get("spec")

    after["metadata"]["annotations"]["by"] = "update"
    if "spec" in after:
        after["spec"] = {}
    updated = await put(api, f"{one}/status", after)
    assert updated.get("spec") == made.get("spec"), "a status endpoint leaves the spec alone"
    assert updated["metadata"].get("generation") == made["metadata"].get("generation")

    intent = {"kind": row.kind, "apiVersion": row.api_version, "status": updated["status"]}
    applied = await patch(api, f"{one}/status", APPLY, intent)
    assert applied["status"] == updated["status"], "the status that is there already may be applied"
    written = await patch(api, f"{one}/status", JSON, [{"op": "add", "path": "/status", "value": updated["status"]}])
    assert written["status"] == updated["status"]

    kept = await patch(api, one, MERGE, {"status": None, "metadata": {"annotations": {"by": "main"}}})
    assert kept["status"] == updated["status"], "the main endpoint leaves the status alone"
    assert (await api.delete(one, params=AT_ONCE)).status_code == 200


async def test_discovery_lists_every_group_version_and_resource(api: httpx.AsyncClient) -> None:
    groups = {group["name"]: group for group in (await api.get("/apis")).json()["groups"]}
    for row in builtin():
        path = "/api/v1" if not row.group else f"/apis/{row.group}/{row.version}"
        if row.group:
            versions = [version["groupVersion"] for version in groups[row.group]["versions"]]
            assert row.api_version in versions
            assert (await api.get(f"/apis/{row.group}")).json()["preferredVersion"] == groups[row.group][
                "preferredVersion"
            ]
        resources = {item["name"]: item for item in (await api.get(path)).json()["resources"]}
        found = resources[row.plural]
        assert (found["kind"], found["namespaced"], set(found["verbs"])) == (row.kind, row.namespaced, set(row.verbs))
        for subresource in row.subresources:
            assert f"{row.plural}/{subresource.name}" in resources
