"""Every way to write anything passes admission: a webhook that refuses everything leaves none open."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.apiserver.admission.matching import EXEMPT
from k8slite.catalogue import Resource, Subresource, builtin
from k8slite.testing import RunningServer, running_server

from ..custom.definitions import definition, establish, version
from ..test_every_kind import collection, example, settled
from .hooks import VALIDATING, Document, Hooks, configure, deny, hook_server, rule, webhook

pytestmark = pytest.mark.asyncio(loop_scope="module")
REFUSAL = 'admission webhook "no.example.com" denied the request: no'
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON, APPLY = "application/json-patch+json", "application/apply-patch+yaml"
LABEL: Document = {"metadata": {"labels": {"way": "in"}}}
GROUP = "ways.example.com"
GADGET = Resource(
    group=GROUP,
    version="v1",
    plural="gadgets",
    singular="gadget",
    kind="Gadget",
    namespaced=True,
    short_names=(),
    verbs=("create", "delete", "deletecollection", "get", "patch", "update"),
    categories=(),
    subresources=(
        Subresource("status", GROUP, "v1", "Gadget", ("get", "patch", "update")),
        Subresource("scale", "autoscaling", "v1", "Scale", ("get", "patch", "update")),
    ),
)
ROWS = [row for row in builtin() if (row.group, row.plural) not in EXEMPT and "create" in row.verbs] + [GADGET]
BODIES: dict[str, Document] = {
    "binding": {"target": {"kind": "Node", "name": "nowhere"}},
    "token": {"spec": {"audiences": ["a"]}},
    "bindings": {"target": {"kind": "Node", "name": "nowhere"}},
    "gadgets": {"spec": {"replicas": 1}},
}
"""What is sent to those that take something of their own."""
NAMED_BY_CONTENT = frozenset({"apiservices", "customresourcedefinitions", "ipaddresses"})
"""Kinds whose names follow from what they hold: an example under another name is no valid one."""
CONNECTED = frozenset({"attach", "exec", "portforward", "proxy"})
METHODS = {"create": "POST", "update": "PUT", "delete": "DELETE", "get": "GET", "patch": "PATCH"}

Way = tuple[str, str, dict[str, str], Any]
"""Method, path, headers, body."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def closed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RunningServer, httpx.AsyncClient]]:
    """A server with an object of every kind, which refuses every write."""
    directory: Path = tmp_path_factory.mktemp("closed")
    async with hook_server(directory) as hooks, running_server() as server, server.http() as http:
        subresources = {
            "status": {},
            "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
        }
        await establish(http, definition("gadgets", GROUP, version(subresources=subresources)))
        for row in ROWS:
            if "get" in row.verbs:
                made = await http.post(collection(row), json=body_of(row))
                assert made.status_code == 201, made.text
                await settled(http, row, made.json())
        await close(http, hooks)
        yield server, http


def body_of(row: Resource) -> Document:
    """An object of a kind."""
    body = {**example(row), **BODIES.get(row.plural, {})}
    if not row.stored_as_itself:  # there is one of that name already, of the version that is stored
        body["metadata"]["name"] = "example-elsewhere"
    return body


async def close(http: httpx.AsyncClient, hooks: Hooks) -> None:
    """Refuse every write from now on."""
    everything = rule("*/*", groups=["*"], versions=["*"])
    await configure(http, VALIDATING, "no", webhook("no", hooks.on("/no", deny("no")), everything))


def ways(row: Resource, found: Document) -> Iterator[Way]:
    """Every way to write objects of a kind; `found` is one that is there."""
    url, name = collection(row), found["metadata"]["name"]
    new = body_of(row)
    if row.plural not in NAMED_BY_CONTENT:
        new["metadata"]["name"] = "new"
    yield "POST", url, {}, new
    yield "POST", f"{url}?dryRun=All", {}, new
    if "update" in row.verbs:
        yield from changes(f"{url}/{name}", row, found)
        yield "DELETE", f"{url}/{name}", {}, None
        yield "DELETE", f"{url}/{name}?dryRun=All", {}, None
        if row.plural not in NAMED_BY_CONTENT:
            yield "PATCH", f"{url}/new?fieldManager=me", {"content-type": APPLY}, new
    if "deletecollection" in row.verbs:
        yield "DELETE", url, {}, None


