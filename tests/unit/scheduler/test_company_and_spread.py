"""Whole decisions about pods that are spread and want company: each goes to one of the nodes that suit it best, and
waits only where there is none, whatever was decided, deleted and lost before."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.client import Client, ClientConfig
from k8slite.scheduler.cycle import Cycle, Placement
from k8slite.scheduler.plugins.default_binder import DefaultBinder
from k8slite.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from k8slite.scheduler.plugins.priority_sort import PrioritySort
from k8slite.scheduler.plugins.topology_spread import TopologySpread
from k8slite.scheduler.profile import profile
from k8slite.scheduler.shape import shape_of

from .reference import inter_pod_affinity, topology_spread
from .stepping import HOST, NODES, Document, World, seen

REQUIRED, PREFERRED = inter_pod_affinity.REQUIRED, inter_pod_affinity.PREFERRED
ZONE = "topology.kubernetes.io/zone"

terms = st.builds(
    lambda app, key: {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}},
    st.sampled_from("ab"),
    st.sampled_from([HOST, ZONE]),
)
rules = st.fixed_dictionaries(
    {},
    optional={
        REQUIRED: st.lists(terms, max_size=1),
        PREFERRED: st.lists(
            st.fixed_dictionaries({"weight": st.integers(1, 100), "podAffinityTerm": terms}), max_size=2
        ),
    },
)
constraints = st.builds(
    lambda app, key, skew, action: {
        "topologyKey": key,
        "maxSkew": skew,
        "whenUnsatisfiable": action,
        "labelSelector": {"matchLabels": {"app": app}},
    },
    st.sampled_from("ab"),
    st.sampled_from([HOST, ZONE]),
    st.integers(1, 2),
    st.sampled_from(["DoNotSchedule", "ScheduleAnyway"]),
)
pods = st.builds(
    lambda app, affinity, spread: {
        "metadata": {"namespace": "default", "labels": {"app": app}},
        "spec": {"affinity": affinity, "topologySpreadConstraints": spread},
    },
    st.sampled_from("ab"),
    st.fixed_dictionaries({}, optional={"podAffinity": rules, "podAntiAffinity": rules}),
    st.lists(constraints, max_size=2, unique_by=lambda c: (c["topologyKey"], c["whenUnsatisfiable"])),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("decide"), pods),
        st.tuples(st.just("decide"), pods),
        st.tuples(st.just("decide"), pods),
        st.tuples(st.just("remove"), st.integers(0, 12)),
        st.tuples(st.just("leave"), st.integers(0, 12)),
        st.tuples(st.just("lose"), st.sampled_from(NODES)),
    ),
    max_size=14,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=len(NODES)), steps, st.integers(0, 3))
def test_every_decision_is_one_of_the_best(zones: list[str], actions: list[tuple[Any, ...]], seed: int) -> None:
    world = World()
    for name, zone in zip(NODES, zones, strict=False):
        world.do(("node", name, {HOST: name, ZONE: zone}, []))
    company, spread = InterPodAffinity(world.columns, world.namespaces), TopologySpread()
    binder = DefaultBinder(Client(ClientConfig(server="http://nowhere")))
    cycle = Cycle(profile([PrioritySort(), spread, company, binder]), random=Random(seed))
    for number, action in enumerate(actions):
        match action:
            case "decide", pod:
                view = seen(pod, str(number))
                decision = cycle.decide(view, shape_of(view), world.columns)
                best = best_for(pod, world)
                if not isinstance(decision, Placement):
                    assert not best
                    continue
                assert decision.node in best
                world.do(("place", number, pod, decision.node))
            case _:
                world.do(action)


def best_for(pod: Document, world: World) -> set[str]:
    """The nodes that suit a pod best, by the references."""
    nodes, placed = list(world.nodes.values()), world.where()
    skewed = topology_spread.refusals(pod, nodes, placed, [])
    unsuited = inter_pod_affinity.refusals(pod, nodes, placed, world.spaces)
    feasible = [node for node in nodes if not (skewed[node["metadata"]["name"]] or unsuited[node["metadata"]["name"]])]
    evenness = topology_spread.scores(pod, nodes, feasible, placed, [], lenient=True)
    comfort = inter_pod_affinity.scores(pod, feasible, placed, world.spaces)
    totals = {name: evenness[name] + comfort[name] for name in evenness}
    return {name for name, total in totals.items() if total == max(totals.values())}
