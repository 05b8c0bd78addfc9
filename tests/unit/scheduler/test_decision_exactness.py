"""Whole decisions on random clusters: one of the best nodes, or the reasons of all, as the references have it."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Cycle, Placement, Unschedulable
from k8slite.scheduler.plugins import build
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Pod

from .builders import handle
from .clusters import IMAGES, Cluster, Document, clusters, node_terms, pods, quantities
from .reference import decision

PLUGINS = (
    "PrioritySort",
    "NodeUnschedulable",
    "NodeName",
    "TaintToleration",
    "NodeAffinity",
    "NodePorts",
    "NodeResourcesFit",
    "NodeResourcesBalancedAllocation",
    "ImageLocality",
    "DefaultBinder",
)
everything = pods(requests=True, ports=True, images=True, tolerating=True, choosing=True)


#: Pods that put up with much, so that there is something to choose between.
wishes = st.lists(
    st.fixed_dictionaries({"weight": st.integers(1, 100), "preference": node_terms}), min_size=1, max_size=3
)
modest = st.fixed_dictionaries(
    {
        "name": st.just("c"),
        "image": st.sampled_from(IMAGES),
        "resources": st.fixed_dictionaries(
            {"requests": quantities({"cpu": ("0", "100m", "0.25"), "memory": ("0", "64Mi", "300Mi")})}
        ),
    }
)
easy = pods(
    containers=st.lists(modest, min_size=1, max_size=2),
    initContainers=st.just([]),
    tolerations=st.just([{"operator": "Exists", "effect": effect} for effect in ("NoSchedule", "NoExecute")]),
    affinity=wishes.map(lambda terms: {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}),
)


@settings(max_examples=100)
@given(
    clusters(requests=True, ports=True, tolerating=True, labelled=True, images=True, most=4),
    st.one_of(everything, easy, easy),
)
def test_decisions(cluster: Cluster, pod: Document) -> None:
    state = Columns(capacity=2)
    chooser = Cycle(build(handle(state), names=PLUGINS), random=Random(1))
    cluster.columns(state)
    view = Pod.model_validate(pod)
    on = {decision.name_of(node): cluster.on(node) for node in cluster.nodes}
    best = decision.best(pod, cluster.nodes, on)
    for thorough in (True, False):
        found = chooser.decide(view, shape_of(view), state, thorough=thorough)
        if isinstance(found, Placement):
            assert found.node in best
        else:
            assert not best
            assert isinstance(found, Unschedulable)
            assert found.message == decision.message(pod, cluster.nodes, on)
