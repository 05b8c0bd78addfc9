"""The volumes behind claims on a node: found, given to a group, removed with their volume and never anything else."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from k8slite.clock import VirtualClock
from k8slite.controller import TryAgain
from k8slite.errors import not_found
from k8slite.kinds.base import ResourceType
from k8slite.kinds.core import Pod, PodStatus
from k8slite.kinds.storage import PersistentVolume
from k8slite.kubelet.env import Surroundings
from k8slite.kubelet.volumes import VolumeManager, ownership, trees
from k8slite.kubelet.volumes.base import VolumeFault
from k8slite.kubelet.volumes.claim import Claims
from k8slite.kubelet.volumes.local_data import LocalData, to_remove

from .test_volume_trees import deep

Document = dict[str, Any]
NAME = "pvc-01234567-89ab-cdef-0123-456789abcdef"
OURS = {"pv.kubernetes.io/provisioned-by": "k8slite.io/local"}


class Api:
    """Answers from documents, and notes patches."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Document] = {}
        self.patched: list[tuple[str, Document]] = []

    def put(self, plural: str, document: Document) -> None:
        self.found[plural, document["metadata"]["name"]] = document

    async def get(self, resource: ResourceType[Any], name: str, *, namespace: str = "") -> Any:
        if (resource.plural, name) not in self.found:
            raise not_found(resource.plural, name)
        return resource.model.model_validate(self.found[resource.plural, name])

    async def patch(self, resource: ResourceType[Any], name: str, body: Document, **_: Any) -> None:
        self.patched.append((name, body))


def claim(**more: Any) -> Document:
    metadata = {"name": "data", "namespace": "default", "uid": "c-1", **more.pop("metadata", {})}
    return {"metadata": metadata, "spec": {"volumeName": NAME, **more}, "status": {"phase": "Bound"}}


def volume(directory: Path, *, name: str = NAME, annotations: Document = OURS, **more: Any) -> Document:
    labels = {"k8slite.io/node": "n1"}
    metadata: Document = {"name": name, "uid": "v-1", "annotations": annotations, "labels": labels}
    metadata |= more.pop("metadata", {})
    reference = {"namespace": "default", "name": "data", "uid": "c-1"}
    spec = {"claimRef": reference, "persistentVolumeReclaimPolicy": "Delete", **more.pop("spec", {})}
    if "hostPath" not in spec and "nfs" not in spec:
        spec.setdefault("local", {"path": str(directory / name)})
    return {"metadata": metadata, "spec": spec, "status": {"phase": more.pop("phase", "Bound")}}


def pod(*, ephemeral: bool = False) -> Pod:
    source: Document = {"ephemeral": {}} if ephemeral else {"persistentVolumeClaim": {"claimName": "data"}}
    spec = {"containers": [], "volumes": [{"name": "v", **source}]}
    return Pod.model_validate({"metadata": {"name": "p", "namespace": "default", "uid": "p-1"}, "spec": spec})


