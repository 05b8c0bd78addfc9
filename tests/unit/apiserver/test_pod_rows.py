"""A pod's row: READY, STATUS and RESTARTS for every state that kubectl has a word for."""

from datetime import UTC, datetime

import pytest

from k8slite.apiserver.tables import table
from k8slite.catalogue import builtin

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
PODS = builtin().by_path("", "v1", "pods")
RUNNING = {"state": {"running": {}}, "ready": True}
WAITING = {"state": {"waiting": {"reason": "ContainerCreating"}}}


def ended(reason="", code=0, signal=0):
    terminated = {"exitCode": code}
    if reason:
        terminated["reason"] = reason
    if signal:
        terminated["signal"] = signal
    return {"state": {"terminated": terminated}}


def pod(containers=(), *, inits=(), sidecars=(), phase="Running", conditions=(), **status):
    """Sidecars are init containers that keep running; their names are the given indices of `inits`."""
    return {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T11:00:00Z"},
        "spec": {
            "containers": [{"name": f"c{i}"} for i in range(max(1, len(containers)))],
            "initContainers": [
                {"name": f"i{i}", **({"restartPolicy": "Always"} if i in sidecars else {})} for i in range(len(inits))
            ],
        },
        "status": {
            "phase": phase,
            "conditions": [{"type": kind, "status": value} for kind, value in conditions],
            "containerStatuses": [{"name": f"c{i}", "restartCount": 0, **each} for i, each in enumerate(containers)],
            "initContainerStatuses": [{"name": f"i{i}", "restartCount": 0, **each} for i, each in enumerate(inits)],
            **status,
        },
    }


def cells(document):
    assert PODS is not None
    row = table(PODS, [document], now=NOW, list_metadata={})["rows"][0]
    return row["cells"]


@pytest.mark.parametrize(
    ("document", "ready", "status"),
    [
        (pod(phase="Pending"), "0/1", "Pending"),
        (pod([WAITING], phase="Pending"), "0/1", "ContainerCreating"),
        (pod([RUNNING]), "1/1", "Running"),
        (pod([RUNNING, {"state": {"running": {}}, "ready": False}]), "1/2", "Running"),
        (pod([{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]), "0/1", "CrashLoopBackOff"),
        (pod([{"state": {"waiting": {"reason": "ImagePullBackOff"}}}], phase="Pending"), "0/1", "ImagePullBackOff"),
        (pod([ended("Completed")], phase="Succeeded"), "0/1", "Completed"),
        (pod([ended("Error", 1)], phase="Failed"), "0/1", "Error"),
        (pod([ended("OOMKilled", 137)]), "0/1", "OOMKilled"),
        (pod([ended(code=3)], phase="Failed"), "0/1", "ExitCode:3"),
        (pod([ended(code=1, signal=9)], phase="Failed"), "0/1", "Signal:9"),
        (pod([ended("Error", 1), RUNNING]), "1/2", "Error"),
        (pod([ended("Completed"), RUNNING], conditions=[("Ready", "True")]), "1/2", "Running"),
        (pod([ended("Completed"), RUNNING]), "1/2", "NotReady"),
        (pod(phase="Failed", reason="Evicted"), "0/1", "Evicted"),
        (pod([WAITING], inits=[{"state": {"running": {}}}], phase="Pending"), "0/1", "Init:0/1"),
        (pod([WAITING], inits=[ended("Completed"), {"state": {}}], phase="Pending"), "0/1", "Init:1/2"),
        (pod([WAITING], inits=[ended("Error", 1)], phase="Pending"), "0/1", "Init:Error"),
        (pod([WAITING], inits=[ended(code=2)], phase="Pending"), "0/1", "Init:ExitCode:2"),
        (
            pod([WAITING], inits=[{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}], phase="Pending"),
            "0/1",
            "Init:CrashLoopBackOff",
        ),
        (
            pod([WAITING], inits=[{"state": {"waiting": {"reason": "PodInitializing"}}}], phase="Pending"),
            "0/1",
            "Init:0/1",
        ),
        (pod([RUNNING], inits=[{**RUNNING, "started": True}], sidecars=[0]), "2/2", "Running"),
        (pod([WAITING], inits=[{**WAITING}], sidecars=[0], phase="Pending"), "0/2", "Init:ContainerCreating"),
    ],
)
def test_status(document, ready, status):
    assert cells(document)[1:3] == [ready, status]


def test_gated_pods_say_so():
    document = pod(phase="Pending")
    document["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
    assert cells(document)[2] == "SchedulingGated"


@pytest.mark.parametrize(
    ("phase", "reason", "expected"),
    [
        ("Running", "", "Terminating"),
        ("Succeeded", "", "Succeeded"),
        ("Running", "NodeLost", "Unknown"),
    ],
)
def test_deleted_pods(phase, reason, expected):
    document = pod(phase=phase, **({"reason": reason} if reason else {}))
    document["metadata"]["deletionTimestamp"] = "2026-01-01T11:59:00Z"
    assert cells(document)[2] == expected


def test_restarts_name_the_last_one():
    status = {**RUNNING, "restartCount": 3, "lastState": {"terminated": {"finishedAt": "2026-01-01T11:55:00Z"}}}
    other = {**RUNNING, "restartCount": 1, "lastState": {"terminated": {"finishedAt": "2026-01-01T11:00:00Z"}}}
    assert cells(pod([status, other]))[3] == "4 (5m ago)"
    assert cells(pod([RUNNING]))[3] == "0"
    assert cells(pod([{**RUNNING, "restartCount": 2}]))[3] == "2"


def test_restarts_count_init_containers_only_while_they_run():
    failing = {"state": {"running": {}}, "restartCount": 2}
    done = {**ended("Completed"), "restartCount": 2}
    assert cells(pod([WAITING], inits=[failing], phase="Pending"))[3] == "2"
    assert cells(pod([RUNNING], inits=[done]))[3] == "0"


def test_wide_columns():
    document = pod([RUNNING], podIP="10.0.0.9", podIPs=[{"ip": "10.0.0.9"}])
    assert cells(document)[4:] == ["60m", "10.0.0.9", "<none>", "<none>", "<none>"]
    document["spec"].update(nodeName="n1", readinessGates=[{"conditionType": "a"}, {"conditionType": "b"}])
    document["status"]["conditions"] = [{"type": "a", "status": "True"}]
    assert cells(document)[6:] == ["n1", "<none>", "1/2"]


def test_finished_pods_are_marked():
    assert PODS is not None
    rows = table(PODS, [pod(phase="Succeeded"), pod()], now=NOW, list_metadata={})["rows"]
    assert rows[0]["conditions"][0]["type"] == "Completed"
    assert "conditions" not in rows[1]
