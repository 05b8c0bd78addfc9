"""Every way to write anything passes the admission policies: one that refuses everything leaves none open."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from k8slite.catalogue import Resource
from k8slite.testing import RunningServer, running_server

from ..custom.definitions import definition, establish, version
from ..test_every_kind import collection, settled
from .policies import API, Document
from .test_every_way import GROUP, ROWS, body_of, ways, ways_below

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERYTHING: Document = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}
REFUSAL = "ValidatingAdmissionPolicy 'no' with binding 'no' denied request: no "


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def closed() -> AsyncIterator[tuple[RunningServer, httpx.AsyncClient]]:
    """A server with an object of every kind, which refuses every write."""
    async with running_server() as server, server.http() as http:
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
        message = "'no ' + request.operation + (has(request.subResource) ? ' ' + request.subResource : '')"
        spec = {
            "matchConstraints": {"resourceRules": [EVERYTHING]},
            "validations": [{"expression": "false", "messageExpression": message, "reason": "Forbidden"}],
        }
        bound = {"policyName": "no", "validationActions": ["Deny"]}
        for plural, body in (("validatingadmissionpolicies", spec), ("validatingadmissionpolicybindings", bound)):
            made = await http.post(f"{API}/{plural}", json={"metadata": {"name": "no"}, "spec": body})
            assert made.status_code == 201, made.text
        yield server, http


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.qualified}-{row.version}")
async def test_no_write_gets_past_a_policy(row: Resource, closed: tuple[RunningServer, httpx.AsyncClient]) -> None:
    _, http = closed
    url, name = collection(row), body_of(row)["metadata"]["name"]
    found: Document = {"metadata": {"name": name}}
    if "get" in row.verbs:
        found = (await http.get(f"{url}/{name}")).json()
    tried = [("", way) for way in ways(row, found)]
    for sub in row.subresources:
        tried += [(sub.name, way) for way in ways_below(row, sub, found)]
    for below, (method, path, headers, body) in tried:
        content = json.dumps(body).encode() if body is not None else None
        given = {"content-type": "application/json", **headers} if content is not None else {}
        answer = await http.request(method, path, content=content, headers=given)
        told = answer.json().get("message", "")
        assert answer.status_code == 403 and REFUSAL in told, (method, path, headers, told)
        assert told.endswith((f" {below}",) if below else ("CREATE", "UPDATE", "DELETE")), (method, path, told)
    if "get" in row.verbs:
        assert (await http.get(f"{url}/{name}")).json() == found