@pytest.fixture
def api() -> Api:
    made = Api()
    made.put("nodes", {"metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}}})
    return made


async def find(api: Api, directory: Path, of: Pod) -> Any:
    claims = Claims(api, node="n1", directory=directory)  # type: ignore[arg-type]
    return await claims.find(of, of.spec.volumes[0])


async def test_a_directory_is_made_for_a_volume_of_ours(api: Api, tmp_path: Path) -> None:
    base = tmp_path / "local-volumes"
    api.put("persistentvolumeclaims", claim())
    api.put("persistentvolumes", volume(base))
    found = await find(api, base, pod())
    assert found.path == base / NAME
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o777
    assert await find(api, base, pod()) == found


async def test_a_directory_is_open_to_all_whenever_the_kubelet_is_killed(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    base = tmp_path / "local-volumes"
    base.mkdir()
    api.put("persistentvolumeclaims", claim())
    api.put("persistentvolumes", volume(base))
    for call in ("mkdir", "chmod", "rename"):
        with monkeypatch.context() as death, pytest.raises(Killed):
            death.setattr(Path, call, killed)
            await find(api, base, pod())
    found = await find(api, base, pod())
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o777
    assert [entry.name for entry in base.iterdir()] == [NAME]


def elsewhere(operator: str, value: str) -> Document:
    expression = {"key": "kubernetes.io/hostname", "operator": operator, "values": [value]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


ELSEWHERE = {"k8slite.io/node": "n2"}
DELETING = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}


@pytest.mark.parametrize(
    ("asked", "has", "problem"),
    [
        (None, {}, 'persistentvolumeclaims "data" not found'),
        (DELETING, {}, "PVC is being deleted"),
        ({"volumeName": ""}, {}, "PVC has empty pvc.Spec.VolumeName"),
        ({}, None, f'persistentvolumes "{NAME}" not found'),
        ({}, {"spec": {"claimRef": None}}, "it has a nil pv.Spec.ClaimRef"),
        ({}, {"spec": {"claimRef": {"uid": "other"}}}, 'does not point to claim.UID "c-1"'),
        ({}, {"spec": {"volumeMode": "Block"}}, "volumeMode Block is not supported"),
        ({}, {"spec": {"nodeAffinity": elsewhere("In", "n2")}}, "no matching NodeSelectorTerms"),
        ({}, {"spec": {"nodeAffinity": elsewhere("NotIn", "n2")}}, ""),
        ({}, {"spec": {"local": {"path": "/etc"}}}, 'path "/etc" is not below'),
        ({}, {"metadata": {"labels": ELSEWHERE}}, 'node "n2" keeps the data'),
        ({}, {"spec": {"local": {"path": "/nowhere/else"}}, "annotations": {}}, 'path "/nowhere/else" does not exist'),
        ({}, {"spec": {"local": {"path": "/etc"}}, "annotations": {}}, ""),
        ({}, {"spec": {"hostPath": {"path": "/etc", "type": "File"}}}, "/etc is not a file"),
        ({}, {"spec": {"nfs": {}}}, "no volume plugin matched"),
    ],
)
async def test_what_stands_in_the_way_is_told(
    api: Api, tmp_path: Path, asked: Document | None, has: Document | None, problem: str
) -> None:
    if asked is not None:
        api.put("persistentvolumeclaims", claim(**asked))
    if has is not None:
        api.put("persistentvolumes", volume(tmp_path, **has))
    if not problem:
        await find(api, tmp_path, pod())
        return
    with pytest.raises(VolumeFault, match=problem):
        await find(api, tmp_path, pod())


async def test_a_pod_that_runs_keeps_a_claim_that_waits_for_it_to_end(api: Api, tmp_path: Path) -> None:
    api.put("persistentvolumeclaims", claim(**DELETING))
    api.put("persistentvolumes", volume(tmp_path))
    running = pod().model_copy(update={"status": PodStatus(phase="Running")})
    assert (await find(api, tmp_path, running)).name == NAME


async def test_an_ephemeral_claim_must_be_the_pods_own(api: Api, tmp_path: Path) -> None:
    owned = {"apiVersion": "v1", "kind": "Pod", "name": "p", "controller": True}
    api.put("persistentvolumes", volume(tmp_path))
    for uid, problem in (("p-0", True), ("p-1", False)):
        owners = [{**owned, "uid": uid}]
        api.put("persistentvolumeclaims", claim(metadata={"name": "p-v", "ownerReferences": owners}))
        if problem:
            with pytest.raises(VolumeFault, match="was not created for pod"):
                await find(api, tmp_path, pod(ephemeral=True))
        else:
            assert (await find(api, tmp_path, pod(ephemeral=True))).name == NAME


async def test_one_pod_at_a_time_has_a_volume_that_only_one_may_have(api: Api, tmp_path: Path) -> None:
    api.put("persistentvolumeclaims", claim())
    manager = VolumeManager(api, clock=VirtualClock(), directory=tmp_path, node="n1")  # type: ignore[arg-type]
    first = pod()
    second = first.model_copy(update={"metadata": first.metadata.model_copy(update={"name": "q", "uid": "p-2"})})
    api.put("persistentvolumes", volume(manager.local_volumes, spec={"accessModes": ["ReadWriteOncePod"]}))
    for _ in range(2):
        assert await manager.ensure(first, Surroundings())
    with pytest.raises(VolumeFault, match="already in use by another pod"):
        await manager.ensure(second, Surroundings())
    manager.let_go(first.uid)  # it has ended, but is not deleted
    assert await manager.ensure(second, Surroundings())
    with pytest.raises(VolumeFault, match="already in use by another pod"):
        await manager.ensure(first, Surroundings())
    await manager.tear_down(second.uid)
    assert await manager.ensure(first, Surroundings())


async def test_a_volume_is_in_use_until_its_pods_are_cleaned_up_also_for_the_next_kubelet(
    api: Api, tmp_path: Path
) -> None:
    api.put("persistentvolumeclaims", claim())
    for start in range(2):
        manager = VolumeManager(api, clock=VirtualClock(), directory=tmp_path, node="n1")  # type: ignore[arg-type]
        api.put("persistentvolumes", volume(manager.local_volumes))
        assert manager.used(NAME) is (start == 1)
        if start == 0:
            await manager.ensure(pod(), Surroundings())
    assert not manager.used("pvc-another")
    api.found.clear()  # somebody took the claim away by force while no kubelet ran
    await manager.tear_down(pod().uid)
    assert not manager.used(NAME)


def test_a_group_gets_what_is_in_a_volume_and_nothing_that_a_link_leads_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    before = outside.stat()
    root = tmp_path / "volume"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "file").write_text("ours")
    (root / "link").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    os.mknod(root / "device", stat.S_IFCHR | 0o600, os.makedev(11, 255))  # there is no such device to open
    ownership.give(root, group=4321, policy="Always")
    for path in (root, root / "deep", root / "deep" / "file", root / "device"):
        assert path.stat().st_gid == 4321
    assert stat.S_IMODE((root / "deep").stat().st_mode) & 0o2770 == 0o2770
    assert stat.S_IMODE((root / "deep" / "file").stat().st_mode) & 0o660 == 0o660
    assert (outside.stat().st_gid, outside.stat().st_mode) == (before.st_gid, before.st_mode)
    (root / "new").write_text("")
    os.chown(root / "new", -1, 0)
    ownership.give(root, group=4321, policy="OnRootMismatch")
    assert (root / "new").stat().st_gid == 0
    ownership.give(root, group=4322, policy="OnRootMismatch")
    assert (root / "new").stat().st_gid == 4322


def test_a_group_gets_what_is_at_any_depth(tmp_path: Path) -> None:
    root = deep(tmp_path / "root", levels=3000)
    ownership.give(root, group=4321, policy="Always")
    here = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        there = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    assert os.stat("file", dir_fd=here).st_gid == os.fstat(here).st_gid == 4321
    os.close(here)
    trees.remove(root)


def test_a_directory_that_is_moved_meanwhile_leads_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    before = tmp_path.stat()
    listed = ownership._level

    def moving(folder: int, group: int) -> Any:
        if (root / "a" / "b").exists() and os.fstat(folder).st_ino == (root / "a" / "b").stat().st_ino:
            (root / "a" / "b").rename(tmp_path / "b")
        return listed(folder, group)

    monkeypatch.setattr(ownership, "_level", moving)
    with pytest.raises(VolumeFault, match="being moved"):
        ownership.give(root, group=4321, policy="Always")
    assert tmp_path.stat().st_gid == before.st_gid


GOES = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x", "k8slite.io/local-data"]}


class Keeper:
    """The data of one node, with a volume to look at."""

    def __init__(self, directory: Path, document: Document) -> None:
        self.api = Api()
        self.used: set[str] = set()
        self.said: list[str] = []
        self.data = LocalData(
            self.api,  # type: ignore[arg-type]
            clock=VirtualClock(),
            events=self,  # type: ignore[arg-type]
            node="n1",
            directory=directory,
            used=self.used.__contains__,
        )
        self.name = document["metadata"]["name"]
        found = PersistentVolume.model_validate(document)
        self.data._volumes._store.put(found)
        self.api.put("persistentvolumes", document)

    def record(self, about: PersistentVolume, *, reason: str, message: str, type: str) -> None:
        """Note an event."""
        assert (about.name, reason, type) == (self.name, "VolumeFailedDelete", "Warning")
        self.said.append(message)

    async def look(self) -> Any:
        return await self.data.sync(self.name)


def filled(directory: Path) -> Path:
    path = directory / NAME
    path.mkdir(parents=True)
    (path / "file").write_text("data")
    (path / "out").symlink_to(directory.parent)
    return path


async def test_data_go_with_their_volume_and_the_finalizer_after_them(tmp_path: Path) -> None:
    base = tmp_path / "base"
    path = filled(base)
    (base / "other").mkdir()
    (base / f".{NAME}").mkdir()  # the kubelet was killed while it made the directory
    keeper = Keeper(base, volume(base, phase="Released", metadata=GOES))
    keeper.used.add(NAME)
    assert (await keeper.look()).requeue_after
    assert path.exists()
    keeper.used.clear()
    await keeper.look()
    assert [entry.name for entry in base.iterdir()] == ["other"]
    [(name, body)] = keeper.api.patched
    assert (name, body["metadata"]["finalizers"]) == (NAME, ["x"])
    await keeper.look()  # the API server has not answered: once more, with nothing to remove
    assert len(keeper.api.patched) == 2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"phase": "Bound", "metadata": GOES}, "its claim has it"),
        ({"phase": "Released"}, "nobody deletes it"),
        ({"phase": "Released", "metadata": {**GOES, "finalizers": []}}, "nobody waits for us"),
        ({"phase": "Released", "metadata": GOES, "annotations": {}}, "it is not ours"),
        ({"phase": "Released", "metadata": GOES, "spec": {"persistentVolumeReclaimPolicy": "Retain"}}, "it is kept"),
        ({"phase": "Released", "metadata": GOES, "name": "../base"}, "it is no name of ours"),
        ({"phase": "Released", "metadata": {**GOES, "labels": ELSEWHERE}}, "another node has them"),
        ({"phase": "Released", "metadata": GOES, "spec": {"local": {"path": "/etc"}}}, "its files are elsewhere"),
    ],
)
async def test_other_data_are_left_alone(tmp_path: Path, more: Document, why: str) -> None:
    base = tmp_path / "base"
    path = filled(base)
    keeper = Keeper(base, volume(base, **more))
    await keeper.look()
    assert (path / "file").exists(), why
    assert keeper.api.patched == [], why
    assert bool(keeper.said) is (why == "its files are elsewhere")
    judged_later = {"its files are elsewhere", "another node has them"}
    assert to_remove(PersistentVolume.model_validate(volume(base, **more))) is (why in judged_later)


