"""The whole scheduler on virtual time over an API that records what is asked of it."""

from __future__ import annotations

import aiohttp
import pytest

from k8slite import errors
from k8slite.clock import VirtualClock
from k8slite.scheduler.binding import PAUSES
from k8slite.scheduler.queue import FLUSH_AFTER, Place

from .builders import node, pod
from .running import and_no_preemption, cluster


async def test_pods_are_bound_and_told_so() -> None:
    async with cluster(node("a")) as it:
        it.show(pod("web"))
        await it.settle(lambda: it.api.bound == [("web", "a")])
        assert it.api.events == [("Scheduled", "Successfully assigned default/web to a")]
        assert len(it.scheduler.queue) == 0


async def test_many_pods_are_bound_at_once_but_not_too_many() -> None:
    async with cluster(*(node(f"n{number}") for number in range(10))) as it:
        it.api.hold.clear()
        it.show(*(pod() for _ in range(300)))
        await it.settle()
        assert it.api.most_under_way == 48
        it.api.hold.set()
        await it.settle(lambda: len(it.api.bound) == 300)


async def test_a_pod_that_fits_nowhere_is_told_why_once_and_bound_when_it_fits() -> None:
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        big = pod("big", requests={"cpu": "2"})
        it.show(big)
        message = "0/1 nodes are available: 1 Insufficient cpu." + and_no_preemption(not_helped=1)
        await it.settle(lambda: it.api.conditions == [("big", message)])
        assert it.api.events == [("FailedScheduling", message)]

        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        it.show(pod("big", requests={"cpu": "2"}, conditions=[condition]))
        await it.clock.advance(20)
        it.scheduler.on_node(None, node("b", allocatable={"cpu": "1"}, taints=["k=v:NoSchedule"]))
        await it.clock.advance(20)
        assert it.api.conditions[1:] == [], "a node that cannot help is no reason to try again, nor to say so"
        await it.clock.advance(FLUSH_AFTER)
        reasons = "1 Insufficient cpu, 1 node(s) had untolerated taint(s)"
        assert it.api.conditions[1:] == [
            ("big", f"0/2 nodes are available: {reasons}.{and_no_preemption(not_helped=2)}")
        ]

        it.scheduler.on_node(None, node("c"))
        await it.clock.advance(20)
        assert it.api.bound == [("big", "c")]


async def test_nothing_is_said_twice() -> None:
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        message = "0/1 nodes are available: 1 Insufficient cpu." + and_no_preemption(not_helped=1)
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        it.show(pod("big", requests={"cpu": "2"}))
        await it.settle()
        it.show(pod("big", requests={"cpu": "2"}, conditions=[condition]))
        await it.clock.advance(1000)
        assert len(it.api.conditions) == 1
        assert len(it.api.events) == 1


async def test_a_pod_that_leaves_makes_room() -> None:
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        running = pod("running", requests={"cpu": "1"}, nodeName="a")
        it.show(running, pod("waiting", requests={"cpu": "1"}))
        await it.settle()
        it.show(pod("running", requests={"cpu": "1"}, nodeName="a", phase="Succeeded"))
        await it.clock.advance(11)
        assert it.api.bound == [("waiting", "a")]


async def test_room_is_held_from_the_decision_on() -> None:
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        it.api.hold.clear()
        it.show(pod("first", requests={"cpu": "1"}), pod("second", requests={"cpu": "1"}))
        await it.settle()
        it.api.hold.set()
        await it.settle(lambda: it.api.bound == [("first", "a")])
        assert it.scheduler.queue.place_of("uid-second") is Place.UNSCHEDULABLE


async def test_a_binding_that_is_refused_is_told_and_tried_again() -> None:
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        it.api.fail = [errors.forbidden("pods/binding", "web", "not you")]
        it.show(pod("web", requests={"cpu": "1"}))
        message = 'running Bind plugin "DefaultBinder": pods/binding "web" is forbidden: not you'
        await it.settle(lambda: it.api.events == [("FailedScheduling", message)])
        assert it.api.bound == []
        await it.clock.advance(1.5)
        assert it.api.bound == [("web", "a")]


LOST = [
    aiohttp.ClientConnectionError("reset"),
    aiohttp.ServerTimeoutError("no answer"),
    errors.ApiError(500, "InternalError", "etcd is away"),
    errors.ApiError(503, "ServiceUnavailable", "not now"),
    errors.ApiError(429, "TooManyRequests", "too many requests"),
]


