"""What pods live through: an engine that is away or loses everything, a kubelet that starts anew, a late deletion."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from k8slite.kubelet.runtime.base import State

from .builders import pod
from .rig import Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await made.close()


async def test_a_pod_runs_again_after_the_engine_lost_it(rig: Rig) -> None:
    rig.workers.handle(None, pod("main", "other"))
    await rig.pass_time(1)
    rig.runtime.away = True
    await rig.runtime.lose_everything()
    await rig.pass_time(60)
    assert await rig.newest() == (0, State.EXITED)
    rig.runtime.away = False
    await rig.clock.advance(31)  # nobody wakes it: its own retry does
    state = (await rig.runtime.list())["u1"]
    assert state.sandbox is not None
    assert [(c.name, c.attempt) for c in state.containers if c.state is State.RUNNING] == [("main", 1), ("other", 1)]
    assert len(state.sandboxes) == 1


async def test_an_absent_engine_is_not_asked_all_the_time(rig: Rig) -> None:
    of = pod()
    rig.workers.handle(None, of)
    await rig.pass_time(1)
    rig.runtime.deaf = True
    rig.workers.handle(of, rig.deleted(of, grace=600))
    await rig.clock.advance(0)
    before = rig.runtime.asked
    await rig.clock.advance(60)
    assert rig.runtime.asked - before < 40


async def test_a_stop_signal_that_was_lost_is_sent_again(rig: Rig) -> None:
    of = pod()
    rig.workers.handle(None, of)
    await rig.pass_time(1)
    rig.runtime.deaf = True
    rig.workers.handle(of, rig.deleted(of, grace=60))
    await rig.pass_time(2)
    rig.runtime.deaf = False
    await rig.clock.advance(10)
    assert rig.runtime.signals[0] == "SIGTERM"
    assert rig.events.reasons.count("Killing") == 1
    assert rig.api.deleted


async def test_a_kill_that_was_lost_is_tried_again(rig: Rig) -> None:
    of = pod()
    rig.workers.handle(None, of)
    await rig.pass_time(1)
    rig.runtime.deaf = True
    rig.workers.handle(of, rig.deleted(of, grace=1))
    await rig.pass_time(20)
    rig.runtime.deaf = False
    await rig.clock.advance(40)
    assert rig.api.deleted


async def test_who_is_deleted_while_no_kubelet_runs_still_gets_its_grace(rig: Rig) -> None:
    of = pod(terminationGracePeriodSeconds=30)
    rig.workers.handle(None, of)
    await rig.pass_time(1)
    await rig.workers.close()
    rig.workers = rig.new_workers()
    rig.workers.handle(None, rig.deleted(of, grace=30, ago=600))
    await rig.pass_time(1)
    assert rig.runtime.signals[0] == "SIGTERM"


async def test_a_fast_clock_of_the_node_takes_no_grace_away(rig: Rig) -> None:
    of = pod(terminationGracePeriodSeconds=30)
    rig.workers.handle(None, of)
    await rig.pass_time(1)
    rig.workers.handle(of, rig.deleted(of, grace=30, ago=120))
    await rig.pass_time(1)
    assert rig.runtime.signals[0] == "SIGTERM"


async def test_a_forced_deletion_overtakes_a_pre_stop_hook(rig: Rig) -> None:
    of = pod(main={"lifecycle": {"preStop": {"sleep": {"seconds": 50}}}}, terminationGracePeriodSeconds=60)
    rig.workers.handle(None, of)
    await rig.pass_time(1)
    ending = rig.deleted(of, grace=60)
    rig.workers.handle(of, ending)
    await rig.pass_time(5)
    assert rig.runtime.signals == []
    rig.workers.handle(rig.deleted(of, grace=0), None)
    await rig.pass_time(1)
    assert rig.runtime.signals == ["SIGKILL"]
    assert await rig.runtime.list() == {}


async def test_a_hook_counts_towards_the_grace_period(rig: Rig) -> None:
    of = pod(main={"lifecycle": {"preStop": {"sleep": {"seconds": 500}}}}, terminationGracePeriodSeconds=20)
    rig.workers.handle(None, of)
    await rig.pass_time(1)
    rig.workers.handle(of, rig.deleted(of, grace=20))
    await rig.clock.advance(19)
    assert rig.runtime.signals == []
    await rig.pass_time(4)
    assert rig.api.deleted


async def test_a_container_that_never_ran_is_no_restart(rig: Rig) -> None:
    rig.workers.handle(None, pod())
    await rig.pass_time(1)
    state = (await rig.runtime.list())["u1"]
    assert state.sandbox is not None
    main = state.newest("main")
    assert main is not None
    await rig.workers.close()
    # As after a kill -9 of the kubelet between create and start.
    played = rig.runtime._containers[main.id]
    played.container = main.__class__(**{**{f: getattr(main, f) for f in main.__slots__}, "state": State.CREATED})
    rig.workers = rig.new_workers()
    rig.workers.handle(None, pod())
    await rig.pass_time(1)
    assert await rig.newest() == (0, State.RUNNING)
    assert rig.api.statuses[-1]["containerStatuses"][0]["restartCount"] == 0


async def test_a_pod_deleted_while_it_is_created_leaves_nothing(rig: Rig) -> None:
    of = pod()
    rig.workers.handle(None, of)
    rig.workers.handle(of, None)
    await rig.pass_time(1)
    await rig.pass_time(1)
    assert await rig.runtime.list() == {}
    assert "u1" not in rig.workers
