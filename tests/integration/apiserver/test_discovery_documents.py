"""Discovery over the wire: every group, version and resource is where its document says, aggregated or not."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from k8slite.catalogue import builtin

from .custom.definitions import definition, establish, remove, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
CLIENT_GO = f"{AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"


async def get(http: httpx.AsyncClient, path: str, accept: str = "application/json") -> Any:
    answer = await http.get(path, headers={"accept": accept})
    assert answer.status_code == 200, answer.text
    if "as=" in accept:
        assert answer.headers["content-type"] == AGGREGATED
    return answer.json()


def served(document: Any) -> set[tuple[str, str, str]]:
    """Group, version and resource of everything in an aggregated document."""
    assert document["kind"] == "APIGroupDiscoveryList"
    return {
        (group["metadata"].get("name", ""), version["version"], resource["resource"])
        for group in document["items"]
        for version in group["versions"]
        for resource in version["resources"]
    }


async def test_the_preferred_version_is_one_of_the_versions_and_is_served(http: httpx.AsyncClient) -> None:
    groups = (await get(http, "/apis"))["groups"]
    assert {row.group for row in builtin() if row.group} <= {group["name"] for group in groups}
    for listed in groups:
        group = await get(http, f"/apis/{listed['name']}")
        assert group["preferredVersion"] == listed["preferredVersion"]
        assert group["preferredVersion"] in group["versions"] == listed["versions"]
        version = await get(http, f"/apis/{group['preferredVersion']['groupVersion']}")
        assert (version["kind"], version["groupVersion"]) == (
            "APIResourceList",
            group["preferredVersion"]["groupVersion"],
        )


async def test_every_resource_is_in_the_document_of_its_group_and_version(http: httpx.AsyncClient) -> None:
    for row in builtin():
        document = await get(http, row.path)
        assert document["groupVersion"] == row.api_version
        found = [item for item in document["resources"] if item["name"] == row.plural]
        assert [(item["kind"], item["namespaced"]) for item in found] == [(row.kind, row.namespaced)]


@pytest.mark.parametrize("accept", [AGGREGATED, CLIENT_GO], ids=["raw", "client-go"])
async def test_the_aggregated_documents_hold_everything(http: httpx.AsyncClient, accept: str) -> None:
    wanted = {row.key for row in builtin()}
    core, others = await get(http, "/api", accept), await get(http, "/apis", accept)
    assert {key for key in wanted if not key[0]} <= served(core)
    assert {key for key in wanted if key[0]} <= served(others)


@pytest.mark.parametrize("accept", [AGGREGATED, CLIENT_GO], ids=["raw", "client-go"])
async def test_a_custom_resource_comes_into_the_aggregated_document_and_leaves_it(
    http: httpx.AsyncClient, accept: str
) -> None:
    group = "raw.example.com" if accept == AGGREGATED else "client.example.com"
    await establish(http, definition("testcrds", group))
    key = (group, "v1", "testcrds")

    async def present() -> bool:
        return key in served(await get(http, "/apis", accept))

    await until(present, "the resource is not in the document")
    await remove(http, f"testcrds.{group}")

    async def absent() -> bool:
        return key not in served(await get(http, "/apis", accept))

    await until(absent, "the resource stays in the document")


async def test_a_definition_is_in_the_documents_of_all_levels(http: httpx.AsyncClient) -> None:
    def only(items: list[Any], name: str, value: str) -> Any:
        [found] = [item for item in items if item[name] == value]
        return found

    group = only((await get(http, "/apis"))["groups"], "name", "apiextensions.k8s.io")
    version = {"groupVersion": "apiextensions.k8s.io/v1", "version": "v1"}
    assert version in group["versions"]
    assert version in (await get(http, "/apis/apiextensions.k8s.io"))["versions"]
    resources = (await get(http, "/apis/apiextensions.k8s.io/v1"))["resources"]
    assert only(resources, "name", "customresourcedefinitions")["kind"] == "CustomResourceDefinition"


async def test_the_version_of_the_server(http: httpx.AsyncClient) -> None:
    answer = await http.get("/version")
    version = json.loads(answer.text)
    assert (version["major"], version["minor"]) == ("1", "37")
    assert version["gitVersion"].startswith("v1.37.")
