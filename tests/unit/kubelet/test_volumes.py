from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from k8slite.clock import VirtualClock
from k8slite.kinds.core import ConfigMap, HostPathVolumeSource, Secret
from k8slite.kubelet.env import Surroundings
from k8slite.kubelet.volumes import VolumeFault, VolumeManager, atomic_writer, host_path
from k8slite.kubelet.volumes.base import File, make_directory, safe_path
from k8slite.kubelet.volumes.sub_path import resolve

from .builders import pod


class TokenServer:
    """Answers TokenRequests."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.asked = 0

    async def request(self, method: str, path: str, *, body: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        expires = self.clock.now().timestamp() + body["spec"]["expirationSeconds"]
        from datetime import UTC, datetime

        when = datetime.fromtimestamp(expires, UTC).isoformat()
        return {"status": {"token": f"token-{self.asked}", "expirationTimestamp": when}}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def volumes(tmp_path: Path, clock: VirtualClock) -> VolumeManager:
    return VolumeManager(TokenServer(clock), clock=clock, directory=tmp_path)  # type: ignore[arg-type]


def test_a_directory_changes_in_one_step(tmp_path: Path) -> None:
    atomic_writer.write(tmp_path, {"a": File(b"1"), "deep/b": File(b"2", 0o400)})
    first = os.readlink(tmp_path / "..data")  # noqa: PTH115
    assert (tmp_path / "deep/b").read_bytes() == b"2"
    assert stat.S_IMODE((tmp_path / "deep/b").stat().st_mode) == 0o400
    atomic_writer.write(tmp_path, {"a": File(b"3")})
    assert (tmp_path / "a").read_bytes() == b"3"
    assert not (tmp_path / "deep").exists()
    assert not (tmp_path / first).exists()
    assert sorted(entry.name for entry in tmp_path.iterdir() if not entry.name.startswith("..")) == ["a"]


@pytest.mark.parametrize("path", ["", "/etc", "../x", "a/../../x", "..data"])
def test_paths_that_leave_a_volume_are_refused(path: str) -> None:
    with pytest.raises(VolumeFault):
        safe_path(path)


def test_a_sub_path_may_not_follow_a_link_out(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "out").symlink_to("/etc")
    assert resolve(str(volume), "new/dir") == str(volume / "new/dir")
    with pytest.raises(VolumeFault, match="leads out"):
        resolve(str(volume), "out/passwd")


def test_host_paths_are_checked(tmp_path: Path) -> None:
    made = host_path.setup(HostPathVolumeSource(path=str(tmp_path / "d"), type="DirectoryOrCreate"))
    assert made.is_dir()
    with pytest.raises(VolumeFault, match="is not a file"):
        host_path.setup(HostPathVolumeSource(path=str(tmp_path), type="File"))
    with pytest.raises(VolumeFault):
        host_path.setup(HostPathVolumeSource(path=str(tmp_path / "none"), type="Directory"))


async def test_a_config_map_volume_follows_its_object(volumes: VolumeManager) -> None:
    items = [{"key": "k", "path": "sub/file", "mode": 0o600}]
    of = pod(volumes=[{"name": "v", "configMap": {"name": "c", "items": items}}])

    async def ensure(value: str) -> Path:
        config = ConfigMap.model_validate({"metadata": {"name": "c"}, "data": {"k": value, "other": "x"}})
        paths = await volumes.ensure(of, Surroundings(config_maps={"c": config}))
        return Path(paths["v"])

    path = await ensure("one")
    assert (path / "sub/file").read_text() == "one"
    assert not (path / "other").exists()
    before = os.readlink(path / "..data")  # noqa: PTH115
    await ensure("one")
    assert os.readlink(path / "..data") == before  # noqa: PTH115
    await ensure("two")
    assert (path / "sub/file").read_text() == "two"
    await volumes.tear_down(of.uid)
    assert volumes.known_pods() == set()


async def test_faults_name_the_volume_and_the_object(volumes: VolumeManager) -> None:
    of = pod(volumes=[{"name": "v", "secret": {"secretName": "s"}}])
    with pytest.raises(VolumeFault) as caught:
        await volumes.ensure(of, Surroundings())
    assert str(caught.value) == 'MountVolume.SetUp failed for volume "v" : secret "s" not found'
    claimed = pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
    with pytest.raises(VolumeFault, match='"data" cannot be mounted'):
        await volumes.ensure(claimed, Surroundings())


async def test_secrets_stand_on_a_tmpfs_that_goes_with_the_pod(volumes: VolumeManager) -> None:
    of = pod(volumes=[{"name": "v", "secret": {"secretName": "s", "defaultMode": 0o440}}])
    secret = Secret.model_validate({"metadata": {"name": "s"}, "data": {"k": "dmFsdWU="}})
    path = Path((await volumes.ensure(of, Surroundings(secrets={"s": secret})))["v"])
    assert (path / "k").read_text() == "value"
    assert path.is_mount()
    await volumes.tear_down(of.uid)
    assert not path.exists()


async def test_a_token_is_renewed_when_four_fifths_of_its_life_are_over(
    volumes: VolumeManager, clock: VirtualClock
) -> None:
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 1000}}
    of = pod(volumes=[{"name": "t", "projected": {"sources": [source]}}])

    async def token() -> str:
        return (Path((await volumes.ensure(of, Surroundings()))["t"]) / "token").read_text()

    assert await token() == "token-1"
    await clock.advance(700)
    assert await token() == "token-1"
    assert volumes.renewal(of.uid) is not None
    await clock.advance(101)
    assert await token() == "token-2"
    await volumes.tear_down(of.uid)


def test_what_pods_see_is_open_to_them_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        volume = tmp_path / "volumes" / "config"
        make_directory(volume)
        atomic_writer.write(volume, {"deep/er/b": File(b"2")})
        inside = Path(resolve(str(volume), "sub/path"))
        made = host_path.setup(HostPathVolumeSource(path=str(tmp_path / "host" / "dir"), type="DirectoryOrCreate"))
    finally:
        os.umask(before)
    seen = [volume, volume / "..data" / "deep", volume / "..data" / "deep" / "er", inside, inside.parent, made]
    assert [stat.S_IMODE(path.stat().st_mode) for path in seen] == [0o755] * len(seen)
    assert stat.S_IMODE((volume / "deep" / "er" / "b").stat().st_mode) == 0o644
