from __future__ import annotations

from typing import Any

import pytest

from k8slite.kubelet.plan import Waiting
from k8slite.kubelet.runtime.base import PodState, State
from k8slite.kubelet.status import Observed, pod_status

from .builders import NOTHING, at, container, pod, runs


def status(of: Any, state: PodState, **fields: Any) -> dict[str, Any]:
    return pod_status(Observed(pod=of, state=state, now=at(60), host_ip="192.0.2.1", **fields))


def condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(c for c in found["conditions"] if c["type"] == kind)


def test_a_new_pod_is_pending_and_creating() -> None:
    found = status(pod(), NOTHING)
    assert found["phase"] == "Pending"
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert condition(found, "Ready")["message"] == "containers with unready status: [main]"
    assert "podIP" not in found
    assert found["qosClass"] == "BestEffort"


def test_a_pod_that_initialises_says_what_is_incomplete() -> None:
    of = pod("main", init=("one",))
    found = status(of, runs(container(of, "one")))
    assert found["phase"] == "Pending"
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert condition(found, "Initialized")["message"] == "containers with incomplete status: [one]"


def test_a_ready_pod() -> None:
    of = pod()
    found = status(of, runs(container(of)), ready=frozenset({"main-0"}), started=frozenset({"main-0"}))
    main = found["containerStatuses"][0]
    assert (found["phase"], found["podIP"], found["podIPs"]) == ("Running", "10.0.0.5", [{"ip": "10.0.0.5"}])
    assert (main["ready"], main["started"], main["restartCount"]) == (True, True, 0)
    assert main["state"] == {"running": {"startedAt": "2026-01-01T12:00:01Z"}}
    assert {c["type"]: c["status"] for c in found["conditions"]} == dict.fromkeys(
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"], "True"
    )


def test_a_running_container_that_is_not_ready_keeps_the_pod_unready() -> None:
    of = pod("a", "b")
    found = status(
        of, runs(container(of, "a"), container(of, "b")), ready=frozenset({"a-0"}), started=frozenset({"a-0", "b-0"})
    )
    assert found["phase"] == "Running"
    assert condition(found, "ContainersReady")["message"] == "containers with unready status: [b]"


def test_a_pod_with_a_gate_is_ready_when_somebody_has_opened_it() -> None:
    def ready(**fields: Any) -> dict[str, Any]:
        of = pod(readinessGates=[{"conditionType": "example.org/fed"}], **fields)
        return condition(status(of, runs(container(of)), ready=frozenset({"main-0"})), "Ready")

    assert (ready()["status"], ready()["reason"]) == ("False", "ReadinessGatesNotReady")
    assert ready(status={"conditions": [{"type": "example.org/fed", "status": "True"}]})["status"] == "True"


def test_a_crash_shows_as_waiting_with_its_last_state() -> None:
    of = pod()
    ended = container(of, state=State.EXITED, exit_code=3, attempt=2)
    found = status(
        of, runs(ended), waiting={"main": Waiting("CrashLoopBackOff", "back-off")}, messages={"main-2": "no"}
    )
    main = found["containerStatuses"][0]
    assert main["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    assert main["restartCount"] == 2
    last = main["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (3, "Error", "no")
    assert found["phase"] == "Running"


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 1), "Failed"),
        ("OnFailure", (0, 0), "Succeeded"),
        ("OnFailure", (0, 1), "Running"),
        ("Always", (0, 0), "Running"),
    ],
)
def test_phase_when_all_containers_have_ended(policy: str, codes: tuple[int, int], phase: str) -> None:
    of = pod("a", "b", restartPolicy=policy)
    ended = [container(of, name, State.EXITED, exit_code=code) for name, code in zip("ab", codes, strict=True)]
    found = status(of, runs(*ended))
    assert found["phase"] == phase
    if phase == "Succeeded":
        assert condition(found, "Ready")["reason"] == "PodCompleted"


def test_out_of_memory_is_named() -> None:
    of = pod(restartPolicy="Never")
    found = status(of, runs(container(of, state=State.EXITED, exit_code=137, oom_killed=True)))
    assert found["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    old = [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T11:00:00Z", "reason": "X"}]
    found = status(pod(status={"conditions": old}), NOTHING)
    assert condition(found, "Ready")["lastTransitionTime"] == "2026-01-01T11:00:00Z"
    assert condition(found, "Initialized")["lastTransitionTime"] == "2026-01-01T12:01:00Z"


def test_a_reason_that_no_longer_holds_is_taken_away() -> None:
    of = pod(status={"conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]})
    found = status(of, runs(container(of)), ready=frozenset({"main-0"}), started=frozenset({"main-0"}))
    assert condition(found, "Ready")["reason"] is None


def test_a_changed_address_replaces_the_old_one() -> None:
    of = pod(status={"podIP": "10.0.0.4", "podIPs": [{"ip": "10.0.0.4"}]})
    assert status(of, runs(container(of)))["podIPs"] == [{"$patch": "replace"}, {"ip": "10.0.0.5"}]
