from k8slite.controllers.garbage.plan import (
    CollectDependents,
    Delete,
    Keep,
    OrphanDependents,
    OwnerState,
    Release,
    Unlink,
    plan,
)
from k8slite.kinds.core import PartialObject

from .builders import T0


def item(uid="child", *, owners=(), deleting=False, finalizers=(), blocks=True) -> PartialObject:
    references = [
        {"apiVersion": "v1", "kind": "Thing", "name": owner, "uid": owner, "blockOwnerDeletion": blocks}
        for owner in owners
    ]
    metadata = {"name": uid, "uid": uid, "ownerReferences": references, "finalizers": list(finalizers)}
    if deleting:
        metadata["deletionTimestamp"] = T0
    return PartialObject.model_validate({"metadata": metadata})


def decide(child, *states, dependents=()):
    owners = list(zip(child.metadata.owner_references, states, strict=True))
    return plan(child, owners, dependents=dependents)


SOLID, ABSENT, WAITING = OwnerState.SOLID, OwnerState.ABSENT, OwnerState.WAITING


def test_owned_objects():
    assert decide(item()) == Keep()
    assert decide(item(owners=["a"]), SOLID) == Keep()
    assert decide(item(owners=["a"]), ABSENT) == Delete("Background")
    assert decide(item(owners=["a", "b"]), ABSENT, ABSENT) == Delete("Background")
    assert decide(item(owners=["a", "b"]), SOLID, ABSENT) == Unlink(frozenset({"b"}))
    assert decide(item(owners=["a", "b"]), SOLID, WAITING) == Unlink(frozenset({"b"}))


def test_a_foreground_deletion_goes_down_the_tree():
    leaf = item("leaf", owners=["child"])
    assert decide(item(owners=["a"]), WAITING) == Delete("Background")
    assert decide(item(owners=["a"]), WAITING, dependents=[leaf]) == Delete("Foreground")
    held = item("child", deleting=True, finalizers=["foregroundDeletion"])
    assert plan(held, [], dependents=[leaf]) == CollectDependents()
    assert plan(held, [], dependents=[]) == Release("foregroundDeletion")
    assert plan(held, [], dependents=[item("leaf", owners=["child"], blocks=False)]) == Release("foregroundDeletion")


def test_orphaning():
    held = item("owner", deleting=True, finalizers=["orphan"])
    assert plan(held, [], dependents=[item(owners=["owner"])]) == OrphanDependents()
    assert plan(held, [], dependents=[]) == Release("orphan")


def test_what_is_being_deleted_already_is_left_alone():
    assert plan(item(deleting=True, finalizers=["example.com/mine"]), [], dependents=[]) == Keep()


def test_a_ring_does_not_wait_for_itself():
    waiting = item("leaf", owners=["child"], deleting=True, finalizers=["foregroundDeletion"])
    assert decide(item(owners=["a"]), WAITING, dependents=[waiting]) == Delete("Foreground", unblock=True)
    own = item("child", owners=["child"], deleting=True, finalizers=["foregroundDeletion"])
    assert plan(own, [], dependents=[own]) == Release("foregroundDeletion")


def test_the_policy_that_an_object_carries_is_kept():
    assert decide(item(owners=["a"], finalizers=["orphan"]), ABSENT) == Delete("Orphan")
    assert decide(item(owners=["a"], finalizers=["foregroundDeletion"]), ABSENT) == Delete("Foreground")