@pytest.mark.parametrize("error", LOST, ids=repr)
async def test_a_binding_without_an_answer_keeps_its_place_until_there_is_one(error: Exception) -> None:
    async with cluster(node("a", allocatable={"cpu": "1"}), node("b", allocatable={"cpu": "1"})) as it:
        it.api.fail = [error, error, error]
        it.show(pod("web", requests={"cpu": "1"}), pod("db", requests={"cpu": "1"}), pod("more", requests={"cpu": "1"}))
        await it.clock.advance(10)
        assert {name for name, _ in it.api.bound} == {"web", "db"}
        assert {where for _, where in it.api.bound} == {"a", "b"}
        assert it.scheduler.queue.place_of("uid-more") is Place.UNSCHEDULABLE
        assert "FailedScheduling" not in {reason for reason, message in it.api.events if str(error) in message}


async def test_a_binding_that_was_written_although_its_answer_was_lost_is_known_by_the_second() -> None:
    async with cluster(node("a")) as it:
        said = 'pod web is already assigned to node "a"'
        it.api.fail = [LOST[0], errors.conflict("pods/binding", "web", said)]
        it.show(pod("web"))
        await it.clock.advance(1)
        assert it.api.events == [("Scheduled", "Successfully assigned default/web to a")]
        assert len(it.scheduler.queue) == 0
        assert it.scheduler.columns.node_of("uid-web") == "a"


async def test_what_another_scheduler_bound_counts_where_it_is_at_once() -> None:
    async with cluster(node("a", labels={"is": "a"}), node("b", allocatable={"cpu": "1"})) as it:
        it.api.fail = [errors.conflict("pods/binding", "web", 'pod web is already assigned to node "b"')]
        it.show(pod("web", requests={"cpu": "1"}, nodeSelector={"is": "a"}))
        await it.settle()
        assert it.api.events == []
        assert it.scheduler.columns.node_of("uid-web") == "b"
        assert len(it.scheduler.queue) == 0


async def test_a_server_that_never_answers_is_given_up_and_the_pod_decided_anew() -> None:
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        it.api.fail = [LOST[2]] * (len(PAUSES) + 1)
        it.show(pod("web", requests={"cpu": "1"}))
        await it.clock.advance(sum(PAUSES))
        message = 'running Bind plugin "DefaultBinder": etcd is away'
        assert it.api.events == [("FailedScheduling", message)]
        await it.clock.advance(1)
        assert it.api.bound == [("web", "a")]


async def test_a_pod_that_turns_out_to_be_bound_is_not_told_that_it_is_not() -> None:
    async with cluster(node("a")) as it:
        it.api.fail = [LOST[0]] * (len(PAUSES) + 1)
        it.api.fail_status = [ConnectionResetError("reset")]
        it.show(pod("web"))
        await it.clock.advance(sum(PAUSES))
        assert (it.api.fail, it.api.fail_status) == ([], [])
        it.show(pod("web", nodeName="a"))
        await it.clock.advance(5)
        assert it.api.conditions == []


async def test_a_pod_that_is_deleted_while_its_binding_is_unknown_is_not_bound_again() -> None:
    async with cluster(node("a")) as it:
        it.api.fail = [LOST[0]]
        it.show(pod("web"))
        await it.settle()
        it.gone(pod("web"))
        await it.clock.advance(5)
        assert (it.api.bound, it.api.events) == ([], [])
        assert it.scheduler.columns.requested.sum() == 0


async def test_a_binding_that_was_outrun_is_no_event() -> None:
    async with cluster(node("a")) as it:
        it.api.fail = [errors.conflict("pods", "web")]
        it.show(pod("web"))
        await it.settle()
        assert it.api.events == []
        it.show(pod("web", nodeName="b"))
        await it.clock.advance(20)
        assert it.api.bound == []
        assert it.scheduler.columns.node_of("uid-web") == "b"


async def test_a_lost_answer_does_not_unplace_a_bound_pod() -> None:
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        it.api.hold.clear()
        it.api.fail = [aiohttp.ServerTimeoutError("no answer")]
        it.show(pod("web", requests={"cpu": "1"}))
        await it.settle()
        it.show(pod("web", requests={"cpu": "1"}, nodeName="a"))
        it.api.hold.set()
        await it.settle()
        assert it.scheduler.columns.node_of("uid-web") == "a"
        assert len(it.scheduler.queue) == 0


