"""What happens next to simulated pods and nodes, by the table of stages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.kubelet.simulated.decide import node_step, outcome
from k8slite.kubelet.simulated.stages import COMPLETE_AFTER, Stages

from .builders import T0, deleted, document, happens, read, step

JOB = {"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": True}]}


def stages(*pods: dict[str, Any], **more: Any) -> Stages:
    return Stages.model_validate({"pods": [{"name": f"s{number}"} | one for number, one in enumerate(pods)], **more})


def running(**more: Any) -> dict[str, Any]:
    pod = happens(document(**more))
    assert pod is not None
    return pod


def test_a_bound_pod_runs_at_once_and_then_stays() -> None:
    found = step(document())
    assert found is not None
    assert (found.next.state, found.wait) == ("Running", 0.0)
    assert step(running()) is None


def test_the_first_stage_that_matches_is_the_one() -> None:
    table = stages(
        {"match": {"state": "Pending", "selector": "slow"}, "delay": 5, "next": {"state": "Running"}},
        {"match": {"state": "Pending", "namespaces": "other"}, "next": {"state": "Failed"}},
        {"match": {"state": "Pending", "annotations": "pull=never"}, "next": {"state": "ImagePullBackOff"}},
    )
    assert step(document(metadata={"labels": {"slow": ""}}), table, elapsed=2).wait == 3  # type: ignore[union-attr]
    assert step(document(metadata={"namespace": "other"}), table).next.state == "Failed"  # type: ignore[union-attr]
    pull = step(document(metadata={"annotations": {"pull": "never"}}), table)
    assert pull is not None
    assert pull.next.state == "ImagePullBackOff"
    assert step(document(), table).next.state == "Running"  # type: ignore[union-attr]
    assert step(document(), stages(builtin=False)) is None


def test_a_stage_can_be_for_the_pods_of_some_nodes_or_owners() -> None:
    table = stages(
        {"match": {"state": "Pending", "node": "zone=b"}, "next": {"state": "Failed"}},
        {"match": {"state": "Pending", "owner": "Job"}, "next": {"state": "Unready"}},
    )
    assert step(document(), table, node_labels={"zone": "b"}).next.state == "Failed"  # type: ignore[union-attr]
    assert step(document(metadata=JOB), table).next.state == "Unready"  # type: ignore[union-attr]
    assert step(document(), table).next.state == "Running"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("command", "policy", "wait", "state"),
    [
        (["true"], "Never", 0, "Succeeded"),
        (["sleep", "2.5"], "OnFailure", 2.5, "Succeeded"),
        (["false"], "Never", 0, "Failed"),
        (["exit", "3"], "OnFailure", 0, "CrashLoopBackOff"),
        (["exit", "256"], "OnFailure", 0, "Succeeded"),
        (["date"], "Never", 0, "Succeeded"),
        (["/bin/bash", "-c", 'echo "Hello world!" && sleep 5 && exit 42'], "Never", 5, "Failed"),
        (["sh", "-c", "sleep 1\nfalse && sleep 100; sleep 2"], "Never", 3, "Succeeded"),
        (["sh", "-c", "exit 3; serve"], "Never", 0, "Failed"),
    ],
)
def test_a_pods_command_says_how_it_ends(command: list[str], policy: str, wait: float, state: str) -> None:
    pod = running(containers=[{"name": "main", "image": "img", "command": command}], restartPolicy=policy)
    found = step(pod)
    assert found is not None
    assert found.wait == wait
    ended = happens(pod)
    assert ended is not None
    assert read(ended).state == state


@pytest.mark.parametrize(
    "command",
    [["serve"], ["sleep", "infinity"], ["exit", "now"], ["exit", "²"], ["sleep", "²"], ["exit", "1" * 5000], []]
    + [["sh", "-c", script] for script in ("serve", "echo a | serve", "sleep 1 &", "while true; do sleep 1; done")]
    + [["sh", "-c", "true;" * 500], ["sh", "-c"], ["sh", "true"]],
)
def test_any_other_command_serves_for_ever(command: list[str]) -> None:
    assert step(running(containers=[{"name": "m", "command": command}], restartPolicy="Never")) is None


def test_a_command_ends_no_pod_that_is_always_started_again() -> None:
    assert step(running(containers=[{"name": "main", "command": ["true"]}])) is None


def test_pods_of_jobs_complete_after_a_moment_or_when_their_annotation_says() -> None:
    assert step(running(metadata=JOB, restartPolicy="Never")).wait == 1.0  # type: ignore[union-attr]
    for text, wait in (("90", 90.0), ("1m30s", 90.0), ("250ms", 0.25), ("soon", 1.0)):
        pod = running(metadata=JOB | {"annotations": {COMPLETE_AFTER: text}}, restartPolicy="Never")
        assert step(pod).wait == wait  # type: ignore[union-attr]


def test_a_crashed_pod_is_started_again_after_waits_that_double() -> None:
    table = stages({"match": {"state": "Running"}, "delay": 60, "next": {"state": "Ended", "exitCode": 9}})
    pod, waits = running(), []
    for _ in range(8):
        crashed = happens(pod, table)
        assert crashed is not None
        waits.append(step(crashed, table).wait)  # type: ignore[union-attr]
        pod = happens(crashed, table)  # type: ignore[assignment]
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]
    assert read(pod).restarts == 8


def test_a_deleted_pod_goes_within_its_grace() -> None:
    slow = stages({"match": {"deleting": True}, "delay": 20, "next": {"state": "Deleted"}})
    assert step(deleted(running()), slow).wait == 20  # type: ignore[union-attr]
    assert step(deleted(running(), grace=5), slow).wait == 5  # type: ignore[union-attr]
    assert happens(deleted(running())) is None
    assert happens(deleted(document())) is None


def test_a_pod_that_is_held_says_how_it_ended_before_it_is_let_go() -> None:
    held = deleted(running(), finalizers=("batch.kubernetes.io/job-tracking",))
    ended = happens(held)
    assert ended is not None
    assert read(ended).state == "Failed"
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143
    assert happens(ended) is None
    let_go = ended | {"metadata": ended["metadata"] | {"deletionGracePeriodSeconds": 0}}
    assert step(let_go) is None


def test_a_pod_that_may_be_active_for_so_long_fails_then() -> None:
    pod = running(activeDeadlineSeconds=30)
    assert step(pod, now=T0 + timedelta(seconds=10)).wait == 20  # type: ignore[union-attr]
    late = happens(pod, now=T0 + timedelta(seconds=31))
    assert late is not None
    assert (late["status"]["phase"], late["status"]["reason"]) == ("Failed", "DeadlineExceeded")


def test_readiness_follows_its_gates_and_whoever_changes_it() -> None:
    gated = running(readinessGates=[{"conditionType": "example.com/up"}])
    ready = next(one for one in gated["status"]["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ReadinessGatesNotReady")
    assert step(gated) is None
    opened = {"type": "example.com/up", "status": "True"}
    gated["status"]["conditions"].append(opened)
    assert step(gated, node_ready=False) is None
    up = happens(gated)
    assert up is not None
    assert read(up).holds("Ready")
    assert step(up) is None


def node(turn: int = 0, state: str = "Ready", name: str = "n", table: Stages | None = None, **more: Any) -> Any:
    given = {"labels": {}, "annotations": {}, "elapsed": 0.0} | more
    return node_step(name=name, state=state, turn=turn, stages=table or Stages(), **given)  # type: ignore[arg-type]


def test_nodes_stay_ready_unless_a_stage_says_otherwise() -> None:
    assert node() is None
    table = Stages.model_validate(
        {
            "nodes": [
                {
                    "name": "lose",
                    "match": {"state": "Ready", "selector": "zone=b"},
                    "delay": {"seconds": 10, "jitter": 5},
                    "next": {"state": "Silent"},
                },
                {"name": "return", "match": {"state": "Silent"}, "delay": 3, "next": {"state": "Ready"}},
            ]
        }
    )
    assert node(table=table) is None
    lost = node(table=table, labels={"zone": "b"})
    assert lost.next.state == "Silent"
    assert 10 <= lost.wait < 15
    assert node(table=table, labels={"zone": "b"}, turn=2).wait != lost.wait
    assert node(table=table, state="Silent", elapsed=1.0).wait == 2


def test_chance_is_about_what_it_says_and_the_same_in_every_run() -> None:
    def crashed(seed: int) -> list[bool]:
        table = stages({"match": {"state": "Pending"}, "chance": 0.1, "next": {"state": "ImagePullBackOff"}}, seed=seed)
        pods = (document(f"p-{number}") for number in range(1000))
        return [step(pod, table).next.state == "ImagePullBackOff" for pod in pods]  # type: ignore[union-attr]

    assert crashed(1) == crashed(1)
    assert crashed(1) != crashed(2)
    assert 60 <= sum(crashed(1)) <= 140


STATES = ["Pending", "ImagePullBackOff", "Initializing", "Running", "Unready", "CrashLoopBackOff"]
tables = st.builds(
    lambda rules, seed: stages(*rules, seed=seed),
    st.lists(
        st.fixed_dictionaries(
            {
                "match": st.fixed_dictionaries({"state": st.sampled_from(STATES)}),
                "chance": st.sampled_from([0.0, 0.3, 1.0]),
                "delay": st.fixed_dictionaries(
                    {"seconds": st.floats(0.5, 100), "jitter": st.floats(0, 10), "backoff": st.floats(0, 500)}
                ),
                "next": st.fixed_dictionaries({"state": st.sampled_from([*STATES, "Ended", "Succeeded", "Failed"])}),
            }
        ),
        max_size=5,
    ),
    st.integers(0, 9),
)
pods = st.builds(
    document,
    st.sampled_from(["a", "b", "c"]),
    metadata=st.sampled_from([{}, JOB, {"annotations": {COMPLETE_AFTER: "5s"}}]),
    restartPolicy=st.sampled_from(["Always", "OnFailure", "Never"]),
    containers=st.lists(
        st.sampled_from(
            [{"name": "x", "image": "i", "command": ["sleep", "3"]}, {"name": "y", "image": "i"}, {"name": "z"}]
        ),
        min_size=1,
        max_size=2,
        unique_by=lambda one: one["name"],
    ),
    initContainers=st.sampled_from([[], [{"name": "i"}], [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]]),
)


@settings(max_examples=200, deadline=None)
@given(pod=pods, table=tables, steps=st.integers(0, 6))
def test_a_pod_is_in_the_state_that_it_was_brought_to_and_goes_when_it_is_deleted(
    pod: dict[str, Any], table: Stages, steps: int
) -> None:
    for _ in range(steps):
        found = step(pod, table)
        assert found == step(pod, table)
        if found is None:
            break
        assert found.wait >= 0
        assert step(pod, table, elapsed=found.wait + 1).wait == 0  # type: ignore[union-attr]
        made = outcome(read(pod), found.next)
        assert made is not None
        pod = happens(pod, table) or pod
        assert read(pod).state == made.state
        statuses = pod["status"]["containerStatuses"]
        assert [one["name"] for one in statuses] == [one["name"] for one in pod["spec"]["containers"]]
        assert all(one["ready"] == (made.state == "Running") for one in statuses)
    assert happens(deleted(pod), table) is None
