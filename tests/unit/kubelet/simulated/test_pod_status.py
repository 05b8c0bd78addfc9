"""The statuses of simulated pods, as clients read them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from k8slite.kubelet.simulated.decide import Outcome

from .builders import T0, after, document


def conditions(pod: dict[str, Any]) -> dict[str, str]:
    return {one["type"]: one["status"] for one in pod["status"]["conditions"]}


def test_a_running_pod() -> None:
    pod = after(document(), Outcome("Running"))
    status = pod["status"]
    assert (status["phase"], status["podIP"], status["podIPs"]) == ("Running", "10.0.0.2", [{"ip": "10.0.0.2"}])
    assert (status["hostIP"], status["startTime"], status["observedGeneration"]) == (
        "192.0.2.1",
        "2026-01-01T12:00:00Z",
        1,
    )
    assert set(conditions(pod).values()) == {"True"}
    assert len(conditions(pod)) == 5
    main = status["containerStatuses"][0]
    assert main["containerID"].startswith("simulated://")
    assert (main["ready"], main["started"], main["restartCount"]) == (True, True, 0)
    assert main["state"] == {"running": {"startedAt": "2026-01-01T12:00:00Z"}}


def test_an_init_container_at_work_holds_the_others_up() -> None:
    inits = [{"name": "side", "restartPolicy": "Always"}, {"name": "first"}, {"name": "second"}]
    pod = after(document(initContainers=inits), Outcome("Initializing"))
    side, first, second = pod["status"]["initContainerStatuses"]
    assert "running" in side["state"]
    assert side["ready"]
    assert "running" in first["state"]
    assert not first["ready"]
    assert second["state"]["waiting"]["reason"] == "PodInitializing"
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"
    assert (pod["status"]["phase"], conditions(pod)["Initialized"]) == ("Pending", "False")
    pod = after(pod, Outcome("Running"), now=T0 + timedelta(seconds=4))
    side, first, second = pod["status"]["initContainerStatuses"]
    assert "running" in side["state"]
    assert first["state"]["terminated"]["reason"] == second["state"]["terminated"]["reason"] == "Completed"
    assert first["state"]["terminated"]["startedAt"] == "2026-01-01T12:00:00Z"
    assert conditions(pod)["Initialized"] == "True"
    assert pod["status"]["startTime"] == "2026-01-01T12:00:00Z"


def test_a_crash_is_counted_when_the_container_runs_again_and_is_remembered() -> None:
    pod = after(document(), Outcome("Running"))
    pod = after(pod, Outcome("CrashLoopBackOff", 7), now=T0 + timedelta(seconds=5))
    main = pod["status"]["containerStatuses"][0]
    assert (pod["status"]["phase"], main["restartCount"], conditions(pod)["Ready"]) == ("Running", 0, "False")
    assert main["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=main pod=web_def")
    assert main["lastState"]["terminated"]["exitCode"] == 7
    pod = after(pod, Outcome("Running"), now=T0 + timedelta(seconds=15))
    main = pod["status"]["containerStatuses"][0]
    assert main["restartCount"] == 1
    assert main["state"] == {"running": {"startedAt": "2026-01-01T12:00:15Z"}}
    assert main["lastState"]["terminated"]["finishedAt"] == "2026-01-01T12:00:05Z"
    assert next(one for one in pod["status"]["conditions"] if one["type"] == "Ready").get("reason") is None


def test_a_pod_that_is_over() -> None:
    pod = after(after(document(), Outcome("Running")), Outcome("Succeeded"), now=T0 + timedelta(seconds=9))
    main = pod["status"]["containerStatuses"][0]
    assert main["state"]["terminated"]["reason"] == "Completed"
    assert (main["state"]["terminated"]["startedAt"], main["state"]["terminated"]["finishedAt"]) == (
        "2026-01-01T12:00:00Z",
        "2026-01-01T12:00:09Z",
    )
    ready = next(one for one in pod["status"]["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"], ready["lastTransitionTime"]) == (
        "False",
        "PodCompleted",
        "2026-01-01T12:00:09Z",
    )


def test_an_image_that_cannot_be_had() -> None:
    pod = after(document(), Outcome("ImagePullBackOff"))
    waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting == {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "img"'}
    assert pod["status"]["phase"] == "Pending"


def test_a_stage_adds_to_the_status() -> None:
    extra = {"nominatedNodeName": "n", "conditions": [{"type": "example.com/up", "status": "True"}]}
    pod = after(document(), Outcome("Running", extra=extra))
    assert pod["status"]["nominatedNodeName"] == "n"
    assert conditions(pod)["example.com/up"] == "True"
    assert conditions(pod)["Ready"] == "True"


def test_a_condition_keeps_the_time_at_which_it_changed() -> None:
    pod = after(after(document(), Outcome("Running")), Outcome("Unready"), now=T0 + timedelta(seconds=9))
    times = {one["type"]: one["lastTransitionTime"] for one in pod["status"]["conditions"]}
    assert (times["Initialized"], times["Ready"]) == ("2026-01-01T12:00:00Z", "2026-01-01T12:00:09Z")
