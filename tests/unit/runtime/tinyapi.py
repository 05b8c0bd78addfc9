"""Just enough of an API server for the client runtime: one flat store, watches, and faults on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from k8slite import errors


class TinyApi:
    def __init__(self) -> None:
        self.revision = 10
        self.objects: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[int, str, str, dict[str, Any]]] = []
        self.compacted = 0
        self.changed = asyncio.Condition()
        self.requests: list[tuple[str, str]] = []
        self.fail_next: list[errors.ApiError] = []
        self.lose_next = 0
        """So many requests take effect, but their answers are lost."""
        self.mute = False
        """Watches are accepted, but say nothing."""
        self.cut = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def commit(self, type_: str, key: str, document: dict[str, Any]) -> dict[str, Any]:
        async with self.changed:
            self.revision += 1
            document = json.loads(json.dumps(document))
            document["metadata"]["resourceVersion"] = str(self.revision)
            if type_ == "DELETED":
                del self.objects[key]
            else:
                self.objects[key] = document
            self.log.append((self.revision, type_, key, document))
            self.changed.notify_all()
        return document

    async def put(self, key: str, **fields: Any) -> dict[str, Any]:
        """Write an object by `/api/v1/namespaces/ns/pods/name`."""
        parts = key.split("/")
        namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts else ""
        metadata = {"name": parts[-1], "namespace": namespace, "uid": f"uid-{key}"} | fields.pop("metadata", {})
        known = key in self.objects
        return await self.commit("MODIFIED" if known else "ADDED", key, {"metadata": metadata} | fields)

    async def remove(self, key: str) -> None:
        await self.commit("DELETED", key, self.objects[key])

    def replace_store(self) -> None:
        """As from an old backup: other objects, and revisions that begin anew."""
        self.revision = 1
        self.objects.clear()
        self.log.clear()

    async def cut_watches(self) -> None:
        async with self.changed:
            self.cut.set()
            self.changed.notify_all()
        self.cut = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        try:
            if self.fail_next:
                raise self.fail_next.pop(0)
            if request.query.get("watch"):
                return await self.watch(request)
            return web.json_response(await self.answer(request))
        except errors.ApiError as error:
            return web.json_response(error.status(), status=error.code)
        finally:
            if self.lose_next and request.method != "GET":
                self.lose_next -= 1
                assert request.transport is not None
                request.transport.abort()

    async def answer(self, request: web.Request) -> dict[str, Any]:
        path, method = request.path, request.method
        if method == "POST":
            body = await request.json()
            key = f"{path}/{body['metadata']['name']}"
            if key in self.objects:
                raise errors.already_exists("things", body["metadata"]["name"])
            return await self.commit("ADDED", key, body)
        if method == "GET" and (path.endswith("s") and path not in self.objects):
            return {
                "kind": "List",
                "metadata": {"resourceVersion": str(self.revision)},
                "items": [o for k, o in self.objects.items() if self.member(path, k)],
            }
        if path not in self.objects:
            path = path.removesuffix("/status")
        if path not in self.objects:
            raise errors.not_found("things", path.rpartition("/")[2])
        old = self.objects[path]
        if method == "DELETE":
            await self.remove(path)
            return {"kind": "Status", "status": "Success"}
        if method == "PATCH":
            body = await request.json()
            wanted = body.get("metadata", {}).pop("resourceVersion", None)
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                raise errors.conflict("things", old["metadata"]["name"])
            return await self.commit("MODIFIED", path, merge(old, body))
        return old

    @staticmethod
    def member(path: str, key: str) -> bool:
        collection = key.rpartition("/")[0]
        base, _, plural = path.rpartition("/")
        everywhere = "/namespaces/" not in path
        return collection == path or (everywhere and collection.startswith(base) and collection.endswith(f"/{plural}"))

    async def watch(self, request: web.Request) -> web.StreamResponse:
        seen = int(request.query["resourceVersion"])
        if seen < self.compacted:
            raise errors.expired()
        if seen > self.revision:
            raise errors.too_large_resource_version(seen, self.revision)
        response = web.StreamResponse()
        await response.prepare(request)
        cut = self.cut
        while not cut.is_set():
            async with self.changed:
                fresh = [e for e in self.log if e[0] > seen and not self.mute]
                if not fresh:
                    await self.changed.wait()
                    continue
            lines = [
                json.dumps({"type": t, "object": o}, separators=(",", ":"))
                for _, t, k, o in fresh
                if self.member(request.path, k)
            ]
            seen = fresh[-1][0]
            mark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(seen)}}}
            await response.write(("\n".join([*lines, json.dumps(mark)]) + "\n").encode())
        return response


def merge(old: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    new = dict(old)
    for key, value in change.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merge(new.get(key) or {}, value) if isinstance(value, dict) else value
    return new


@asynccontextmanager
async def tiny_api() -> AsyncIterator[TinyApi]:
    api = TinyApi()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.port = runner.addresses[0][1]
    try:
        yield api
    finally:
        await api.cut_watches()
        await runner.cleanup()
