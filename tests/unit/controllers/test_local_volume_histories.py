"""Random lives of local volumes, from the claim to the removed directory: all who have a part in it lag and are killed.

Users make and delete claims, delete volumes by hand and change what becomes of them; the binder, the provisioner, the
volumes' guard and the kubelet each take single steps, on what was or what is.
"""

from __future__ import annotations

import contextlib
from copy import deepcopy
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite import local_volumes
from k8slite.controllers.localprovisioner import claims as provisioning
from k8slite.controllers.localprovisioner import volumes as reclaiming
from k8slite.controllers.persistentvolume import claims, volumes
from k8slite.controllers.persistentvolume.steps import Plan
from k8slite.controllers.protection.plan import volume_in_use, waits
from k8slite.kinds.core import Node
from k8slite.kinds.storage import PersistentVolume
from k8slite.kubelet.volumes.local_data import to_remove

from .storage import ConflictError, Document, Store, claim_document, merged, storage_class

NAMES = ["a", "b"]
GUARD = "kubernetes.io/pv-protection"
NODE = Node.model_validate(
    {
        "metadata": {
            "name": "n1",
            "labels": {"kubernetes.io/hostname": "n1"},
            "annotations": {local_volumes.DIRECTORY: "/data"},
        },
    }
)
CLASS = storage_class("local", provisioner=local_volumes.PROVISIONER, volumeBindingMode="WaitForFirstConsumer")
KINDS = ("claim", "forget", "delete", "policy", "look", "bind", "volume", "provision", "reclaim", "guard", "kubelet")
WEIGHTS = (4, 3, 1, 1, 6, 8, 8, 6, 6, 4, 6)


