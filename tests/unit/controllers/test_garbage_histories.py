"""The collector over random graphs of owners, deletions of every kind, lagging caches and ends of the program.

Asserted at each write (`owner_world.World.delete`): nothing goes that a living owner owns, and nothing whose owner was
deleted so that it stays. Asserted here: what is left in the end.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from .fake_api import Crash
from .owner_world import HOLD, KINDS, Kind, Run, World, waits

NAMESPACES = ("left", "right")
POLICIES = st.sampled_from(["Background", "Foreground", "Orphan"])


def reference(key: tuple[str, str, str], uid: str, *, blocks: bool) -> dict[str, Any]:
    kind = next(kind for kind in KINDS if kind.plural == key[0])
    named = {"apiVersion": kind.api_version, "kind": kind.kind, "name": key[2], "uid": uid}
    return named | {"blockOwnerDeletion": blocks}


def some_owners(data: st.DataObject, world: World) -> list[dict[str, Any]]:
    keys = sorted(world.objects)
    chosen = data.draw(st.lists(st.sampled_from(keys), max_size=2, unique=True)) if keys else []
    return [
        reference(
            key,
            "no-such-uid" if data.draw(st.integers(0, 9)) == 0 else world.objects[key]["uid"],
            blocks=data.draw(st.booleans()),
        )
        for key in chosen
        if world.objects[key]["uid"] not in world.spared
    ]


def make(data: st.DataObject, world: World, name: str) -> None:
    kind: Kind = data.draw(st.sampled_from(KINDS))
    place = data.draw(st.sampled_from(NAMESPACES))
    world.make(kind, place, name, owners=some_owners(data, world), held=data.draw(st.integers(0, 4)) == 0)


def close_rings(data: st.DataObject, world: World) -> None:
    """Owners that come after what they own: rings, and objects that own themselves."""
    for key in sorted(world.objects):
        if data.draw(st.integers(0, 5)) == 0:
            world._put(key, world.objects[key] | {"ownerReferences": some_owners(data, world)})


def somebody_deletes(data: st.DataObject, world: World, run: Run) -> None:
    if not world.objects:
        return
    key = data.draw(st.sampled_from(sorted(world.objects)))
    if "deletionTimestamp" in world.objects[key]:
        return
    policy = data.draw(POLICIES)
    if policy == "Orphan":
        run.hear()  # who is not known as a dependent by now cannot be spared, as upstream
        world.spared.add(world.objects[key]["uid"])
    world.remove(key, policy)


def unresolvable(world: World, key: tuple[str, str, str], owner: dict[str, Any]) -> bool:
    """A cluster-scoped object cannot have an owner in a namespace; nobody can tell what became of it."""
    kind = next(kind for kind in KINDS if kind.kind == owner["kind"])
    return kind.namespaced and not key[1]


def check_what_is_left(world: World) -> None:
    for key, metadata in world.objects.items():
        owners = metadata["ownerReferences"]
        if "deletionTimestamp" in metadata:
            if HOLD in metadata["finalizers"] and not waits(metadata):
                continue
            assert waits(metadata), "an owner whose dependents were let go stays"
            others = [it["uid"] for it, named in world.dependents(metadata["uid"]) if named["blockOwnerDeletion"]]
            held = HOLD in metadata["finalizers"]
            assert held or set(others) - {metadata["uid"]}, "an owner waits for nobody"
        elif owners:
            alive = [one for one in owners if unresolvable(world, key, one) or world.owner(key, one)]
            assert alive, f"{key} is garbage"


@settings(max_examples=100)
@given(st.data())
async def test_owner_graphs(data: st.DataObject) -> None:
    world = World()
    for number in range(data.draw(st.integers(1, 7))):
        make(data, world, f"o{number}")
    close_rings(data, world)
    run = await started(data, world, crash=True)
    for number in range(data.draw(st.integers(0, 12))):
        match data.draw(st.sampled_from(["delete", "make", "hear", "work", "work", "let go"])):
            case "delete":
                somebody_deletes(data, world, run)
            case "make":
                make(data, world, f"n{number}")
            case "hear":
                run.hear(data.draw(st.sampled_from([kind.plural for kind in KINDS])), most=data.draw(st.integers(1, 4)))
            case "let go" if held := [key for key, it in sorted(world.objects.items()) if HOLD in it["finalizers"]]:
                world.let_go(data.draw(st.sampled_from(held)))
            case "work":
                try:
                    await run.work(data.draw(st.integers(1, 3)))
                except Crash:
                    run = await started(data, world, crash=True)
    try:
        await run.settle()
    except Crash:
        run = await started(data, world, crash=False)
        await run.settle()
    check_what_is_left(world)
    for key in [key for key, it in world.objects.items() if HOLD in it["finalizers"]]:
        world.let_go(key)
    world.crash_at = None
    await run.settle()
    check_what_is_left(world)
    assert not any("deletionTimestamp" in it and not _blocked(world, it) for it in world.objects.values())


def _blocked(world: World, metadata: dict[str, Any]) -> bool:
    """By somebody that the collector must not delete: another owner keeps it alive, or it names none that goes."""
    return any(named["blockOwnerDeletion"] for _, named in world.dependents(metadata["uid"]))


async def started(data: st.DataObject, world: World, *, crash: bool) -> Run:
    at = data.draw(st.integers(0, 8)) if crash and data.draw(st.booleans()) else None
    world.restart(at, after=data.draw(st.booleans()))
    run = Run(world)
    await run.start()
    return run


async def test_an_owner_that_was_seen_to_go_needs_nobody_who_serves_its_kind() -> None:
    """A definition goes, and its objects with it; who asks for them then is told that there is no such resource."""
    world = World()
    world.make(KINDS[1], "left", "owner", owners=[], held=False)
    key = ("widgets", "left", "owner")
    owner = [reference(key, world.objects[key]["uid"], blocks=True)]
    world.make(KINDS[0], "left", "owned", owners=owner, held=False)
    run = Run(world)
    await run.start()
    world.remove(key, "Background")
    run.hear()
    run.forget("widgets")
    await run.settle()
    assert not world.objects


async def test_a_dependent_whose_last_write_names_no_owner_holds_none_up() -> None:
    world = World()
    world.make(KINDS[0], "left", "owner", owners=[], held=False)
    key = ("configmaps", "left", "owner")
    world.make(KINDS[0], "left", "owned", owners=[reference(key, world.objects[key]["uid"], blocks=True)], held=True)
    run = Run(world)
    await run.start()
    world.remove(key, "Foreground")
    await run.settle()
    assert len(world.objects) == 2
    world.let_go(("configmaps", "left", "owned"))
    await run.settle()
    assert not world.objects


async def test_owners_in_other_namespaces_are_told_of() -> None:
    world = World()
    world.make(KINDS[0], "left", "owner", owners=[], held=False)
    uid = world.objects["configmaps", "left", "owner"]["uid"]
    named = reference(("configmaps", "left", "owner"), uid, blocks=False)
    world.make(KINDS[1], "right", "lost", owners=[named], held=False)
    world.make(KINDS[2], "", "kept", owners=[named], held=False)
    run = Run(world)
    await run.start()
    await run.settle()
    assert sorted(key[2] for key in world.objects) == ["kept", "owner"]
    said = f'ownerRef [v1/ConfigMap, namespace: {{0}}, name: owner, uid: {uid}] does not exist in namespace "{{0}}"'
    assert set(run.events.said) == {("OwnerRefInvalidNamespace", said.format(place)) for place in ("right", "")}


async def test_nobody_is_let_go_of_while_not_all_dependents_are_known() -> None:
    world = World()
    world.make(KINDS[0], "left", "owner", owners=[], held=False)
    key = ("configmaps", "left", "owner")
    world.make(KINDS[1], "left", "owned", owners=[reference(key, world.objects[key]["uid"], blocks=True)], held=False)
    run = Run(world)
    await run.start()
    run.caches.all["worlds"].synced = False
    world.remove(key, "Orphan")
    run.hear()
    for _ in range(3):
        await run.work(1)
    assert len(world.objects) == 2 and world.objects["widgets", "left", "owned"]["ownerReferences"]
    run.caches.all["worlds"].synced = True
    await run.settle()
    assert [(key[2], it["ownerReferences"]) for key, it in world.objects.items()] == [("owned", [])]
