"""A server in a process of its own with two tenants, who may do what they like in their own namespaces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from k8slite.client import Client
from k8slite.config import StoreConfig
from tests.chaos.processes import ControlPlane, control_plane

TENANTS = ("tenant", "neighbour")
OBJECTS = 1000
"""ConfigMaps of the tenant that floods."""


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    with control_plane(tmp_path, StoreConfig(engine="sqlite", path=tmp_path / "store.db")) as running:
        await running.ready()
        async with running.admin() as admin:
            for name in TENANTS:
                await _settle(admin, name)
            await asyncio.gather(*(_fill(admin, range(start, OBJECTS, 10)) for start in range(10)))
        yield running


async def _fill(admin: Client, numbers: Iterable[int]) -> None:
    for number in numbers:
        body = {"metadata": {"name": f"c-{number}"}, "data": {"text": "x" * 300}}
        await admin.request("POST", "/api/v1/namespaces/tenant/configmaps", body=body)


async def _settle(admin: Client, name: str) -> None:
    rbac = "rbac.authorization.k8s.io"
    await admin.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    binding = {
        "metadata": {"name": "own"},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": name}],
    }
    await admin.request("POST", f"/apis/{rbac}/v1/namespaces/{name}/rolebindings", body=binding)
    body = {"metadata": {"name": "own"}, "data": {"text": "x"}}
    await admin.request("POST", f"/api/v1/namespaces/{name}/configmaps", body=body)
