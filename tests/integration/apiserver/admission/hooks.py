"""A server of admission webhooks in the test's own process, and the configurations that lead to it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from k8slite.testing.extension import extension

Document = dict[str, Any]
Behaviour = Callable[[Document], Document]
"""The response to a request, without its uid."""
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"
MUTATING, VALIDATING = "mutatingwebhookconfigurations", "validatingwebhookconfigurations"


def allow(request: Document) -> Document:
    """Let everything pass."""
    return {"allowed": True}


def deny(message: str = "no", **status: Any) -> Behaviour:
    """Refuse everything, for that reason."""
    return lambda request: {"allowed": False, "status": {"message": message, **status}}


def patch(*operations: Document, **more: Any) -> Behaviour:
    """Let everything pass, changed by a JSON patch."""
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return lambda request: {"allowed": True, "patchType": "JSONPatch", "patch": text, **more}


def add(path: str, value: Any) -> Document:
    """An operation of a patch."""
    return {"op": "add", "path": path, "value": value}


def annotate(name: str) -> Behaviour:
    """Add an annotation to what passes, whether it has others or not."""

    def behave(request: Document) -> Document:
        there = request["object"]["metadata"].get("annotations")
        whole = add("/metadata/annotations", {name: "seen"})
        return patch(whole if there is None else add(f"/metadata/annotations/{name}", "seen"))(request)

    return behave


@dataclass
class Hooks:
    """The webhooks by path; `asked` holds every request in the order in which it came."""

    port: int = 0
    bundle: bytes = b""
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[tuple[str, Document]] = field(default_factory=list)
    reviews: list[Document] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _come: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._open.set()

    def hold(self) -> None:
        """Keep all who ask waiting, until `release`."""
        self._open.clear()
        self._come.clear()

    def release(self) -> None:
        """Let them have their answers."""
        self._open.set()

    async def arrived(self) -> None:
        """Wait until somebody asks."""
        async with asyncio.timeout(20):
            await self._come.wait()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a review."""
        review = json.loads(await request.read())
        asked, path = review["request"], request.path
        self.asked.append((path, asked))
        self.reviews.append(review)
        self.queries.append(request.query_string)
        self._come.set()
        await self._open.wait()
        response = {"uid": asked["uid"], **self.behaviours[path](asked)}
        return web.json_response({"kind": review["kind"], "apiVersion": review["apiVersion"], "response": response})

    def on(self, path: str, behaviour: Behaviour) -> Document:
        """Behave like this below a path; the client configuration that leads there."""
        self.behaviours[path] = behaviour
        return {
            "url": f"https://127.0.0.1:{self.port}{path}",
            "caBundle": base64.b64encode(self.bundle).decode(),
        }

    def requests(self, path: str) -> list[Document]:
        """What was asked of one webhook."""
        return [asked for there, asked in self.asked if there == path]

    def clear(self) -> None:
        """Forget everything."""
        self.behaviours.clear()
        self.asked.clear()
        self.reviews.clear()
        self.queries.clear()
        self.release()


@asynccontextmanager
async def hook_server(directory: Path) -> AsyncIterator[Hooks]:
    """Serve webhooks."""
    hooks = Hooks()
    async with extension(hooks.handle, directory=directory, hosts=["127.0.0.1", "localhost"]) as served:
        hooks.port, hooks.bundle = served.port, served.bundle
        yield hooks


def rule(
    *resources: str,
    operations: Sequence[str] = ("*",),
    groups: Sequence[str] = ("",),
    versions: Sequence[str] = ("v1",),
    **more: Any,
) -> Document:
    """Operations on resources."""
    named = {"apiGroups": list(groups), "apiVersions": list(versions), "resources": list(resources)}
    return {"operations": list(operations), **named, **more}


def webhook(name: str, client: Document, *rules: Document, namespace: str = "", **more: Any) -> Document:
    """A webhook without side effects; in one namespace if one is given."""
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}} if namespace else {}
    return {
        "name": f"{name}.example.com",
        "clientConfig": client,
        "rules": list(rules),
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **selector,
        **more,
    }


async def configure(http: httpx.AsyncClient, plural: str, name: str, *webhooks: Document) -> Document:
    """Create a configuration."""
    body = {"metadata": {"name": name}, "webhooks": list(webhooks)}
    answer = await http.post(f"{CONFIGURATIONS}/{plural}", json=body)
    assert answer.status_code == 201, answer.text
    made: Document = answer.json()
    return made


async def withdraw_all(http: httpx.AsyncClient) -> None:
    """Delete every configuration."""
    for plural in (MUTATING, VALIDATING):
        answer = await http.delete(f"{CONFIGURATIONS}/{plural}")
        assert answer.status_code == 200, answer.text


def config_map(name: str, **more: Any) -> Document:
    """An object that means nothing."""
    metadata = {"name": name, **more.pop("metadata", {})}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": {"key": "value"}, **more}