async def test_a_pod_deleted_while_queued_or_bound_leaves_nothing() -> None:
    async with cluster(node("a")) as it:
        it.api.hold.clear()
        web = pod("web", requests={"cpu": "1"})
        it.show(web)
        await it.settle()
        it.gone(web)
        it.api.hold.set()
        await it.settle()
        assert it.scheduler.columns.requested.sum() == 0
        assert len(it.scheduler.queue) == 0


async def test_old_news_of_a_bound_pod_do_not_bring_it_back() -> None:
    async with cluster(node("a")) as it:
        it.show(pod("web"))
        await it.settle(lambda: it.api.bound)
        it.show(pod("web", labels={"changed": "before it was bound"}))
        await it.settle()
        assert len(it.api.bound) == 1
        assert len(it.scheduler.queue) == 0


async def test_a_pod_that_is_bound_no_more_is_bound_again() -> None:
    """The API server was restored from a backup that is older than the binding."""
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        it.show(pod("web", requests={"cpu": "1"}))
        await it.settle(lambda: it.api.bound == [("web", "a")])
        it.show(pod("web", requests={"cpu": "1"}, nodeName="a"))
        it.show(pod("web", requests={"cpu": "1"}))
        await it.settle(lambda: it.api.bound == [("web", "a"), ("web", "a")])
        assert it.scheduler.columns.requested.max() == 1000


async def test_other_schedulers_pods_and_pods_on_their_way_out_are_left_alone() -> None:
    async with cluster(node("a")) as it:
        it.show(pod("other", schedulerName="custom"), pod("leaving", deleting=True))
        await it.settle()
        assert it.api.bound == []
        assert len(it.scheduler.queue) == 0


async def test_a_node_that_goes_while_a_pod_waits_for_its_binding() -> None:
    async with cluster(node("a")) as it:
        it.api.hold.clear()
        it.show(*(pod(f"p{number}") for number in range(60)))
        await it.settle()
        it.scheduler.on_node(node("a"), None)
        it.scheduler.on_node(None, node("b"))
        it.api.hold.set()
        await it.clock.advance(5)
        places = dict(it.api.bound)
        assert len(places) == 60
        assert sum(where == "b" for where in places.values()) == 12, "those not sent yet went elsewhere"


async def test_a_pod_that_must_not_unbalance_its_peers_is_bound_when_they_have_caught_up() -> None:
    hosts = [node(name, labels={"kubernetes.io/hostname": name}) for name in ("a", "b")]
    rule = {
        "topologyKey": "kubernetes.io/hostname",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    async with cluster(*hosts) as it:
        it.show(pod("running", labels={"app": "web"}, nodeName="a"))
        only_a = {"kubernetes.io/hostname": "a"}
        wanted = pod("web", labels={"app": "web"}, nodeSelector=only_a, topologySpreadConstraints=[rule | IGNORE])
        it.show(wanted)
        skewed = "1 node(s) didn't match pod topology spread constraints"
        message = f"0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, {skewed}."
        message += and_no_preemption(without_victims=1, not_helped=1)
        await it.settle(lambda: it.api.conditions == [("web", message)])
        it.show(pod("other", labels={"app": "web"}, nodeSelector={"kubernetes.io/hostname": "b"}))
        await it.clock.advance(2)
        assert it.api.bound == [("other", "b"), ("web", "a")]


IGNORE = {"nodeAffinityPolicy": "Ignore"}


class CountingClock(VirtualClock):
    """Counts how often somebody asks to be woken."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps = 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        await super().sleep(seconds)


async def test_nothing_wakes_a_scheduler_that_has_nothing_to_do() -> None:
    clock = CountingClock()
    async with cluster(node("a"), clock=clock) as it:
        it.show(pod("web"), pod("gated", schedulingGates=[{"name": "later"}]))
        await it.settle(lambda: it.api.bound == [("web", "a")])
        asked = clock.sleeps
        await it.clock.advance(24 * 3600)
        assert clock.sleeps == asked


async def test_a_pod_that_waits_wakes_the_scheduler_each_five_minutes_only() -> None:
    clock = CountingClock()
    async with cluster(node("a", allocatable={"cpu": "1"}), clock=clock) as it:
        it.show(pod("big", requests={"cpu": "2"}))
        await it.settle()
        asked = clock.sleeps
        await it.clock.advance(12 * FLUSH_AFTER)
        assert clock.sleeps - asked <= 13
