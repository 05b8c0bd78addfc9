"""Tokens in Secrets that nobody has used for a year, over the real server: marked, refused, and gone a year later."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.legacytokens.sync import TRACKING
from k8slite.controllers.manager import manage
from k8slite.kinds.resources import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS

from .conftest import Cluster
from .test_tokens import filled, secret, whoami


class Later(SystemClock):
    """So many days from now."""

    def __init__(self, days: float) -> None:
        self._ahead = timedelta(days=days)

    def now(self) -> datetime:
        return super().now() + self._ahead


@contextlib.asynccontextmanager
async def cleaner(cluster: Cluster, days: float) -> AsyncIterator[None]:
    """Only this controller, on a later day."""
    config = ControllerManagerConfig(
        kubeconfig=Path("unused"), controllers=["legacy-serviceaccount-token-cleaner-controller"]
    )
    async with Client(cluster.server.client_config("system:kube-controller-manager")) as acting:
        task = asyncio.create_task(manage(acting, config, clock=Later(days)))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("listed", [True, False])
async def test_a_token_that_nobody_uses(cluster: Cluster, listed: bool) -> None:
    client = cluster.client
    tracking = await client.get(CONFIG_MAPS, TRACKING, namespace="kube-system")
    assert tracking.data["since"]
    await client.patch(CONFIG_MAPS, TRACKING, {"data": {"since": "2020-01-01"}}, namespace="kube-system")
    account = {"metadata": {"name": "robot"}, "secrets": [{"name": "old"}] if listed else []}
    await client.create(SERVICE_ACCOUNTS, account, namespace="default")
    for name in ("old", "other"):
        await client.create(SECRETS, secret(name, "robot"), namespace="default")
        await filled(cluster, name)
    token = base64.b64decode((await filled(cluster, "old")).data["token"]).decode()

    invalid = "kubernetes.io/legacy-token-invalid-since"
    if not listed:
        marker = {"metadata": {"name": "listed-too"}, "secrets": [{"name": "proof"}]}
        await client.create(SERVICE_ACCOUNTS, marker, namespace="default")
        await client.create(SECRETS, secret("proof", "listed-too"), namespace="default")
        await filled(cluster, "proof")

    async def proof() -> bool:
        found = await cluster.get(SECRETS, "old" if listed else "proof")
        return found is not None and invalid in found.metadata.labels

    async with cleaner(cluster, days=400):
        await cluster.until(proof)
    assert (await whoami(cluster, token)).status_code == (401 if listed else 201)
    assert (invalid in (await cluster.get(SECRETS, "old")).metadata.labels) is listed
    assert invalid not in (await cluster.get(SECRETS, "other")).metadata.labels

    async def gone() -> bool:
        return await cluster.get(SECRETS, "old" if listed else "proof") is None

    async with cleaner(cluster, days=800):
        await cluster.until(gone)
    assert (await cluster.get(SECRETS, "old") is None) is listed
    assert await cluster.get(SECRETS, "other") is not None
