"""Preemption chooses the same victims as the plain reference, whatever happened before."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from k8slite.scheduler.arguments import BadArguments
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.framework import Measured, Unresolvable
from k8slite.scheduler.plugins.default_preemption import DefaultPreemption
from k8slite.scheduler.preemption.budgets import Budget, Budgets
from k8slite.scheduler.preemption.choice import Choice, Enough
from k8slite.scheduler.preemption.dry_run import Candidate
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Node, Pod

from .builders import cycle, default_profile, handle
from .reference import preemption as reference

Document = dict[str, Any]
NODES = ("n0", "n1", "n2", "n3")
GPU = "example.com/gpu"
TIMES = ("", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-02-01T12:00:00Z")
NOWHERE: list[Document] = []

spread = st.builds(
    lambda skew, key: [
        {
            "topologyKey": key,
            "maxSkew": skew,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "a"}},
        }
    ],
    st.integers(1, 2),
    st.sampled_from(["zone", "kubernetes.io/hostname"]),
)


@st.composite
def pods(draw: st.DrawFn, *, least: int = 0, priorities: tuple[int, ...] = (-7, 0, 10, 1000), more: bool = True) -> Any:
    requests = {"cpu": str(draw(st.integers(least, 3)))}
    if draw(st.integers(0, 4)) == 0:
        requests[GPU] = "1"
    container: Document = {"name": "c", "resources": {"requests": requests}}
    if more and draw(st.integers(0, 3)) == 0:
        container["ports"] = [{"containerPort": 1, "hostPort": draw(st.sampled_from([80, 81]))}]
    return {
        "metadata": {"namespace": "default", "labels": draw(st.sampled_from([{}, {"app": "a"}, {"app": "b"}]))},
        "spec": {"containers": [container], "priority": draw(st.sampled_from(priorities))},
        "status": {"startTime": draw(st.sampled_from(TIMES))},
    }


nodes = st.builds(
    lambda cpu, gpu, pods, zone: {
        "spec": {},
        "metadata": {"labels": {"zone": zone} if zone else {}},
        "status": {"allocatable": {"cpu": str(cpu), "pods": str(pods), GPU: str(gpu)}},
    },
    st.integers(2, 6),
    st.sampled_from([2, 1, 0]),
    st.integers(3, 6),
    st.sampled_from(["a", "b", ""]),
)
budgets = st.builds(
    lambda app, allowed, disrupted: {
        "spec": {"selector": {"matchLabels": {"app": app}} if app else None},
        "status": {"disruptionsAllowed": allowed, "disruptedPods": dict.fromkeys(disrupted, TIMES[1])},
    },
    st.sampled_from(["a", "b", ""]),
    st.integers(0, 2),
    st.sets(st.sampled_from(["pod-0", "pod-1", "pod-2"]), max_size=1),
)


class World:
    """Documents, and the columns that follow them."""

    def __init__(self) -> None:
        self.nodes: dict[str, Document] = {}
        self.placed: dict[str, tuple[str, Document]] = {}
        self.promised: dict[str, tuple[str, Document]] = {}
        self.budgets: dict[str, Document] = {}
        self.columns = Columns(capacity=2)
        self.held = Budgets()
        self.judge = cycle()
        self.choice = Choice(self.columns, self.held, enough=Enough(100, 0))
        self.count = 0

    def named(self, pod: Document) -> Document:
        name = f"pod-{self.count}"
        self.count += 1
        return {**pod, "metadata": {**pod["metadata"], "name": name, "uid": f"uid-{name}"}}

    def node(self, name: str, node: Document) -> None:
        labels = node["metadata"]["labels"] | {"kubernetes.io/hostname": name}
        self.nodes[name] = {**node, "metadata": {"name": name, "labels": labels}}
        self.columns.set_node(Node.model_validate(self.nodes[name]))

    def place(self, name: str, pod: Document) -> None:
        pod = self.named(pod)
        self.placed[pod["metadata"]["uid"]] = name, pod
        self.columns.place(*view(pod), name)

    def change(self, uid: str, **status: Any) -> None:
        name, pod = self.placed[uid]
        pod = {**pod, "status": status}
        self.placed[uid] = name, pod
        self.columns.place(*view(pod), name)

    def remove(self, uid: str) -> None:
        del self.placed[uid]
        self.columns.remove(uid)

    def promise(self, name: str, pod: Document) -> None:
        pod = self.named(pod)
        self.promised[pod["metadata"]["uid"]] = name, pod
        self.columns.nominations.put(*view(pod), name)

    def budget(self, name: str, budget: Document | None) -> None:
        old = self.budgets.pop(name, None)
        if budget is not None:
            self.budgets[name] = {**budget, "metadata": {"name": name, "namespace": "default"}}
        new = self.budgets.get(name)
        self.held.on_budget(old and Budget.model_validate(old), new and Budget.model_validate(new))

    def by_node(self, which: dict[str, tuple[str, Document]]) -> dict[str, list[Document]]:
        found: dict[str, list[Document]] = {name: [] for name in self.nodes}
        for name, pod in which.values():
            found.setdefault(name, []).append(pod)
        return found

    def runs(self, pod: Document, name: str, placed: reference.Placed) -> bool:
        """By the filters themselves, of which there are references elsewhere, over columns made anew."""
        if "topologySpreadConstraints" not in pod["spec"]:
            return plainly_runs(pod, self.nodes[name], placed.get(name, ()))
        state = Columns()
        for node in self.nodes.values():
            state.set_node(Node.model_validate(node))
        for where, others in placed.items():
            for other in others:
                state.place(*view(other), where)
        return bool(cycle().feasible(*view(pod), state, np.array([state.rows[name]]))[0])

    def choose(self, pod: Document) -> Candidate | Counter[str]:
        resolvable = self.judge.resolvable(*view(pod), self.columns)
        return self.choice.choose(*view(pod), self.judge, resolvable)

    def ask(self, pod: Document) -> None:
        """Compare what would be done for a pod that fits nowhere."""
        if "uid" not in pod["metadata"]:
            pod = self.named(pod)
        placed, promised = self.by_node(self.placed), self.by_node(self.promised)
        for name in self.nodes:
            ahead = [other for other in promised[name] if reference.priority(other) >= reference.priority(pod)]
            if all(self.runs(pod, name, {**placed, name: [*placed[name], *more]}) for more in (ahead, NOWHERE)):
                return
        expected = {
            name: found
            for name in self.nodes
            if (
                found := reference.loss(
                    pod, name, placed, budgets=list(self.budgets.values()), promised=promised, fits=self.runs
                )
            )
            and found.victims
        }
        before = taken(self.columns)
        found = self.choose(pod)
        assert taken(self.columns) == before
        if not isinstance(found, Candidate):
            event("no candidate")
            assert not expected
            assert sum(found.values()) >= len(self.nodes)
            return
        event(f"{len(found.victims)} victims, {len(expected)} candidates")
        name = self.columns.names[found.row]
        assert found.key() == expected[name].rank() == min(other.rank() for other in expected.values())
        assert [lost.pod.uid for lost in found.victims] == [lost["metadata"]["uid"] for lost in expected[name].victims]


def view(document: Document) -> tuple[Pod, Any]:
    pod = Pod.model_validate(document)
    return pod, shape_of(pod)


def plainly_runs(pod: Document, node: Document, others: Any) -> bool:
    """Enough cpu, GPUs and places, and no port twice."""

    def asks(one: Document, resource: str) -> int:
        return int(one["spec"]["containers"][0]["resources"]["requests"].get(resource, 0))

    def ports(one: Document) -> set[int]:
        return {port["hostPort"] for port in one["spec"]["containers"][0].get("ports", ())}

    has = {resource: int(amount) for resource, amount in node["status"]["allocatable"].items()}
    return (
        len(others) + 1 <= has["pods"]
        and all(
            not (wanted := asks(pod, resource)) or sum(asks(o, resource) for o in others) + wanted <= has[resource]
            for resource in ("cpu", GPU)
        )
        and not any(ports(pod) & ports(other) for other in others)
    )


def taken(state: Columns) -> Any:
    amounts = {name: state.requested[index].tolist() for name, index in state.resources.items()}
    return amounts, [sorted(state.pods_on(row)) for row in range(state.capacity)]


preemptors = pods(least=2, priorities=(0, 10, 11, 1000, 5000))
steps: list[Any] = [
    st.tuples(st.just("ask"), preemptors),
    st.tuples(st.just("ask"), preemptors),
    st.tuples(st.just("again"), st.integers(0, 9)),
    st.tuples(st.just("place"), st.sampled_from(NODES), pods()),
    st.tuples(st.just("remove"), st.integers(0, 9)),
    st.tuples(st.just("change"), st.integers(0, 9), st.sampled_from(TIMES)),
    st.tuples(st.just("promise"), st.sampled_from(NODES), pods(priorities=(0, 10, 1000))),
    st.tuples(st.just("budget"), st.sampled_from("xy"), st.one_of(st.none(), budgets)),
    st.tuples(st.just("node"), st.sampled_from(NODES), nodes),
]


@settings(max_examples=80)
@given(
    st.lists(nodes, min_size=4, max_size=4),
    st.lists(st.tuples(st.sampled_from(NODES), pods()), min_size=14, max_size=14),
    st.lists(budgets, min_size=2, max_size=2),
    st.lists(st.one_of(*steps), min_size=6, max_size=6),
)
def test_the_choice_is_that_of_the_reference_after_every_change(
    given_nodes: list[Document],
    given_pods: list[tuple[str, Document]],
    given_budgets: list[Document],
    given_steps: list[tuple[Any, ...]],
) -> None:
    world = World()
    for name, node in zip(NODES, given_nodes, strict=False):
        world.node(name, node)
    for name, pod in given_pods:
        world.place(name, pod)
    for name, budget in zip("xy", given_budgets, strict=False):
        world.budget(name, budget)
    asked: list[Document] = []
    for step in given_steps:
        match step:
            case "ask", pod:
                asked.append(world.named(pod))
                world.ask(asked[-1])
            case "again", index if asked:
                world.ask(asked[index % len(asked)])
            case "place", name, pod:
                world.place(name, pod)
            case "remove", index if world.placed:
                world.remove(list(world.placed)[index % len(world.placed)])
            case "change", index, time if world.placed:
                world.change(list(world.placed)[index % len(world.placed)], startTime=time)
            case "promise", name, pod:
                world.promise(name, pod)
            case "budget", name, budget:
                world.budget(name, budget)
            case "node", name, node:
                world.node(name, node)


@settings(max_examples=25)
@given(
    st.lists(nodes, min_size=3, max_size=3),
    st.lists(st.tuples(st.sampled_from(NODES[:3]), pods(more=False)), min_size=9, max_size=9),
    preemptors,
    spread,
    st.lists(st.tuples(st.sampled_from(NODES[:2]), pods(priorities=(10, 1000))), max_size=1),
)
def test_filters_that_look_at_other_nodes_are_asked_with_the_pods_removed(
    given_nodes: list[Document],
    given_pods: list[tuple[str, Document]],
    pod: Document,
    constraints: list[Document],
    promised: list[tuple[str, Document]],
) -> None:
    world = World()
    for name, node in zip(NODES, given_nodes, strict=False):
        world.node(name, node)
    for name, placed in given_pods:
        world.place(name, placed)
    for name, other in promised:
        world.promise(name, other)
    pod["spec"]["topologySpreadConstraints"] = constraints
    world.ask(pod)


def test_what_a_pod_is_promised_itself_does_not_count_against_it() -> None:
    world = World()
    world.node("n0", {"spec": {}, "metadata": {"labels": {}}, "status": {"allocatable": {"cpu": "2", "pods": "9"}}})
    low = {"metadata": {"namespace": "default"}, "spec": asking("2"), "status": {}}
    world.place("n0", low)
    high = {"metadata": {"namespace": "default"}, "spec": asking("2") | {"priority": 5}, "status": {}}
    world.promise("n0", high)
    ((_, promised),) = world.promised.values()
    found = world.choose(promised)
    assert isinstance(found, Candidate)
    assert [lost.pod.name for lost in found.victims] == ["pod-0"]


def asking(cpu: str) -> Document:
    return {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}


def test_filters_say_what_preemption_cannot_cure() -> None:
    """As upstream's filters do by UnschedulableAndUnresolvable."""
    profile = default_profile()
    knowing = {plugin.name for plugin in (*profile.filter, *profile.pod_filter) if isinstance(plugin, Unresolvable)}
    assert knowing == {
        "NodeUnschedulable",
        "NodeName",
        "TaintToleration",
        "NodeAffinity",
        "NodeResourcesFit",
        "VolumeBinding",
        "VolumeZone",
        "PodTopologySpread",
        "InterPodAffinity",
    }
    assert [plugin.name for plugin in profile.filter if isinstance(plugin, Measured)] == ["NodeResourcesFit"]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({"minCandidateNodesPercentage": 101}, "minCandidateNodesPercentage: Invalid value: 101: not in valid range"),
        ({"minCandidateNodesAbsolute": -1}, "minCandidateNodesAbsolute: Invalid value: -1: not in valid range"),
        (
            {"minCandidateNodesPercentage": 0, "minCandidateNodesAbsolute": 0},
            "cannot be zero at the same time as minCandidateNodesAbsolute",
        ),
    ],
)
def test_arguments_are_checked(args: Document, problem: str) -> None:
    with pytest.raises(BadArguments, match=problem):
        DefaultPreemption(handle(), args)
    DefaultPreemption(handle(), {"minCandidateNodesPercentage": 0, "minCandidateNodesAbsolute": 1})


def test_so_many_candidates_are_enough() -> None:
    assert [Enough().of(nodes) for nodes in (50, 500, 5000)] == [50, 100, 500]
