"""An operator written with kopf, unmodified, over a custom resource of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.testing import RunningServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GREETERS = "/apis/greeters.example.com/v1/namespaces/default/greeters"
MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "greeters.greeters.example.com"},
    "spec": {
        "group": "greeters.example.com",
        "scope": "Namespaced",
        "names": {"plural": "greeters", "kind": "Greeter"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"text": {"type": "string"}}},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.http() as client:
        yield client


@contextlib.asynccontextmanager
async def operator(server: RunningServer, log: Path) -> AsyncIterator[None]:
    """The operator as its own process; its log is printed when the block fails."""
    script = Path(__file__).parent / "operator_example.py"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kopf", "run", "--standalone", "--namespace=default", "--verbose", script),
            env={**os.environ, "KUBECONFIG": str(server.kubeconfig())},
            stdout=output,
            stderr=output,
        )
        try:
            yield
        except BaseException:
            sys.stdout.write(log.read_text())
            raise
        finally:
            process.terminate()
            await process.wait()


async def until(http: httpx.AsyncClient, path: str, holds: Callable[[dict[str, Any] | None], bool]) -> None:
    """Wait until an object (None while there is none) is as it should be."""
    async with asyncio.timeout(20):
        while True:
            answer = await http.get(path)
            if holds(answer.json() if answer.status_code == 200 else None):
                return
            await asyncio.sleep(0.05)


async def test_an_operator_follows_its_objects_to_their_end(
    server: RunningServer, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    assert (await http.post(CRDS, json=CRD)).status_code == 201
    established = lambda crd: any(  # noqa: E731
        condition["type"] == "Established" and condition["status"] == "True"
        for condition in (crd or {}).get("status", {}).get("conditions", ())
    )
    await until(http, f"{CRDS}/greeters.greeters.example.com", established)
    greeter = {
        "apiVersion": "greeters.example.com/v1",
        "kind": "Greeter",
        "metadata": {"name": "tom"},
        "spec": {"text": "hello"},
    }
    assert (await http.post(GREETERS, json=greeter)).status_code == 201

    async with operator(server, tmp_path / "operator.log"):
        await until(
            http, f"{MAPS}/tom-greeting", lambda found: found is not None and found["data"] == {"text": "hello"}
        )
        await until(
            http,
            f"{GREETERS}/tom",
            lambda found: (found or {}).get("status", {}).get("created", {}) == {"greeting": "hello"},
        )
        child, parent = (await http.get(f"{MAPS}/tom-greeting")).json(), (await http.get(f"{GREETERS}/tom")).json()
        assert child["metadata"]["ownerReferences"][0]["uid"] == parent["metadata"]["uid"]
        assert parent["metadata"]["finalizers"] == ["greeters.example.com/finalizer"]

        await http.patch(f"{GREETERS}/tom", json={"spec": {"text": "good day"}}, headers=MERGE)
        await until(http, f"{MAPS}/tom-greeting", lambda found: (found or {})["data"] == {"text": "good day"})
        await until(http, f"{GREETERS}/tom", lambda found: (found or {})["status"].get("greeting") == "good day")

        answer = await http.delete(f"{GREETERS}/tom")
        assert answer.json()["metadata"]["deletionTimestamp"]
        await until(http, f"{GREETERS}/tom", lambda found: found is None)
        assert (await http.get(f"{MAPS}/tom-farewell")).status_code == 200
