"""Clusters for the end-to-end tests. Needs root, Docker, nftables, etcd and kubectl; nothing is skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8slite.testing.images import load_busybox

from .cluster import Cluster


@pytest.fixture(scope="session", autouse=True)
def images() -> None:
    assert os.geteuid() == 0, "end-to-end tests need root"
    load_busybox("k8slite/example:1")
    load_busybox("k8slite/example:2")


@pytest.fixture(scope="module", params=["sqlite", "etcd"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A one-node cluster, once on each store."""
    yield from running(f"e2e-{request.param}", tmp_path_factory.mktemp("home"), "--store", request.param)


def running(name: str, home: Path, *options: str) -> Iterator[Cluster]:
    """A cluster from up to down, whatever happens in between."""
    cluster = Cluster(name, home)
    try:
        cluster.up(*options)
        yield cluster
    finally:
        cluster.down()
