"""What is told of a decision afterwards."""

from __future__ import annotations

from k8slite.clock import VirtualClock
from k8slite.scheduler.cycle import Placement
from k8slite.scheduler.decisions import REMEMBERED, Decisions
from k8slite.scheduler.queue import Waiting
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Pod

from .builders import columns, cycle, node, pod, put, shape


def waiting(asking: Pod) -> Waiting:
    return Waiting(asking, shape_of(asking), arrived=0.0, order=0, attempts=1)


def test_each_node_counts_for_the_filter_that_removed_it_first() -> None:
    state = columns(
        node("tainted", taints=["a=b:NoSchedule"], allocatable={"cpu": "1"}),
        node("small", allocatable={"cpu": "1"}),
        node("good"),
        node("better"),
    )
    put(state, "x", shape(requests={"cpu": "1", "memory": "1Gi"}), "good")
    asking = pod(requests={"cpu": "2"})
    decision = cycle().decide(asking, shape_of(asking), state)
    assert isinstance(decision, Placement)
    assert decision.trace is not None
    told = decision.trace.told()
    assert told["nodes"] == 4
    assert told["filters"] == [
        {
            "plugin": "TaintToleration",
            "removed": 1,
            "reasons": {"node(s) had untolerated taint(s)": 1},
            "nodes": ["tainted"],
        },
        {"plugin": "NodeResourcesFit", "removed": 1, "reasons": {"Insufficient cpu": 1}, "nodes": ["small"]},
    ]
    assert [scored["node"] for scored in told["scores"]] == ["better", "good"]
    for scored in told["scores"]:
        assert scored["total"] == sum(entry["score"] * entry["weight"] for entry in scored["plugins"])
    fit = [entry["score"] for scored in told["scores"] for entry in scored["plugins"] if "Fit" in entry["plugin"]]
    assert fit[0] > fit[1]


def test_a_trace_stays_as_it_was() -> None:
    state = columns(node("a"), node("b", taints=["k=v:NoSchedule"]))
    chooser = cycle()
    asking = pod(requests={"cpu": "3"})
    decision = chooser.decide(asking, shape_of(asking), state)
    assert decision.trace is not None
    before = decision.trace.told()
    state.place(asking, shape_of(asking), "a")
    state.set_node(node("b"))
    state.set_node(node("c"))
    state.remove_node("a")
    chooser.decide(pod(requests={"cpu": "3"}), shape_of(asking), state)
    assert decision.trace.told() == before


def test_a_burst_leaves_the_reasons_out_and_keeps_the_nodes() -> None:
    state = columns(node("small", allocatable={"cpu": "1"}), node("good"))
    asking = pod(requests={"cpu": "2"})
    decision = cycle().decide(asking, shape_of(asking), state, thorough=False)
    assert decision.trace is not None
    assert decision.trace.told()["filters"] == [{"plugin": "NodeResourcesFit", "removed": 1, "nodes": ["small"]}]


def test_a_pod_without_a_node_has_its_reasons() -> None:
    state = columns(node("small", allocatable={"cpu": "1"}))
    asking = pod(requests={"cpu": "2"})
    decision = cycle().decide(asking, shape_of(asking), state)
    assert decision.trace is not None
    told = decision.trace.told()
    assert told["filters"][0]["reasons"] == {"Insufficient cpu": 1}
    assert told["scores"] == []


def test_the_oldest_decisions_are_forgotten_and_a_pod_has_one() -> None:
    state, chooser = columns(node("a", allocatable={"pods": "2000"})), cycle()
    decisions = Decisions(clock=VirtualClock())
    asking = [pod(f"p-{number}") for number in range(REMEMBERED + 1)]
    for each in asking:
        decisions.note(waiting(each), chooser.decide(each, shape_of(each), state))
    assert decisions.of("default", "p-0") is None
    again = waiting(asking[1])
    again.attempts = 2
    decisions.note(again, chooser.decide(asking[1], shape_of(asking[1]), state))
    found = decisions.of("default", "p-1")
    assert found is not None
    assert found.summary()["attempt"] == 2
    assert next(decisions.recent()) is found
    assert len(list(decisions.recent())) == REMEMBERED
