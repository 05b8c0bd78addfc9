"""Every kind of the catalogue through every verb that it knows."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from k8slite.catalogue import Resource, builtin
from k8slite.testing import RunningServer

from .examples import EXAMPLES

pytestmark = pytest.mark.asyncio(loop_scope="module")

STORED = [row for row in builtin() if {"create", "get", "delete"} <= set(row.verbs)]
WRITTEN_BY_THE_SERVER = {
    "apiservices": "conditions",
    "customresourcedefinitions": "conditions",
    "flowschemas": "conditions",
    "validatingadmissionpolicies": "observedGeneration",
}
"""Kinds whose status the server writes soon after their creation, and what it writes there."""
ENDED_BY_OTHERS = ("customresourcedefinitions", "namespaces")
"""Kinds that are still there when they have been deleted: something has to be done first."""
PROTECTED = ("persistentvolumeclaims", "persistentvolumes", "volumeattributesclasses")
"""Kinds whose finalizer a controller takes away, which does not run here."""
MERGE = {"content-type": "application/merge-patch+json"}


def collection(row: Resource) -> str:
    return f"{row.path}/namespaces/default/{row.plural}" if row.namespaced else f"{row.path}/{row.plural}"


def example(row: Resource) -> dict[str, Any]:
    body = {"kind": row.kind, "apiVersion": row.api_version, **EXAMPLES.get(row.qualified, {})}
    name = f"example-{row.version}" if not row.qualified.startswith("services") else "example"
    body["metadata"] = {"name": name, **body.get("metadata", {})}
    return body


@pytest.mark.parametrize("row", STORED, ids=lambda row: f"{row.qualified}-{row.version}")
async def test_kind_goes_through_every_verb(row: Resource, http: httpx.AsyncClient) -> None:
    url, body = collection(row), example(row)
    name = body["metadata"]["name"]

    before = int((await http.get(url)).json()["metadata"]["resourceVersion"])
    made = await http.post(url, json=body, params={"fieldValidation": "Strict"})
    assert made.status_code == 201, made.text
    created = await settled(http, row, made.json())
    assert created["kind"] == row.kind and created["apiVersion"] == row.api_version
    assert created["metadata"]["uid"] and created["metadata"]["creationTimestamp"]
    assert int(created["metadata"]["resourceVersion"]) > before

    again = await http.post(url, json=body)
    assert again.status_code == 409 and again.json()["reason"] == "AlreadyExists"

    got = await http.get(f"{url}/{name}")
    assert got.status_code == 200 and got.json() == created

    listed = (await http.get(url)).json()
    assert listed["kind"] == f"{row.kind}List"
    assert [item for item in listed["items"] if item["metadata"]["name"] == name] == [created]

    patched = await http.patch(f"{url}/{name}", headers=MERGE, json={"metadata": {"labels": {"a": "b"}}})
    assert patched.status_code == 200, patched.text
    assert patched.json()["metadata"]["labels"]["a"] == "b"

    selected = (await http.get(url, params={"labelSelector": "a=b"})).json()["items"]
    assert name in [item["metadata"]["name"] for item in selected]

    stale = await http.put(f"{url}/{name}", json=created)
    assert stale.status_code == 409 and stale.json()["reason"] == "Conflict"

    current = patched.json()
    current["metadata"]["annotations"] = {"x": "y"}
    updated = await http.put(f"{url}/{name}", json=current)
    assert updated.status_code == 200, updated.text
    assert updated.json()["metadata"]["annotations"]["x"] == "y"
    same = await http.put(f"{url}/{name}", json=updated.json())
    assert same.json()["metadata"]["resourceVersion"] == updated.json()["metadata"]["resourceVersion"]

    table = await http.get(url, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    assert table.json()["kind"] == "Table" and table.json()["rows"]
    partial = await http.get(
        f"{url}/{name}", headers={"accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
    )
    assert set(partial.json()) == {"kind", "apiVersion", "metadata"}

    if row.plural in PROTECTED:
        await http.patch(f"{url}/{name}", headers=MERGE, json={"metadata": {"finalizers": None}})
    gone = await http.delete(f"{url}/{name}", params={"propagationPolicy": "Background"})
    assert gone.status_code == 200, gone.text
    if row.plural not in ENDED_BY_OTHERS:
        assert (await http.get(f"{url}/{name}")).status_code == 404

    last = "MODIFIED" if row.plural == "namespaces" else "DELETED"
    mine = await watch_until(http, url, name=name, last=last, after=str(before))
    kinds = [event["type"] for event in mine]
    assert kinds[0] == "ADDED" and "MODIFIED" in kinds
    assert all(event["object"]["kind"] == row.kind for event in mine)


async def settled(http: httpx.AsyncClient, row: Resource, created: dict[str, Any]) -> dict[str, Any]:
    """An object when the server itself has written into it what it writes."""
    if row.plural not in WRITTEN_BY_THE_SERVER:
        return created
    url = f"{collection(row)}/{created['metadata']['name']}"
    async with asyncio.timeout(10):
        while not (created.get("status") or {}).get(WRITTEN_BY_THE_SERVER[row.plural]):
            await asyncio.sleep(0.02)
            created = (await http.get(url)).json()
    return created


async def watch_until(http: httpx.AsyncClient, url: str, *, name: str, last: str, after: str) -> list[dict[str, Any]]:
    """The events of one object, from a revision to the event that ends its story."""
    events = []
    query = {"watch": "true", "resourceVersion": after, "timeoutSeconds": "5"}
    async with http.stream("GET", url, params=query) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            event = json.loads(line)
            metadata = event["object"]["metadata"]
            if metadata.get("name") == name:
                events.append(event)
                if event["type"] == last and (last == "DELETED" or "deletionTimestamp" in metadata):
                    return events
    raise AssertionError(f"no {last} among {events}")


async def test_watch_sees_writes_as_they_happen(http: httpx.AsyncClient, server: RunningServer) -> None:
    url = "/api/v1/namespaces/default/configmaps"
    start = (await http.get(url)).json()["metadata"]["resourceVersion"]
    seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def follow() -> None:
        async with (
            server.http() as other,
            other.stream("GET", url, params={"watch": "1", "resourceVersion": start, "labelSelector": "w=1"}) as answer,
        ):
            async for line in answer.aiter_lines():
                seen.put_nowait(json.loads(line))

    task = asyncio.create_task(follow())
    body = {"metadata": {"name": "watched", "labels": {"w": "1"}}}
    await http.post(url, json=body)
    assert (await asyncio.wait_for(seen.get(), 5))["type"] == "ADDED"
    await http.patch(f"{url}/watched", headers=MERGE, json={"metadata": {"labels": {"w": "2"}}})
    assert (await asyncio.wait_for(seen.get(), 5))["type"] == "DELETED"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await http.delete(f"{url}/watched")