def changes(url: str, row: Resource, found: Document) -> Iterator[Way]:
    """Every way to change what is there, or a subresource of the same kind."""
    yield "PUT", url, {}, {**found, "metadata": {**found["metadata"], **LABEL["metadata"]}}
    yield "PUT", f"{url}?dryRun=All", {}, found
    yield "PATCH", url, {"content-type": MERGE}, LABEL
    if row is not GADGET:
        yield "PATCH", url, {"content-type": STRATEGIC}, LABEL
    yield "PATCH", url, {"content-type": JSON}, [{"op": "add", "path": "/metadata/labels", "value": {"way": "in"}}]
    identity = {"kind": row.kind, "apiVersion": row.api_version}
    yield "PATCH", f"{url}?fieldManager=me&force=true", {"content-type": APPLY}, {**identity, **LABEL}


def ways_below(row: Resource, sub: Subresource, found: Document) -> Iterator[Way]:
    """Every way to write through a subresource."""
    url = f"{collection(row)}/{found['metadata']['name']}/{sub.name}"
    if sub.name in CONNECTED:
        for verb in sub.verbs:
            yield METHODS[verb], f"{url}?command=ls&stdout=true", {}, None
            if sub.name == "proxy":
                yield METHODS[verb], f"{url}/some/where", {}, None
    elif sub.kind == "Scale":
        scale = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": found["metadata"]["name"]}}
        yield "PUT", url, {}, {**scale, "spec": {"replicas": 5}}
        yield "PATCH", url, {"content-type": MERGE}, {"spec": {"replicas": 5}}
        applied = {"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": 5}}
        yield "PATCH", f"{url}?fieldManager=me&force=true", {"content-type": APPLY}, applied
    elif sub.kind != row.kind:
        identity = {"kind": sub.kind, "apiVersion": f"{sub.group}/{sub.version}" if sub.group else sub.version}
        yield "POST", url, {}, {**identity, "metadata": {"name": found["metadata"]["name"]}, **BODIES.get(sub.name, {})}
    elif "patch" in sub.verbs:
        yield from changes(url, row, found)
    elif "update" in sub.verbs:
        yield "PUT", url, {}, found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.qualified}-{row.version}")
async def test_no_write_gets_past_a_webhook(row: Resource, closed: tuple[RunningServer, httpx.AsyncClient]) -> None:
    server, http = closed
    url, name = collection(row), body_of(row)["metadata"]["name"]
    found: Document = {"metadata": {"name": name}}
    if "get" in row.verbs:
        found = (await http.get(f"{url}/{name}")).json()
    tried = list(ways(row, found))
    for sub in row.subresources:
        tried += ways_below(row, sub, found)
    before = server.app.cache.resource(*server.app.registry.find(*row.key).stored.key[::2]).changed
    for method, path, headers, body in tried:
        content = json.dumps(body).encode() if body is not None else None
        given = {"content-type": "application/json", **headers} if content is not None else {}
        answer = await http.request(method, path, content=content, headers=given)
        assert (answer.status_code, answer.json().get("message")) == (400, REFUSAL), (method, path, headers)
    assert len(tried) >= 2
    assert server.app.cache.resource(*server.app.registry.find(*row.key).stored.key[::2]).changed == before


async def test_every_subresource_is_read_or_refused() -> None:
    """A subresource that the test above does not know would be a way in that nobody looks at."""
    read = {("pods", "log")}
    untried = {
        (row.plural, sub.name)
        for row in ROWS
        for sub in row.subresources
        if not list(ways_below(row, sub, {"metadata": {"name": "x"}}))
    }
    assert untried == read
