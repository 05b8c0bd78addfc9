"""Random histories of claims and volumes, with binders that see what was and are killed between two writes."""

from __future__ import annotations

import contextlib
from copy import deepcopy
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controllers.persistentvolume import claims, volumes
from k8slite.controllers.persistentvolume.steps import Plan
from k8slite.kinds.storage import BIND_COMPLETED, PersistentVolumeClaim

from .storage import ConflictError, Document, Store, claim_document, reference, storage_class, volume_document

NAMES = ["a", "b", "c"]
MODES = (["ReadWriteOnce"], ["ReadWriteMany"], ["ReadWriteOnce", "ReadWriteMany"])
SIZES = ("1Gi", "2Gi", "3Gi")
CLASSES = ("", "fast", "fast")
FAST = storage_class("fast", provisioner="kubernetes.io/no-provisioner")
KINDS = ("claim", "volume", "forget", "look", "sync claim", "sync volume")
WEIGHTS = (5, 4, 3, 5, 12, 8)


def operation(chance: Random) -> tuple[Any, ...]:
    kind = chance.choices(KINDS, WEIGHTS)[0]
    name, number = chance.choice(NAMES), chance.randrange(5)
    wish = (chance.choice(SIZES), chance.choice(MODES), chance.choice(CLASSES))
    match kind:
        case "claim":
            return kind, name, *wish, chance.choice(["", "", "", "", "", "v0"])
        case "volume":
            return kind, number, *wish, chance.choice(["", "", "", "", "", chance.choice(NAMES)])
        case "forget":
            return kind, name
        case "look":
            return (kind,)
    who = name if kind == "sync claim" else number
    return kind, who, chance.random() < 0.5, chance.choice([1, 2, 3, 4, 99, 99])


def plan_claim(seen: Store, name: str) -> Plan:
    asked = seen.claim(name)
    if asked is None:
        return Plan()
    offered = [seen.volume(each) for each in seen.volumes]
    return claims.plan(
        claim=asked,
        named=seen.volume(asked.spec.volume_name) if asked.spec.volume_name else None,
        volumes=[each for each in offered if each is not None],
        found=FAST if asked.storage_class else None,
        default=None,
        waiting=(),
    )


def plan_volume(seen: Store, written: Store, name: str) -> Plan:
    """Before a volume is given up, its claim is asked for where it is written."""
    found = seen.volume(name)
    if found is None:
        return Plan()
    wanted = found.spec.claim_ref
    asked = seen.claim(wanted.name) if wanted is not None else None
    if wanted is not None and (asked is None or asked.uid != wanted.uid):
        asked = written.claim(wanted.name)
    if asked is not None and wanted is not None and asked.uid != wanted.uid:
        asked = None
    return volumes.plan(volume=found, claim=asked)


