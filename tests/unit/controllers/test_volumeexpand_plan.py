"""Volumes that grow, write by write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.volumeexpand.plan import EXTERNAL, Plan, Said, plan
from k8slite.kinds.storage import (
    BIND_COMPLETED,
    PROVISIONED_BY,
    PersistentVolume,
    PersistentVolumeClaim,
    storage_of,
)

from .builders import T0
from .storage import Document, claim, claim_document, merged, reference, volume, volume_document

OURS = {PROVISIONED_BY: "k8slite.io/local"}
MINE = {"claimRef": reference("c", "uid-c")}


def bound(size: str, has: str = "1Gi", **status: Any) -> Document:
    said = {"phase": "Bound", "capacity": {"storage": has}, "accessModes": ["ReadWriteOnce"], **status}
    return {"size": size, "annotations": [BIND_COMPLETED], "volumeName": "v", "status": said}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (bound("1Gi"), {}),
        (bound("2Gi", "4Gi"), {}),
        ({**bound("2Gi"), "annotations": []}, {}),
        (bound("2Gi", phase="Lost"), {}),
        (bound("2Gi"), {"claimRef": reference("c", "another")}),
        (bound("2Gi"), None),
    ],
)
def test_nothing_is_to_be_done(asked: Document, found: Document | None) -> None:
    has = volume("v", **{"annotations": OURS, **MINE, **found}) if found is not None else None
    assert plan(claim=claim(**asked), volume=has, now=T0) == Plan()


def test_volumes_of_others_are_left_to_them() -> None:
    asked = claim(**bound("2Gi"))
    assert plan(claim=asked, volume=volume("v", csi={}, **MINE), now=T0).say == Said("ExternalExpanding", EXTERNAL)
    of_nobody = plan(claim=asked, volume=volume("v", **MINE), now=T0)
    assert of_nobody == Plan(say=Said("ExternalExpanding", EXTERNAL, "Warning"))


def test_a_claim_says_what_is_aimed_at_before_its_volume_grows_and_what_it_has_after() -> None:
    has = volume("v", annotations=OURS, **MINE)
    other = {"type": "VolumeResizeModifying", "status": "True"}
    first = plan(claim=claim(**bound("2Gi", conditions=[other])), volume=has, now=T0).status
    assert first == {
        "allocatedResources": {"storage": "2Gi"},
        "allocatedResourceStatuses": {"storage": "ControllerResizeInProgress"},
        "conditions": [other, {"type": "Resizing", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }
    under_way = claim(**bound("2Gi", **first))
    assert plan(claim=under_way, volume=has, now=T0) == Plan(volume={"spec": {"capacity": {"storage": "2Gi"}}})
    last = plan(claim=under_way, volume=volume("v", "2Gi", annotations=OURS, **MINE), now=T0)
    assert last.status == {
        "capacity": {"storage": "2Gi"},
        "allocatedResources": {"storage": "2Gi"},
        "allocatedResourceStatuses": {"storage": None},
        "conditions": [other],
    }
    assert last.say == Said("VolumeResizeSuccessful", "ExpandVolume succeeded for volume default/c")


@given(st.lists(st.one_of(st.sampled_from([1, 2, 3, 5]), st.none()), max_size=12))
def test_wherever_wishes_change_the_volume_never_shrinks_and_all_agree_in_the_end(history: list[int | None]) -> None:
    """A number is a new wish, of what the API server lets pass; None is one sync."""
    asked = claim_document("c", **bound("1Gi"))
    has = volume_document("v", annotations=OURS, **MINE)

    def sync() -> bool:
        seen = PersistentVolumeClaim.model_validate(asked)
        decided = plan(claim=seen, volume=PersistentVolume.model_validate(has), now=T0)
        assert decided.volume is None or decided.status is None
        before = storage_of(has["spec"]["capacity"])
        if decided.volume is not None:
            has.update(merged(has, decided.volume))
        elif decided.status is not None:
            asked.update(merged(asked, {"status": decided.status}))
        assert storage_of(has["spec"]["capacity"]) >= before
        return decided != Plan()

    for step in history:
        if step is None:
            sync()
        elif step >= float(asked["status"]["capacity"]["storage"].removesuffix("Gi")):
            asked["spec"]["resources"]["requests"]["storage"] = f"{step}Gi"
    for _ in range(6):
        if not sync():
            break
    assert not sync()
    has_now = storage_of(has["spec"]["capacity"])
    assert storage_of(asked["status"]["capacity"]) == has_now
    assert has_now >= storage_of(asked["spec"]["resources"]["requests"])
    assert not asked["status"].get("allocatedResourceStatuses")
    assert not asked["status"].get("conditions")
