"""Helm 4 by its SDK, unmodified: a chart with a hook, a lookup and a custom resource from installation to removal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.testing import RunningServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = Path(__file__).parent
MAPS = "/api/v1/namespaces/default/configmaps"
GREETINGS = "/apis/greetings.example.com/v1/namespaces/default/greetings"
MERGE = {"content-type": "application/merge-patch+json"}
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.http() as client:
        yield client


async def helm(server: RunningServer, action: str, **arguments: Any) -> Any:
    """What a Helm action answers. Raises HelmFailed with what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        HERE / "helm_runner.py",
        server.kubeconfig(),
        action,
        json.dumps(arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise HelmFailed(err.decode())
    return json.loads(out)


class HelmFailed(Exception):
    """An action ended with an error."""


@contextlib.asynccontextmanager
async def available_deployments(http: httpx.AsyncClient) -> AsyncIterator[None]:
    """Stands in for controllers and nodes: every Deployment is said to be rolled out. Helm waits for that."""

    async def follow() -> None:
        async with http.stream("GET", DEPLOYMENTS, params={"watch": "1"}, timeout=None) as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line)
                meta, replicas = event["object"]["metadata"], event["object"]["spec"]["replicas"]
                counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
                conditions = [
                    {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
                    {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
                ]
                status = {"observedGeneration": meta["generation"], **counts, "conditions": conditions}
                if event["type"] != "DELETED" and event["object"].get("status") != status:
                    path = f"{DEPLOYMENTS}/{meta['name']}/status"
                    await http.patch(path, json={"status": status}, headers=MERGE)

    following = asyncio.create_task(follow())
    try:
        yield
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


@pytest.mark.parametrize("server_side", [False, True], ids=["client-side", "server-side"])
async def test_a_chart_is_installed_upgraded_rolled_back_and_removed(
    server: RunningServer, http: httpx.AsyncClient, server_side: bool
) -> None:
    name = "server-side" if server_side else "client-side"
    how = {"release_name": name, "chart_path": str(HERE / "chart"), "timeout": 20, "server_side_apply": server_side}
    async with available_deployments(http):
        installed = await helm(server, "Install", values={"message": "one"}, **how)
        assert installed["info"]["status"] == "deployed"
        made = (await http.get(f"{MAPS}/{name}")).json()
        assert made["data"].pop("server").startswith("v1.37.0")
        assert made["data"] == {"message": "one", "policies": "true", "namespace": "default"}
        assert (await http.get(f"{MAPS}/{name}-before")).json()["data"] == {"revision": "1"}
        assert (await http.get(f"{GREETINGS}/{name}")).json()["spec"] == {"text": "one"}

        await helm(server, "Upgrade", values={"message": "two", "replicas": 3}, **how)
        assert (await http.get(f"{MAPS}/{name}")).json()["data"]["message"] == "two"
        assert (await http.get(f"{DEPLOYMENTS}/{name}")).json()["spec"]["replicas"] == 3
        assert (await http.get(f"{GREETINGS}/{name}")).json()["spec"] == {"text": "two"}

        # The SDK's own Rollback never sets how to wait, so it cannot run; the same action follows a failed upgrade.
        with pytest.raises(HelmFailed, match="has been rolled back due to rollback-on-failure"):
            values = {"message": "three", "replicas": -1}
            await helm(server, "Upgrade", values=values, rollback_on_failure=True, **how)
        assert (await http.get(f"{MAPS}/{name}")).json()["data"]["message"] == "two"
        assert (await http.get(f"{DEPLOYMENTS}/{name}")).json()["spec"]["replicas"] == 3
        history = await helm(server, "History", release_name=name)
        assert [(entry["version"], entry["info"]["status"]) for entry in history] == [
            (1, "superseded"),
            (2, "superseded"),
            (3, "failed"),
            (4, "deployed"),
        ]

        await helm(server, "Uninstall", release_name=name)
    for path in (f"{MAPS}/{name}", f"{DEPLOYMENTS}/{name}", f"{GREETINGS}/{name}"):
        assert (await http.get(path)).status_code == 404
