"""The real kubectl and custom resources whose schemas leave room: what it takes, and what it explains."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEEP = {"x-kubernetes-preserve-unknown-fields": True}
OPEN = {"type": "object", **KEEP}
DESCRIBED = {
    "type": "object",
    "description": "preserve-unknown-properties at root for Testing",
    **KEEP,
    "properties": {"spec": {"description": "Specification of Waldo", **OPEN}},
}
EMBEDDED = {
    "type": "object",
    "description": "preserve-unknown-properties in nested field for Testing",
    "properties": {
        "spec": {
            "type": "object",
            "description": "Specification of Waldo",
            "properties": {"dummy": {"type": "object", "description": "Dummy property."}, "inner": OPEN},
        },
        "status": {"description": "Status of Waldo", **OPEN},
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest.mark.parametrize(
    ("group", "schema", "body", "explained"),
    [
        ("none", OPEN, {"a": {"b": [{"c": "d"}]}, "spec": "anything"}, "KIND:       Waldo"),
        ("root", DESCRIBED, {"a": {"b": "c"}, "spec": {"a": None, "b": [{"c": "d"}]}}, "at root for Testing"),
        ("nested", EMBEDDED, {"spec": {"inner": {"b": [{"c": "d"}]}}, "status": {"x": "y"}}, "in nested field for"),
    ],
    ids=["no-schema", "root", "embedded"],
)
async def test_what_a_schema_keeps_is_taken_and_explained(
    server: RunningServer, group: str, schema: Any, body: Any, explained: str
) -> None:
    kubectl = Kubectl(server)
    group = f"{group}.example.com"
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"waldos.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "waldos", "kind": "Waldo"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    applied = await kubectl("apply", "-f", "-", stdin=json.dumps(definition))
    assert applied.code == 0, applied
    waited = await kubectl("wait", "--for=condition=Established", f"crd/waldos.{group}", "--timeout=10s")
    assert waited.code == 0, waited
    waldo = {"apiVersion": f"{group}/v1", "kind": "Waldo", "metadata": {"name": "one"}, **body}
    for words in (("create",), ("delete",), ("apply",), ("delete",)):
        done = await kubectl(*words, "-f", "-", stdin=json.dumps(waldo))
        assert done.code == 0, done
    told = await kubectl("explain", f"waldos.{group}")
    assert told.code == 0 and explained in told.out, told
    assert (await kubectl("delete", "crd", f"waldos.{group}")).code == 0
