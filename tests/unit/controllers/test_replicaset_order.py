"""Which pods go first, against a comparator written rule by rule as Kubernetes documents them."""

from __future__ import annotations

from collections import Counter
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.pods import Pod, deletion_cost, restarts
from k8slite.controllers.replicaset.plan import plan

from .builders import at, pod, replicaset

NOW = at(1000)
PHASES = ["Pending", "Unknown", "Running"]
COST = "controller.kubernetes.io/pod-deletion-cost"


def bucket(moment) -> int:
    nanoseconds = (NOW - moment).total_seconds() * 1e9
    return int(log2(nanoseconds)) if nanoseconds > 0 else -1


def less(one: Pod, two: Pod, company: Counter[str]) -> bool | None:
    """Whether `one` goes before `two`; None if they are equal by all rules."""
    if bool(one.spec.node_name) != bool(two.spec.node_name):
        return not one.spec.node_name
    phases = PHASES.index(one.status.phase), PHASES.index(two.status.phase)
    if phases[0] != phases[1]:
        return phases[0] < phases[1]
    if one.ready != two.ready:
        return not one.ready
    costs = [int(which.metadata.annotations.get(COST, "0")) for which in (one, two)]
    if costs[0] != costs[1]:
        return costs[0] < costs[1]
    here, there = company[one.spec.node_name], company[two.spec.node_name]
    if here != there:
        return here > there
    if one.ready:
        since = [bucket(which.status.conditions[0].last_transition_time) for which in (one, two)]
        if since[0] != since[1]:
            return since[0] < since[1]
    counts = [which.status.container_statuses[0].restart_count for which in (one, two)]
    if counts[0] != counts[1]:
        return counts[0] > counts[1]
    ages = [bucket(which.metadata.creation_timestamp) for which in (one, two)]
    if ages[0] != ages[1]:
        return ages[0] < ages[1]
    return None


candidates = st.builds(
    pod,
    node=st.sampled_from(["", "n1", "n2"]),
    phase=st.sampled_from(PHASES),
    ready=st.one_of(st.just(False), st.floats(0, 1000)),
    annotations=st.sampled_from([{}, {}, {COST: "5"}, {COST: "-5"}]),
    restarts=st.integers(0, 2),
    created=st.floats(0, 1000),
)


@given(pods=st.lists(candidates, min_size=2, max_size=8), others=st.lists(candidates, max_size=4), data=st.data())
def test_nobody_stays_who_comes_before_one_that_goes(pods: list[Pod], others: list[Pod], data: st.DataObject):
    keep = data.draw(st.integers(0, len(pods) - 1))
    decided = plan(replicaset=replicaset(replicas=keep), pods=pods, now=NOW, related=[*pods, *others])
    company = Counter(one.spec.node_name for one in [*pods, *others])
    gone = {one.uid for one in decided.delete}
    stay = [one for one in pods if one.uid not in gone]
    assert len(stay) == keep
    for one in stay:
        for other in decided.delete:
            assert less(one, other, company) is not True


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("5", 5),
        ("-5", -5),
        ("0", 0),
        ("+5", 0),
        ("05", 0),
        ("1_0", 0),
        (" 5", 0),
        ("five", 0),
        ("2147483647", 2147483647),
        ("2147483648", 0),
    ],
)
def test_a_cost_that_is_no_number_of_32_bits_counts_as_none(text, cost):
    assert deletion_cost(pod(annotations={COST: text})) == cost


def test_sidecars_restarts_are_counted_apart():
    containers = [{"name": "init"}, {"name": "side", "restartPolicy": "Always"}]
    one = pod(restarts=2, initContainers=containers)
    status = one.model_dump(by_alias=True)["status"]
    status["initContainerStatuses"] = [{"name": "init", "restartCount": 9}, {"name": "side", "restartCount": 3}]
    spec = {"nodeName": "n1", "initContainers": containers}
    assert restarts(Pod.model_validate({"metadata": one.metadata, "spec": spec, "status": status})) == (2, 3)
    assert restarts(pod(restarts=4)) == (4, 0)