async def test_data_that_cannot_be_removed_are_told_and_tried_again(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / NAME).write_text("this should be a directory")
    keeper = Keeper(base, volume(base, phase="Released", metadata=GOES))
    with pytest.raises(TryAgain):
        await keeper.look()
    assert keeper.said == [f"removal of {base / f'removed-{NAME}'}: Not a directory"]
    assert keeper.api.patched == []
    (base / f"removed-{NAME}").unlink()
    await keeper.look()
    assert len(keeper.api.patched) == 1


async def test_whoever_changes_their_mind_in_time_keeps_their_data(tmp_path: Path) -> None:
    base = tmp_path / "base"
    path = filled(base)
    keeper = Keeper(base, volume(base, phase="Released", metadata=GOES))
    keep = {"persistentVolumeReclaimPolicy": "Retain"}
    keeper.api.put("persistentvolumes", volume(base, phase="Released", metadata=GOES, spec=keep))
    await keeper.look()
    assert (path / "file").exists()
    keeper.api.found.clear()
    await keeper.look()
    assert (path / "file").exists()
    assert keeper.api.patched == []


async def test_a_removal_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    base = tmp_path / "base"
    path = filled(base)
    path.rename(base / f"removed-{NAME}")
    keeper = Keeper(base, volume(base, phase="Released", metadata=GOES))
    keeper.data._finish()
    assert list(base.iterdir()) == []
    assert tmp_path.exists()