class History:
    """A store, what a lagging binder sees of it, and what must never happen."""

    def __init__(self) -> None:
        self.store = Store()
        self.seen = Store()
        self.made = 0
        self.pairs: dict[str, str] = {}
        """Volumes of claims that were bound, by the claims' UIDs."""

    def do(self, operation: tuple[Any, ...]) -> None:
        match operation:
            case "claim", name, size, modes, class_, wanted:
                if name not in self.store.claims:
                    self.made += 1
                    spec: Document = {"accessModes": modes, "storageClassName": class_}
                    spec |= {"volumeName": wanted} if wanted else {}
                    document = claim_document(name, size, uid=f"claim-{self.made}", **spec)
                    self.store.put(self.store.claims, document)
            case "volume", number, size, modes, class_, kept:
                if f"v{number}" not in self.store.volumes:
                    spec = {"accessModes": modes, "storageClassName": class_}
                    spec |= {"claimRef": reference(kept)} if kept else {}
                    self.store.put(self.store.volumes, volume_document(f"v{number}", size, phase="Pending", **spec))
            case "forget", name:
                gone = self.store.claims.pop(name, None)
                if gone is not None:
                    self.pairs.pop(gone["metadata"]["uid"], None)
            case ("look",):
                self.seen = deepcopy(self.store)
            case "sync claim", name, lags, writes:
                self._carry_out(plan_claim(self.seen if lags else self.store, name), writes)
            case "sync volume", number, lags, writes:
                self._carry_out(plan_volume(self.seen if lags else self.store, self.store, f"v{number}"), writes)
        self._check()

    def _carry_out(self, plan: Plan, writes: int) -> None:
        with contextlib.suppress(ConflictError):  # somebody was there before
            self.store.carry_out(plan, at_most=writes)

    def _check(self) -> None:
        bound = {name: found for name in self.store.claims if _bound(found := self.store.claim(name))}
        given = [found.spec.volume_name for found in bound.values() if found is not None]
        assert len(given) == len(set(given)), "two claims have one volume"
        for found in bound.values():
            assert found is not None
            held = self.store.volume(found.spec.volume_name)
            assert held is not None
            assert held.spec.claim_ref is not None
            assert held.spec.claim_ref.uid == found.uid, "a claim is bound to a volume that is not its own"
            assert self.pairs.setdefault(found.uid, held.name) == held.name, "a bound claim changed its volume"

    def settle(self) -> None:
        """Undisturbed, all comes to rest."""
        for _ in range(30):
            moved = False
            for plan in self._plans():
                moved |= bool(plan.writes)
                self._carry_out(plan, 99)
                self._check()
            if not moved:
                return
        raise AssertionError("it never comes to rest")

    def _plans(self) -> list[Plan]:
        found = []
        for name in list(self.store.volumes):
            found.append(plan_volume(self.store, self.store, name))
            self._carry_out(found[-1], 99)
        for name in list(self.store.claims):
            found.append(plan_claim(self.store, name))
            self._carry_out(found[-1], 99)
        return [plan for plan in found if plan.writes]


def _bound(found: PersistentVolumeClaim | None) -> bool:
    return found is not None and BIND_COMPLETED in found.metadata.annotations and found.status.phase != "Lost"


def could_have(store: Store, asked: PersistentVolumeClaim) -> list[str]:
    """The volumes that a claim could be bound to, by the documentation's words and nothing else."""
    found = []
    for document in store.volumes.values():
        spec, name = document["spec"], document["metadata"]["name"]
        holder = spec.get("claimRef")
        mine = holder is not None and holder["name"] == asked.name and holder.get("uid", asked.uid) == asked.uid
        named = asked.spec.volume_name == name
        if asked.spec.volume_name and not named:
            continue
        large = float(spec["capacity"]["storage"][0]) >= float(str(asked.spec.resources.requests["storage"])[0])
        modes = set(asked.spec.access_modes) <= set(spec["accessModes"])
        same = spec["storageClassName"] == asked.spec.storage_class_name
        free = holder is None and same and large and modes
        kept = mine and (named or (large and modes))
        if free or kept:
            found.append(name)
    return found


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nothing_is_bound_twice_and_whoever_can_be_satisfied_is(seed: int) -> None:
    history, chance = History(), Random(seed)
    for _ in range(60):
        history.do(operation(chance))
    history.settle()
    for name in history.store.claims:
        asked = history.store.claim(name)
        assert asked is not None
        if BIND_COMPLETED not in asked.metadata.annotations:
            assert could_have(history.store, asked) == []
        elif asked.status.phase == "Bound":
            held = history.store.volumes[asked.spec.volume_name]
            assert held["status"]["phase"] == "Bound"
            assert asked.status.capacity == held["spec"]["capacity"]
    for document in history.store.volumes.values():
        holder = document["spec"].get("claimRef")
        alive = history.store.claim(holder["name"]) if holder else None
        if holder and holder.get("uid") and (alive is None or alive.uid != holder["uid"]):
            assert document["status"]["phase"] == "Released"
