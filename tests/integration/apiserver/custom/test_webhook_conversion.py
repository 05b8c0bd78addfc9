"""A custom resource in two versions with a webhook between them: every way of reading and writing goes through it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from k8slite.testing import RunningServer, running_server
from k8slite.testing.extension import extension
from k8slite.testing.kubectl import Kubectl

from .definitions import Document, custom, definition, establish, path, version

GROUP = "webhook.example.com"
TABLE = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
METADATA = {"accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
ONE_METADATA = {"accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}


@dataclass
class Converter:
    """v1 has `spec.address` ("host:port"), v2 has `spec.host` and `spec.port`."""

    broken: bool = False
    asked: list[Document] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        review = json.loads(await request.read())
        asked = review["request"]
        self.asked.append(asked)
        if self.broken:
            result: Document = {"status": "Failed", "message": "not today"}
            return web.json_response({**review, "response": {"uid": asked["uid"], "result": result}})
        objects = [convert(each, asked["desiredAPIVersion"]) for each in asked["objects"]]
        response = {"uid": asked["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
        return web.json_response({"kind": review["kind"], "apiVersion": review["apiVersion"], "response": response})


def convert(document: Document, to: str) -> Document:
    spec = document.get("spec") or {}
    if to.endswith("/v2"):
        host, _, port = spec["address"].partition(":")
        return {**document, "apiVersion": to, "spec": {"host": host, "port": port}}
    return {**document, "apiVersion": to, "spec": {"address": f"{spec['host']}:{spec['port']}"}}


def schema(*fields: str) -> Document:
    properties = {each: {"type": "string"} for each in fields}
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


@dataclass
class World:
    server: RunningServer
    http: httpx.AsyncClient
    converter: Converter
    old: str
    new: str

    async def post(self, url: str, body: Document) -> Document:
        answer = await self.http.post(url, json=body)
        assert answer.status_code == 201, answer.text
        made: Document = answer.json()
        return made

    async def read(self, url: str, **headers: str) -> Document:
        answer = await self.http.get(url, headers=headers)
        assert answer.status_code == 200, answer.text
        found: Document = answer.json()
        return found


@asynccontextmanager
async def world(directory: Path, store: Any) -> AsyncIterator[World]:
    converter = Converter()
    async with (
        extension(converter.handle, directory=directory, hosts=["127.0.0.1"]) as hook,
        running_server(store=store, directory=directory) as server,
        server.http() as http,
    ):
        client = {"url": f"https://127.0.0.1:{hook.port}/convert", "caBundle": base64.b64encode(hook.bundle).decode()}
        column = [{"name": "Host", "type": "string", "jsonPath": ".spec.host"}]
        document = definition(
            "routes",
            GROUP,
            version("v1", schema=schema("address"), selectableFields=[{"jsonPath": ".spec.address"}]),
            version(
                "v2",
                schema=schema("host", "port"),
                storage=False,
                additionalPrinterColumns=column,
                selectableFields=[{"jsonPath": ".spec.host"}],
            ),
            conversion={
                "strategy": "Webhook",
                "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client},
            },
        )
        made = await establish(http, document)
        yield World(server, http, converter, path(made, "v1"), path(made, "v2"))


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def routes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, request.param) as made:
        yield made


def old(name: str, address: str) -> Document:
    return custom(f"{GROUP}/v1", "Route", name, spec={"address": address})


async def test_objects_are_read_and_written_in_either_version(routes: World) -> None:
    await routes.post(routes.old, old("a", "web:80"))
    assert routes.converter.asked == []  # written in the version that is stored
    found = await routes.read(f"{routes.new}/a")
    assert (found["apiVersion"], found["spec"]) == (f"{GROUP}/v2", {"host": "web", "port": "80"})

    made = await routes.post(routes.new, custom(f"{GROUP}/v2", "Route", "b", spec={"host": "db", "port": "5432"}))
    assert made["spec"] == {"host": "db", "port": "5432"}
    assert (await routes.read(f"{routes.old}/b"))["spec"] == {"address": "db:5432"}

    headers = {"content-type": "application/merge-patch+json"}
    patched = await routes.http.patch(f"{routes.new}/a", json={"spec": {"port": "81"}}, headers=headers)
    assert patched.json()["spec"] == {"host": "web", "port": "81"}
    assert (await routes.read(f"{routes.old}/a"))["spec"] == {"address": "web:81"}


async def test_lists_are_converted_together_in_every_form(routes: World) -> None:
    for name in ("a", "b", "c"):
        await routes.post(routes.old, old(name, f"{name}:1"))
    routes.converter.asked.clear()
    listed = await routes.read(routes.new)
    assert listed["apiVersion"] == f"{GROUP}/v2"
    assert [each["spec"]["host"] for each in listed["items"]] == ["a", "b", "c"]
    (asked,) = routes.converter.asked
    assert len(asked["objects"]) == 3
    table = await routes.read(routes.new, **TABLE)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Host"]
    assert [row["cells"] for row in table["rows"]] == [[each, each] for each in ("a", "b", "c")]
    partial = await routes.read(routes.new, **METADATA)
    assert [each["metadata"]["name"] for each in partial["items"]] == ["a", "b", "c"]


async def test_watches_are_converted_in_every_form(routes: World) -> None:
    await routes.post(routes.old, old("a", "web:80"))
    for headers, show in (
        ({}, lambda each: each["spec"]["host"]),
        (TABLE, lambda each: each["rows"][0]["cells"][1]),
        (ONE_METADATA, lambda each: each["metadata"]["name"]),
    ):
        name = f"new-{len(headers.get('accept', ''))}"
        query = {"watch": "1", "timeoutSeconds": "20"}
        async with routes.http.stream("GET", routes.new, params=query, headers=headers) as answer:
            lines = answer.aiter_lines()
            first = json.loads(await anext(lines))
            assert (first["type"], show(first["object"])) == ("ADDED", "a" if headers is ONE_METADATA else "web")
            await routes.post(routes.old, old(name, f"{name}:1"))
            second = json.loads(await anext(lines))
            assert (second["type"], show(second["object"])) == ("ADDED", name)
            await routes.http.delete(f"{routes.old}/{name}")
            third = json.loads(await anext(lines))
            assert (third["type"], show(third["object"])) == ("DELETED", name)


async def test_fields_are_selected_in_the_version_that_is_stored_alone(routes: World) -> None:
    for name in ("a", "b"):
        await routes.post(routes.old, old(name, f"{name}:1"))
    found = await routes.read(f"{routes.old}?fieldSelector=spec.address%3Da:1")
    assert [each["metadata"]["name"] for each in found["items"]] == ["a"]
    found = await routes.read(f"{routes.new}?fieldSelector=metadata.name%3Db")
    assert [each["spec"]["host"] for each in found["items"]] == ["b"]
    refused = await routes.http.get(routes.new, params={"fieldSelector": "spec.host=a"})
    assert refused.status_code == 400
    assert f"select in {GROUP}/v1, which is stored" in refused.json()["message"]


async def test_managed_fields_and_identity_survive(routes: World) -> None:
    made = await routes.post(routes.old, old("a", "web:80"))
    found = await routes.read(f"{routes.new}/a")
    for name in ("uid", "creationTimestamp", "resourceVersion", "generation", "managedFields"):
        assert found["metadata"].get(name) == made["metadata"].get(name)


async def test_a_webhook_that_fails_fails_the_request_and_says_so(routes: World) -> None:
    await routes.post(routes.old, old("a", "web:80"))
    routes.converter.broken = True
    message = f"conversion webhook for {GROUP}/v1, Kind=Route failed: not today"
    for url in (routes.new, f"{routes.new}/a"):
        answer = await routes.http.get(url)
        assert answer.status_code == 500
        assert message in answer.json()["message"]
    async with routes.http.stream("GET", routes.new, params={"watch": "1", "timeoutSeconds": "20"}) as answer:
        events = [json.loads(line) async for line in answer.aiter_lines()]
    assert [(each["type"], each["object"]["code"]) for each in events] == [("ERROR", 500)]
    assert message in events[0]["object"]["message"]
    assert (await routes.read(f"{routes.old}/a"))["spec"] == {"address": "web:80"}
    routes.converter.broken = False
    assert (await routes.read(f"{routes.new}/a"))["spec"]["host"] == "web"


async def test_a_webhook_that_fails_keeps_nothing_from_being_deleted(routes: World) -> None:
    for name in ("a", "b", "c"):
        await routes.post(routes.old, old(name, "web:80"))
    await routes.post(routes.old, {**old("kept", "web:80"), "metadata": {"name": "kept", "finalizers": ["a.com/b"]}})
    routes.converter.broken = True
    answer = await routes.http.delete(f"{routes.new}/a")
    assert (answer.status_code, answer.json()["status"]) == (200, "Success")
    stale = await routes.http.request("DELETE", f"{routes.new}/b", json={"preconditions": {"uid": "another"}})
    assert stale.status_code == 409
    # Its answer shows what was there, which is beyond telling; gone it is.
    assert (await routes.http.delete(routes.new)).status_code == 500
    kept = (await routes.read(routes.old))["items"]
    assert [each["metadata"]["name"] for each in kept] == ["kept"]
    assert kept[0]["metadata"]["deletionTimestamp"]
    assert (kept[0]["apiVersion"], kept[0]["spec"]) == (f"{GROUP}/v1", {"address": "web:80"})


async def test_a_webhook_that_fails_keeps_no_definition(routes: World) -> None:
    await routes.post(routes.old, old("a", "web:80"))
    routes.converter.broken = True
    definitions = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/routes.{GROUP}"
    assert (await routes.http.delete(definitions)).status_code == 200
    async with asyncio.timeout(10):
        while (await routes.http.get(definitions)).status_code != 404:  # noqa: ASYNC110 - the state is the server's
            await asyncio.sleep(0.02)


async def test_kubectl_reads_the_version_that_it_is_asked_for(routes: World) -> None:
    await routes.post(routes.old, old("a", "web:80"))
    kubectl = Kubectl(routes.server)
    result = await kubectl("get", f"routes.v2.{GROUP}", "--no-headers")
    assert result.out.split() == ["a", "web"], result.err
    result = await kubectl("get", f"routes.v1.{GROUP}", "a", "-o", "jsonpath={.spec.address}")
    assert result.out == "web:80", result.err
