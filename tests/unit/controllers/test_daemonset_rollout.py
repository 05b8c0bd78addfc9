"""Rollouts of DaemonSets in a small world: whatever of a plan is carried out before the manager dies, limits hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from k8slite.controllers.daemonset.placement import Fit
from k8slite.controllers.daemonset.plan import Plan, plan
from k8slite.controllers.pods import Pod
from k8slite.controllers.revisions import POD_LABEL
from k8slite.intorstr import scaled
from k8slite.kinds.apps import DaemonSet

from .builders import at, daemonset, pod


@dataclass
class Body:
    """One pod as it is: what time and a kubelet make of it."""

    name: str
    node: str
    hash: str
    created: int
    ready: float | None = None
    deleting: bool = False
    failed: bool = False

    def seen(self) -> Pod:
        since = self.ready if self.ready is not None else False
        return pod(
            self.name,
            node=self.node,
            labels={POD_LABEL: self.hash},
            ready=since,
            phase="Failed" if self.failed else "Running",
            deleting=self.deleting,
            created=self.created,
        )


@dataclass
class World:
    """Nodes, their pods, and a DaemonSet whose present revision is `hash`."""

    owner: DaemonSet
    fits: dict[str, Fit]
    hash: str = "v1"
    now: float = 0.0
    pods: dict[str, Body] = field(default_factory=dict)
    made: int = 0

    @property
    def wanted(self) -> int:
        return sum(verdict is Fit.RUN for verdict in self.fits.values())

    def limit(self, name: str) -> int:
        rolling = self.owner.spec.update_strategy.rolling_update
        assert rolling is not None
        return scaled(getattr(rolling, name), self.wanted, round_up=True)

    def available(self, one: Body) -> bool:
        minimum = self.owner.spec.min_ready_seconds
        return one.ready is not None and not one.deleting and one.ready + minimum <= self.now

    def without(self) -> int:
        """Nodes that should run a pod and have none that is available."""
        served = {one.node for one in self.pods.values() if self.available(one)}
        return sum(verdict is Fit.RUN and node not in served for node, verdict in self.fits.items())

    def plan(self, *, held: float = 0.0) -> Plan:
        return plan(
            daemonset=self.owner,
            fits=self.fits,
            pods=[one.seen() for one in self.pods.values()],
            hash_=self.hash,
            now=at(self.now),
            held=dict.fromkeys(self.fits, held),
        )

    def create(self, node: str) -> None:
        self.made += 1
        name = f"p{self.made}"
        self.pods[name] = Body(name, node, self.hash, self.made)

    def serve(self) -> None:
        """Kubelets do all that they have to."""
        self.pods = {name: one for name, one in self.pods.items() if not one.deleting}
        for one in self.pods.values():
            if one.ready is None:
                one.ready = self.now

    def settle(self) -> None:
        for _ in range(200):
            decided = self.plan()
            for one in decided.delete:
                self.pods[one.name].deleting = True
            for node in decided.create:
                self.create(node)
            busy = decided.create or decided.delete or any(one.deleting for one in self.pods.values())
            waiting = any(not self.available(one) for one in self.pods.values())
            if not busy and not waiting:
                return
            self.serve()
            self.now += 1
        raise AssertionError("it does not end")


counts = st.one_of(st.integers(1, 4), st.sampled_from(["1%", "25%", "50%", "100%"]))
limits = st.one_of(st.fixed_dictionaries({"surge": counts}), st.fixed_dictionaries({"unavailable": counts}))


def world(nodes: int, of: dict[str, Any], minimum: int = 0) -> World:
    made = World(daemonset(minReadySeconds=minimum, **of), {f"n{number}": Fit.RUN for number in range(nodes)})
    made.settle()
    return made


@settings(max_examples=150)
@given(nodes=st.integers(1, 7), of=limits, minimum=st.sampled_from([0, 3]), data=st.data())
def test_limits_hold_wherever_the_manager_dies(
    nodes: int, of: dict[str, Any], minimum: int, data: st.DataObject
) -> None:
    made = world(nodes, of, minimum)
    surge, gap = made.limit("max_surge"), made.limit("max_unavailable")
    hashes = data.draw(st.lists(st.sampled_from(["v1", "v2", "v3"]), min_size=1, max_size=3))
    for hash_ in hashes:
        made.hash = hash_
        for _ in range(data.draw(st.integers(0, 8))):
            turn(made, surge=surge, gap=gap, data=data)
    made.settle()
    assert sorted(one.node for one in made.pods.values()) == sorted(made.fits)
    assert {one.hash for one in made.pods.values()} == {made.hash}
    status = made.plan().status
    assert status.updated_number_scheduled == status.number_available == status.desired_number_scheduled == nodes


def turn(made: World, *, surge: int, gap: int, data: st.DataObject) -> None:
    """One plan, carried out in part; then some kubelets do their work."""
    decided = made.plan()
    before = made.without()
    writes = [("create", node) for node in decided.create] + [("delete", one.name) for one in decided.delete]
    done = data.draw(st.lists(st.sampled_from(writes), unique=True)) if writes else []
    event("died" if len(done) < len(writes) else "lived")
    useful = sum(made.available(made.pods[name]) for kind, name in done if kind == "delete")
    for kind, name in done:
        if kind == "create":
            made.create(name)
        else:
            made.pods[name].deleting = True
    living = [one for one in made.pods.values() if not one.deleting]
    on_nodes = Counter(one.node for one in living)
    if surge:
        assert made.without() <= before, "with surge no node goes without because of us"
        assert max(on_nodes.values(), default=0) <= 2
        double = [node for node, count in on_nodes.items() if count == 2]
        if len(done) == len(writes):
            for node in double:
                assert len({one.hash == made.hash for one in living if one.node == node}) == 2
        spared = [node for node in double if any(made.available(one) for one in living if one.node == node)]
        assert len(spared) <= surge or "create" not in dict(done)
    else:
        assert max(Counter(one.node for one in made.pods.values()).values(), default=0) <= 1
        if useful:
            assert made.without() <= gap, "nobody who is of use goes beyond the limit"
    for one in list(made.pods.values()):
        if not data.draw(st.booleans()):
            continue
        if one.deleting:
            del made.pods[one.name]
        elif one.ready is None:
            one.ready = made.now
    made.now += data.draw(st.integers(0, 3))


@settings(max_examples=30)
@given(nodes=st.integers(1, 6), of=limits)
def test_a_rollout_makes_as_many_pods_as_there_are_nodes(nodes: int, of: dict[str, Any]) -> None:
    made = world(nodes, of)
    made.hash = "v2"
    made.settle()
    assert made.made == 2 * nodes


@settings(max_examples=40)
@given(nodes=st.integers(2, 6), of=limits, turns=st.integers(0, 5))
def test_a_rollback_leaves_alone_who_was_not_updated_yet(nodes: int, of: dict[str, Any], turns: int) -> None:
    made = world(nodes, of)
    made.hash = "broken"
    for _ in range(turns):
        decided = made.plan()
        for one in decided.delete:
            made.pods[one.name].deleting = True
        for node in decided.create:
            made.create(node)
        made.pods = {name: one for name, one in made.pods.items() if not one.deleting}
    kept = {one.name for one in made.pods.values() if one.hash == "v1"}
    made.hash = "v1"
    made.settle()
    assert kept <= made.pods.keys()


@settings(max_examples=60)
@given(
    of=limits, turns=st.lists(st.tuples(st.sampled_from(["ready", "failed", "new hash"]), st.booleans()), max_size=15)
)
def test_pods_that_fail_do_not_pile_up(of: dict[str, Any], turns: list[tuple[str, bool]]) -> None:
    made = world(1, of)
    for number, (what, held) in enumerate(turns):
        made.serve()
        for one in made.pods.values():
            one.failed = one.failed or what == "failed"
        if what == "new hash":
            made.hash = f"v{number + 2}"
        decided = made.plan(held=5.0 if held else 0.0)
        for gone in decided.delete:
            made.pods[gone.name].deleting = True
        for node in decided.create:
            made.create(node)
        assert sum(not one.deleting for one in made.pods.values()) <= 2
    made.settle()
    assert [one.failed for one in made.pods.values()] == [False]


moves = st.tuples(st.sampled_from([f"n{number}" for number in range(5)]), st.sampled_from([*Fit, None]))


@settings(max_examples=80)
@given(of=limits, steps=st.lists(moves, max_size=10), data=st.data())
def test_nodes_that_come_and_change_get_what_they_should_have(
    of: dict[str, Any], steps: list[tuple[str, Fit | None]], data: st.DataObject
) -> None:
    made = world(3, of)
    staying: set[str] = set()
    for node, verdict in steps:
        if verdict is None:
            made.fits.pop(node, None)
            made.pods = {name: one for name, one in made.pods.items() if one.node != node}
        else:
            made.fits[node] = verdict
        if data.draw(st.booleans()):
            made.hash = f"v{len(staying) + made.made}"
        decided = made.plan()
        for one in decided.delete:
            made.pods[one.name].deleting = True
        for name in decided.create:
            made.create(name)
        made.serve()
        made.now += 1
    made.settle()
    on_nodes = Counter(one.node for one in made.pods.values())
    for node, verdict in made.fits.items():
        assert on_nodes[node] == {Fit.RUN: 1, Fit.NO: 0}.get(verdict, min(on_nodes[node], 1))
    assert {one.hash for one in made.pods.values() if made.fits[one.node] is Fit.RUN} <= {made.hash}
