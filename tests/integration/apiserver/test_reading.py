"""What GET, LIST and WATCH promise, over every store: revisions, pages, refusals, watches."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.apiserver.verbs import paging
from k8slite.config import StoreConfig
from k8slite.testing import RunningServer, running_server
from tests.contract.etcd_server import etcd

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = "/api/v1/configmaps"
FUTURE = "999999999"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "sqlite", "etcd"])
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningServer]:
    with ExitStack() as stack:
        store = StoreConfig(engine=request.param)
        if request.param == "etcd":
            [member] = stack.enter_context(etcd(tmp_path_factory.mktemp("etcd")))
            store = StoreConfig(engine="etcd", endpoints=[member.endpoint])
        async with running_server(store=store if request.param == "etcd" else request.param) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def url(http: httpx.AsyncClient, request: pytest.FixtureRequest) -> str:
    """The ConfigMaps of a namespace of the test's own."""
    name = "reading-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")[:50].strip("-")
    made = await http.post("/api/v1/namespaces", json={"metadata": {"name": name}})
    assert made.status_code in (201, 409), made.text
    return f"/api/v1/namespaces/{name}/configmaps"


async def make(http: httpx.AsyncClient, url: str, name: str, **labels: str) -> str:
    """A ConfigMap; its revision."""
    made = await http.post(url, json={"metadata": {"name": name, "labels": labels}})
    assert made.status_code == 201, made.text
    revision: str = made.json()["metadata"]["resourceVersion"]
    return revision


def names(body: Any) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"]]


async def events(http: httpx.AsyncClient, url: str, count: int = 0, **query: Any) -> list[Any]:
    """The first events of a watch; without a count, everything that a watch of a second says."""
    found: list[Any] = []
    parameters = {"watch": "1", "timeoutSeconds": "20" if count else "1", **query}
    async with http.stream("GET", url, params=parameters) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            found.append(json.loads(line))
            if len(found) == count:
                break
    return found


def told(found: list[Any]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in found]


class TestRevisionsOfLists:
    @pytest_asyncio.fixture(loop_scope="module")
    async def history(self, http: httpx.AsyncClient, url: str) -> tuple[str, str]:
        """a, then b, then a is gone: the revisions after the first and the second."""
        for item in (await http.get(url)).json()["items"]:
            await http.delete(f"{url}/{item['metadata']['name']}")
        first = await make(http, url, "a")
        second = await make(http, url, "b")
        await http.delete(f"{url}/a")
        return first, second

    @pytest.mark.parametrize(
        ("query", "expected", "exact"),
        [
            ({}, ["b"], False),
            ({"resourceVersion": "0"}, ["b"], False),
            ({"resourceVersion": "0", "resourceVersionMatch": "NotOlderThan"}, ["b"], False),
            ({"resourceVersion": "first"}, ["b"], False),
            ({"resourceVersion": "first", "resourceVersionMatch": "NotOlderThan"}, ["b"], False),
            ({"resourceVersion": "first", "resourceVersionMatch": "NotOlderThan", "limit": "5"}, ["b"], False),
            ({"resourceVersion": "first", "resourceVersionMatch": "Exact"}, ["a"], True),
            ({"resourceVersion": "first", "resourceVersionMatch": "Exact", "limit": "5"}, ["a"], True),
            ({"resourceVersion": "first", "limit": "5"}, ["a"], True),
            ({"resourceVersion": "second", "resourceVersionMatch": "Exact"}, ["a", "b"], True),
            ({"limit": "-1"}, ["b"], False),
        ],
    )
    async def test_what_each_way_of_asking_shows(
        self,
        http: httpx.AsyncClient,
        url: str,
        history: tuple[str, str],
        query: dict[str, str],
        expected: list[str],
        exact: bool,
    ) -> None:
        revisions = dict(zip(("first", "second"), history, strict=True))
        asked = {key: revisions.get(value, value) for key, value in query.items()}
        body = (await http.get(url, params=asked)).json()
        assert [name for name in names(body) if name != "kube-root-ca.crt"] == expected
        assert (body["metadata"]["resourceVersion"] == asked.get("resourceVersion")) is exact

    async def test_what_is_read_is_not_older_than_asked(self, http: httpx.AsyncClient, url: str) -> None:
        revision = await make(http, url, "fresh")
        found = await http.get(f"{url}/fresh", params={"resourceVersion": revision})
        assert found.json()["metadata"]["resourceVersion"] == revision
        assert (await http.get(f"{url}/fresh", params={"resourceVersion": "0"})).status_code == 200


