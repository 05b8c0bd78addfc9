from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from k8slite.clock import VirtualClock
from k8slite.kinds.core import Handler, Pod, Probe
from k8slite.kubelet.handlers import Outcome, Target
from k8slite.kubelet.probes import Probes, Tally

from .builders import container, pod, runs


class Scripted:
    """Answers each kind of probe (told apart by its command) as the test says."""

    def __init__(self) -> None:
        self.answers: dict[str, bool] = {}
        self.asked: list[str] = []

    async def run(self, handler: Handler, target: Target, *, timeout: float) -> Outcome:
        assert handler.exec is not None
        kind = handler.exec.command[0]
        self.asked.append(kind)
        return Outcome(self.answers.get(kind, True), "" if self.answers.get(kind, True) else "no")


class Said:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def record(self, about: Any, *, reason: str, message: str, **_: Any) -> None:
        self.messages.append(f"{reason}: {message}")


class Rig:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.handlers = Scripted()
        self.events = Said()
        self.changes = 0
        self.probes = Probes(
            self.handlers,  # type: ignore[arg-type]
            clock=self.clock,
            events=self.events,  # type: ignore[arg-type]
            changed=self._changed,
            host_ip="192.0.2.1",
        )

    def _changed(self, uid: str) -> None:
        self.changes += 1

    def follow(self, of: Pod, attempt: int = 0) -> None:
        self.probes.follow(of, runs(container(of, attempt=attempt, started_at=self.clock.now())))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await made.probes.close()


def probe(kind: str, **fields: Any) -> dict[str, Any]:
    return {"exec": {"command": [kind]}, "periodSeconds": 10, **fields}


@pytest.mark.parametrize(
    ("results", "verdict"),
    [("", None), ("+", True), ("-", None), ("--", False), ("+-", True), ("+--", False), ("-+-", True), ("--+", True)],
)
def test_thresholds(results: str, verdict: bool | None) -> None:
    tally = Tally()
    for result in results:
        tally = tally.add(result == "+", Probe(failure_threshold=2, success_threshold=1))
    assert tally.verdict is verdict


async def test_without_probes_what_runs_is_ready(rig: Rig) -> None:
    rig.follow(pod())
    assert rig.probes.ready("u1") == rig.probes.started("u1") == {"main-0"}


async def test_readiness_begins_as_no_and_follows_the_probe(rig: Rig) -> None:
    rig.handlers.answers["readiness"] = False
    rig.follow(pod(main={"readinessProbe": probe("readiness", failureThreshold=1)}))
    await rig.clock.advance(0)
    assert rig.probes.ready("u1") == set()
    assert rig.events.messages == ["Unhealthy: Readiness probe failed: no"]
    rig.handlers.answers["readiness"] = True
    await rig.clock.advance(10)
    assert rig.probes.ready("u1") == {"main-0"}
    assert rig.changes == 1


async def test_liveness_condemns_after_its_threshold(rig: Rig) -> None:
    rig.follow(pod(main={"livenessProbe": probe("liveness", failureThreshold=2, initialDelaySeconds=5)}))
    await rig.clock.advance(4)
    assert rig.handlers.asked == []
    rig.handlers.answers["liveness"] = False
    await rig.clock.advance(1)
    assert rig.probes.unhealthy("u1") == {}
    await rig.clock.advance(10)
    assert rig.probes.unhealthy("u1") == {"main-0": "Container main failed liveness probe, will be restarted"}


async def test_other_probes_wait_for_startup(rig: Rig) -> None:
    rig.handlers.answers["startup"] = False
    rig.follow(pod(main={"startupProbe": probe("startup", failureThreshold=9), "readinessProbe": probe("readiness")}))
    await rig.clock.advance(15)
    assert rig.handlers.asked == ["startup", "startup"]
    assert rig.probes.started("u1") == set()
    rig.handlers.answers["startup"] = True
    await rig.clock.advance(5)
    assert rig.handlers.asked[-1] == "readiness"
    assert rig.probes.ready("u1") == {"main-0"}


async def test_a_new_attempt_starts_unknown(rig: Rig) -> None:
    of = pod(main={"readinessProbe": probe("readiness")})
    rig.follow(of)
    await rig.clock.advance(0)
    assert rig.probes.ready("u1") == {"main-0"}
    rig.follow(of, attempt=1)
    assert rig.probes.ready("u1") == set()


async def test_after_a_restart_of_the_kubelet_the_last_report_holds(rig: Rig) -> None:
    reported = [{"name": "main", "ready": True, "started": True, "containerID": "docker://main-0"}]
    rig.follow(pod(main={"readinessProbe": probe("readiness")}, status={"containerStatuses": reported}))
    assert rig.probes.ready("u1") == {"main-0"}


async def test_an_ending_pod_is_asked_only_whether_it_still_answers(rig: Rig) -> None:
    rig.follow(pod(main={"livenessProbe": probe("liveness"), "readinessProbe": probe("readiness")}))
    await rig.clock.advance(0)
    rig.handlers.asked.clear()
    rig.probes.stop_liveness("u1")
    await rig.clock.advance(4)
    assert rig.probes.ready("u1") == {"main-0"}
    rig.handlers.answers["readiness"] = False
    await rig.clock.advance(100)
    assert set(rig.handlers.asked) == {"readiness"}
    assert rig.probes.ready("u1") == set()