class Life:
    """The API, what those who lag see of it, and the node's disk."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.store = Store()
        self.seen = Store()
        self.disk: set[str] = set()
        self.removed: set[str] = set()
        self.made = 0
        self.calm = False
        """Whether nobody is killed any more."""

    def step(self, kind: str) -> None:
        lags = self.chance.random() < 0.4
        seen = self.seen if lags else self.store
        match kind:
            case "claim":
                self._claim(self.chance.choice(NAMES))
            case "forget":
                self.store.claims.pop(self.chance.choice(NAMES), None)
            case "look":
                self.seen = deepcopy(self.store)
            case "bind" | "provision":
                for name in NAMES:
                    self._for_claim(kind, name, seen)
            case _:
                for name in list(self.store.volumes):
                    self._for_volume(kind, name, seen)
        self.check()

    def _claim(self, name: str) -> None:
        if name not in self.store.claims:
            self.made += 1
            uid = f"01234567-89ab-cdef-0123-{self.made:012}"
            annotations = {"volume.kubernetes.io/selected-node": "n1"}
            self.store.put(
                self.store.claims,
                claim_document(name, uid=uid, annotations=annotations, storageClassName="local"),
            )

    def _for_claim(self, kind: str, name: str, seen: Store) -> None:
        asked = seen.claim(name)
        if asked is None:
            return
        if kind == "bind":
            offered = [each for name in seen.volumes if (each := seen.volume(name)) is not None]
            named = self.store.volume(asked.spec.volume_name) if asked.spec.volume_name else None
            plan = claims.plan(claim=asked, named=named, volumes=offered, found=CLASS, default=None, waiting=())
            self._carry_out(plan)
            return
        wanted = provisioning.plan(claim=asked, found=CLASS, node={"n1": NODE}.get, nodes=lambda: [NODE])
        assert not wanted.problem
        if wanted.volume is not None and wanted.volume["metadata"]["name"] not in self.store.volumes:
            document = wanted.volume
            document["metadata"] |= {"uid": f"v-{asked.uid}", "labels": {local_volumes.NODE: "n1"}}
            document["metadata"]["finalizers"].append(GUARD)  # admission
            document["status"] = {"phase": "Pending"}
            self.store.put(self.store.volumes, document)

    def _for_volume(self, kind: str, name: str, seen: Store) -> None:
        found = seen.volume(name)
        if found is None or name not in self.store.volumes:
            return
        match kind:
            case "delete" if self.chance.random() < 0.3:
                self._delete(name)
            case "policy" if self.chance.random() < 0.3:
                policy = self.chance.choice(["Retain", "Delete"])
                self._patch(name, {"spec": {"persistentVolumeReclaimPolicy": policy}})
            case "volume":
                reference = found.spec.claim_ref
                alive = self.store.claim(reference.name) if reference is not None else None
                if alive is not None and reference is not None and alive.uid != reference.uid:
                    alive = None
                self._carry_out(volumes.plan(volume=found, claim=alive))
            case "reclaim":
                self._reclaim(found)
            case "guard":
                if waits(found, GUARD) and not volume_in_use(found):
                    self._finalizers(found, [each for each in found.metadata.finalizers if each != GUARD])
            case "kubelet":
                self._kubelet(found)

    def _reclaim(self, found: PersistentVolume) -> None:
        decided = reclaiming.plan(volume=found, node=NODE)
        if decided.finalizers is not None:
            self._finalizers(found, list(decided.finalizers))
        elif decided.delete and self._unchanged(found):
            self._delete(found.name)

    def _kubelet(self, found: PersistentVolume) -> None:
        """A pod of a claim that is bound has its directory; what is to be removed is, then the finalizer goes."""
        bound = self.store.volumes[found.name]["status"]["phase"] == "Bound"
        if bound and not found.deleting and self._owner(found.name):
            self.disk.add(found.name)
        elif to_remove(found) and (now := self.store.volume(found.name)) is not None and to_remove(now):
            assert now.spec.persistent_volume_reclaim_policy == "Delete"
            assert not self._owner(found.name), "a claim has the volume still"
            self.removed |= self.disk & {found.name}
            self.disk.discard(found.name)
            if self.calm or self.chance.random() < 0.6:
                self._finalizers(now, [each for each in now.metadata.finalizers if each != local_volumes.FINALIZER])

    def _owner(self, name: str) -> bool:
        return any(each["spec"].get("volumeName") == name for each in self.store.claims.values())

    def _carry_out(self, plan: Plan) -> None:
        with contextlib.suppress(ConflictError):
            self.store.carry_out(plan, at_most=99 if self.calm else self.chance.choice([1, 2, 3, 99, 99]))

    def _unchanged(self, found: PersistentVolume) -> bool:
        now = self.store.volumes.get(found.name)
        return now is not None and now["metadata"]["resourceVersion"] == found.metadata.resource_version

    def _finalizers(self, found: PersistentVolume, left: list[str]) -> None:
        if self._unchanged(found):
            self._patch(found.name, {"metadata": {"finalizers": left}})

    def _delete(self, name: str) -> None:
        self._patch(name, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})

    def _patch(self, name: str, patch: Document) -> None:
        document = merged(self.store.volumes[name], patch)
        self.store.put(self.store.volumes, document)
        if document["metadata"].get("deletionTimestamp") and not document["metadata"]["finalizers"]:
            del self.store.volumes[name]

    def check(self) -> None:
        for name in NAMES:
            asked = self.store.claim(name)
            if asked is not None and asked.bind_completed and asked.status.phase == "Bound":
                assert asked.spec.volume_name == local_volumes.volume_name(asked.uid)
                assert asked.spec.volume_name not in self.removed, "a claim lost its data"

    def settle(self) -> None:
        self.calm = True
        for _ in range(40):
            before = deepcopy((self.store.claims, self.store.volumes, self.disk))
            for kind in ("bind", "provision", "volume", "bind", "reclaim", "guard", "kubelet"):
                for name in NAMES if kind in ("bind", "provision") else list(self.store.volumes):
                    (self._for_claim if kind in ("bind", "provision") else self._for_volume)(kind, name, self.store)
                self.check()
            if before == (self.store.claims, self.store.volumes, self.disk):
                return
        raise AssertionError("it never comes to rest")


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_data_stay_as_long_as_somebody_has_them_and_then_go_as_they_should(seed: int) -> None:
    chance = Random(seed)
    life = Life(chance)
    for _ in range(60):
        life.step(chance.choices(KINDS, WEIGHTS)[0])
    life.settle()
    claims_left = [each for name in NAMES if (each := life.store.claim(name)) is not None]
    assert all(each.status.phase == "Bound" for each in claims_left)
    mine = {local_volumes.volume_name(each.uid) for each in claims_left}
    assert mine <= life.store.volumes.keys()
    for name in life.store.volumes.keys() - mine:
        assert life.store.volumes[name]["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert not life.disk & life.removed
