from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.kubelet.plan import Backoff, Facts, Plan, Stopping, crashed, held_back, plan
from k8slite.kubelet.runtime.base import PodState, State

from .builders import NOTHING, at, container, pod, runs


def planned(of: Any, state: PodState, *, now: float = 100, **facts: Any) -> Plan:
    return plan(Facts(pod=of, state=state, now=at(now), **facts))


def names(decided: Plan) -> list[tuple[str, int]]:
    return [(start.name, start.attempt) for start in decided.start]


def test_a_new_pod_gets_a_sandbox_and_all_its_containers() -> None:
    decided = planned(pod("a", "b"), NOTHING)
    assert decided.create_sandbox == 0
    assert names(decided) == [("a", 0), ("b", 0)]


def test_what_runs_as_asked_is_left_alone() -> None:
    of = pod()
    assert planned(of, runs(container(of))).idle


def test_init_containers_go_first_and_one_by_one() -> None:
    of = pod("main", init=("one", "two"))
    assert names(planned(of, NOTHING)) == [("one", 0)]
    assert planned(of, runs(container(of, "one"))).idle
    done = container(of, "one", State.EXITED)
    assert names(planned(of, runs(done))) == [("two", 0)]
    assert names(planned(of, runs(done, container(of, "two", State.EXITED)))) == [("main", 0)]


def test_a_failed_init_container_is_retried_or_fails_the_pod() -> None:
    broken = {"exit_code": 1}
    of = pod("main", init=("one",))
    assert names(planned(of, runs(container(of, "one", State.EXITED, **broken)))) == [("one", 1)]
    of = pod("main", init=("one",), restartPolicy="Never")
    decided = planned(of, runs(container(of, "one", State.EXITED, **broken)))
    assert decided.stop_sandboxes == ("s0",)
    assert not decided.start


def test_a_sidecar_must_have_started_before_the_others_and_is_stopped_last() -> None:
    of = pod("main", sidecars=("proxy",))
    assert names(planned(of, NOTHING)) == [("proxy", 0)]
    proxy = container(of, "proxy")
    assert planned(of, runs(proxy)).idle
    assert names(planned(of, runs(proxy), started=frozenset({"proxy-0"}))) == [("main", 0)]
    decided = planned(of, runs(proxy, container(of)), terminate=5.0)
    assert [stop.container.name for stop in decided.stop] == ["main"]
    ended = container(of, "main", State.EXITED)
    assert [stop.container.name for stop in planned(of, runs(proxy, ended), terminate=5.0).stop] == ["proxy"]


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policy(policy: str, code: int, again: bool) -> None:
    of = pod(restartPolicy=policy)
    decided = planned(of, runs(container(of, state=State.EXITED, exit_code=code)))
    assert names(decided) == ([("main", 1)] if again else [])
    assert bool(decided.stop_sandboxes) is not again


def test_a_crashing_container_waits_and_says_why() -> None:
    of = pod()
    state = runs(container(of, state=State.EXITED, exit_code=1, finished_at=at(100)))
    decided = planned(of, state, now=104, backoff={"main": Backoff(10.0, at(99))})
    assert decided.start == ()
    assert decided.look_again == 6.0
    assert decided.waiting["main"].reason == "CrashLoopBackOff"
    assert decided.waiting["main"].message == "back-off 10s restarting failed container=main pod=web_default(u1)"
    assert names(planned(of, state, now=110, backoff={"main": Backoff(10.0, at(99))})) == [("main", 1)]


def test_back_off_doubles_to_five_minutes_and_is_forgotten_after_ten() -> None:
    entry, delays = None, []
    for turn in range(7):
        entry = crashed(entry, now=at(turn))
        delays.append(entry.delay)
    assert delays == [10, 20, 40, 80, 160, 300, 300]
    assert crashed(entry, now=at(700)).delay == 10
    assert held_back(entry, ended=at(700), now=at(700)) == 0


def test_a_changed_image_restarts_the_container() -> None:
    of = pod()
    state = runs(replace(container(of), spec_hash="another"))
    decided = planned(of, state)
    assert [stop.message for stop in decided.stop] == ["Container main definition changed, will be restarted"]


def test_an_unhealthy_container_is_stopped() -> None:
    of = pod()
    decided = planned(of, runs(container(of)), unhealthy={"main-0": "it is ill"})
    assert [(stop.container.id, stop.message) for stop in decided.stop] == [("main-0", "it is ill")]


