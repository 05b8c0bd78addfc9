"""The key of a new cluster's Secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8slite.apiserver.storage.encryption.configuration import load
from k8slite.cli.cluster import decide, encryption
from k8slite.cli.cluster.configs import apiserver
from k8slite.cli.cluster.decide import Wish
from k8slite.cli.cluster.spec import ClusterSpec, Simulation
from k8slite.cli.failure import Failure


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8SLITE_HOME", str(tmp_path))


def test_a_new_cluster_has_a_key_of_its_own_which_it_keeps() -> None:
    contents = []
    for name in ("one", "two"):
        spec = ClusterSpec(name=name, encrypts=True)
        encryption.ensure_file(spec)
        path = encryption.file(spec)
        assert path.stat().st_mode & 0o777 == 0o600
        [row] = load(path).resources
        assert row.resources == ["secrets"]
        assert row.providers[0].secretbox is not None
        assert apiserver(spec).encryption_config_file == path
        contents.append(path.read_bytes())
        (spec.directory / "store.db").touch()
        encryption.ensure_file(spec)
        assert path.read_bytes() == contents[-1]
    assert contents[0] != contents[1]


def test_a_key_that_is_gone_is_not_made_anew() -> None:
    spec = ClusterSpec(encrypts=True)
    spec.directory.mkdir(parents=True)
    (spec.directory / "store.db").touch()
    with pytest.raises(Failure, match=r"encryption.yaml is gone"):
        encryption.ensure_file(spec)


def test_older_clusters_and_foreign_etcds_are_left_as_they_are() -> None:
    for spec in (
        ClusterSpec(),
        decide.new(Wish(simulation=Simulation(nodes=1), etcd_endpoints=("http://127.0.0.1:1",))),
    ):
        encryption.ensure_file(spec)
        assert not encryption.file(spec).exists()
        assert apiserver(spec).encryption_config_file is None
    assert decide.new(Wish(simulation=Simulation(nodes=1))).encrypts
