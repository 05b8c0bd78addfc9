"""The storage group: good objects, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from k8slite.apiserver.validation import storage
from k8slite.testing.causes import GONE, Expected, assert_causes, changed

from .tables import META, Document, Row, Rule, cases

GOOD: dict[str, tuple[Rule, Document]] = {
    "storageclass": (
        storage.storage_class,
        {"provisioner": "example.com/p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
    ),
    "csidriver": (
        storage.csi_driver,
        {"spec": {"attachRequired": True, "podInfoOnMount": False, "storageCapacity": False, "seLinuxMount": False}},
    ),
    "csinode": (storage.csi_node, {"spec": {"drivers": [{"name": "d.example.com", "nodeID": "n"}]}}),
    "volumeattachment": (
        storage.volume_attachment,
        {"spec": {"attacher": "d.example.com", "nodeName": "n", "source": {"persistentVolumeName": "v"}}},
    ),
    "attributesclass": (storage.attributes_class, {"driverName": "d.example.com", "parameters": {"a": "b"}}),
}

TABLE: dict[str, list[Row]] = {
    "storageclass": [
        (
            {"provisioner": "", "reclaimPolicy": "Recycle", "volumeBindingMode": "Later", "parameters": {"": "a"}},
            [
                ("required", "provisioner", ""),
                ("invalid", "parameters", "field can not be empty."),
                ("unsupported", "reclaimPolicy", '"Delete", "Retain"'),
                ("unsupported", "volumeBindingMode", '"Immediate", "WaitForFirstConsumer"'),
            ],
        )
    ],
    "csidriver": [
        (
            {
                "spec.attachRequired": GONE,
                "spec.fsGroupPolicy": "Any",
                "spec.tokenRequests": [{"audience": "a", "expirationSeconds": 1}, {"audience": "a"}],
            },
            [
                ("required", "spec.attachRequired", ""),
                ("unsupported", "spec.fsGroupPolicy", '"File", "None", "ReadWriteOnceWithFSType"'),
                ("invalid", "spec.tokenRequests[0].expirationSeconds", "may not specify a duration less than 10 min"),
                ("duplicate", "spec.tokenRequests[1].audience", '"a"'),
            ],
        )
    ],
    "csinode": [
        (
            {"spec.drivers": [{"name": "d", "nodeID": "n"}, {"name": "d", "nodeID": ""}]},
            [("required", "spec.drivers[1].nodeID", ""), ("duplicate", "spec.drivers[1].name", '"d"')],
        )
    ],
    "volumeattachment": [
        (
            {"spec.attacher": "", "spec.source": {}},
            [
                ("required", "spec.attacher", ""),
                ("required", "spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"),
            ],
        )
    ],
    "attributesclass": [
        ({"parameters": {}}, [("required", "parameters", "must contain at least one key/value pair")]),
    ],
}


@pytest.mark.parametrize("kind", GOOD)
def test_good(kind: str) -> None:
    rule, document = GOOD[kind]
    assert rule({**META, **document}) == []


@pytest.mark.parametrize(("kind", "change", "expected"), cases(TABLE))
def test_wrong(kind: str, change: Document, expected: list[Expected]) -> None:
    rule, document = GOOD[kind]
    assert_causes(rule(changed({**META, **document}, change)), expected)
