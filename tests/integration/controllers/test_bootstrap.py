"""Bootstrap tokens over the real server: who knows one can tell whether `cluster-info` is true."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from k8slite.clock import SystemClock, timestamp
from k8slite.controllers.bootstrap.plan import Token, signature
from k8slite.kinds.resources import CONFIG_MAPS, SECRETS

from .simulated import SimulatedCluster, simulated_cluster


async def make_token(cluster: SimulatedCluster, identity: str, **data: str) -> None:
    content = {"token-id": identity, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true", **data}
    body = {
        "metadata": {"name": f"bootstrap-token-{identity}"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in content.items()},
    }
    await cluster.client.create(SECRETS, body, namespace="kube-system")


async def signers(cluster: SimulatedCluster, *wanted: str) -> dict[str, str] | None:
    found = await cluster.client.get(CONFIG_MAPS, "cluster-info", namespace="kube-public")
    names = {key.removeprefix("jws-kubeconfig-") for key in found.data if key.startswith("jws-kubeconfig-")}
    return found.data if names == set(wanted) else None


@pytest.mark.parametrize("controllers", [["bootstrap-signer-controller", "tokencleaner"]])
async def test_cluster_info_is_signed_by_every_token_until_it_ends(tmp_path: Path, controllers: list[str]) -> None:
    async with simulated_cluster(tmp_path, nodes=1, controllers=controllers) as cluster:
        info: dict[str, Any] = {"metadata": {"name": "cluster-info"}, "data": {"kubeconfig": "the cluster"}}
        await cluster.client.create(CONFIG_MAPS, info, namespace="kube-public")
        soon = timestamp(SystemClock().now() + timedelta(seconds=4))
        await make_token(cluster, "aaaaaa")
        await make_token(cluster, "bbbbbb", expiration=soon)
        await make_token(cluster, "cccccc", **{"usage-bootstrap-signing": "false"})
        data = await cluster.until(lambda: signers(cluster, "aaaaaa", "bbbbbb"))
        assert data["jws-kubeconfig-aaaaaa"] == signature("the cluster", Token("aaaaaa", "0123456789abcdef"))

        await cluster.until(lambda: signers(cluster, "aaaaaa"))

        async def cleaned() -> bool:
            return await cluster.get(SECRETS, "bootstrap-token-bbbbbb", "kube-system") is None

        await cluster.until(cleaned)
        assert await cluster.get(SECRETS, "bootstrap-token-aaaaaa", "kube-system") is not None

        await cluster.client.patch(
            CONFIG_MAPS, "cluster-info", {"data": {"kubeconfig": "another"}}, namespace="kube-public"
        )

        async def signed_anew() -> bool:
            found = await signers(cluster, "aaaaaa")
            expected = signature("another", Token("aaaaaa", "0123456789abcdef"))
            return found is not None and found["jws-kubeconfig-aaaaaa"] == expected

        await cluster.until(signed_anew)
        await cluster.client.delete(SECRETS, "bootstrap-token-aaaaaa", namespace="kube-system")
        await cluster.until(lambda: signers(cluster))
