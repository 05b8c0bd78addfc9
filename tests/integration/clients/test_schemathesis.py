"""A fuzzer reads the published OpenAPI and makes requests of it: no answer is a 5xx, and each comes soon.

`make fuzz` goes through every group with many more examples.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from k8slite.testing import RunningServer, running_server

GROUPS = ("api/v1", "apis/apps/v1", "apis/apiextensions.k8s.io/v1", "apis/fuzzed.example.com/v1")
PATIENCE = 10.0
"""Seconds in which an answer must be there, on a machine that does other things too."""
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.fuzzed.example.com"},
    "spec": {
        "group": "fuzzed.example.com",
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "x-kubernetes-validations": [{"rule": "!has(self.replicas) || self.replicas < 100"}],
                                "properties": {
                                    "replicas": {"type": "integer", "minimum": 0},
                                    "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                                    "port": {"x-kubernetes-int-or-string": True},
                                    "tags": {
                                        "type": "array",
                                        "items": {"type": "string"},
                                        "x-kubernetes-list-type": "set",
                                    },
                                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                },
                            },
                            "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
                        },
                    }
                },
            }
        ],
    },
}


@pytest_asyncio.fixture
async def server() -> AsyncIterator[RunningServer]:
    """One for each test: what is made up may delete every definition."""
    async with running_server() as running, running.http() as http:
        crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        assert (await http.post(crds, json=CRD)).status_code == 201
        async with asyncio.timeout(10):
            while True:
                if (await http.get("/openapi/v3/apis/fuzzed.example.com/v1")).status_code == 200:
                    break
                await asyncio.sleep(0.02)
        yield running


class Fuzzer:
    """Sends what schemathesis makes up, as the administrator, and keeps what was answered wrongly."""

    def __init__(self, server: RunningServer) -> None:
        context = ssl.create_default_context(cafile=str(server.admin.ca_file))
        assert server.admin.cert_file is not None
        context.load_cert_chain(server.admin.cert_file, server.admin.key_file)
        self.http = httpx.Client(base_url=server.url, verify=context, timeout=PATIENCE, trust_env=False)
        self.faults: list[str] = []
        self.answers = 0

    def run(self, document: dict[str, Any], *, examples: int, operations: int) -> None:
        """Try that many examples of each operation (of a sample, if `operations` is not 0)."""
        found = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
        chosen = random.Random(0).sample(found, min(operations, len(found))) if operations else found
        for operation in chosen:
            test = given(operation.as_strategy())(self.send)
            test = settings(
                max_examples=examples,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            )(test)
            seed(0)(test)()

    def send(self, case: Any) -> None:
        """One request; watches are not waited for."""
        query = {key: value for key, value in (case.query or {}).items() if key not in ("watch", "sendInitialEvents")}
        body = {} if type(case.body).__name__ == "NotSet" else {"json": case.body}
        headers = {"content-type": case.media_type} if case.media_type else {}
        try:
            request = self.http.build_request(case.method, case.formatted_path, params=query, headers=headers, **body)
        except (TypeError, ValueError):
            return  # not every text that JSON can hold can be sent
        try:
            answer = self.http.send(request)
        except httpx.HTTPError as error:
            self.faults.append(f"{case.method} {request.url}: {error!r}")
            return
        self.answers += 1
        if answer.status_code >= 500:
            self.faults.append(f"{case.method} {request.url}: {answer.status_code} {answer.text[:200]}")


async def fuzz(server: RunningServer, group: str, *, examples: int, operations: int = 0) -> list[str]:
    """What was answered wrongly."""
    async with server.http() as http:
        answer = await http.get(f"/openapi/v3/{group}")
    if answer.status_code == 404:
        return []  # what was made up for another group has deleted this one's definition
    document = answer.json()
    document["paths"] = {path: item for path, item in document["paths"].items() if "/watch/" not in path}
    fuzzer = Fuzzer(server)
    await asyncio.to_thread(fuzzer.run, document, examples=examples, operations=operations)
    assert fuzzer.answers > 0
    return fuzzer.faults


@pytest.mark.parametrize("group", GROUPS)
async def test_made_up_requests_are_answered(server: RunningServer, group: str) -> None:
    assert await fuzz(server, group, examples=3, operations=20) == []


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
async def test_made_up_requests_of_every_group_are_answered(server: RunningServer) -> None:
    async with server.http() as http:
        groups = (await http.get("/openapi/v3")).json()["paths"]
    faults = [fault for group in groups for fault in await fuzz(server, group, examples=50)]
    assert faults == []