def test_a_probe_may_allow_less_time_than_the_pod() -> None:
    probes = {
        "livenessProbe": {"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 3},
        "startupProbe": {"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 7},
    }
    of = pod(main=probes, terminationGracePeriodSeconds=60)
    state, ill = runs(container(of)), {"main-0": "it is ill"}
    assert planned(of, state, unhealthy=ill, started=frozenset({"main-0"})).stop[0].grace == 3
    assert planned(of, state, unhealthy=ill).stop[0].grace == 7


def test_what_initialised_a_former_sandbox_does_not_count_whatever_the_clock_says() -> None:
    of = pod("main", init=("one",))
    done = container(of, "one", State.EXITED)
    assert names(planned(of, runs(replace(done, sandbox_id="former", created_at=at(50))))) == [("one", 1)]
    assert names(planned(of, runs(replace(done, created_at=at(-50))))) == [("main", 0)]


def test_who_was_told_to_stop_is_killed_at_the_deadline_and_not_told_twice() -> None:
    of = pod(terminationGracePeriodSeconds=30)
    told = {"main-0": Stopping(at(110))}
    decided = planned(of, runs(container(of)), now=100, terminate=10.0, stopping=told)
    assert (decided.stop, decided.kill, decided.look_again) == ((), (), 10.0)
    decided = planned(of, runs(container(of)), now=110, terminate=0.0, stopping=told)
    assert [c.id for c in decided.kill] == ["main-0"]
    shorter = planned(of, runs(container(of)), now=100, terminate=0.0, stopping=told)
    assert [stop.grace for stop in shorter.stop] == [0.0]


def test_a_terminated_pod_ends_with_its_sandbox() -> None:
    of = pod()
    ended = container(of, state=State.EXITED)
    assert planned(of, runs(ended), terminate=5.0).stop_sandboxes == ("s0",)
    assert planned(of, runs(ended, sandbox=False), terminate=5.0).ended
    assert planned(of, NOTHING, terminate=5.0).ended


def test_a_lost_sandbox_is_made_anew_after_its_containers_have_ended() -> None:
    of = pod()
    assert [s.container.name for s in planned(of, runs(container(of), sandbox=False)).stop] == ["main"]
    decided = planned(of, runs(container(of, state=State.EXITED, exit_code=137), sandbox=False))
    assert decided.create_sandbox == 1
    assert decided.remove_sandboxes == ("s0",)
    assert names(decided) == [("main", 1)]


def test_the_attempt_goes_on_where_the_api_remembers_when_the_engine_has_forgotten() -> None:
    status = {"containerStatuses": [{"name": "main", "restartCount": 4, "containerID": "docker://gone"}]}
    assert names(planned(pod(status=status), runs())) == [("main", 5)]


def test_only_the_newest_ended_container_of_a_name_is_kept() -> None:
    of = pod()
    old = [container(of, state=State.EXITED, attempt=n) for n in range(3)]
    assert planned(of, runs(container(of, attempt=3), *old)).remove_containers == ("main-1", "main-0")


STATES = st.sampled_from([None, State.CREATED, State.RUNNING, State.EXITED])


@given(
    states=st.tuples(STATES, STATES, STATES),
    code=st.sampled_from([0, 1]),
    policy=st.sampled_from(["Always", "OnFailure", "Never"]),
    sandbox=st.booleans(),
    terminate=st.sampled_from([None, 0.0, 30.0]),
)
def test_nothing_bad_ever_happens(
    states: tuple[State | None, ...], code: int, policy: str, sandbox: bool, terminate: float | None
) -> None:
    of = pod("a", "b", init=("i",), restartPolicy=policy)
    found = [
        container(of, name, state, exit_code=code if state is State.EXITED else 0)
        for name, state in zip(("a", "b", "i"), states, strict=True)
        if state is not None
    ]
    state = runs(*found, sandbox=sandbox)
    decided = planned(of, state, terminate=terminate)
    running = {c.name for c in found if c.state is State.RUNNING}
    assert not running & {start.name for start in decided.start}
    if decided.start:
        assert sandbox or decided.create_sandbox is not None
    if terminate is not None:
        assert not decided.start
        assert decided.create_sandbox is None
    if decided.ended:
        assert not running
        assert not sandbox
    if decided.stop_sandboxes:
        assert not running
    if any(start.init for start in decided.start):
        assert all(start.init for start in decided.start)


def test_an_ephemeral_container_starts_once_beside_whatever_runs() -> None:
    of = pod(ephemeralContainers=[{"name": "debug", "image": "img", "targetContainerName": "main"}])
    main = container(of)
    assert names(planned(of, NOTHING)) == [("main", 0)]
    assert names(planned(of, runs(main))) == [("debug", 0)]
    assert planned(of, runs(main, container(of, "debug"))).idle
    assert planned(of, runs(main, container(of, "debug", State.EXITED, exit_code=1))).idle
    ending = planned(of, runs(main, container(of, "debug")), terminate=5.0)
    assert {stop.container.name for stop in ending.stop} == {"main", "debug"}
