"""The claims of pods' ephemeral volumes."""

from __future__ import annotations

from typing import Any

from k8slite.controllers.ephemeralvolume.plan import Plan, body, plan
from k8slite.kinds.storage import PersistentVolumeClaim

from .builders import pod
from .storage import claim_document

VOLUMES = [
    {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
    {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    {"name": "tmp", "emptyDir": {}},
]


def made(owner: str) -> PersistentVolumeClaim:
    document = claim_document("p-scratch")
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": owner, "controller": True}
    document["metadata"]["ownerReferences"] = [reference] if owner else []
    return PersistentVolumeClaim.model_validate(document)


def decide(found: PersistentVolumeClaim | None, **more: Any) -> Plan:
    return plan(pod=pod("p", volumes=VOLUMES, **more), claim={"p-scratch": found}.get)


def test_a_claim_is_made_for_each_ephemeral_volume_and_for_no_other() -> None:
    assert decide(None).create == ("scratch",)
    assert decide(made("uid-p")) == Plan()
    assert decide(None, deleting=True) == Plan()


def test_a_claim_of_the_name_that_is_not_the_pods_is_left_alone_and_told() -> None:
    problem = "PVC default/p-scratch was not created for pod default/p (pod is not owner)"
    for owner in ("", "uid-of-the-pod-before"):
        assert decide(made(owner)) == Plan(conflicts=(("scratch", problem),))


def test_the_claim_has_what_the_template_says_and_the_pod_as_owner() -> None:
    given = {"labels": {"a": "b"}, "annotations": {"c": "d"}}
    found = body(pod("p"), "scratch", {"metadata": given, "spec": {"accessModes": ["ReadWriteOnce"]}})
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "uid-p"}
    owner |= {"controller": True, "blockOwnerDeletion": True}
    assert found["metadata"] == {
        "name": "p-scratch",
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "ownerReferences": [owner],
    }
    assert found["spec"] == {"accessModes": ["ReadWriteOnce"]}