class TestRefusals:
    @pytest.mark.parametrize(
        ("query", "code", "message"),
        [
            (
                {"resourceVersionMatch": "Exact"},
                422,
                'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is '
                "forbidden unless resourceVersion is provided",
            ),
            (
                {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
                422,
                'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch "exact" '
                'is forbidden for resourceVersion "0"',
            ),
            (
                {"sendInitialEvents": "true"},
                422,
                'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden '
                "for list",
            ),
            (
                {"watch": "true", "resourceVersionMatch": "NotOlderThan"},
                422,
                'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is '
                "forbidden for watch unless sendInitialEvents is provided",
            ),
            (
                {"watch": "true", "sendInitialEvents": "true"},
                422,
                'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires '
                "setting resourceVersionMatch to NotOlderThan",
            ),
            (
                {"resourceVersion": "abc"},
                400,
                'invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": '
                "invalid syntax",
            ),
            (
                {"resourceVersion": "-1"},
                400,
                'invalid resource version: resourceVersion: Invalid value: "-1": strconv.ParseUint: parsing "-1": '
                "invalid syntax",
            ),
            (
                {"resourceVersion": "18446744073709551616"},
                400,
                'invalid resource version: resourceVersion: Invalid value: "18446744073709551616": strconv.ParseUint: '
                'parsing "18446744073709551616": value out of range',
            ),
            ({"limit": "many"}, 400, 'strconv.ParseInt: parsing "many": invalid syntax'),
            ({"continue": "!"}, 400, "invalid continue token: continue key is not valid"),
            (
                {"continue": base64.urlsafe_b64encode(b'{"v":"v9","rv":1,"start":"a"}').decode()},
                400,
                "invalid continue token: continue key is not valid: server does not recognize this encoded version v9",
            ),
            (
                {"continue": base64.urlsafe_b64encode(b'{"v":"meta.k8s.io/v1","rv":0,"start":"a"}').decode()},
                400,
                "invalid continue token: continue key is not valid: incorrect encoded start resourceVersion (version "
                "meta.k8s.io/v1)",
            ),
            ({"labelSelector": "a in b"}, 400, "unable to parse requirement: found 'b' expected: '('"),
            ({"fieldSelector": "a"}, 400, "invalid selector: 'a'; can't understand 'a'"),
            (
                {"fieldSelector": "data.a=b"},
                400,
                '"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"',
            ),
        ],
    )
    async def test_in_kubernetes_words(
        self, http: httpx.AsyncClient, query: dict[str, str], code: int, message: str
    ) -> None:
        answer = await http.get(ALL, params=query)
        assert (answer.status_code, answer.json()["message"]) == (code, message)

    @pytest.mark.parametrize(
        "query",
        [
            {},
            {"resourceVersionMatch": "Exact"},
            {"watch": "true"},
            {"watch": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"},
        ],
        ids=["not-older", "exact", "watch", "initial"],
    )
    async def test_a_revision_of_the_future(
        self, http: httpx.AsyncClient, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("k8slite.apiserver.verbs.reading._CATCH_UP", 0.05)
        answer = await http.get(ALL, params={"resourceVersion": FUTURE, **query})
        status = answer.json()
        assert (answer.status_code, status["reason"]) == (504, "Timeout")
        assert status["message"].startswith(f"Timeout: Too large resource version: {FUTURE}, current: ")
        assert status["details"] == {
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }

    @pytest.mark.parametrize(
        ("path", "field", "message"),
        [
            ("/api/v1/pods", "spec.x", "field label not supported: spec.x"),
            ("/api/v1/namespaces", "metadata.namespace", "field label not supported: metadata.namespace"),
            ("/apis/batch/v1/jobs", "status.x", 'field label "status.x" not supported for Job'),
            (
                "/apis/resource.k8s.io/v1/resourceslices",
                "x",
                "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: x",
            ),
            ("/apis/events.k8s.io/v1/events", "involvedObject.kind", "field label not supported: involvedObject.kind"),
            ("/api/v1/events", "regarding.kind", "field label not supported: regarding.kind"),
            (
                "/apis/apps/v1/deployments",
                "spec.replicas",
                '"spec.replicas" is not a known field selector: only "metadata.name", "metadata.namespace"',
            ),
        ],
    )
    async def test_fields_that_cannot_be_selected(
        self, http: httpx.AsyncClient, path: str, field: str, message: str
    ) -> None:
        answer = await http.get(path, params={"fieldSelector": f"{field}=a"})
        assert (answer.status_code, answer.json()["message"]) == (400, message)

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            *(("/api/v1/pods", f"spec.{name}") for name in ("nodeName", "host", "restartPolicy", "schedulerName")),
            *(("/api/v1/pods", f"status.{name}") for name in ("phase", "podIP", "podIPs", "nominatedNodeName")),
            ("/api/v1/pods", "spec.serviceAccountName"),
            ("/api/v1/pods", "spec.hostNetwork"),
            ("/api/v1/nodes", "spec.unschedulable"),
            ("/api/v1/events", "involvedObject.uid"),
            ("/api/v1/events", "source"),
            ("/apis/events.k8s.io/v1/events", "regarding.uid"),
            ("/apis/events.k8s.io/v1/events", "reportingController"),
            ("/api/v1/namespaces", "status.phase"),
            ("/api/v1/secrets", "type"),
            ("/api/v1/services", "spec.clusterIP"),
            ("/api/v1/services", "spec.type"),
            ("/api/v1/replicationcontrollers", "status.replicas"),
            ("/apis/apps/v1/replicasets", "status.replicas"),
            ("/apis/batch/v1/jobs", "status.successful"),
            ("/apis/certificates.k8s.io/v1/certificatesigningrequests", "spec.signerName"),
            ("/apis/resource.k8s.io/v1/resourceslices", "spec.driver"),
        ],
    )
    async def test_fields_that_can(self, http: httpx.AsyncClient, path: str, field: str) -> None:
        answer = await http.get(path, params={"fieldSelector": f"{field}=none-such"})
        assert (answer.status_code, answer.json()["items"]) == (200, [])


class TestPages:
    async def test_count_what_remains_unless_selected(self, http: httpx.AsyncClient, url: str) -> None:
        for number in range(4):
            await make(http, url, f"p{number}", half=str(number % 2))
        whole = names((await http.get(url)).json())
        page = (await http.get(url, params={"limit": 1})).json()
        assert page["metadata"]["remainingItemCount"] == len(whole) - 1
        page = (await http.get(url, params={"limit": 1, "labelSelector": "half=1"})).json()
        assert "remainingItemCount" not in page["metadata"] and page["metadata"]["continue"]

    async def test_a_token_allows_no_revision_of_ones_own(self, http: httpx.AsyncClient, url: str) -> None:
        for name in ("a", "b", "c"):
            await make(http, url, name)
        first = (await http.get(url, params={"limit": 1})).json()["metadata"]
        query = {"limit": 1, "continue": first["continue"], "resourceVersion": first["resourceVersion"]}
        answer = await http.get(url, params=query)
        assert answer.json()["message"] == "specifying resource version is not allowed when using continue"
        answer = await http.get(url, params={**query, "resourceVersion": "0"})
        assert answer.status_code == 200 and names(answer.json()) == ["b"]

    async def test_of_another_server_that_is_ahead_are_waited_for(
        self, http: httpx.AsyncClient, url: str, server: RunningServer
    ) -> None:
        now = int(await make(http, url, "a"))
        token = paging.encode(paging.Position(now + 1, ""))
        page = asyncio.create_task(http.get(url, params={"continue": token}))
        async with asyncio.timeout(5):
            while not server.app.cache._waiting and not page.done():  # noqa: ASYNC110 — no event tells of it
                await asyncio.sleep(0)
        await make(http, url, "b")
        answer = await page
        assert answer.status_code == 200
        assert names(answer.json()) == names((await http.get(url)).json())

    async def test_of_an_expired_list_go_on_inconsistently(
        self, http: httpx.AsyncClient, url: str, server: RunningServer
    ) -> None:
        for name in ("a", "b", "c"):
            await make(http, url, name)
        first = (await http.get(url, params={"limit": 1})).json()["metadata"]
        await http.delete(f"{url}/b")
        latest = int(await make(http, url, "b2"))
        await forget(server, latest)
        refused = await http.get(url, params={"limit": 1, "continue": first["continue"]})
        status = refused.json()
        assert (refused.status_code, status["reason"]) == (410, "Expired")
        assert "Continuing with the provided token results in an inconsistent list" in status["message"]
        rest = (await http.get(url, params={"limit": 9, "continue": status["metadata"]["continue"]})).json()
        assert [name for name in names(rest) if name != "kube-root-ca.crt"] == ["b2", "c"]
        assert int(rest["metadata"]["resourceVersion"]) >= latest
        exact = {"resourceVersion": first["resourceVersion"], "resourceVersionMatch": "Exact"}
        refused = await http.get(url, params=exact)
        assert refused.json()["message"] == "The resourceVersion for the provided list is too old."


async def forget(server: RunningServer, revision: int) -> None:
    """Make the server forget its history before a revision, in memory and in the store."""
    cache = server.app.registry.cache
    await cache.consistent()
    await cache.store.compact(revision)
    resource = cache.resource("", "configmaps")
    resource._history.clear()
    resource._floor = revision


class TestWatches:
    async def test_resume_after_any_revision(self, http: httpx.AsyncClient, url: str) -> None:
        first = await make(http, url, "a")
        await make(http, url, "b")
        await http.delete(f"{url}/a")
        found = await events(http, url, 2, resourceVersion=first)
        assert told(found) == [("ADDED", "b"), ("DELETED", "a")]

    async def test_from_no_revision_begin_with_what_is_there(self, http: httpx.AsyncClient, url: str) -> None:
        await make(http, url, "a", here="1")
        for revision in ("", "0"):
            found = await events(http, url, 1, resourceVersion=revision, labelSelector="here")
            assert told(found) == [("ADDED", "a")]
            found = await events(
                http, url, 2, resourceVersion=revision, labelSelector="here", allowWatchBookmarks="true"
            )
            assert told(found) == [("ADDED", "a"), ("BOOKMARK", "")]
            assert found[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}

    async def test_without_initial_events_tell_only_news(self, http: httpx.AsyncClient, url: str) -> None:
        await make(http, url, "old")
        for revision in ("", "0"):
            found = await events(
                http,
                url,
                resourceVersion=revision,
                sendInitialEvents="false",
                resourceVersionMatch="NotOlderThan",
                allowWatchBookmarks="true",
            )
            assert [event["type"] for event in found] == ["BOOKMARK"]
            assert "annotations" not in found[0]["object"]["metadata"]

    async def test_tell_what_enters_and_leaves_a_selection(self, http: httpx.AsyncClient, url: str) -> None:
        start = await make(http, url, "other")
        await make(http, url, "a", colour="red")
        patch = {"headers": {"content-type": "application/merge-patch+json"}}
        await http.patch(f"{url}/a", json={"metadata": {"labels": {"colour": "blue"}}, "data": {"k": "v"}}, **patch)
        gone = (await http.get(f"{url}/a")).json()["metadata"]["resourceVersion"]
        await http.patch(f"{url}/a", json={"metadata": {"labels": {"colour": "red"}}}, **patch)
        await http.delete(f"{url}/a")
        found = await events(http, url, 4, resourceVersion=start, labelSelector="colour=red")
        assert told(found) == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a"), ("DELETED", "a")]
        left = found[1]["object"]
        assert left["metadata"]["labels"] == {"colour": "red"} and "data" not in left
        assert left["metadata"]["resourceVersion"] == gone

    async def test_end_with_a_bookmark(self, http: httpx.AsyncClient, url: str) -> None:
        start = await make(http, url, "a")
        found = await events(http, url, resourceVersion=start, allowWatchBookmarks="true")
        assert [event["type"] for event in found] == ["BOOKMARK"]
        mark = found[0]["object"]
        assert (mark["kind"], mark["apiVersion"]) == ("ConfigMap", "v1")
        assert int(mark["metadata"]["resourceVersion"]) >= int(start)

    async def test_of_a_forgotten_revision_end_with_an_error(
        self, http: httpx.AsyncClient, url: str, server: RunningServer
    ) -> None:
        start = await make(http, url, "a")
        await make(http, url, "b")
        await forget(server, int(await make(http, url, "c")))
        found = await events(http, url, resourceVersion=start)
        assert [event["type"] for event in found] == ["ERROR"]
        status = found[0]["object"]
        assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
        assert status["message"].startswith(f"too old resource version: {start} (")

    @pytest.mark.parametrize("way", ["field", "old", "old-all"])
    async def test_of_one_object(self, http: httpx.AsyncClient, url: str, way: str) -> None:
        start = await make(http, url, "other")
        await make(http, url, "two")
        await make(http, url, "one")
        old = url.replace("/api/v1/", "/api/v1/watch/")
        path, query = {
            "field": (url, {"fieldSelector": "metadata.name=one"}),
            "old": (f"{old}/one", {}),
            "old-all": (old, {"fieldSelector": "metadata.name=one"}),
        }[way]
        assert told(await events(http, path, 1, resourceVersion=start, **query)) == [("ADDED", "one")]

    async def test_of_one_object_refuse_another_name(self, http: httpx.AsyncClient, url: str) -> None:
        old = url.replace("/api/v1/", "/api/v1/watch/")
        answer = await http.get(f"{old}/one", params={"fieldSelector": "metadata.name=two"})
        assert (answer.status_code, answer.json()["message"]) == (
            400,
            "fieldSelector metadata.name doesn't match requested name",
        )

    async def test_a_read_of_one_object_is_no_watch(self, http: httpx.AsyncClient, url: str) -> None:
        await make(http, url, "one")
        found = await http.get(f"{url}/one", params={"watch": "true"})
        assert found.json()["kind"] == "ConfigMap"
