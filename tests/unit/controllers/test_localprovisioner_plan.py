"""What is made for a claim, and when it goes again."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.controllers.localprovisioner import claims, volumes
from k8slite.kinds.core import Node
from k8slite.kinds.storage import PROVISIONED_BY, StorageClass
from k8slite.local_volumes import DIRECTORY, FINALIZER, NODE, PROVISIONER, SIMULATOR

from .storage import claim, storage_class, volume

UID = "01234567-89ab-cdef-0123-456789abcdef"
LOCAL = storage_class("local", provisioner=PROVISIONER, volumeBindingMode="WaitForFirstConsumer")
AT_ONCE = storage_class("local", provisioner=PROVISIONER, reclaimPolicy="Retain")
ASKED = {"volume.kubernetes.io/storage-provisioner": PROVISIONER}
CHOSEN = {**ASKED, "volume.kubernetes.io/selected-node": "n1"}


def node(name: str = "n1", *, ready: bool = True, keeps: bool = True, labels: dict[str, str] | None = None) -> Node:
    metadata: dict[str, Any] = {"name": name, "uid": name, "labels": {"kubernetes.io/hostname": f"{name}.example"}}
    metadata["labels"] |= labels or {}
    metadata["annotations"] = {DIRECTORY: "/var/lib/volumes"} if keeps else {}
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return Node.model_validate({"metadata": metadata, "status": {"conditions": [condition]}})


def decide(found: StorageClass | None, *nodes: Node, annotations: dict[str, str], **spec: Any) -> claims.Plan:
    asked = claim("c", "3Gi", uid=UID, annotations=annotations, storageClassName="local", **spec)
    by_name = {each.name: each for each in nodes}
    return claims.plan(claim=asked, found=found, node=by_name.get, nodes=lambda: nodes)


def test_a_directory_of_the_chosen_node_is_made_for_the_claim() -> None:
    made = decide(LOCAL, node(), node("n2"), annotations=CHOSEN).volume
    assert made is not None
    assert made["metadata"] == {
        "name": f"pvc-{UID}",
        "labels": {NODE: "n1"},
        "annotations": {PROVISIONED_BY: PROVISIONER},
        "finalizers": [FINALIZER],
    }
    spec = made["spec"]
    assert spec["local"] == {"path": f"/var/lib/volumes/pvc-{UID}"}
    assert spec["capacity"] == {"storage": "3Gi"}
    assert spec["claimRef"]["uid"] == UID
    assert spec["persistentVolumeReclaimPolicy"] == "Delete"
    [term] = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1.example"]}]


def test_without_a_node_one_that_is_ready_takes_it_the_same_each_time() -> None:
    nodes = [node(f"n{number}") for number in range(9)]
    first = decide(AT_ONCE, *nodes, annotations=ASKED).volume
    assert first is not None
    assert first == decide(AT_ONCE, *reversed(nodes), annotations=ASKED).volume
    assert "finalizers" not in first["metadata"]
    assert decide(AT_ONCE, node(ready=False), annotations=ASKED).problem == "no node is ready that keeps local volumes"


@pytest.mark.parametrize(
    ("found", "annotations", "spec"),
    [
        (None, CHOSEN, {}),
        (LOCAL, ASKED, {}),
        (LOCAL, {}, {}),
        (LOCAL, {"volume.kubernetes.io/storage-provisioner": "other"}, {}),
        (storage_class("local", provisioner="other"), CHOSEN, {}),
        (LOCAL, CHOSEN, {"volumeName": "v"}),
        (LOCAL, CHOSEN, {"deleting": True}),
    ],
)
def test_nothing_is_made_that_is_not_asked_of_us(found: Any, annotations: Any, spec: Any) -> None:
    assert decide(found, node(), annotations=annotations, **spec) == claims.Plan()


@pytest.mark.parametrize(
    ("spec", "more", "problem"),
    [
        ({"selector": {"matchLabels": {"a": "b"}}}, {}, "claim Selector is not supported"),
        ({"dataSource": {"kind": "PersistentVolumeClaim", "name": "x"}}, {}, "claim DataSource is not supported"),
        ({"volumeMode": "Block"}, {}, "volumeMode Block is not supported"),
        (
            {"accessModes": ["ReadWriteMany"]},
            {},
            "accessModes ReadWriteMany are not supported: the volume is a directory",
        ),
        ({}, {"parameters": {"size": "1"}}, "unknown parameters size"),
        ({}, {"mountOptions": ["ro"]}, "mount options ['ro'] are not supported"),
        (
            {},
            {"allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}]},
            'node "n1" is not in the allowed topologies',
        ),
    ],
)
def test_what_a_directory_cannot_be_is_told(spec: Any, more: Any, problem: str) -> None:
    found = storage_class("local", provisioner=PROVISIONER, **more)
    assert decide(found, node(), annotations=CHOSEN, **spec).problem.startswith(problem)


def test_a_node_that_is_gone_or_keeps_nothing_is_told() -> None:
    assert decide(LOCAL, annotations=CHOSEN).problem == 'node "n1" not found'
    assert decide(LOCAL, node(keeps=False), annotations=CHOSEN).problem.startswith('node "n1" keeps no local volumes')
    assert decide(LOCAL, node(keeps=False, labels={SIMULATOR: "sim"}), annotations=CHOSEN).volume is not None


OURS = {PROVISIONED_BY: PROVISIONER}
HELD = ["kubernetes.io/pv-protection", FINALIZER]
REST = ("kubernetes.io/pv-protection",)


@pytest.mark.parametrize(
    ("finalizers", "more", "keeper", "expected"),
    [
        (HELD, {"phase": "Bound"}, node(), volumes.Plan()),
        (HELD, {"phase": "Released"}, node(), volumes.Plan(delete=True)),
        (HELD, {"phase": "Failed"}, node(), volumes.Plan()),
        ([], {"phase": "Released"}, node(), volumes.Plan(finalizers=(FINALIZER,))),
        (HELD, {"phase": "Released", "policy": "Retain"}, node(), volumes.Plan(finalizers=REST)),
        ([], {"phase": "Released", "policy": "Retain"}, node(), volumes.Plan()),
        (HELD, {"phase": "Bound", "deleting": True}, None, volumes.Plan()),
        (HELD, {"phase": "Released", "deleting": True}, node(), volumes.Plan()),
        (HELD, {"phase": "Released", "deleting": True, "policy": "Retain"}, node(), volumes.Plan(finalizers=REST)),
        (
            HELD,
            {"phase": "Released", "deleting": True},
            node(labels={SIMULATOR: "sim"}),
            volumes.Plan(finalizers=REST),
        ),
        (
            HELD,
            {"phase": "Released", "deleting": True},
            None,
            volumes.Plan(finalizers=REST, warn='the data stay where they are: node "n1" does not exist'),
        ),
        (HELD, {"phase": "Released", "annotations": {}}, node(), volumes.Plan()),
    ],
)
def test_a_volume_goes_with_its_data_or_not_at_all(
    finalizers: list[str], more: dict[str, Any], keeper: Node | None, expected: volumes.Plan
) -> None:
    policy = more.get("policy", "Delete")
    more = {key: value for key, value in more.items() if key != "policy"}
    found = volume("v", **{"annotations": OURS, **more}, labels={NODE: "n1"}, persistentVolumeReclaimPolicy=policy)
    metadata = found.metadata.model_copy(update={"finalizers": finalizers})
    assert volumes.plan(volume=found.model_copy(update={"metadata": metadata}), node=keeper) == expected
