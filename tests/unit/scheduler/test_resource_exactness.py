"""Requests, fit and the scores that go by resources say the same as their plain references, on random clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from k8slite.scheduler.plugins.balanced_allocation import BalancedAllocation
from k8slite.scheduler.plugins.fit_arguments import fit_arguments
from k8slite.scheduler.plugins.resources_fit import ResourcesFit
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Pod

from .clusters import (
    ASKED,
    FPGA,
    GPU,
    HUGE,
    STORAGE,
    Cluster,
    Document,
    clusters,
    passing,
    pods,
    quantities,
    scores,
    whole,
)
from .reference import requests, resources

NAMES = ("cpu", "memory", STORAGE, HUGE, GPU, FPGA, "pods", "nobody.example.com/has")


_told = st.fixed_dictionaries(
    {},
    optional={
        "allocatedResources": quantities(ASKED),
        "resources": st.fixed_dictionaries({}, optional={"requests": quantities(ASKED)}),
    },
)
_told_of_the_whole = st.fixed_dictionaries(
    {"resources": st.fixed_dictionaries({}, optional={"requests": whole}), "allocatedResources": whole}
)
_bound = pods(on=st.just("n0"), requests=True)


@st.composite
def resized(draw: DrawFn) -> Document:
    """A pod on a node, of which the kubelet said something."""
    pod: Document = draw(_bound)
    status = pod["status"]
    for part, listed in (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")):
        told = [container["name"] for container in pod["spec"][part] if draw(st.booleans())]
        status[listed] = [{"name": name} | draw(_told) for name in told]
    if draw(st.booleans()):
        status |= draw(_told_of_the_whole)
    if draw(st.booleans()):
        reason = draw(st.sampled_from(["Infeasible", "Deferred"]))
        status["conditions"] = [{"type": "PodResizePending", "reason": reason}]
    return pod


@settings(max_examples=200)
@given(st.one_of(pods(requests=True), resized()))
def test_what_a_pod_requests(pod: Document) -> None:
    found = shape_of(Pod.model_validate(pod))
    assert dict(found.requests) == requests.requested(pod) | {"pods": 1}
    if not pod["spec"].get("nodeName"):
        assert found.scored == (requests.for_its_own_score(pod, "cpu"), requests.for_its_own_score(pod, "memory"))
    assert found.held == (requests.for_later_scores(pod, "cpu"), requests.for_later_scores(pod, "memory"))


@settings(max_examples=100)
@given(clusters(requests=True), pods(requests=True), st.sets(st.sampled_from([GPU, FPGA, "example.com", HUGE, "cpu"])))
def test_fit(cluster: Cluster, pod: Document, ignored: set[str]) -> None:
    state = cluster.columns()
    groups = ignored & {"example.com"}
    args = {"ignoredResources": sorted(ignored - groups), "ignoredResourceGroups": sorted(groups)}
    plugin = ResourcesFit(fit_arguments(args))
    reasons = {
        node["metadata"]["name"]: resources.lacking(pod, node, cluster.on(node), ignored) for node in cluster.nodes
    }
    assert passing(plugin, pod, state) == {name for name, lacking in reasons.items() if not lacking}
    wanted = shape_of(Pod.model_validate(pod))
    for name, lacking in reasons.items():
        if lacking:
            explained = plugin.explain(wanted, state, np.array([state.rows[name]]))
            assert dict(explained) == dict.fromkeys(lacking, 1)


weighted = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 100)), unique_by=lambda pair: pair[0], min_size=1, max_size=5
).map(dict)
points = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 10)), unique_by=lambda point: point[0], min_size=1, max_size=4
).map(sorted)


@settings(max_examples=80)
@given(
    clusters(requests=True),
    pods(requests=True),
    weighted,
    st.one_of(st.sampled_from(["LeastAllocated", "MostAllocated"]), points),
)
def test_fit_scores(cluster: Cluster, pod: Document, weights: dict[str, int], strategy: Any) -> None:
    listed = [{"name": name, "weight": weight} for name, weight in weights.items()]
    scoring: Document = {"type": strategy, "resources": listed}
    if not isinstance(strategy, str):
        shape = [{"utilization": utilization, "score": score} for utilization, score in strategy]
        scoring |= {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": shape}}

    def expected(node: Document) -> int:
        usage = resources.usage(pod, node, cluster.on(node), list(weights))
        if strategy == "LeastAllocated":
            return resources.least_allocated(usage, weights)
        if strategy == "MostAllocated":
            return resources.most_allocated(usage, weights)
        return resources.capacity_ratio(usage, weights, strategy)

    plugin = ResourcesFit(fit_arguments({"scoringStrategy": scoring}))
    assert scores(plugin, pod, cluster.columns()) == {n["metadata"]["name"]: expected(n) for n in cluster.nodes}


@settings(max_examples=80)
@given(clusters(requests=True), pods(requests=True))
def test_default_scores(cluster: Cluster, pod: Document) -> None:
    state, weights = cluster.columns(), {"cpu": 1, "memory": 1}
    expected = {
        node["metadata"]["name"]: resources.least_allocated(
            resources.usage(pod, node, cluster.on(node), list(weights)), weights
        )
        for node in cluster.nodes
    }
    assert scores(ResourcesFit(), pod, state) == expected


@settings(max_examples=80)
@given(
    clusters(requests=True),
    pods(requests=True),
    st.one_of(st.just(["cpu", "memory"]), st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=5)),
)
def test_balance(cluster: Cluster, pod: Document, names: list[str]) -> None:
    plugin = BalancedAllocation.made({"resources": [{"name": name} for name in names]})
    wanted = requests.requested(pod)
    assert plugin.pre_score(shape_of(Pod.model_validate(pod))) == any(wanted.get(name) for name in names)
    assert scores(plugin, pod, cluster.columns()) == {
        node["metadata"]["name"]: resources.balanced(pod, node, cluster.on(node), names) for node in cluster.nodes
    }
