"""The storage plugins on a few nodes: every reason in upstream's words, which events help whom, their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from k8slite.kinds.base import Object
from k8slite.scheduler.change import NOWHERE, Change, Event
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Cycle, Placement, Unschedulable
from k8slite.scheduler.framework import Handle, Hints
from k8slite.scheduler.plugins import build
from k8slite.scheduler.plugins.volume_binding import VolumeBinding
from k8slite.scheduler.plugins.volume_limits import VolumeLimits
from k8slite.scheduler.plugins.volume_restrictions import VolumeRestrictions
from k8slite.scheduler.plugins.volume_zone import VolumeZone
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.storage.rows import rows_of
from k8slite.scheduler.view import Pod

from .builders import Random, columns, handle, node, pod
from .storing import (
    KINDS,
    Document,
    attachment,
    capacity,
    claim,
    claims_as_volumes,
    csi_node,
    driver,
    hide,
    show,
    storage_class,
    volume,
)

ZONE = "topology.kubernetes.io/zone"
IN_TREE = {"awsElasticBlockStore": {"volumeID": "vol-1"}}


def asking(*claims: str, **spec: Any) -> Pod:
    return pod("db", volumes=[*claims_as_volumes(*claims), *spec.pop("disks", [])], **spec)


def disk(**source: Any) -> Document:
    return {"name": "disk", **source}


def decided(state: Columns, to: Handle, wanted: Pod) -> str:
    """The node, or what the user is told."""
    decision = Cycle(build(to), random=Random(1)).decide(wanted, shape_of(wanted), state)
    match decision:
        case Placement(name):
            return name
        case Unschedulable(message):
            return message.removeprefix(f"0/{state.node_count} nodes are available: ").removesuffix(".")


def host(name: str, *, zone: str = "") -> Any:
    return node(name, labels={"kubernetes.io/hostname": name} | ({ZONE: zone} if zone else {}))


NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
CASES: list[tuple[str, list[Document], Pod, str]] = [
    ("missing", [], asking("data"), 'persistentvolumeclaim "data" not found'),
    (
        "ephemeral, missing",
        [],
        asking("=tmp"),
        'waiting for ephemeral volume controller to create the persistentvolumeclaim "db-tmp"',
    ),
    (
        "ephemeral, foreign",
        [claim("db-tmp", owner="other")],
        asking("=tmp"),
        "PVC default/db-tmp was not created for pod default/db (pod is not owner)",
    ),
    (
        "lost",
        [claim(volume="gone", phase="Lost")],
        asking("data"),
        'persistentvolumeclaim "data" bound to non-existent persistentvolume "gone"',
    ),
    ("leaving", [claim(deleting=True)], asking("data"), 'persistentvolumeclaim "data" is being deleted'),
    (
        "not bound at once",
        [storage_class(delayed=False), claim()],
        asking("data"),
        "pod has unbound immediate PersistentVolumeClaims",
    ),
    ("no class", [claim(storage_class=None)], asking("data"), "pod has unbound immediate PersistentVolumeClaims"),
    ("unknown class", [claim()], asking("data"), "pod has unbound immediate PersistentVolumeClaims"),
    (
        "half bound",
        [storage_class(), volume(), claim(volume="disk", bound=False)],
        asking("data"),
        "pod has unbound immediate PersistentVolumeClaims",
    ),
    ("volume gone", [claim(volume="gone")], asking("data"), 'persistentvolume "gone" not found'),
    (
        "volume elsewhere",
        [volume(on="c"), claim(volume="disk")],
        asking("data"),
        "2 node(s) didn't match PersistentVolume's node affinity",
    ),
    ("nothing to bind", [storage_class(), claim()], asking("data"), f"2 {NO_VOLUME}"),
    ("too small", [storage_class(), volume(size="1Mi"), claim()], asking("data"), f"2 {NO_VOLUME}"),
    (
        "cannot be made there",
        [storage_class(provisioner="csi", allowed=[{"key": ZONE, "values": ["north"]}]), claim()],
        asking("data"),
        f"2 {NO_VOLUME}",
    ),
    ("selected elsewhere", [storage_class(provisioner="csi"), claim(selected="c")], asking("data"), f"2 {NO_VOLUME}"),
    (
        "no room",
        [storage_class(provisioner="csi"), driver(capacity=True), capacity("r", total="1Mi", labels={}), claim()],
        asking("data"),
        "2 node(s) did not have enough free storage",
    ),
    (
        "another zone",
        [volume(labels={ZONE: "north__south"}), claim(volume="disk")],
        asking("data"),
        "2 node(s) had no available volume zone",
    ),
    (
        "too many",
        [
            csi_node("a", csi=1),
            csi_node("b", csi=0),
            volume(csi={"driver": "csi", "volumeHandle": "h"}),
            claim(volume="disk"),
            volume("old", csi={"driver": "csi", "volumeHandle": "o"}),
            attachment("x", node="a", volume="old"),
        ],
        asking("data"),
        "2 node(s) exceed max volume count",
    ),
    (
        "driver lacks",
        [
            driver(insists=True),
            csi_node("a", other=1),
            volume(csi={"driver": "csi", "volumeHandle": "h"}),
            claim(volume="disk"),
        ],
        asking("data"),
        "2 csi CSI driver is not installed on the node",
    ),
]


@pytest.mark.parametrize(("objects", "wanted", "message"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_every_reason(objects: list[Document], wanted: Pod, message: str) -> None:
    state = columns(host("a", zone="east"), host("b", zone="west"))
    to = handle(state)
    for document in objects:
        show(to, document)
    assert decided(state, to, wanted) == message


def test_disks_of_a_node_are_for_one_pod() -> None:
    state = columns(host("a"))
    to = handle(state)
    taken = pod("other", volumes=[disk(awsElasticBlockStore={"volumeID": "vol-1"})])
    state.place(taken, shape_of(taken), "a")
    wanted = asking(disks=[disk(awsElasticBlockStore={"volumeID": "vol-1", "readOnly": True})])
    assert decided(state, to, wanted) == "1 node(s) had no available disk"
    state.remove(taken.uid)
    assert decided(state, to, wanted) == "a"


def test_a_claim_for_one_pod_is_in_use_wherever_that_pod_is() -> None:
    state = columns(host("a"), host("b"))
    to = handle(state)
    show(to, volume())
    show(to, claim(volume="disk", modes=("ReadWriteOncePod",)))
    first = pod("first", volumes=claims_as_volumes("data"))
    state.place(first, shape_of(first), "a")
    assert decided(state, to, asking("data")) == (
        "2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
        "already in-use by another pod"
    )
    state.remove(first.uid)
    assert decided(state, to, asking("data")) in ("a", "b")


def test_less_of_the_storage_used_up_is_better_or_worse_as_configured() -> None:
    state = columns(host("a"), host("b"))
    to = handle(state)
    for document in (storage_class(), volume("small", on="a"), volume("large", size="4Gi", on="b"), claim()):
        show(to, document)
    wanted = asking("data")
    for shape, scores in ((None, {"a": 0, "b": 75}), ([(0, 0), (100, 10)], {"a": 100, "b": 25})):
        args = {} if shape is None else {"shape": [{"utilization": u, "score": s} for u, s in shape]}
        plugin = VolumeBinding(to, args)
        assert plugin.concerned(wanted, shape_of(wanted))
        found = plugin.compare(wanted, shape_of(wanted), state, state.live)
        assert {name: found[row] for name, row in state.rows.items()} == scores


@pytest.mark.parametrize(
    ("args", "problems"),
    [
        (
            {"bindTimeoutSeconds": -1},
            ["bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value"],
        ),
        ({"shape": []}, ["shape: Required value: at least one point must be specified"]),
        (
            {"shape": [{"utilization": 50, "score": 11}, {"utilization": 50, "score": 1}, {"utilization": 101}]},
            [
                "shape[0].score: Invalid value: 11: not in valid range [0-10]",
                "shape[1].utilization: Invalid value: 50: utilization values must be sorted in increasing order",
                "shape[2].utilization: Invalid value: 101: not in valid range [0-100]",
            ],
        ),
    ],
)
def test_arguments_that_are_refused(args: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(ValueError, match=r"Invalid value|Required") as raised:
        VolumeBinding(handle(), args)
    assert list(raised.value.args) == problems


def test_a_volume_of_old_is_looked_up_by_the_labels_of_its_driver_where_that_serves_it() -> None:
    by_driver = "topology.ebs.csi.aws.com/zone"
    state = columns(node("old", labels={ZONE: "east"}), node("new", labels={ZONE: "east", by_driver: "west"}))
    to = handle(state)
    terms = [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["east"]}]}]
    show(to, volume(terms=terms, **IN_TREE))
    show(to, claim(volume="disk"))
    show(to, csi_node("new", migrated=("kubernetes.io/aws-ebs",)))
    assert decided(state, to, asking("data")) == "old"
    show(to, csi_node("new"))
    state.remove_node("old")
    assert decided(state, to, asking("data")) == "new"


def storage_event(to: Handle, old: Document | None, new: Document | None) -> Event:
    """What the scheduler is told of a change, which has happened."""

    def read(document: Document | None) -> Object | None:
        found: Object | None = KINDS[document["kind"]].model.model_validate(document) if document else None
        return found

    if new is not None:
        show(to, new)
    elif old is not None:
        hide(to, old)
    return Event(Change.STORAGE, NOWHERE, read(old), read(new))


FREE = volume("other", kept_for="else")
MAKERS: dict[str, Callable[[Handle], Hints]] = {
    "binding": lambda to: VolumeBinding(to, {}),
    "restrictions": VolumeRestrictions,
    "zone": VolumeZone,
    "limits": VolumeLimits,
}
HELPS: list[tuple[Document | None, Document | None, set[str]]] = [
    (None, claim(), {"binding", "restrictions", "zone", "limits"}),
    (claim(), claim(volume="disk"), {"binding", "zone", "limits"}),
    (None, claim("other"), set()),
    (None, claim(namespace="elsewhere"), set()),
    (None, volume(), {"binding"}),
    (None, volume("bound", storage_class="other", labels={ZONE: "a"}), {"binding", "zone"}),
    (None, volume("unrelated", storage_class="other"), set()),
    (volume("bound", storage_class="other"), volume("bound", storage_class="other"), {"binding"}),
    (None, storage_class("slow", provisioner="csi"), {"binding", "zone"}),
    (None, storage_class("slow", provisioner="csi", delayed=False), {"binding"}),
    (None, storage_class("other"), set()),
    (storage_class("slow"), storage_class("slow"), set()),
    (storage_class("slow"), storage_class("slow", allowed=[{"key": ZONE, "values": ["a"]}]), {"binding"}),
    (None, capacity("r", labels={}), {"binding"}),
    (capacity("r", total="1Gi"), capacity("r", total="2Gi"), {"binding"}),
    (capacity("r", total="2Gi"), capacity("r", total="1Gi"), set()),
    (None, capacity("r", storage_class="other", labels={}), set()),
    (driver("csi", capacity=True), driver("csi"), {"binding", "limits"}),
    (driver("other", capacity=True), driver("other"), set()),
    (None, csi_node("a", csi=1), {"binding", "limits"}),
    (csi_node("a", csi=1), csi_node("a", csi=2), {"limits"}),
    (csi_node("a", csi=1), csi_node("a", csi=None), {"limits"}),
    (csi_node("a", csi=2), csi_node("a", csi=1), set()),
    (csi_node("a", csi=1), csi_node("a", migrated=("kubernetes.io/aws-ebs",), csi=1), {"binding"}),
    (attachment("x", node="a", volume="v"), None, {"limits"}),
    (attachment("x", node="a", volume="v", attacher="other"), None, set()),
    (None, attachment("x", node="a", volume="v"), set()),
]


@pytest.mark.parametrize(("old", "new", "helped"), HELPS)
def test_what_may_help_a_pod(old: Document | None, new: Document | None, helped: set[str]) -> None:
    """A pod with an unbound claim, and one that is bound to a volume."""
    state = columns(host("a"))
    to = handle(state)
    rows_of(to)
    for document in (storage_class("slow", provisioner="csi"), claim(), claim("second", volume="bound"), old):
        if document is not None:
            show(to, document)
    event = storage_event(to, old, new)
    wanted = asking("data", "second")
    assert {name for name, make in MAKERS.items() if make(to).helps(wanted, shape_of(wanted), event, state)} == helped


def test_nodes_and_pods_that_may_help() -> None:
    state = columns(host("a"))
    to = handle(state)
    show(to, claim())
    wanted = asking("data", disks=[disk(iscsi={"iqn": "i"})])

    def helped(event: Event) -> set[str]:
        return {name for name, make in MAKERS.items() if make(to).helps(wanted, shape_of(wanted), event, state)}

    assert helped(Event(Change.NODE_ADDED, 0, None, host("b"))) == set(MAKERS)
    assert helped(Event(Change.NODE_LABELS, 0, host("b"), host("b"))) == {"binding", "zone"}
    assert helped(Event(Change.POD_REMOVED, 0, pod("plain"))) == set()
    same = pod("same", volumes=claims_as_volumes("data"))
    assert helped(Event(Change.POD_REMOVED, 0, same)) == {"restrictions", "limits"}
    clashing = pod("clashing", volumes=[disk(iscsi={"iqn": "i", "readOnly": True})])
    assert helped(Event(Change.POD_REMOVED, 0, clashing)) == {"restrictions"}
    assert helped(Event(Change.POD_REMOVED, 0, pod("other", volumes=[disk(iscsi={"iqn": "x"})]))) == set()


def test_of_a_pods_volumes_only_those_that_bear_on_scheduling_are_kept() -> None:
    others = [
        disk(projected={"sources": []}),
        disk(emptyDir={}),
        disk(configMap={"name": "c"}),
        disk(csi={"driver": "d"}),
    ]
    assert pod("plain", volumes=others).spec.volumes == ()
    assert [volume.name for volume in asking("data", "=tmp", disks=others).spec.volumes] == ["v0", "tmp"]


def test_preemption_is_told_where_it_is_of_no_use() -> None:
    state = columns(host("a"), host("b"))
    to = handle(state)
    rows, wanted = np.flatnonzero(state.live), asking("data")
    for plugin in (VolumeBinding(to, {}), VolumeZone(to)):
        assert plugin.unresolvable(wanted, shape_of(wanted), state, rows).all()
