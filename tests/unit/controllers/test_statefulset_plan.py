"""What a StatefulSet's plan decides: whom it makes, whom it lets go, whom it waits for, and what it says of that."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.controllers.pods import Pod
from k8slite.controllers.statefulset import identity, retention
from k8slite.controllers.statefulset.plan import Plan, plan
from k8slite.controllers.statefulset.status import Revisions
from k8slite.kinds.apps import StatefulSet
from k8slite.kinds.base import Object
from k8slite.kinds.template import RawTemplate

from .builders import at, pod, template

OLD, NEW = "db-old", "db-new"
BOTH, ONE = Revisions(OLD, NEW), Revisions(NEW, NEW)


def statefulset(
    *, replicas: int = 3, status: dict[str, Any] | None = None, deleting: bool = False, **spec: Any
) -> StatefulSet:
    metadata: dict[str, Any] = {"name": "db", "namespace": "default", "uid": "uid-db", "generation": 7}
    if deleting:
        metadata["deletionTimestamp"] = at(0)
    return StatefulSet.model_validate(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": metadata,
            "spec": {
                "replicas": replicas,
                "serviceName": "dbs",
                "selector": {"matchLabels": {"app": "db"}},
                "template": template("db:1"),
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                **spec,
            },
            "status": status or {},
        }
    )


def member(ordinal: int, what: str = "ready", *, revision: str = NEW, **more: Any) -> Pod:
    """A pod of the set: ready, unready, pending, leaving (being deleted), failed or fresh (ready just now)."""
    labels = identity.labels_of(statefulset(), ordinal) | {"app": "db", "controller-revision-hash": revision}
    phase = {"pending": "Pending", "failed": "Failed"}.get(what, "Running")
    ready = {"ready": True, "leaving": True, "fresh": 99.0}.get(what, False)
    return pod(f"db-{ordinal}", phase=phase, ready=ready, deleting=what == "leaving", labels=labels, owner="db", **more)


def members(*states: str, revision: str = NEW, start: int = 0) -> list[Pod]:
    return [member(start + n, state, revision=revision) for n, state in enumerate(states) if state]


def decide(of: StatefulSet, pods: list[Pod], *, revisions: Revisions = ONE, **more: Any) -> Plan:
    return plan(statefulset=of, pods=pods, claims=more.pop("claims", {}), revisions=revisions, now=at(100), **more)


def made(decided: Plan) -> list[int]:
    return [birth.ordinal for birth in decided.create]


def gone(decided: Plan) -> list[str]:
    return [one.name for one in decided.delete]


@pytest.mark.parametrize(
    ("states", "ordered", "parallel"),
    [
        ([], [0], [0, 1, 2]),
        (["ready"], [1], [1, 2]),
        (["pending"], [], [1, 2]),
        (["unready"], [], [1, 2]),
        (["leaving"], [], [1, 2]),
        (["ready", "", "ready"], [1], [1]),
        (["", "ready", "ready"], [0], [0]),
        (["failed"], [], [1, 2]),
        (["ready", "ready", "ready"], [], []),
    ],
)
def test_who_is_made(states, ordered, parallel):
    assert made(decide(statefulset(), members(*states))) == ordered
    assert made(decide(statefulset(podManagementPolicy="Parallel"), members(*states))) == parallel


@pytest.mark.parametrize(
    ("replicas", "states", "ordered", "parallel"),
    [
        (1, ["ready"] * 4, ["db-3"], ["db-3", "db-2", "db-1"]),
        (1, ["ready", "ready", "ready", "leaving"], [], ["db-2", "db-1"]),
        (1, ["ready", "ready", "unready", "ready"], ["db-3"], ["db-3", "db-2", "db-1"]),
        (1, ["ready", "ready", "unready"], ["db-2"], ["db-2", "db-1"]),
        (1, ["ready", "unready", "ready", "unready"], [], ["db-3", "db-2", "db-1"]),
        (1, ["unready", "ready", "ready"], [], ["db-2", "db-1"]),
        (0, ["ready", "ready"], ["db-1"], ["db-1", "db-0"]),
        (2, ["ready", "failed", "ready"], ["db-1"], ["db-1", "db-2"]),
    ],
)
def test_who_goes_when_there_are_too_many(replicas, states, ordered, parallel):
    assert gone(decide(statefulset(replicas=replicas), members(*states))) == ordered
    assert gone(decide(statefulset(replicas=replicas, podManagementPolicy="Parallel"), members(*states))) == parallel


def test_numbers_below_the_first_go_too():
    moved = statefulset(replicas=2, ordinals={"start": 2})
    assert gone(decide(moved, members("ready", "ready", "ready", "ready"))) == ["db-1"]
    assert made(decide(moved, members("ready", "ready"))) == [2]


def update(most: int | str = 1, partition: int = 0, *, replicas: int = 5, **spec: Any) -> StatefulSet:
    rolling = {"partition": partition, "maxUnavailable": most}
    return statefulset(replicas=replicas, updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling}, **spec)


#: Upstream's own table for pods of the old revision that are down already (kubernetes issue 137409).
@pytest.mark.parametrize(
    ("most", "partition", "states", "ordered", "parallel"),
    [
        (1, 0, "r r r r r", "4", "4"),
        (2, 0, "r r r r r", "4 3", "4 3"),
        ("50%", 0, "r r r r r", "4 3", "4 3"),
        ("10%", 0, "r r r r r", "4", "4"),
        (1, 0, "r r r r u", "", "4"),
        (2, 0, "r r r u u", "", "4 3"),
        (1, 0, "r r r r l", "", ""),
        (3, 0, "r r r u l", "", "3 2"),
        (3, 0, "r r r l u", "", "4 2"),
        (1, 2, "r r r r u", "", "4"),
        (1, 2, "r r u r r", "", "2"),
        (1, 2, "r u r r r", "", ""),
        (2, 3, "r r r u u", "", "4 3"),
        (2, 3, "r u r r u", "", "4"),
        (2, 0, "u u r r r", "", "1 0"),
        (3, 0, "u u r r r", "", "1 0 4"),
        (5, 3, "r r r r r", "4 3", "4 3"),
    ],
)
def test_who_goes_for_an_update(most, partition, states, ordered, parallel):
    words = {"r": "ready", "u": "unready", "l": "leaving"}
    pods = members(*(words[state] for state in states.split()), revision=OLD)
    for policy, wanted in (("OrderedReady", ordered), ("Parallel", parallel)):
        decided = decide(update(most, partition, podManagementPolicy=policy), pods, revisions=BOTH)
        assert gone(decided) == [f"db-{number}" for number in wanted.split()]


def test_on_delete_lets_nobody_go():
    waits = statefulset(updateStrategy={"type": "OnDelete"})
    pods = members("ready", "ready", "ready", revision=OLD)
    assert gone(decide(waits, pods, revisions=BOTH)) == []
    assert [birth.revision for birth in decide(waits, pods[1:], revisions=BOTH).create] == [NEW]


@pytest.mark.parametrize(("partition", "revision"), [(0, NEW), (1, NEW), (2, OLD), (9, OLD)])
def test_a_pod_below_the_partition_keeps_the_old_revision(partition, revision):
    decided = decide(update(partition=partition, replicas=3), [member(0), member(2)], revisions=BOTH)
    assert [(birth.ordinal, birth.revision) for birth in decided.create] == [(1, revision)]


def test_a_deletion_that_the_cache_does_not_show_counts():
    pods = members("ready", "ready", "ready", revision=OLD)
    decided = decide(update(1, replicas=3), pods, revisions=BOTH, deleted={"uid-db-2"})
    assert gone(decided) == []
    assert decided.status.current_replicas == 2


def test_a_set_that_goes_only_tells_its_status():
    decided = decide(statefulset(replicas=9, deleting=True), members("ready", "failed", "leaving", revision=OLD))
    assert (decided.create, decided.delete, decided.mend) == ((), (), ())
    assert (decided.status.replicas, decided.status.ready_replicas) == (3, 2)


def test_pods_must_be_ready_for_long_enough():
    patient = statefulset(minReadySeconds=10)
    decided = decide(patient, members("ready", "fresh"))
    assert made(decided) == []
    assert decided.requeue_after == 9.0
    assert (decided.status.ready_replicas, decided.status.available_replicas) == (2, 1)
    assert made(decide(patient, members("ready", "ready"))) == [2]
    assert gone(decide(statefulset(replicas=0, minReadySeconds=10), members("ready", "fresh"))) == ["db-1"]


def test_an_update_is_complete_when_every_pod_is_of_it_and_ready():
    half = [member(0, revision=OLD), member(1), member(2)]
    status = decide(statefulset(), half, revisions=BOTH).status
    assert (status.current_revision, status.update_revision, status.updated_replicas) == (OLD, NEW, 2)
    assert status.current_replicas == 0, "the pod that is let go in this sync does not count any more"
    done = decide(statefulset(), members("ready", "ready", "ready"), revisions=BOTH).status
    assert (done.current_revision, done.current_replicas) == (NEW, 3)
    waits = decide(statefulset(), members("ready", "ready", "unready"), revisions=BOTH).status
    assert waits.current_revision == OLD
    manual = statefulset(updateStrategy={"type": "OnDelete"})
    assert decide(manual, members("ready", "ready", "ready"), revisions=BOTH).status.current_revision == OLD


def test_what_a_pod_lost_of_its_identity_is_put_back():
    bare = pod("db-0", labels={"app": "db"}, owner="db")
    (mend,) = decide(statefulset(replicas=1), [bare]).mend
    assert mend.labels == {identity.POD_NAME: "db-0", identity.POD_INDEX: "0"}
    assert decide(statefulset(replicas=1), members("ready")).mend == ()
    (mend,) = decide(with_claims(replicas=1), members("ready")).mend
    assert mend.volumes == {"data": "data-db-0"}


@pytest.mark.parametrize(
    ("name", "ordinal"),
    [("db-0", 0), ("db-12", 12), ("db-01", None), ("db-", None), ("db", None), ("web-1", None), ("db-x", None),
     ("db-99999999999", None), ("db-2147483648", None), ("a-db-1", None), ("db-1-2", None), ("db-²", None)],
)  # fmt: skip
def test_which_names_are_members(name, ordinal):
    assert identity.ordinal_of(statefulset(), name) == ordinal


def test_the_pod_of_a_number():
    document = template("db:1")
    document["metadata"]["annotations"] = {"a": "b"}
    document["spec"] |= {
        "hostname": "mine",
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "x", "emptyDir": {}}],
    }
    made = identity.pod_of(with_claims(), RawTemplate(document), ordinal=2, revision=NEW)
    assert made["metadata"]["name"] == "db-2"
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert made["metadata"]["labels"] == {
        "app": "web",
        "statefulset.kubernetes.io/pod-name": "db-2",
        "apps.kubernetes.io/pod-index": "2",
        "controller-revision-hash": NEW,
    }
    assert (made["spec"]["hostname"], made["spec"]["subdomain"]) == ("db-2", "dbs")
    assert made["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-2"}},
        {"name": "x", "emptyDir": {}},
    ]
    assert document["spec"]["hostname"] == "mine", "the template is shared and stays as it is"


def with_claims(deleted: str = "Retain", scaled: str = "Retain", **spec: Any) -> StatefulSet:
    wanted = {
        "metadata": {"name": "data", "labels": {"app": "x", "k": "v"}},
        "spec": {"accessModes": ["ReadWriteOnce"]},
    }
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    return statefulset(volumeClaimTemplates=[wanted], persistentVolumeClaimRetentionPolicy=policy, **spec)


def claim(*owners: dict[str, Any], name: str = "data-db-0") -> Object:
    return Object.model_validate(
        {"metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "ownerReferences": owners}}
    )


def owner(kind: str, name: str, uid: str, *, controller: bool = True) -> dict[str, Any]:
    version = {"StatefulSet": "apps/v1", "Pod": "v1"}.get(kind, "example.com/v1")
    reference = {"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": controller}
    return reference | {"blockOwnerDeletion": True}


SET, POD = owner("StatefulSet", "db", "uid-db"), owner("Pod", "db-0", "uid-db-0")
WEAK = owner("StatefulSet", "db", "uid-db", controller=False)
STALE_POD, STALE_SET = owner("Pod", "db-0", "uid-before"), owner("StatefulSet", "db", "uid-before")
OTHER = owner("Backup", "nightly", "uid-backup")
NOTE = owner("Backup", "nightly", "uid-backup", controller=False)


@pytest.mark.parametrize(
    ("deleted", "scaled", "away", "present", "wanted"),
    [
        ("Retain", "Retain", False, [], None),
        ("Retain", "Retain", True, [SET], []),
        ("Retain", "Retain", False, [POD, NOTE], [NOTE]),
        ("Delete", "Retain", False, [], [SET]),
        ("Delete", "Retain", False, [SET], None),
        ("Delete", "Retain", False, [WEAK], [SET]),
        ("Delete", "Retain", True, [SET], None),
        ("Delete", "Retain", False, [POD], [SET]),
        ("Retain", "Delete", False, [], None),
        ("Retain", "Delete", False, [SET], []),
        ("Retain", "Delete", True, [], [POD]),
        ("Retain", "Delete", True, [POD], None),
        ("Retain", "Delete", False, [POD], []),
        ("Delete", "Delete", False, [NOTE], [NOTE, SET]),
        ("Delete", "Delete", True, [SET], [POD]),
        ("Delete", "Delete", False, [POD], [SET]),
        ("Delete", "Delete", True, [STALE_POD], None),
        ("Delete", "Delete", False, [STALE_SET], None),
        ("Delete", "Delete", False, [OTHER], None),
        ("Delete", "Delete", False, [OTHER, SET], [OTHER]),
        ("Retain", "Retain", False, [OTHER, SET], [OTHER]),
    ],
)
def test_whose_a_claim_is(deleted, scaled, away, present, wanted):
    found = retention.references(claim(*present), with_claims(deleted, scaled), member(0), scaled_away=away)
    assert found == wanted


def test_the_claim_of_a_pod_that_went_is_waited_for():
    both = with_claims("Delete", "Delete", replicas=1)
    left = {"data-db-0": claim(STALE_POD)}
    assert made(decide(both, [], claims=left)) == []
    assert made(decide(with_claims("Delete", "Retain", replicas=1), [], claims=left)) == [0]
    assert made(decide(both, [], claims={"data-db-0": claim(SET)})) == [0]


def test_claims_change_hands_before_their_pods_go():
    both = with_claims("Retain", "Delete", replicas=0)
    decided = decide(both, [with_volume(0)], claims={"data-db-0": claim()})
    ((changed, owners),) = decided.release[0].owners
    assert (changed.name, owners) == ("data-db-0", [POD])
    assert gone(decided) == ["db-0"]


def with_volume(ordinal: int, what: str = "ready") -> Pod:
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": f"data-db-{ordinal}"}}
    return member(ordinal, what, volumes=[volume])


def test_a_pod_that_waits_gets_the_claims_that_were_lost():
    one = with_claims(replicas=1)
    assert decide(one, [with_volume(0, "pending")]).provide == (0,)
    assert decide(one, [with_volume(0, "pending")], claims={"data-db-0": claim()}).provide == ()
    assert decide(one, [with_volume(0)]).provide == ()


def test_a_claim_that_another_manages_is_told():
    both = with_claims("Delete", "Delete", replicas=1)
    assert decide(both, [], claims={"data-db-0": claim(OTHER)}).conflicting == ("data-db-0",)
    assert decide(both, [with_volume(0)], claims={"data-db-0": claim(OTHER, SET)}).conflicting == ("data-db-0",)
    assert decide(both, [with_volume(0)], claims={"data-db-0": claim(OTHER)}).conflicting == ()


def test_the_claims_of_a_number():
    (made,) = identity.claims_of(with_claims(), 3)
    assert made["metadata"] == {"name": "data-db-3", "namespace": "default", "labels": {"app": "db", "k": "v"}}
    assert made["spec"] == {"accessModes": ["ReadWriteOnce"]}
    (owned,) = identity.claims_of(with_claims("Delete"), 3)
    assert owned["metadata"]["ownerReferences"] == [SET]
    assert identity.uses_claim(with_claims(), "data-db-3")
    assert not identity.uses_claim(with_claims(), "logs-db-3")
    assert not identity.uses_claim(with_claims(), "data-db")
