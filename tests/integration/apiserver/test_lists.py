"""What LIST and WATCH promise: selectors, pages, resource versions."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


async def names(http: httpx.AsyncClient, url: str = URL, **query: Any) -> list[str]:
    answer = await http.get(url, params=query)
    assert answer.status_code == 200, answer.text
    return [item["metadata"]["name"] for item in answer.json()["items"]]


async def test_selectors(http: httpx.AsyncClient) -> None:
    for name, tier in (("s1", "front"), ("s2", "back"), ("s3", "back")):
        await http.post(URL, json={"metadata": {"name": name, "labels": {"sel": "1", "tier": tier}}})
    assert await names(http, labelSelector="sel,tier=back") == ["s2", "s3"]
    assert await names(http, labelSelector="sel,tier notin (back)") == ["s1"]
    assert await names(http, fieldSelector="metadata.name=s2") == ["s2"]
    assert await names(http, labelSelector="sel", fieldSelector="metadata.name!=s2") == ["s1", "s3"]
    unknown = await http.get(PODS, params={"fieldSelector": "spec.color=red"})
    assert unknown.status_code == 400 and "field label not supported: spec.color" in unknown.json()["message"]


async def test_pods_are_selected_by_node(http: httpx.AsyncClient) -> None:
    spec = {"containers": [{"name": "a", "image": "b"}]}
    await http.post(PODS, json={"metadata": {"name": "on-n1"}, "spec": {**spec, "nodeName": "n1"}})
    await http.post(PODS, json={"metadata": {"name": "nowhere"}, "spec": spec})
    assert await names(http, "/api/v1/pods", fieldSelector="spec.nodeName=n1") == ["on-n1"]
    assert await names(http, PODS, fieldSelector="spec.nodeName=,status.phase=Pending") == ["nowhere"]


async def test_pages_are_one_consistent_list(http: httpx.AsyncClient) -> None:
    for number in range(5):
        await http.post(URL, json={"metadata": {"name": f"page-{number}", "labels": {"paged": "1"}}})
    first = (await http.get(URL, params={"limit": 2, "labelSelector": "paged"})).json()
    token, revision = first["metadata"]["continue"], first["metadata"]["resourceVersion"]
    await http.delete(f"{URL}/page-3")
    await http.post(URL, json={"metadata": {"name": "page-9", "labels": {"paged": "1"}}})
    found = [item["metadata"]["name"] for item in first["items"]]
    while token:
        page = (await http.get(URL, params={"limit": 2, "labelSelector": "paged", "continue": token})).json()
        assert page["metadata"]["resourceVersion"] == revision
        found += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue")
    assert found == [f"page-{number}" for number in range(5)]


async def test_remaining_items_are_counted(http: httpx.AsyncClient) -> None:
    whole = await names(http)
    page = (await http.get(URL, params={"limit": 1})).json()
    assert page["metadata"]["remainingItemCount"] == len(whole) - 1


async def test_exact_list_shows_the_past(http: httpx.AsyncClient) -> None:
    made = (await http.post(URL, json={"metadata": {"name": "past", "labels": {"past": "1"}}})).json()
    await http.delete(f"{URL}/past")
    exact = {"resourceVersion": made["metadata"]["resourceVersion"], "resourceVersionMatch": "Exact"}
    assert await names(http, labelSelector="past", **exact) == ["past"]
    assert await names(http, labelSelector="past") == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"continue": "bm9uc2Vuc2U"}, 400),
        ({"resourceVersion": "abc"}, 400),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersion": "99999999", "resourceVersionMatch": "Exact"}, 504),
        ({"watch": "1", "resourceVersion": "99999999"}, 504),
        ({"watch": "1", "sendInitialEvents": "true"}, 422),
    ],
)
async def test_queries_that_are_refused(http: httpx.AsyncClient, query: dict[str, str], code: int) -> None:
    answer = await http.get(URL, params=query)
    assert answer.status_code == code, answer.text


async def test_watch_list_ends_its_beginning_with_a_bookmark(http: httpx.AsyncClient) -> None:
    await http.post(URL, json={"metadata": {"name": "streamed"}})
    query = {
        "watch": "1",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "fieldSelector": "metadata.name=streamed",
        "timeoutSeconds": "5",
    }
    events = []
    async with http.stream("GET", URL, params=query) as answer:
        async for line in answer.aiter_lines():
            events.append(json.loads(line))
            if events[-1]["type"] == "BOOKMARK":
                break
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_watch_of_tables(http: httpx.AsyncClient) -> None:
    made = (await http.post(URL, json={"metadata": {"name": "tabled"}})).json()
    query = {"watch": "1", "fieldSelector": "metadata.name=tabled", "timeoutSeconds": "5"}
    accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with http.stream("GET", URL, params=query, headers=accept) as answer:
        line = await anext(answer.aiter_lines())
    event = json.loads(line)
    assert event["type"] == "ADDED" and event["object"]["kind"] == "Table"
    assert event["object"]["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert event["object"]["rows"][0]["cells"][0] == "tabled"


async def test_big_lists_are_compressed_on_request(http: httpx.AsyncClient) -> None:
    for number in range(4):
        await http.post(URL, json={"metadata": {"name": f"big-{number}"}, "data": {"a": "x" * 100_000}})
    packed = await http.get(URL)
    assert packed.headers["content-encoding"] == "gzip" and "big-3" in packed.text
    plain = await http.get(URL, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
