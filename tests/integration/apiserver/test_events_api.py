"""Events in both of their groups: their lives, their collections, and how strict the newer group is."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}
TIME = "2017-09-19T13:49:16.000000Z"


def urls(namespace: str) -> tuple[str, str]:
    """The collections of the core group and of events.k8s.io."""
    rest = f"namespaces/{namespace}/events"
    return f"/api/v1/{rest}", f"/apis/events.k8s.io/v1/{rest}"


def event(namespace: str, name: str, **members: Any) -> dict[str, Any]:
    """An event as events.k8s.io has it."""
    return {
        "metadata": {"name": name, "labels": {"test": "constant"}},
        "regarding": {"namespace": namespace},
        "eventTime": TIME,
        "note": f"This is {name}",
        "action": "Do",
        "reason": "Test",
        "type": "Normal",
        "reportingController": "test-controller",
        "reportingInstance": "test-node",
        **members,
    }


def core_event(namespace: str, name: str) -> dict[str, Any]:
    """An event as the core group has it."""
    return {
        "metadata": {"name": name, "labels": {"test": "constant"}},
        "involvedObject": {"namespace": namespace},
        "message": "This is a test event",
        "reason": "Test",
        "type": "Normal",
    }


async def names(http: httpx.AsyncClient, url: str, **query: str) -> list[str]:
    answer = await http.get(url, params=query)
    assert answer.status_code == 200, answer.text
    return [item["metadata"]["name"] for item in answer.json()["items"]]


def without_bookkeeping(document: dict[str, Any]) -> dict[str, Any]:
    hidden = ("resourceVersion", "managedFields")
    kept = {name: value for name, value in document["metadata"].items() if name not in hidden}
    return {**document, "metadata": kept}


async def test_an_event_is_made_selected_patched_updated_and_deleted(http: httpx.AsyncClient, namespace: str) -> None:
    core, url = urls(namespace)
    made = await http.post(url, json=event(namespace, "one"))
    assert made.status_code == 201, made.text
    assert "one" in await names(http, "/apis/events.k8s.io/v1/events", labelSelector="test=constant")
    assert await names(http, url, labelSelector="test=constant") == ["one"]
    assert await names(http, core, fieldSelector="source=test-controller") == ["one"]
    assert await names(http, url, fieldSelector="reportingController=test-controller") == ["one"]

    series = {"count": 2, "lastObservedTime": TIME}
    patched = await http.patch(f"{url}/one", headers=STRATEGIC, json={"series": series})
    assert patched.status_code == 200, patched.text
    found = (await http.get(f"{url}/one")).json()
    assert without_bookkeeping(found) == without_bookkeeping({**made.json(), "series": series})
    found["series"]["count"] = 100
    updated = await http.put(f"{url}/one", json=found)
    assert updated.status_code == 200, updated.text
    assert without_bookkeeping((await http.get(f"{url}/one")).json()) == without_bookkeeping(found)

    assert (await http.delete(f"{url}/one")).status_code == 200
    assert await names(http, url) == []
    assert "one" not in await names(http, "/apis/events.k8s.io/v1/events", labelSelector="test=constant")


async def test_an_event_of_the_core_group_is_made_patched_updated_and_deleted(
    http: httpx.AsyncClient, namespace: str
) -> None:
    url, _ = urls(namespace)
    made = await http.post(url, json=core_event(namespace, "core-one"))
    assert made.status_code == 201, made.text
    assert "core-one" in await names(http, "/api/v1/events", labelSelector="test=constant")
    message = "This is a test event - patched"
    patched = await http.patch(f"{url}/core-one", headers=STRATEGIC, json={"message": message})
    assert patched.status_code == 200 and patched.json()["message"] == message
    found = (await http.get(f"{url}/core-one")).json()
    assert without_bookkeeping(found) == without_bookkeeping({**made.json(), "message": message})
    found["series"] = {"count": 100, "lastObservedTime": TIME}
    assert (await http.put(f"{url}/core-one", json=found)).status_code == 200
    assert (await http.get(f"{url}/core-one")).json()["series"]["count"] == 100
    assert (await http.delete(f"{url}/core-one")).status_code == 200
    assert await names(http, url) == []


@pytest.mark.parametrize("group", ["core", "events"])
async def test_events_are_deleted_by_their_label(http: httpx.AsyncClient, namespace: str, group: str) -> None:
    core, newer = urls(namespace)
    url = core if group == "core" else newer
    for name in ("one", "two", "three"):
        body = core_event(namespace, name) if group == "core" else event(namespace, name)
        assert (await http.post(url, json=body)).status_code == 201
    other = event(namespace, "other", metadata={"name": "other"})
    assert (await http.post(newer, json=other)).status_code == 201
    assert await names(http, url, labelSelector="test=constant") == ["one", "three", "two"]
    gone = await http.delete(url, params={"labelSelector": "test=constant"})
    assert gone.status_code == 200, gone.text
    assert await names(http, url) == ["other"]


@pytest.mark.parametrize(
    ("members", "field", "words"),
    [
        ({"eventTime": None}, "eventTime", "Required value"),
        ({"reportingController": ""}, "reportingController", "Required value"),
        ({"reportingController": "a b"}, "reportingController", "Invalid value"),
        ({"reportingInstance": ""}, "reportingInstance", "Required value"),
        ({"reportingInstance": "x" * 129}, "reportingInstance", "can have at most 128 characters"),
        ({"action": ""}, "action", "Required value"),
        ({"action": "x" * 129}, "action", "can have at most 128 characters"),
        ({"reason": ""}, "reason", "Required value"),
        ({"reason": "x" * 129}, "reason", "can have at most 128 characters"),
        ({"note": "x" * 1025}, "message", "can have at most 1024 characters"),
        ({"type": "Odd"}, "type", 'Invalid value: "": has invalid value: Odd'),
        ({"type": ""}, "type", 'Invalid value: "": has invalid value: '),
        ({"series": {"count": 1, "lastObservedTime": TIME}}, "series.count", "should be at least 2"),
        ({"series": {"count": 2}}, "series.lastObservedTime", "Required value"),
        ({"deprecatedFirstTimestamp": "2026-01-01T00:00:00Z"}, "firstTimestamp", "needs to be unset"),
        ({"deprecatedLastTimestamp": "2026-01-01T00:00:00Z"}, "lastTimestamp", "needs to be unset"),
        ({"deprecatedCount": 1}, "count", "needs to be unset"),
        ({"deprecatedSource": {"component": "a"}}, "source", "needs to be unset"),
    ],
)
async def test_the_newer_group_wants_complete_events(
    http: httpx.AsyncClient, members: dict[str, Any], field: str, words: str
) -> None:
    _, url = urls("default")
    refused = await http.post(url, json=event("default", "incomplete", **members), params={"dryRun": "All"})
    assert refused.status_code == 422, refused.text
    causes = refused.json()["details"]["causes"]
    assert field in [cause["field"] for cause in causes], causes
    assert words in refused.json()["message"]


async def test_the_older_group_takes_what_clients_have_always_written(http: httpx.AsyncClient) -> None:
    core, _ = urls("default")
    body = {"metadata": {"name": "meagre"}, "involvedObject": {"namespace": "default"}, "series": {"count": 1}}
    assert (await http.post(core, json=body, params={"dryRun": "All"})).status_code == 201


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"note": "another"}, "message"),
        ({"reason": "Other"}, "reason"),
        ({"action": "Undo"}, "action"),
        ({"type": "Warning"}, "type"),
        ({"eventTime": "2018-01-01T00:00:00.000000Z"}, "eventTime"),
        ({"regarding": {"name": "b"}}, "involvedObject"),
        ({"related": {"name": "b"}}, "related"),
        ({"reportingController": "example.com/other"}, "reportingController"),
        ({"reportingInstance": "other"}, "reportingInstance"),
        ({"deprecatedCount": 3}, "count"),
        ({"deprecatedSource": {"host": "a"}}, "source"),
    ],
)
async def test_in_the_newer_group_only_the_series_goes_on(
    http: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    core, url = urls("default")
    assert (await http.post(url, json=event("default", "fixed"))).status_code in (201, 409)
    refused = await http.patch(f"{url}/fixed", headers=MERGE, json=change)
    assert refused.status_code == 422, refused.text
    assert field in [cause["field"] for cause in refused.json()["details"]["causes"]]
    assert "field is immutable" in refused.json()["message"]
    if field == "message":
        allowed = await http.patch(
            f"{core}/fixed", headers=MERGE, json={"message": "another"}, params={"dryRun": "All"}
        )
        assert allowed.status_code == 200, "the older group lets it change"
