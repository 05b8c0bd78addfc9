"""Plugins that look at one node at a time say the same as their plain references, on random clusters."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import normalized
from k8slite.scheduler.framework import Score
from k8slite.scheduler.journal import ALL
from k8slite.scheduler.plugins.affinity_arguments import affinity_arguments
from k8slite.scheduler.plugins.node_affinity import NodeAffinity
from k8slite.scheduler.plugins.node_name import NodeName
from k8slite.scheduler.plugins.node_ports import NodePorts
from k8slite.scheduler.plugins.node_unschedulable import NodeUnschedulable
from k8slite.scheduler.plugins.taint_toleration import TaintToleration
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Pod

from .clusters import NAMES, Cluster, Document, clusters, passing, pods, scores
from .clusters import node_affinity as affinities
from .reference import node_affinity, node_ports, normalize, taint_toleration


def named(nodes: list[Document]) -> set[str]:
    return {node["metadata"]["name"] for node in nodes}


def normalized_by_us(plugin: Score, pod: Document, state: Columns) -> dict[str, float]:
    found = normalized(plugin.score(shape_of(Pod.model_validate(pod)), state, ALL), plugin, state.live)
    return {name: float(found[row]) for name, row in state.rows.items() if state.live[row]}


@settings(max_examples=150)
@given(clusters(tolerating=True), pods(tolerating=True))
def test_taints(cluster: Cluster, pod: Document) -> None:
    state = cluster.columns()
    assert passing(TaintToleration(), pod, state) == named(
        [node for node in cluster.nodes if taint_toleration.welcome(pod, node)]
    )
    raw = {node["metadata"]["name"]: taint_toleration.disliked(pod, node) for node in cluster.nodes}
    assert scores(TaintToleration(), pod, state) == raw
    assert normalized_by_us(TaintToleration(), pod, state) == normalize.normalized(raw, reverse=True)


@settings(max_examples=150)
@given(clusters(tolerating=True), pods(tolerating=True))
def test_cordons(cluster: Cluster, pod: Document) -> None:
    assert passing(NodeUnschedulable(), pod, cluster.columns()) == named(
        [node for node in cluster.nodes if taint_toleration.schedulable(pod, node)]
    )


@settings(max_examples=150)
@given(clusters(labelled=True, most=0), pods(choosing=True), st.one_of(st.just({}), affinities))
def test_node_affinity(cluster: Cluster, pod: Document, added: Document) -> None:
    state = cluster.columns()
    plugin = NodeAffinity(affinity_arguments({"addedAffinity": added}))
    allowed = [node for node in cluster.nodes if node_affinity.enforced(added, node)]
    assert passing(plugin, pod, state) == named([node for node in allowed if node_affinity.chosen(pod, node)])
    wanted = shape_of(Pod.model_validate(pod))
    rows = np.flatnonzero(state.live & ~plugin.filter(wanted, state, ALL))
    reasons = plugin.explain(wanted, state, rows)
    assert reasons["node(s) didn't match scheduler-enforced node affinity"] == len(cluster.nodes) - len(allowed)
    assert reasons.total() == rows.size
    affinity = pod["spec"]["affinity"]["nodeAffinity"]
    raw = {
        node["metadata"]["name"]: node_affinity.liked(affinity, node) + node_affinity.liked(added, node)
        for node in cluster.nodes
    }
    assert scores(plugin, pod, state) == raw
    assert plugin.pre_score(wanted) or not any(raw.values())
    assert normalized_by_us(plugin, pod, state) == normalize.normalized(raw)


@given(clusters(ports=True), pods(ports=True))
def test_host_ports(cluster: Cluster, pod: Document) -> None:
    assert passing(NodePorts(), pod, cluster.columns()) == named(
        [node for node in cluster.nodes if node_ports.free(pod, cluster.on(node))]
    )


@given(clusters(), pods(nodeName=st.sampled_from(["", *NAMES])))
def test_node_name(cluster: Cluster, pod: Document) -> None:
    wanted = pod["spec"]["nodeName"]
    assert passing(NodeName(), pod, cluster.columns()) == {
        name for name in named(cluster.nodes) if wanted in ("", name)
    }
