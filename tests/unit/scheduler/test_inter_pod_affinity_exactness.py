"""Affinity between pods says the same as its plain reference, whatever came, went and changed before; and nothing that
makes room for a pod goes unnoticed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from k8slite.scheduler.columns import Columns
from k8slite.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Pod

from .reference import inter_pod_affinity as reference
from .stepping import HOST, NODES, SPACES, Step, World, pod_labels, seen, steps

Document = dict[str, Any]

REQUIRED, PREFERRED = reference.REQUIRED, reference.PREFERRED


def selectors(keys: list[str], values: str) -> SearchStrategy[Document]:
    rule = st.one_of(
        st.fixed_dictionaries(
            {
                "key": st.sampled_from(keys),
                "operator": st.sampled_from(["In", "NotIn"]),
                "values": st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True),
            }
        ),
        st.fixed_dictionaries(
            {"key": st.sampled_from(keys), "operator": st.sampled_from(["Exists", "DoesNotExist"])},
        ),
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "matchLabels": st.dictionaries(st.sampled_from(keys), st.sampled_from(values), max_size=1),
            "matchExpressions": st.lists(rule, max_size=1),
        },
    )


terms = st.fixed_dictionaries(
    {"topologyKey": st.sampled_from(["zone", "rack", HOST])},
    optional={
        "labelSelector": selectors(["app", "tier"], "ab"),
        "namespaces": st.lists(st.sampled_from(SPACES), unique=True, max_size=2),
        "namespaceSelector": selectors(["team", "env"], "xy"),
    },
)
weighted = st.fixed_dictionaries({"weight": st.integers(1, 100), "podAffinityTerm": terms})
rules = st.fixed_dictionaries(
    {}, optional={REQUIRED: st.lists(terms, max_size=2), PREFERRED: st.lists(weighted, max_size=2)}
)
affinities = st.fixed_dictionaries({}, optional={"podAffinity": rules, "podAntiAffinity": rules})
pods = st.builds(
    lambda namespace, labels, affinity: {
        "metadata": {"namespace": namespace, "labels": labels},
        "spec": {"affinity": affinity} if affinity else {},
    },
    st.sampled_from(SPACES),
    pod_labels,
    affinities,
)


@settings(max_examples=150, deadline=None)
@given(steps(pods), st.lists(pods, min_size=1, max_size=3), st.sampled_from([0, 1, 7]), st.booleans())
def test_every_step_is_followed(
    actions: list[Step], asking: list[Document], hard_weight: int, only_own_terms: bool
) -> None:
    world = World()
    for name in NODES[:2]:
        world.do(("node", name, {"zone": "a", HOST: name}, []))
    plugin = InterPodAffinity(world.columns, world.namespaces, hard_weight=hard_weight, only_own_terms=only_own_terms)
    views = [seen(pod, f"asking-{number}") for number, pod in enumerate(asking)]
    hopeless = [False] * len(asking)
    for action in [("none",), *actions]:
        event = world.do(action)
        for number, (pod, view) in enumerate(zip(asking, views, strict=True)):
            nodes = list(world.nodes.values())
            refusals = reference.refusals(pod, nodes, world.where(), world.spaces)
            rows = np.array([world.columns.rows[name] for name in refusals], dtype=np.intp)
            mask = passes(plugin, view, world.columns, rows)
            assert dict(zip(refusals, mask, strict=True)) == {name: not why for name, why in refusals.items()}
            why = plugin.explain_pod(view, shape_of(view), world.columns, rows[~mask])
            assert why == Counter(reason for reason in refusals.values() if reason)
            stuck = plugin.unresolvable(view, shape_of(view), world.columns, rows)
            assert dict(zip(refusals, stuck, strict=True)) == {n: r == reference.ALONE for n, r in refusals.items()}
            feasible = [node for node in nodes if not refusals[node["metadata"]["name"]]]
            assert compared(plugin, view, world.columns, feasible) == reference.scores(
                pod, feasible, world.where(), world.spaces, hard_weight=hard_weight, only_own_terms=only_own_terms
            )
            if feasible and hopeless[number]:
                assert event.change & plugin.cures, "what helped is among the cures"
                assert plugin.helps(view, shape_of(view), event, world.columns), "and is told"
            hopeless[number] = not feasible
    for number in list(world.placed):
        world.do(("remove", number))
    assert not plugin._standing._held and not plugin._standing._standing, "nothing piles up"
    assert not plugin._standing.strict and not plugin._standing.mild


def passes(plugin: InterPodAffinity, pod: Pod, columns: Columns, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    mask = plugin.filter_pod(pod, shape_of(pod), columns, rows)
    assert plugin.concerns_pod(pod) or mask.all()
    for row, passed in zip(rows, mask, strict=True):
        assert plugin.filter_pod(pod, shape_of(pod), columns, np.array([row]))[0] == passed
    return mask


def compared(plugin: InterPodAffinity, pod: Pod, columns: Columns, nodes: list[Document]) -> dict[str, float]:
    rows = {node["metadata"]["name"]: columns.rows[node["metadata"]["name"]] for node in nodes}
    if not plugin.concerned(pod, shape_of(pod)):
        return dict.fromkeys(rows, 0.0)
    feasible = np.zeros(columns.capacity, dtype=np.bool_)
    feasible[list(rows.values())] = True
    scores = plugin.compare(pod, shape_of(pod), columns, feasible)
    return {name: float(scores[row]) for name, row in rows.items()}
