from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from k8slite.clock import VirtualClock
from k8slite.kinds.core import ConfigMap, HostPathVolumeSource, Secret
from k8slite.kubelet.env import Surroundings
from k8slite.kubelet.volumes import VolumeFault, VolumeManager, atomic_writer, host_path, mounts, sub_path
from k8slite.kubelet.volumes.base import File, make_directory, safe_path

from .builders import pod


class TokenServer:
    """Answers TokenRequests."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.asked = 0

    async def request(self, method: str, path: str, *, body: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        expires = self.clock.now().timestamp() + body["spec"]["expirationSeconds"]
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


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "volume"
    made.mkdir()
    made.chmod(0o2777)
    yield made
    mounts.unmount_all(tmp_path)


def test_a_sub_path_may_not_follow_a_link_out(volume: Path, tmp_path: Path) -> None:
    (volume / "out").symlink_to("/etc")
    (volume / "in").symlink_to("there")
    (volume / "there").mkdir()
    with pytest.raises(VolumeFault, match="leads out"):
        sub_path.publish(str(volume), "out/passwd", at=tmp_path / "at" / "0")
    sub_path.publish(str(volume), "in/file-to-be", at=tmp_path / "at" / "1")
    assert (volume / "there" / "file-to-be").is_dir()


def test_links_in_a_circle_or_a_long_chain_lead_nowhere(volume: Path, tmp_path: Path) -> None:
    (volume / "circle").symlink_to("circle")
    for number in range(2000):
        (volume / f"link-{number}").symlink_to(f"link-{number + 1}")
    for sub in ("circle", "link-0", "x" * 300):
        with pytest.raises(VolumeFault, match="subPath"):
            sub_path.publish(str(volume), sub, at=tmp_path / "at" / "0")


def test_what_a_sub_path_shows_does_not_change_with_the_path(volume: Path, tmp_path: Path) -> None:
    (volume / "dir").mkdir()
    (volume / "dir" / "passwd").write_text("mine")
    sub_path.publish(str(volume), "dir", at=tmp_path / "at" / "0")
    (volume / "dir").rename(volume / "moved")
    (volume / "dir").symlink_to("/etc")
    assert (tmp_path / "at" / "0" / "passwd").read_text() == "mine"


def test_a_link_put_in_between_is_not_followed(volume: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (volume / "dir").symlink_to("/etc")
    monkeypatch.setattr(Path, "resolve", lambda self: self)  # as if the link had come after the look
    with pytest.raises(VolumeFault, match="is being changed"):
        sub_path.publish(str(volume), "dir", at=tmp_path / "at" / "0")


def test_a_sub_path_that_is_missing_is_as_open_as_its_volume(volume: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        sub_path.publish(str(volume), "new/dir", at=tmp_path / "at" / "0")
    finally:
        os.umask(before)
    for made in (volume / "new", volume / "new" / "dir", tmp_path / "at" / "0"):
        assert stat.S_IMODE(made.stat().st_mode) == 0o2777


def test_a_sub_path_follows_its_volume_from_directory_to_file(volume: Path, tmp_path: Path) -> None:
    at = tmp_path / "at" / "0"
    sub_path.publish(str(volume), "x", at=at)
    (volume / "x").rmdir()
    (volume / "x").write_text("file now")
    sub_path.publish(str(volume), "x", at=at)
    assert at.read_text() == "file now"
    assert [path for path in mounts.mount_points(Path("/proc/self/mountinfo").read_text()) if path == at] == [at]


def test_mount_points_are_read_with_their_blanks() -> None:
    line = r"36 35 98:0 /mnt1 /mnt2\040with\134more rw,noatime master:1 - ext3 /dev/root rw"
    assert mounts.mount_points(line) == [Path("/mnt2 with\\more")]


async def test_what_a_pod_mounted_itself_is_not_deleted_with_it(volumes: VolumeManager, tmp_path: Path) -> None:
    of = pod(volumes=[{"name": "v", "emptyDir": {}}])
    path = Path((await volumes.ensure(of, Surroundings()))["v"])
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("!")
    (path / "mnt").mkdir()
    descriptor = os.open(outside, os.O_PATH)
    mounts.bind(descriptor, path / "mnt")
    os.close(descriptor)
    await volumes.tear_down(of.uid)
    assert not path.exists()
    assert (outside / "precious").exists()


@pytest.mark.parametrize("medium", ["", "Memory"])
async def test_an_empty_directory_keeps_its_group_and_what_its_pod_made_of_it(
    volumes: VolumeManager, medium: str
) -> None:
    of = pod(volumes=[{"name": "v", "emptyDir": {"medium": medium}}], securityContext={"fsGroup": 4321})
    path = Path((await volumes.ensure(of, Surroundings()))["v"])
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o2777, 4321)
    path.chmod(0o2700)
    await volumes.ensure(of, Surroundings())
    assert stat.S_IMODE(path.stat().st_mode) == 0o2700
    await volumes.tear_down(of.uid)


def test_a_write_that_was_broken_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        atomic_writer.write(tmp_path, {"a": File(b"1"), "a/b": File(b"2")})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "..killed").mkdir()
    atomic_writer.write(tmp_path, {"a": File(b"1")})
    assert len(list(tmp_path.iterdir())) == 3


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    payload = {"a": File(b"1", 0o400), "deep/b": File(b"2")}
    atomic_writer.write(tmp_path, payload)
    before = (tmp_path / "..data").readlink()
    atomic_writer.write(tmp_path, payload)
    assert (tmp_path / "..data").readlink() == before
    for changed in ({**payload, "a": File(b"1", 0o440)}, {**payload, "a": File(b"x")}, {"a": File(b"x")}):
        atomic_writer.write(tmp_path, changed)
        assert (tmp_path / "..data").readlink() != before
        before = (tmp_path / "..data").readlink()
    atomic_writer.write(tmp_path, {})
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.startswith("..")] == []


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
    claimed = pod(volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}])
    with pytest.raises(VolumeFault, match="this type of volume is not supported"):
        await volumes.ensure(claimed, Surroundings())


async def test_secrets_stand_on_a_tmpfs_that_goes_with_the_pod(volumes: VolumeManager) -> None:
    of = pod(volumes=[{"name": "v", "secret": {"secretName": "s", "defaultMode": 0o440}}])
    secret = Secret.model_validate({"metadata": {"name": "s"}, "data": {"k": "dmFsdWU="}})
    path = Path((await volumes.ensure(of, Surroundings(secrets={"s": secret})))["v"])
    assert (path / "k").read_text() == "value"
    assert path.is_mount()
    await volumes.tear_down(of.uid)
    assert not path.exists()


async def test_a_token_serves_on_while_no_other_can_be_had_and_is_not_asked_for_all_the_time(
    volumes: VolumeManager, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = pod(volumes=[{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}])
    path = Path((await volumes.ensure(of, Surroundings()))["t"])

    async def away(*_: Any, **__: Any) -> dict[str, Any]:
        raise aiohttp.ServerDisconnectedError

    monkeypatch.setattr(TokenServer, "request", away)
    await clock.advance(3000)
    await volumes.ensure(of, Surroundings())
    assert (path / "token").read_text() == "token-1"
    renewal = volumes.renewal(of.uid)
    assert renewal is not None
    assert (renewal - clock.now()).total_seconds() >= 10
    await volumes.tear_down(of.uid)


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
        made = host_path.setup(HostPathVolumeSource(path=str(tmp_path / "host" / "dir"), type="DirectoryOrCreate"))
    finally:
        os.umask(before)
    seen = [volume, volume / "..data" / "deep", volume / "..data" / "deep" / "er", made]
    assert [stat.S_IMODE(path.stat().st_mode) for path in seen] == [0o755] * len(seen)
    assert stat.S_IMODE((volume / "deep" / "er" / "b").stat().st_mode) == 0o644


async def test_a_path_that_does_not_answer_holds_up_its_own_pod_only(
    volumes: VolumeManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = threading.Event(), threading.Event()
    setup = host_path.setup

    def hung(source: HostPathVolumeSource) -> Path:
        asked.set()
        answers.wait(5)
        return setup(source)

    monkeypatch.setattr(host_path, "setup", hung)
    stuck = pod(volumes=[{"name": "v", "hostPath": {"path": str(tmp_path), "type": ""}}])
    waiting = asyncio.create_task(volumes.ensure(stuck, Surroundings()))
    try:
        assert await asyncio.to_thread(asked.wait, 5)
        other = pod(volumes=[{"name": "v", "emptyDir": {}}])
        assert await volumes.ensure(other, Surroundings())
        assert not waiting.done()
    finally:
        answers.set()
    assert await waiting == {"v": str(tmp_path)}
