"""The forms in which objects leave: JSON, YAML, tables, metadata alone, compressed, pretty, over WebSockets."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml
from websockets.asyncio.client import connect

from k8slite.testing import RunningServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "/api/v1/namespaces/default/configmaps"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
ONE = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
MANY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "sqlite"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[RunningServer]:
    async with running_server(store=request.param) as running:
        async with running.http() as client:
            made = await client.post(URL, json={"metadata": {"name": "one", "labels": {"a": "b"}}, "data": {"k": "v"}})
            assert made.status_code == 201
        yield running


async def get(http: httpx.AsyncClient, path: str, accept: str, **query: str) -> Any:
    answer = await http.get(path, headers={"accept": accept}, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("accept", "kind", "version"),
    [
        ("", "ConfigMap", "v1"),
        ("*/*", "ConfigMap", "v1"),
        ("application/*;q=0.2", "ConfigMap", "v1"),
        (f"{TABLE},{TABLE.replace('v1;', 'v1beta1;')},application/json", "Table", "meta.k8s.io/v1"),
        (TABLE.replace("v=v1", "v=v1beta1"), "Table", "meta.k8s.io/v1beta1"),
        (f"application/json;as=Table;v=v7;g=meta.k8s.io,{ONE}", "PartialObjectMetadata", "meta.k8s.io/v1"),
        (f"{TABLE};q=0.3,application/json;q=0.9", "ConfigMap", "v1"),
        (f"application/json;q=0.3,{TABLE};q=0.9", "Table", "meta.k8s.io/v1"),
        ("text/html,application/vnd.kubernetes.protobuf,application/json", "ConfigMap", "v1"),
        (ONE.replace("v=v1", "v=v1beta1"), "PartialObjectMetadata", "meta.k8s.io/v1beta1"),
    ],
)
async def test_the_form_that_is_liked_best(http: httpx.AsyncClient, accept: str, kind: str, version: str) -> None:
    found = await get(http, f"{URL}/one", accept)
    assert (found["kind"], found["apiVersion"]) == (kind, version)


async def test_yaml(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{URL}/one", headers={"accept": "application/yaml"})
    assert answer.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(answer.text)["data"] == {"k": "v"}


async def test_metadata_of_one_and_of_many(http: httpx.AsyncClient) -> None:
    found = await get(http, f"{URL}/one", ONE)
    assert found["metadata"]["labels"] == {"a": "b"} and "data" not in found
    found = await get(http, URL, MANY, labelSelector="a=b")
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert [(item["kind"], item["metadata"]["name"]) for item in found["items"]] == [("PartialObjectMetadata", "one")]
    assert found["metadata"]["resourceVersion"]


async def test_writes_answer_in_the_form_asked_for(http: httpx.AsyncClient) -> None:
    made = await http.post(URL, json={"metadata": {"name": "written"}}, headers={"accept": ONE})
    assert (made.status_code, made.json()["kind"]) == (201, "PartialObjectMetadata")
    changed = await http.patch(
        f"{URL}/written",
        content=b'{"data":{"a":"b"}}',
        headers={"accept": TABLE, "content-type": "application/merge-patch+json"},
    )
    assert changed.json()["rows"][0]["cells"][:2] == ["written", 1]
    await http.delete(f"{URL}/written")


async def test_tables_of_pages_tell_how_to_go_on(http: httpx.AsyncClient) -> None:
    await http.post(URL, json={"metadata": {"name": "two"}})
    found = await get(http, URL, TABLE, limit="1", includeObject="None")
    assert found["metadata"]["continue"] and found["metadata"]["remainingItemCount"] >= 1
    assert found["rows"][0]["object"] is None


@pytest.mark.parametrize(
    ("path", "accept", "message"),
    [
        (f"{URL}/one", "text/html", "only the following media types are accepted: application/json, application/yaml"),
        (
            f"{URL}?watch=1",
            "application/yaml",
            "only the following media types are accepted: application/json;stream=watch",
        ),
        (
            f"{URL}/one",
            MANY,
            "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)",
        ),
        (URL, ONE, "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)"),
        (
            f"{URL}/one",
            TABLE.replace("v=v1", "v=v7"),
            "only the following media types are accepted: application/json, application/yaml",
        ),
    ],
)
async def test_forms_that_cannot_be_had(http: httpx.AsyncClient, path: str, accept: str, message: str) -> None:
    answer = await http.get(path, headers={"accept": accept})
    status = answer.json()
    assert (answer.status_code, status["reason"], status["message"]) == (406, "NotAcceptable", message)


async def test_reviews_have_no_tables(http: httpx.AsyncClient) -> None:
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    refused = await http.post(REVIEWS, json=review, headers={"accept": TABLE})
    assert refused.status_code == 406
    answered = await http.post(REVIEWS, json=review, headers={"accept": f"{TABLE},application/json"})
    assert (answered.status_code, answered.json()["kind"]) == (201, "SelfSubjectAccessReview")


async def test_bodies_that_cannot_be_read(http: httpx.AsyncClient) -> None:
    answer = await http.post(URL, content=b"a", headers={"content-type": "text/plain"})
    status = answer.json()
    assert (answer.status_code, status["reason"]) == (415, "UnsupportedMediaType")
    assert status["message"].startswith(
        "the body of the request was in an unknown format - accepted media types include: application/json"
    )


@pytest.mark.parametrize(
    ("query", "agent", "pretty"),
    [
        ({}, "client", False),
        ({"pretty": "true"}, "client", True),
        ({}, "curl/8.0", True),
        ({"pretty": "false"}, "curl/8.0", False),
    ],
)
async def test_answers_for_people(http: httpx.AsyncClient, query: dict[str, str], agent: str, pretty: bool) -> None:
    for path, code in ((f"{URL}/one", 200), (f"{URL}/none-such", 404)):
        answer = await http.get(path, params=query, headers={"user-agent": agent})
        assert answer.status_code == code and ("\n  " in answer.text) is pretty


async def test_one_large_object_is_compressed_too(http: httpx.AsyncClient) -> None:
    await http.post(URL, json={"metadata": {"name": "large"}, "data": {"a": "x" * 200_000}})
    packed = await http.get(f"{URL}/large")
    assert packed.headers["content-encoding"] == "gzip" and len(packed.json()["data"]["a"]) == 200_000
    await http.delete(f"{URL}/large")


async def watched(http: httpx.AsyncClient, accept: str, count: int, **query: str) -> list[Any]:
    found: list[Any] = []
    parameters = {"watch": "1", "timeoutSeconds": "5", "allowWatchBookmarks": "true", **query}
    async with http.stream("GET", URL, params=parameters, headers={"accept": accept}) as answer:
        async for line in answer.aiter_lines():
            found.append(json.loads(line))
            if len(found) == count:
                break
    return found


async def test_watches_of_tables_and_their_bookmarks(http: httpx.AsyncClient) -> None:
    added, mark = await watched(http, TABLE, 2, labelSelector="a=b", includeObject="None")
    assert added["object"]["rows"][0]["cells"][0] == "one" and added["object"]["rows"][0]["object"] is None
    assert (mark["type"], mark["object"]["kind"]) == ("BOOKMARK", "Table")
    shown = mark["object"]["rows"][0]["object"]["metadata"]
    assert shown["annotations"] == {"k8s.io/initial-events-end": "true"} and shown["resourceVersion"]


async def test_watches_of_metadata_and_their_bookmarks(http: httpx.AsyncClient) -> None:
    added, mark = await watched(http, ONE, 2, labelSelector="a=b")
    assert (added["object"]["kind"], added["object"]["metadata"]["name"]) == ("PartialObjectMetadata", "one")
    assert "data" not in added["object"]
    assert (mark["type"], mark["object"]["kind"]) == ("BOOKMARK", "PartialObjectMetadata")


async def test_watches_over_websockets(server: RunningServer, http: httpx.AsyncClient) -> None:
    context = ssl.create_default_context(cafile=str(server.admin.ca_file))
    assert server.admin.cert_file is not None
    context.load_cert_chain(server.admin.cert_file, server.admin.key_file)
    url = f"wss://127.0.0.1:{server.port}{URL}?watch=1&labelSelector=socket&timeoutSeconds=30"
    async with connect(url, ssl=context, proxy=None) as socket:
        for name in ("first", "second"):
            await http.post(URL, json={"metadata": {"name": name, "labels": {"socket": "1"}}})
        events = [json.loads(await socket.recv()) for _ in range(2)]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [("ADDED", "first"), ("ADDED", "second")]
    async with connect(url.replace("=30", "=1"), ssl=context, proxy=None) as socket:
        assert len([message async for message in socket]) == 2  # what is there, and then it ends


async def test_a_websocket_that_is_refused(server: RunningServer) -> None:
    from websockets.exceptions import InvalidStatus

    context = ssl.create_default_context(cafile=str(server.admin.ca_file))
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"wss://127.0.0.1:{server.port}{URL}?watch=1", ssl=context, proxy=None):
            pass
    assert refused.value.response.status_code in (401, 403)
