"""From the decision to the binding: reserve, permit, bind, and what is undone when a step fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiohttp
import pytest

from k8slite.scheduler.framework import Handle, Plugin
from k8slite.scheduler.permits import Wait, WaitingPods
from k8slite.scheduler.plugins import build
from k8slite.scheduler.profile import Point, Profile, assemble, implements
from k8slite.scheduler.queue import Place, Waiting
from k8slite.scheduler.view import Pod

from .builders import node, pod
from .running import cluster


class Recorder:
    """Notes what is asked of it, and answers what it is told to."""

    def __init__(self, name: str, said: list[str], **answers: Any) -> None:
        self.name = name
        self._said = said
        self._answers = answers

    def _answer(self, what: str, of: Pod, default: Any = "") -> Any:
        self._said.append(f"{self.name}: {what} {of.name}")
        answer = self._answers.get(what, default)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Reserving(Recorder):
    def reserve(self, pod: Pod, node: str) -> str:
        return str(self._answer("reserve", pod))

    def unreserve(self, pod: Pod, node: str) -> None:
        self._answer("unreserve", pod)


class Permitting(Recorder):
    def permit(self, pod: Pod, node: str) -> str | Wait:
        answer: str | Wait = self._answer("permit", pod)
        return answer


class Preparing(Recorder):
    def prepares(self, pod: Pod, node: str) -> bool:
        return True

    async def pre_bind(self, pod: Pod, node: str) -> str:
        return str(self._answer("pre_bind", pod))


class Binding(Recorder):
    async def bind(self, pod: Pod, node: str) -> bool:
        return bool(self._answer("bind", pod, True))


class Hearing(Recorder):
    def post_bind(self, pod: Pod, node: str) -> None:
        self._answer("post_bind", pod)


def with_plugins(*plugins: Plugin, seen: list[WaitingPods] | None = None) -> Callable[[Handle], Mapping[str, Profile]]:
    """The default profile with more plugins, before those of the default at each point."""

    def profiles(handle: Handle) -> Mapping[str, Profile]:
        if seen is not None:
            seen.append(handle.waiting)
        base = build(handle)
        own = {point: [plugin for plugin in plugins if implements(plugin, point)] for point in Point}
        default = {
            Point.QUEUE_SORT: [base.queue_sort],
            Point.FILTER: [*base.filter, *base.pod_filter],
            Point.BIND: list(base.bind),
            Point.PRE_ENQUEUE: list(base.pre_enqueue),
        }
        return {"default-scheduler": assemble({p: [*own[p], *default.get(p, ())] for p in Point})}

    return profiles


def steps(said: Iterable[str]) -> list[str]:
    return [line.rpartition(" ")[0] for line in said]


async def test_the_steps_of_a_binding_come_in_order() -> None:
    said: list[str] = []
    plugins = (Hearing("e", said), Binding("d", said, bind=False), Preparing("c", said), Permitting("b", said))
    async with cluster(node("a"), profiles=with_plugins(Reserving("a", said), *plugins)) as it:
        it.show(pod("web"))
        await it.settle(lambda: it.api.bound == [("web", "a")])
        assert steps(said) == ["a: reserve", "b: permit", "c: pre_bind", "d: bind", "e: post_bind"]


async def test_the_first_bind_plugin_that_binds_is_the_only_one() -> None:
    said: list[str] = []
    async with cluster(node("a"), profiles=with_plugins(Binding("own", said))) as it:
        it.show(pod("web"))
        await it.settle(lambda: len(it.scheduler.queue) == 0)
        assert said == ["own: bind web"]
        assert it.api.bound == []


FAILURES = [
    ({"reserve": "no licence left"}, "0/1 nodes are available: 1 no licence left.", Place.UNSCHEDULABLE),
    ({"permit": "not today"}, "0/1 nodes are available: 1 not today.", Place.UNSCHEDULABLE),
    ({"pre_bind": "no disk"}, 'running PreBind plugin "culprit": no disk', Place.BACKOFF),
    ({"pre_bind": aiohttp.ClientConnectionError("reset")}, 'running PreBind plugin "culprit": reset', Place.BACKOFF),
]


@pytest.mark.parametrize(("answers", "message", "place"), FAILURES)
async def test_every_failure_is_undone_in_reverse_order(answers: dict[str, Any], message: str, place: Place) -> None:
    said: list[str] = []
    (step,) = answers
    culprit = {"reserve": Reserving, "permit": Permitting, "pre_bind": Preparing}[step]("culprit", said, **answers)
    plugins = (Reserving("first", said), Reserving("second", said), culprit)
    async with cluster(node("a", allocatable={"cpu": "1"}), profiles=with_plugins(*plugins)) as it:
        it.show(pod("web", requests={"cpu": "1"}))
        await it.settle(lambda: it.api.events == [("FailedScheduling", message)])
        undone = ["second: unreserve", "first: unreserve"]
        if step == "reserve":
            undone.insert(0, "culprit: unreserve")
        assert [line for line in steps(said) if "unreserve" in line] == undone
        assert it.scheduler.columns.requested.sum() == 0
        assert it.api.bound == []
        assert it.scheduler.queue.place_of("uid-web") in (place, Place.BACKOFF)


async def test_a_pod_waits_until_every_plugin_allows_it() -> None:
    said: list[str] = []
    seen: list[WaitingPods] = []
    plugins = (Permitting("one", said, permit=Wait(60)), Permitting("two", said, permit=Wait(30)))
    async with cluster(node("a"), profiles=with_plugins(*plugins, seen=seen)) as it:
        it.show(pod("web"))
        await it.settle(lambda: len(seen[0]) == 1)
        held = seen[0].get("uid-web")
        assert held is not None
        assert held.node == "a"
        assert held.pending == {"one", "two"}
        held.allow("two")
        await it.clock.advance(40)
        assert it.api.bound == []
        held.allow("one")
        await it.settle(lambda: it.api.bound == [("web", "a")])
        assert len(seen[0]) == 0


async def test_the_shortest_patience_ends_the_waiting() -> None:
    said: list[str] = []
    plugins = (
        Reserving("place", said),
        Permitting("one", said, permit=Wait(90)),
        Permitting("two", said, permit=Wait(30)),
    )
    async with cluster(node("a"), profiles=with_plugins(*plugins)) as it:
        it.show(pod("web"))
        await it.clock.advance(29)
        assert it.api.events == []
        assert it.scheduler.columns.node_of("uid-web") == "a", "the place is held meanwhile"
        await it.clock.advance(2)
        reason = "rejected due to timeout after waiting 30s at plugin two"
        assert it.api.events == [("FailedScheduling", f"0/1 nodes are available: 1 {reason}.")]
        assert "place: unreserve web" in said


class Selective(Recorder):
    """Keeps pods waiting that are called slow."""

    def permit(self, pod: Pod, node: str) -> str | Wait:
        return Wait(600) if pod.name.startswith("slow") else ""


async def test_waiting_pods_do_not_keep_others_from_being_bound() -> None:
    async with cluster(node("a", allocatable={"pods": "500"}), profiles=with_plugins(Selective("s", []))) as it:
        it.show(*(pod(f"slow-{number}") for number in range(200)))
        await it.settle()
        it.show(pod("quick"))
        await it.settle(lambda: it.api.bound == [("quick", "a")])


async def test_pods_that_are_being_prepared_do_not_keep_others_from_being_bound() -> None:
    class Slow(Preparing):
        def __init__(self) -> None:
            super().__init__("slow", [])
            self.ready = asyncio.Event()

        def prepares(self, pod: Pod, node: str) -> bool:
            return pod.name.startswith("slow")

        async def pre_bind(self, pod: Pod, node: str) -> str:
            await self.ready.wait()
            return ""

    slow = Slow()
    async with cluster(node("a", allocatable={"pods": "500"}), profiles=with_plugins(slow)) as it:
        it.show(*(pod(f"slow-{number}") for number in range(200)))
        await it.settle()
        it.show(pod("quick"))
        await it.settle(lambda: it.api.bound == [("quick", "a")])
        slow.ready.set()
        await it.settle(lambda: len(it.api.bound) == 201)


async def test_a_waiting_pod_can_be_rejected_by_others() -> None:
    seen: list[WaitingPods] = []
    async with cluster(node("a"), profiles=with_plugins(Permitting("p", [], permit=Wait(600)), seen=seen)) as it:
        it.show(pod("web"))
        await it.settle()
        assert seen[0].reject("uid-web", plugin="DefaultPreemption", reason="preempted")
        assert not seen[0].reject("uid-other")
        await it.settle(lambda: it.api.events == [("FailedScheduling", "0/1 nodes are available: 1 preempted.")])
        assert it.scheduler.columns.node_of("uid-web") is None


async def test_a_waiting_pod_that_is_deleted_leaves_nothing() -> None:
    said: list[str] = []
    seen: list[WaitingPods] = []
    plugins = (Reserving("place", said), Permitting("p", said, permit=Wait(600)))
    async with cluster(node("a"), profiles=with_plugins(*plugins, seen=seen)) as it:
        web = pod("web", requests={"cpu": "1"})
        it.show(web)
        await it.settle()
        it.gone(web)
        await it.settle(lambda: said[-1] == "place: unreserve web")
        assert it.scheduler.columns.requested.sum() == 0
        assert len(seen[0]) == 0
        assert it.api.events == []


async def test_a_gang_is_bound_together() -> None:
    """What permit is for: each waits until the last one has a place."""

    class Gang:
        name = "Gang"

        def __init__(self, waiting: WaitingPods) -> None:
            self._waiting = waiting

        def permit(self, pod: Pod, node: str) -> str | Wait:
            others = list(self._waiting)
            if len(others) < 2:
                return Wait(60)
            for other in others:
                other.allow(self.name)
            return ""

    def profiles(handle: Handle) -> Mapping[str, Profile]:
        return with_plugins(Gang(handle.waiting))(handle)

    async with cluster(node("a"), profiles=profiles) as it:
        it.show(pod("one"), pod("two"))
        await it.settle()
        assert it.api.bound == []
        it.show(pod("three"))
        await it.settle(lambda: {name for name, _ in it.api.bound} == {"one", "two", "three"})


async def test_nobody_is_looked_for_in_the_queue_while_more_bindings_wait_than_may() -> None:
    """Pods whose preparations end all at once may exceed what is let in otherwise."""

    class Slow:
        name = "Slow"

        def __init__(self) -> None:
            self.prepared = asyncio.Event()
            self.bindings = asyncio.Semaphore(0)

        def prepares(self, pod: Pod, node: str) -> bool:
            return True

        async def pre_bind(self, pod: Pod, node: str) -> str:
            await self.prepared.wait()
            return ""

        async def bind(self, pod: Pod, node: str) -> bool:
            await self.bindings.acquire()
            return True

    slow = Slow()
    async with cluster(node("a", allocatable={"pods": "500"}), profiles=with_plugins(slow)) as it:
        it.show(*(pod() for _ in range(200)))
        await it.settle()
        slow.prepared.set()
        await it.settle()
        it.show(pod("late"))
        slow.bindings.release()
        await it.settle(lambda: it.scheduler.queue.place_of("uid-late") is Place.ACTIVE)
        turns = 0
        pop = it.scheduler.queue.pop

        def counted(limit: int) -> list[Waiting]:
            nonlocal turns
            turns += 1
            return pop(limit)

        it.scheduler.queue.pop = counted  # type: ignore[method-assign]
        await it.settle()
        assert turns == 0
        for _ in range(200):
            slow.bindings.release()
        await it.settle(lambda: len(it.scheduler.queue) == 0)


async def test_a_permit_that_makes_no_sense_is_undone_too() -> None:
    said: list[str] = []
    plugins = (Reserving("place", said), Permitting("p", said, permit=Wait(None)))  # type: ignore[arg-type]
    async with cluster(node("a"), profiles=with_plugins(*plugins)) as it:
        it.show(pod("web"))
        await it.settle(lambda: it.api.events)
        assert said[-1] == "place: unreserve web"
        assert it.scheduler.columns.node_of("uid-web") is None


async def test_old_news_of_a_promise_do_not_promise_a_second_place_to_a_pod_that_has_one() -> None:
    seen: list[WaitingPods] = []
    profiles = with_plugins(Selective("s", []), seen=seen)
    async with cluster(node("a", allocatable={"cpu": "2"}), profiles=profiles) as it:
        it.show(pod("slow", requests={"cpu": "1"}))
        await it.settle(lambda: it.scheduler.columns.node_of("uid-slow") == "a")
        it.show(pod("slow", requests={"cpu": "1"}, nominated="a"))
        it.show(pod("other", requests={"cpu": "1"}))
        await it.settle(lambda: it.api.bound == [("other", "a")])
