"""What is decided about one claim or one volume."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.controllers.persistentvolume import claims, volumes
from k8slite.controllers.persistentvolume.matching import best
from k8slite.controllers.persistentvolume.steps import Plan
from k8slite.kinds.storage import BIND_COMPLETED, BOUND_BY_CONTROLLER, PROVISIONED_BY, PersistentVolume, StorageClass

from .storage import claim, reference, storage_class, volume

DELAYED = storage_class("local", volumeBindingMode="WaitForFirstConsumer")
RWX = ["ReadWriteMany"]
BOTH = ["ReadWriteOnce", "ReadWriteMany"]


def decide(
    asked: Any,
    *offered: PersistentVolume,
    named: PersistentVolume | None = None,
    found: StorageClass | None = None,
    default: StorageClass | None = None,
    waiting: tuple[str, ...] = (),
) -> Plan:
    return claims.plan(claim=asked, named=named, volumes=offered, found=found, default=default, waiting=waiting)


def said(plan: Plan) -> list[tuple[str, str]]:
    return [(said.reason, said.message) for said in (*plan.say, *plan.then_say)]


MATCHES = [
    ([], {}, None),
    ([("v", "1Gi", {})], {}, "v"),
    ([("v", "1023Mi", {})], {}, None),
    ([("big", "3Gi", {}), ("small", "2Gi", {})], {}, "small"),
    ([("b", "2Gi", {}), ("a", "2048Mi", {})], {}, "a"),
    ([("v", "1Gi", {"accessModes": RWX})], {}, None),
    ([("more", "1Gi", {"accessModes": BOTH}), ("exact", "9Gi", {})], {}, "exact"),
    ([("more", "1Gi", {"accessModes": BOTH})], {}, "more"),
    ([("v", "1Gi", {"volumeMode": "Block"})], {}, None),
    ([("v", "1Gi", {"volumeMode": "Block"})], {"volumeMode": "Block"}, "v"),
    ([("v", "1Gi", {"storageClassName": "fast"})], {}, None),
    ([("v", "1Gi", {"storageClassName": "fast"})], {"storageClassName": "fast"}, "v"),
    ([("v", "1Gi", {"annotations": {"volume.beta.kubernetes.io/storage-class": "fast"}})], {}, None),
    ([("v", "1Gi", {"labels": {"a": "1"}})], {"selector": {"matchLabels": {"a": "1"}}}, "v"),
    ([("v", "1Gi", {"labels": {"a": "2"}})], {"selector": {"matchLabels": {"a": "1"}}}, None),
    ([("v", "1Gi", {"phase": "Released"})], {}, None),
    ([("v", "1Gi", {"deleting": True})], {}, None),
    ([("v", "1Gi", {"deleting": True, "claimRef": reference("c", "uid-c")})], {}, None),
    ([("v", "1Gi", {"deleting": True, "phase": "Bound", "claimRef": reference("c", "uid-c")})], {}, "v"),
    ([("v", "1Gi", {"claimRef": reference("other")})], {}, None),
    ([("v", "1Gi", {}), ("kept", "9Gi", {"claimRef": reference("c")})], {}, "kept"),
    ([("v", "1Gi", {}), ("kept", "1Mi", {"claimRef": reference("c")})], {}, "v"),
    ([("v", "1Gi", {}), ("old", "1Gi", {"claimRef": reference("c", "uid-of-before")})], {}, "v"),
    (
        [("kept", "1Gi", {"claimRef": reference("c")}), ("given", "9Gi", {"claimRef": reference("c", "uid-c")})],
        {},
        "given",
    ),
    ([("v", "1Gi", {"csi": {}, "volumeAttributesClassName": "gold"})], {}, None),
    ([("v", "1Gi", {"csi": {}, "volumeAttributesClassName": "gold"})], {"volumeAttributesClassName": "gold"}, "v"),
]


@pytest.mark.parametrize(("offered", "wish", "expected"), MATCHES)
def test_a_claim_gets_what_exceeds_its_wishes_least(offered: Any, wish: Any, expected: str | None) -> None:
    found = best(claim(**wish), [volume(name, size, **more) for name, size, more in offered], delayed=False)
    assert (found.name if found else None) == expected


def test_free_volumes_of_a_delayed_class_are_left_to_the_scheduler() -> None:
    asked = claim(storageClassName="local")
    free, kept = (volume(storageClassName="local", **more) for more in ({}, {"claimRef": reference("c")}))
    assert best(asked, [free], delayed=True) is None
    assert best(asked, [free, kept], delayed=True) == kept


def test_a_binding_is_written_volume_first_and_noted_as_ours() -> None:
    found = decide(claim(uid="u"), volume())
    assert [(type(w.target).__name__, w.status) for w in found.writes] == [
        ("PersistentVolume", False),
        ("PersistentVolume", True),
        ("PersistentVolumeClaim", False),
        ("PersistentVolumeClaim", True),
    ]
    to_volume, _, to_claim, status = (write.body for write in found.writes)
    assert to_volume["spec"]["claimRef"]["uid"] == "u"
    assert to_volume["metadata"]["annotations"] == {BOUND_BY_CONTROLLER: "yes"}
    assert to_claim["spec"] == {"volumeName": "v"}
    assert to_claim["metadata"]["annotations"] == {BOUND_BY_CONTROLLER: "yes", BIND_COMPLETED: "yes"}
    assert status["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}


def test_what_users_have_bound_is_not_noted_as_ours() -> None:
    of_claim = decide(claim(volumeName="v"), named=volume(claimRef=reference("c")))
    assert [write.body.get("metadata") for write in of_claim.writes] == [
        None,
        None,
        {"annotations": {BIND_COMPLETED: "yes"}},
        None,
    ]


def test_a_bound_claim_needs_nothing_and_its_size_is_told_by_others() -> None:
    bound = {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    asked = claim("c", "5Gi", annotations=[BIND_COMPLETED], volumeName="v", status=bound)
    found = decide(asked, named=volume("v", "5Gi", claimRef=reference("c", "uid-c"), phase="Bound"))
    assert found == Plan()


def test_a_volume_that_grew_before_it_was_bound_anew_says_what_its_file_system_has() -> None:
    annotations = {"volume.alpha.kubernetes.io/pre-resize-capacity": "1Gi"}
    found = decide(claim(), volume("v", "5Gi", annotations=annotations))
    assert found.writes[-1].body["status"]["capacity"] == {"storage": "1Gi"}


ASKS = {"volumeName": "v"}
BOUND = {"annotations": [BIND_COMPLETED], "volumeName": "v"}


@pytest.mark.parametrize(
    ("asked", "named", "reason", "phase"),
    [
        ({"annotations": [BIND_COMPLETED]}, None, "ClaimLost", "Lost"),
        (BOUND, None, "ClaimLost", "Lost"),
        (BOUND, {"claimRef": reference("other", "u")}, "ClaimMisbound", "Lost"),
        ({**BOUND, "status": {"phase": "Lost"}}, None, None, None),
        ({"volumeName": "v", "status": {"phase": "Pending"}}, None, None, None),
        ({"volumeName": "v"}, {"claimRef": reference("other")}, "FailedBinding", None),
        ({"volumeName": "v"}, {"storageClassName": "fast"}, "VolumeMismatch", None),
        ({"volumeName": "v"}, {"accessModes": RWX}, "VolumeMismatch", None),
        ({"volumeName": "v"}, {"deleting": True}, "VolumeMismatch", None),
        (
            {"volumeName": "v", "annotations": [BOUND_BY_CONTROLLER]},
            {"claimRef": reference("o")},
            "FailedBinding",
            None,
        ),
    ],
)
def test_claims_that_name_a_volume(asked: Any, named: Any, reason: str | None, phase: str | None) -> None:
    found = decide(claim(**asked), named=volume(**named) if named is not None else None)
    assert [reason for reason, _ in said(found)] == ([reason] if reason else [])
    assert [w.body["status"]["phase"] for w in found.writes if w.status] == ([phase] if phase else [])
    assert all(write.status for write in found.writes)


def test_a_claim_without_volume_asks_by_its_class() -> None:
    nothing = "no persistent volumes available for this claim and no storage class is set"
    assert said(decide(claim(storageClassName=""))) == [("FailedBinding", nothing)]
    assert said(decide(claim(storageClassName="x"))) == [
        ("ProvisioningFailed", 'storageclass.storage.k8s.io "x" not found')
    ]
    nobody = storage_class("x", provisioner="kubernetes.io/no-provisioner")
    assert said(decide(claim(storageClassName="x"), found=nobody)) == [
        ("ProvisioningFailed", "no volume plugin matched name: kubernetes.io/no-provisioner")
    ]
    asked = decide(claim(storageClassName="x"), found=storage_class("x"))
    assert asked.writes[0].body["metadata"]["annotations"] == {
        "volume.kubernetes.io/storage-provisioner": "example.com/disks",
        "volume.beta.kubernetes.io/storage-provisioner": "example.com/disks",
    }
    assert [reason for reason, _ in said(asked)] == ["ExternalProvisioning"]


def test_nobody_is_asked_for_volumes_where_that_is_switched_off() -> None:
    asked, found = claim(storageClassName="x"), storage_class("x")
    wish = {"claim": asked, "named": None, "found": found, "default": None, "waiting": ()}
    assert claims.plan(**wish, volumes=[], provisioning=False) == Plan()
    assert claims.plan(**wish, volumes=[volume(storageClassName="x")], provisioning=False).writes


def test_a_provisioner_that_was_built_in_once_is_called_by_its_successors_name() -> None:
    old = storage_class("x", provisioner="kubernetes.io/gce-pd")
    asked = decide(claim(storageClassName="x"), found=old)
    assert asked.writes[0].body["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"] == (
        "pd.csi.storage.gke.io"
    )
    before = claim(annotations={"volume.kubernetes.io/storage-provisioner": "kubernetes.io/gce-pd"})
    noted = {"pv.kubernetes.io/migrated-to": "pd.csi.storage.gke.io"}
    assert decide(before).writes[0].body == {"metadata": {"annotations": noted}}


@pytest.mark.parametrize(
    ("waiting", "reason", "message"),
    [
        ((), "WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
        (("p",), "WaitForPodScheduled", "waiting for pod p to be scheduled"),
        (("p", "q"), "WaitForPodScheduled", "waiting for pods p,q to be scheduled"),
    ],
)
def test_a_delayed_claim_says_whom_it_waits_for(waiting: tuple[str, ...], reason: str, message: str) -> None:
    asked = claim(storageClassName="local")
    assert said(decide(asked, found=DELAYED, waiting=waiting)) == [(reason, message)]
    chosen = claim(storageClassName="local", annotations={"volume.kubernetes.io/selected-node": "n"})
    assert [reason for reason, _ in said(decide(chosen, found=DELAYED))] == ["ExternalProvisioning"]


def test_the_newest_default_class_is_given_to_claims_that_name_none() -> None:
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    found = [
        storage_class(name, annotations=note, metadata={"creationTimestamp": f"2026-01-0{day}T00:00:00Z"})
        for name, day, note in (("b", 2, default), ("a", 2, default), ("old", 1, default), ("new", 9, {}))
    ]
    chosen = claims.default_class(found)
    assert chosen is not None
    assert chosen.name == "a"
    assert decide(claim(), default=chosen).writes[0].body == {"spec": {"storageClassName": "a"}}
    assert not decide(claim(storageClassName=""), default=chosen).writes
    assert decide(claim(), volume(), default=chosen).writes[0].target.name == "v"
    assert claims.default_class([]) is None


OURS = {"annotations": [BOUND_BY_CONTROLLER]}
MINE = {"claimRef": reference("c", "uid-c")}
MADE = {"annotations": {PROVISIONED_BY: "example.com/disks", BOUND_BY_CONTROLLER: "yes"}}
DELETE = {"persistentVolumeReclaimPolicy": "Delete"}


@pytest.mark.parametrize(
    ("found", "asked", "phases", "reason"),
    [
        ({"phase": "Pending"}, None, ["Available"], None),
        ({"phase": "Pending", "claimRef": reference("c")}, None, ["Available"], None),
        (MINE, None, ["Released"], None),
        ({**MINE, "phase": "Released"}, None, [], None),
        ({**MINE, **DELETE, **MADE}, None, ["Released"], None),
        ({**MINE, **DELETE}, None, ["Released", "Failed"], "VolumeFailedDelete"),
        ({**MINE, **DELETE, "csi": {"driver": "d"}}, None, ["Released"], None),
        ({**MINE, **DELETE, "phase": "Failed"}, None, [], None),
        ({**MINE, "persistentVolumeReclaimPolicy": "Recycle"}, None, ["Released", "Failed"], "VolumeFailedRecycle"),
        ({**MINE, "persistentVolumeReclaimPolicy": "?"}, None, ["Released", "Failed"], "VolumeUnknownReclaimPolicy"),
        (MINE, {"volumeName": "v"}, ["Bound"], None),
        ({**MINE, "phase": "Bound"}, {"volumeName": "v"}, [], None),
        ({**MINE, **DELETE, **MADE, "phase": "Bound"}, {"volumeName": "w"}, ["Released"], None),
        ({**MINE, **OURS, "phase": "Bound"}, {"volumeName": "w"}, ["Available"], None),
        ({**MINE, "phase": "Bound"}, {"volumeName": "w"}, ["Available"], None),
    ],
)
def test_phases_of_a_volume(found: Any, asked: Any, phases: list[str], reason: str | None) -> None:
    plan = volumes.plan(volume=volume(**found), claim=claim(**asked) if asked is not None else None)
    assert [write.body["status"]["phase"] for write in plan.writes if write.status] == phases
    assert [reason for reason, _ in said(plan)] == ([reason] if reason else [])


def test_a_binding_that_did_not_come_about_is_taken_back() -> None:
    elsewhere = claim(volumeName="w")
    ours = volumes.plan(volume=volume(**MINE, **OURS), claim=elsewhere)
    assert ours.writes[0].body == {"spec": {"claimRef": None}, "metadata": {"annotations": {BOUND_BY_CONTROLLER: None}}}
    users = volumes.plan(volume=volume(**MINE), claim=elsewhere)
    assert users.writes[0].body == {"spec": {"claimRef": {"uid": None}}}


def test_a_volume_that_waits_for_its_claim_wakes_it_unless_they_cannot_go_together() -> None:
    assert volumes.plan(volume=volume(**MINE), claim=claim()).wake_claim
    block = volumes.plan(volume=volume(**MINE, volumeMode="Block"), claim=claim())
    assert not block.wake_claim
    assert [reason for reason, _ in said(block)] == ["VolumeMismatch", "VolumeMismatch"]
