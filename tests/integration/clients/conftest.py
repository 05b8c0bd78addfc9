"""A real server with one pod on a fake kubelet, and the official Python client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from kubernetes import client, config

from k8slite.pki import Authority
from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubelet import FakeKubelet


@dataclass
class Cluster:
    """The server, and a kubelet for pods on the node `n1`."""

    server: RunningServer
    kubelet: FakeKubelet


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    directory = tmp_path_factory.mktemp("clients")
    authority = Authority.ensure(directory)
    pair = authority.issue_client("kubelet-client", user="kube-apiserver-kubelet-client", groups=["system:masters"])
    kubelet = FakeKubelet()
    await kubelet.start(authority)
    async with running_server(
        directory=directory,
        kubelet_ca_file=authority.cert_file,
        kubelet_client_cert_file=pair.cert_file,
        kubelet_client_key_file=pair.key_file,
    ) as server:
        await _node(server, kubelet.port)
        yield Cluster(server, kubelet)
    await kubelet.stop()


async def _node(server: RunningServer, port: int) -> None:
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
    status = {"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
    merge = {"content-type": "application/merge-patch+json"}
    async with server.http() as http:
        (await http.post("/api/v1/nodes", json={"metadata": {"name": "n1"}})).raise_for_status()
        answer = await http.patch("/api/v1/nodes/n1/status", headers=merge, json={"status": status})
        answer.raise_for_status()


@pytest.fixture
def api(cluster: Cluster) -> Any:
    """A client made from a kubeconfig file, as users make it."""
    path: Path = cluster.server.kubeconfig()
    made: Any = config.new_client_from_config(config_file=str(path))
    return made


@pytest.fixture
def core(api: Any) -> Any:
    """The core group."""
    return client.CoreV1Api(api)


@pytest.fixture
def apps(api: Any) -> Any:
    """The group `apps`."""
    return client.AppsV1Api(api)
