"""Spreading says the same as its plain reference, whatever came, went and changed before; and nothing that makes room
for a pod goes unnoticed."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from k8slite.scheduler.journal import ALL
from k8slite.scheduler.plugins.topology_spread import TopologySpread
from k8slite.scheduler.shape import shape_of

from .reference import topology_spread as reference
from .stepping import HOST, NODES, Document, Step, World, seen, steps

ZONE = "topology.kubernetes.io/zone"
node_labels = st.fixed_dictionaries(
    {ZONE: st.sampled_from("aab")}, optional={HOST: st.sampled_from(NODES), "disk": st.just("ssd")}
)
taints = st.sampled_from([[], [{"key": "a", "value": "", "effect": "NoSchedule"}]])
bare = {
    "topologyKey": st.sampled_from([ZONE, HOST]),
    "maxSkew": st.sampled_from([1, 1, 2, 3]),
    "whenUnsatisfiable": st.sampled_from(["DoNotSchedule", "DoNotSchedule", "ScheduleAnyway"]),
}
policies = {
    "nodeAffinityPolicy": st.sampled_from(["Honor", "Ignore"]),
    "nodeTaintsPolicy": st.sampled_from(["Honor", "Ignore"]),
    "minDomains": st.integers(1, 3),
}
selectors = st.sampled_from(
    [
        {"matchLabels": {"app": "a"}},
        {"matchLabels": {"app": "a"}},
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]},
        {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
        {},
        None,
    ]
)
constraints = st.fixed_dictionaries(
    bare | {"labelSelector": selectors}, optional=policies | {"matchLabelKeys": st.just(["tier"])}
)


def distinct(found: Document) -> tuple[str, str]:
    return found["topologyKey"], found["whenUnsatisfiable"]


owners = st.lists(
    st.builds(
        lambda kind, uid: {"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": uid, "controller": True},
        st.sampled_from(["ReplicaSet", "ReplicaSet", "Job"]),
        st.sampled_from(["o1", "o1", "o2"]),
    ),
    max_size=1,
)
pod_labels = st.fixed_dictionaries({"app": st.sampled_from("aaab")}, optional={"tier": st.just("x")})
own = st.fixed_dictionaries(
    {"topologySpreadConstraints": st.lists(constraints, min_size=1, max_size=3, unique_by=distinct)},
    optional={
        "nodeSelector": st.just({"disk": "ssd"}),
        "tolerations": st.just([{"operator": "Exists"}]),
    },
)


def pods(spec: SearchStrategy[Document]) -> SearchStrategy[Document]:
    return st.builds(
        lambda namespace, labels, owner, found: {
            "metadata": {"namespace": namespace, "labels": labels, "ownerReferences": owner},
            "spec": found,
        },
        st.sampled_from(["default", "default", "default", "other"]),
        pod_labels,
        owners,
        spec,
    )


defaults = st.one_of(
    st.none(), st.lists(st.fixed_dictionaries(bare, optional=policies), max_size=3, unique_by=distinct)
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(pods(st.just({})), st.sampled_from(NODES[:3])), max_size=6),
    steps(pods(st.just({})), labels=node_labels, taints=taints),
    st.lists(pods(st.one_of(own, own, st.just({}))), min_size=1, max_size=3),
    defaults,
)
def test_every_step_is_followed(
    there: list[tuple[Document, str]], actions: list[Step], asking: list[Document], listed: list[Document] | None
) -> None:
    world, lenient = World(), listed is None
    plugin = TopologySpread.made({} if lenient else {"defaultingType": "List", "defaultConstraints": listed})
    plain = reference.SYSTEM if listed is None else listed
    for number, name in enumerate(NODES[:3]):
        world.do(("node", name, {ZONE: "ab"[number % 2], HOST: name, "disk": "ssd"}, []))
    for number, (pod, name) in enumerate(there):
        world.do(("place", number, pod, name))
    views = [seen(pod, f"asking-{number}") for number, pod in enumerate(asking)]
    hopeless = [False] * len(asking)
    for action in [("none",), *actions]:
        event = world.do(action)
        for number, (pod, view) in enumerate(zip(asking, views, strict=True)):
            nodes, shape = list(world.nodes.values()), shape_of(view)
            refusals = reference.refusals(pod, nodes, world.where(), plain)
            rows = np.array([world.columns.rows[name] for name in refusals], dtype=np.intp)
            if plugin.concerns(shape):
                mask = plugin.filter(shape, world.columns, rows)
                assert (plugin.filter(shape, world.columns, ALL)[rows] == mask).all()
                why = plugin.explain(shape, world.columns, rows[~mask])
            else:
                mask, why = np.ones(rows.size, dtype=np.bool_), Counter[str]()
            assert dict(zip(refusals, mask, strict=True)) == {name: not why for name, why in refusals.items()}
            assert why == Counter(reason for reason in refusals.values() if reason)
            feasible = [node for node in nodes if not refusals[node["metadata"]["name"]]]
            if plugin.concerned(view, shape):
                candidates = np.zeros(world.columns.capacity, dtype=np.bool_)
                candidates[rows[mask]] = True
                found = plugin.compare(view, shape, world.columns, candidates)
                scores = {
                    node["metadata"]["name"]: found[world.columns.rows[node["metadata"]["name"]]] for node in feasible
                }
            else:
                scores = {node["metadata"]["name"]: 0 for node in feasible}
            assert scores == reference.scores(pod, nodes, feasible, world.where(), plain, lenient=lenient)
            if feasible and hopeless[number]:
                assert event.change & plugin.cures, "what helped is among the cures"
                assert plugin.helps(view, shape, event, world.columns), "and is told"
            hopeless[number] = not feasible
