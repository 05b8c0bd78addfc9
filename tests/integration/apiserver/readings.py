"""An extension API server in the test's own process: it serves `readings` of `metrics.example.com/v1`.

It does what such servers do: it asks for the front proxy's certificate, believes the users that the proxy names, and
describes itself by discovery and OpenAPI. The test reads what it was sent, and can make it fail.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

GROUP, VERSION = "metrics.example.com", "v1"
PATH = f"/apis/{GROUP}/{VERSION}"
READING = {"kind": "Reading", "group": GROUP, "version": VERSION}
VERBS = ["create", "get", "list", "watch"]
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def reading(name: str, value: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"kind": "Reading", "apiVersion": f"{GROUP}/{VERSION}", "metadata": metadata, "value": value}


@dataclass
class Readings:
    """The server's state; `handle` serves its requests."""

    aggregated: bool = True
    healthy: bool = True
    stumbling: bool = False
    """It cannot say what it serves."""
    hostile: bool = False
    """What it says of itself is nested deeper than can be written."""
    objects: dict[str, dict[str, Any]] = field(default_factory=lambda: {"first": reading("first", "21")})
    seen: list[web.BaseRequest] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """A watch has been left by its client."""
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    """Something is asked for that is never answered, not even begun."""
    added: asyncio.Condition = field(default_factory=asyncio.Condition)

    def asked_by(self, user: str) -> list[web.BaseRequest]:
        return [request for request in self.seen if request.headers.get("X-Remote-User") == user]

    async def add(self, name: str, value: str) -> None:
        async with self.added:
            self.objects[name] = reading(name, value)
            self.added.notify_all()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        certificate = request.get_extra_info("peercert")
        names = {key: value for part in certificate["subject"] for key, value in part}
        assert names["commonName"] == "front-proxy-client"
        self.seen.append(request)
        self.bodies.append(await request.read())
        if not self.healthy or (self.stumbling and request.path in ("/apis", "/openapi/v2", "/openapi/v3")):
            return web.Response(status=500, text="broken")
        document = self._document(request)
        if document is not None:
            return document
        if not request.path.startswith(f"{PATH}/"):
            return web.Response(status=404)
        if request.headers.get("Upgrade") == "websocket":
            return await self._echo(request)
        parts = request.path.removeprefix(f"{PATH}/").split("/")
        name = parts[3] if parts[0] == "namespaces" and len(parts) > 3 else ""
        if name == "silent":
            return await self._keep_silent()
        if name.startswith("status-"):
            return web.Response(status=int(name.removeprefix("status-")))
        if name == "elsewhere":
            return web.Response(status=302, headers={"Location": "https://example.com/"})
        if request.headers.get("Upgrade") == "elsewhere":
            return web.Response(status=307, headers={"Location": "https://example.com/"})
        if request.method == "POST":
            await self.add("posted", "1")
            return web.json_response(self.objects["posted"], status=201)
        if name:
            found = self.objects.get(name)
            return web.json_response(found or {"kind": "Status", "code": 404}, status=200 if found else 404)
        if request.query.get("watch") in ("1", "true"):
            return await self._watch(request)
        items = list(self.objects.values())
        return web.json_response(
            {"kind": "ReadingList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}
        )

    async def _keep_silent(self) -> web.StreamResponse:
        self.silent.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
        raise AssertionError

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        sent: set[str] = set()
        try:
            while True:
                async with self.added:
                    await self.added.wait_for(lambda: self.objects.keys() - sent)
                    names = sorted(self.objects.keys() - sent)
                for name in names:
                    event = {"type": "ADDED", "object": self.objects[name]}
                    await response.write(json.dumps(event).encode() + b"\n")
                    sent.add(name)
        finally:
            self.left.set()

    async def _echo(self, request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=["echo"])
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"{request.headers['X-Remote-User']}: {message.data}")
        return socket

    def _document(self, request: web.BaseRequest) -> web.Response | None:
        if self.hostile and request.path in ("/apis", "/openapi/v2", "/openapi/v3"):
            body = {"paths": {f"{PATH}/x": "NESTED", PATH[1:]: "NESTED"}, "items": "NESTED"}
            nested = json.dumps(body).replace('"NESTED"', '{"a":' * 900 + "1" + "}" * 900)
            return web.Response(text=nested, content_type="application/json")
        match request.path:
            case "/apis" if self.aggregated and "as=APIGroupDiscoveryList" in request.headers["Accept"]:
                if request.headers.get("If-None-Match") == '"1"':
                    return web.Response(status=304)
                row = {
                    "resource": "readings",
                    "responseKind": READING,
                    "scope": "Namespaced",
                    "singularResource": "reading",
                    "verbs": VERBS,
                    "shortNames": ["rd"],
                    "categories": ["all"],
                }
                versions = [{"version": VERSION, "resources": [row], "freshness": "Current"}]
                body = {
                    "kind": "APIGroupDiscoveryList",
                    "apiVersion": "apidiscovery.k8s.io/v2",
                    "items": [{"metadata": {"name": GROUP}, "versions": versions}],
                }
                return web.Response(body=json.dumps(body).encode(), headers={"Content-Type": AGGREGATED, "ETag": '"1"'})
            case "/apis":
                return web.json_response({"kind": "APIGroupList", "groups": []})
            case str(path) if path == PATH:
                row = {"name": "readings", "singularName": "reading", "namespaced": True, "kind": "Reading"}
                rows = [{**row, "verbs": VERBS, "shortNames": ["rd"]}]
                return web.json_response(
                    {"kind": "APIResourceList", "groupVersion": f"{GROUP}/{VERSION}", "resources": rows}
                )
            case "/openapi/v3":
                return web.json_response({"paths": {PATH[1:]: {"serverRelativeURL": f"/openapi/v3{PATH}?hash=ABC"}}})
            case str(path) if path == f"/openapi/v3{PATH}":
                return web.json_response({"openapi": "3.0.0", "paths": {}, "info": {"title": "readings"}})
            case "/openapi/v2":
                return web.json_response(OPENAPI_2)
        return None


OPENAPI_2 = {
    "swagger": "2.0",
    "info": {"title": "readings", "version": "1"},
    "paths": {
        f"{PATH}/namespaces/{{namespace}}/readings": {
            "get": {
                "operationId": "listReadings",
                "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/example.Reading"}}},
            }
        },
        "/version/": {"get": {"responses": {"200": {"description": "OK"}}}},
    },
    "definitions": {
        "example.Reading": {
            "type": "object",
            "properties": {
                "metadata": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
                "value": {"type": "string"},
            },
            "x-kubernetes-group-version-kind": [READING],
        },
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"type": "object", "description": "theirs"},
        "unused": {"type": "object"},
    },
}
