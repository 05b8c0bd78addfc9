"""Namespaces as objects: labels, status and finalizers each change through the endpoint that is theirs."""

from __future__ import annotations

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "/api/v1/namespaces"
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}


async def test_a_label_is_patched(http: httpx.AsyncClient, namespace: str) -> None:
    patched = await http.patch(
        f"{URL}/{namespace}", headers=STRATEGIC, json={"metadata": {"labels": {"testLabel": "testValue"}}}
    )
    assert patched.status_code == 200, patched.text
    labels = (await http.get(f"{URL}/{namespace}")).json()["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": namespace, "testLabel": "testValue"}


async def test_an_update_replaces_the_labels(http: httpx.AsyncClient, namespace: str) -> None:
    found = (await http.get(f"{URL}/{namespace}")).json()
    found["metadata"]["labels"][namespace] = "updated"
    updated = await http.put(f"{URL}/{namespace}", json=found)
    assert updated.status_code == 200 and updated.json()["metadata"]["labels"][namespace] == "updated"
    assert (await http.get(f"{URL}/{namespace}")).json() == updated.json()


async def test_conditions_are_patched_and_updated_through_the_status(http: httpx.AsyncClient, namespace: str) -> None:
    status = f"{URL}/{namespace}/status"
    found = (await http.get(status)).json()
    assert found["status"] == {"phase": "Active"}
    condition = {"type": "StatusPatch", "status": "True", "reason": "E2E", "message": "Patched by a test"}
    patched = await http.patch(
        status,
        headers=MERGE,
        json={"metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"conditions": [condition]}},
    )
    assert patched.status_code == 200, patched.text
    assert patched.json()["metadata"]["annotations"]["patchedstatus"] == "true"
    assert condition.items() <= patched.json()["status"]["conditions"][0].items()
    body = patched.json()
    body["status"]["conditions"].append({**condition, "type": "StatusUpdate", "message": "Updated by a test"})
    updated = await http.put(status, json=body)
    assert updated.status_code == 200, updated.text
    conditions = (await http.get(f"{URL}/{namespace}")).json()["status"]["conditions"]
    assert [item["type"] for item in conditions] == ["StatusPatch", "StatusUpdate"]


async def test_a_finalizer_is_added_and_taken_away_through_finalize(http: httpx.AsyncClient, namespace: str) -> None:
    url, mine = f"{URL}/{namespace}", "e2e.example.com/fakeFinalizer"
    found = (await http.get(url)).json()
    assert found["spec"]["finalizers"] == ["kubernetes"]
    found["spec"]["finalizers"].append(mine)
    ignored = await http.put(url, json=found)
    assert ignored.json()["spec"]["finalizers"] == ["kubernetes"], "an update leaves the finalizers alone"
    added = await http.put(f"{url}/finalize", json={**found, "metadata": ignored.json()["metadata"]})
    assert added.status_code == 200, added.text
    assert (await http.get(url)).json()["spec"]["finalizers"] == ["kubernetes", mine]
    body = added.json()
    body["spec"]["finalizers"].remove(mine)
    removed = await http.put(f"{url}/finalize", json=body)
    assert removed.status_code == 200, removed.text
    assert (await http.get(url)).json()["spec"]["finalizers"] == ["kubernetes"]
