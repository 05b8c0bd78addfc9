"""Plugins that raise: the pod's attempt fails and says whose fault it was, and the scheduler goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pytest

from k8slite.scheduler.change import Change
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.framework import Handle, Plugin, Reads
from k8slite.scheduler.journal import Rows
from k8slite.scheduler.labels import Mask
from k8slite.scheduler.node_by_node import NodeByNode, NodeInfo
from k8slite.scheduler.plugins import REGISTRY
from k8slite.scheduler.profile import Point, Profile, assemble, implements
from k8slite.scheduler.queue import Place
from k8slite.scheduler.shape import Shape
from k8slite.scheduler.view import Pod

from .builders import node, pod, put, shape
from .running import cluster


def also(make: Callable[[Handle], Plugin]) -> Callable[[Handle], Mapping[str, Profile]]:
    """The default profile and one more plugin, wherever it can stand."""

    def profiles(handle: Handle) -> Mapping[str, Profile]:
        plugins = [*(factory(handle, {}) for factory in REGISTRY.values()), make(handle)]
        places = {point: [plugin for plugin in plugins if implements(plugin, point)] for point in Point}
        places[Point.BIND].reverse()
        return {"default-scheduler": assemble(places)}

    return profiles


def check(asked: Pod) -> None:
    if asked.name == "bad":
        raise KeyError("colour")


class Vetoing:
    name = "Broken"
    cures = Change.NOTHING

    def pre_filter(self, pod: Pod, columns: Columns) -> str:
        check(pod)
        return ""


class Reserving:
    name = "Broken"

    def reserve(self, pod: Pod, node: str) -> str:
        check(pod)
        return ""

    def unreserve(self, pod: Pod, node: str) -> None:
        check(pod)


class Permitting:
    name = "Broken"

    def permit(self, pod: Pod, node: str) -> str:
        check(pod)
        return ""


class Asking:
    name = "Broken"

    def prepares(self, pod: Pod, node: str) -> bool:
        check(pod)
        return False

    async def pre_bind(self, pod: Pod, node: str) -> str:
        return ""


class Preparing(Asking):
    def prepares(self, pod: Pod, node: str) -> bool:
        return True

    async def pre_bind(self, pod: Pod, node: str) -> str:
        check(pod)
        return ""


class Binding:
    name = "Broken"

    async def bind(self, pod: Pod, node: str) -> bool:
        check(pod)
        return False


class Filtering:
    name = "Broken"
    cures = Change.NOTHING

    def concerns_pod(self, pod: Pod) -> bool:
        return True

    def filter_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        check(pod)
        return np.ones(rows.size, dtype=np.bool_)

    def explain_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        return Counter()


WORDS: list[tuple[type[Plugin], str]] = [
    (Vetoing, 'running PreFilter plugin "Broken"'),
    (Filtering, 'running "Broken" filter plugin'),
    (Reserving, 'running Reserve plugin "Broken"'),
    (Permitting, 'running Permit plugin "Broken"'),
    (Asking, 'running PreBind plugin "Broken"'),
    (Preparing, 'running PreBind plugin "Broken"'),
    (Binding, 'running Bind plugin "Broken"'),
]


@pytest.mark.parametrize(("make", "words"), WORDS, ids=[make.__name__ for make, _ in WORDS])
async def test_a_plugin_that_raises_fails_the_attempt_of_its_pod_only(make: type[Plugin], words: str) -> None:
    async with cluster(node("a"), profiles=also(lambda handle: make())) as it:
        it.show(pod("bad", requests={"cpu": "1"}), pod("good"))
        await it.settle(lambda: ("good", "a") in it.api.bound)
        assert ("FailedScheduling", f"{words}: KeyError: 'colour'") in it.api.events
        assert it.scheduler.columns.node_of("uid-bad") is None
        assert "uid-bad" in it.scheduler.queue
        await it.clock.advance(30)
        assert "uid-bad" in it.scheduler.queue, "it is tried again and again"
        assert [name for name, _ in it.api.bound] == ["good"]


class Picky(NodeByNode):
    name = "Picky"

    def filter_node(self, pod: Pod, node: NodeInfo) -> str:
        if pod.name == "bad":
            raise ZeroDivisionError("no nodes")
        return ""


class Boastful(NodeByNode):
    name = "Boastful"

    def score_node(self, pod: Pod, node: NodeInfo) -> int:
        return 101 if pod.name == "bad" else 100


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Picky, 'running "Picky" filter plugin: ZeroDivisionError: no nodes'),
        (
            Boastful,
            'running Score plugins: plugin "Boastful" failed with: ValueError: '
            "an invalid score 101, it should be in the range of [0, 100] after normalizing",
        ),
    ],
)
async def test_plugins_that_go_node_by_node_are_blamed_too(make: Callable[[], Plugin], reason: str) -> None:
    async with cluster(node("a"), profiles=also(lambda handle: make())) as it:
        it.show(pod("bad"), pod("good"))
        await it.settle(lambda: ("good", "a") in it.api.bound)
        assert ("FailedScheduling", reason) in it.api.events


async def test_after_a_failure_the_pod_is_tried_again_with_a_back_off() -> None:
    class Sometimes(NodeByNode):
        name = "Sometimes"
        asked = 0

        def filter_node(self, pod: Pod, node: NodeInfo) -> str:
            self.asked += 1
            if self.asked == 1:
                raise RuntimeError("not ready yet")
            return ""

    async with cluster(node("a"), profiles=also(lambda handle: Sometimes())) as it:
        it.show(pod("web"))
        await it.settle(lambda: it.api.events)
        assert it.api.bound == []
        await it.clock.advance(2)
        assert it.api.bound == [("web", "a")]


async def test_a_filter_that_breaks_over_those_who_wait_does_not_undo_what_was_decided() -> None:
    class Jealous:
        name = "Jealous"
        reads = Reads.USAGE
        cures = Change.NOTHING

        def concerns(self, shape: Shape) -> bool:
            return True

        def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
            if columns.pod_count:
                raise RuntimeError("not the only one")
            return np.ones(columns.live[rows].size, dtype=np.bool_)

        def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
            return Counter()

    async with cluster(node("a", allocatable={"cpu": "1"}), profiles=also(lambda handle: Jealous())) as it:
        it.show(*(pod(f"p{number}", requests={"cpu": "2"}) for number in range(3)))
        await it.settle(lambda: len(it.api.conditions) == 3)
        it.scheduler.on_node(None, node("b", allocatable={"cpu": "8"}))
        await it.clock.advance(11)
        assert it.api.bound == [("p0", "b")]


async def test_what_is_heard_after_the_binding_breaks_nothing() -> None:
    class Listener:
        name = "Listener"
        heard: list[str] = []

        def post_bind(self, pod: Pod, node: str) -> None:
            self.heard.append(pod.name)
            raise RuntimeError("deaf")

    async with cluster(node("a"), profiles=also(lambda handle: Listener())) as it:
        it.show(pod("one"), pod("two"))
        await it.settle(lambda: sorted(it.api.bound) == [("one", "a"), ("two", "a")])
        assert sorted(Listener.heard) == ["one", "two"]
        assert len(it.scheduler.queue) == 0


async def test_a_gate_that_breaks_stays_shut_until_something_happens() -> None:
    class Gate:
        name = "Gate"
        broken = True

        def admits(self, pod: Pod) -> bool:
            if self.broken:
                raise RuntimeError("stuck")
            return True

    gate = Gate()
    async with cluster(node("a"), profiles=also(lambda handle: gate)) as it:
        it.show(pod("web"))
        await it.settle()
        assert it.scheduler.queue.place_of("uid-web") is Place.GATED
        gate.broken = False
        it.scheduler.on_node(None, node("b"))
        await it.settle(lambda: len(it.api.bound) == 1)


async def test_a_queue_that_cannot_be_sorted_is_worked_on_all_the_same() -> None:
    class Sort:
        name = "Sort"

        def sort_key(self, pod: Pod) -> int:
            raise RuntimeError("out of sorts")

    def profiles(handle: Handle) -> Mapping[str, Profile]:
        places: dict[Point, list[Plugin]] = {Point.BIND: [REGISTRY["DefaultBinder"](handle, {})]}
        return {"default-scheduler": assemble({**places, Point.QUEUE_SORT: [Sort()]})}

    async with cluster(node("a"), profiles=profiles) as it:
        it.show(pod("one"), pod("two"))
        await it.settle(lambda: len(it.api.bound) == 2)


async def test_work_of_its_own_that_breaks_is_begun_anew() -> None:
    class Worker:
        name = "Worker"
        runs = 0

        async def run(self) -> None:
            type(self).runs += 1
            raise RuntimeError("tired")

    def make(handle: Handle) -> Plugin:
        worker = Worker()
        worker.permit = lambda pod, node: ""  # type: ignore[attr-defined]
        return worker

    async with cluster(node("a"), profiles=also(make)) as it:
        it.show(pod("web"))
        await it.clock.advance(25)
        assert it.api.bound == [("web", "a")]
        assert Worker.runs == 3


def test_a_column_of_another_package_that_breaks_leaves_the_others_in_step() -> None:
    class Fragile:
        def __init__(self) -> None:
            self.pods = 0

        def set_node(self, row: int, node: object) -> Change:
            raise RuntimeError("no such row")

        def account(self, placed: object, sign: int) -> None:
            self.pods += sign
            raise RuntimeError("no such pod")

        def grow(self, capacity: int) -> None:
            pass

    class Sturdy(Fragile):
        def account(self, placed: object, sign: int) -> None:
            self.pods += sign

        def set_node(self, row: int, node: object) -> Change:
            return Change.OTHER

    state = Columns()
    fragile, sturdy = state.of(Fragile), state.of(Sturdy)
    assert Change.OTHER in state.set_node(node("a")).change
    put(state, "x", shape(requests={"cpu": "1"}), "a")
    assert (fragile.pods, sturdy.pods) == (1, 1)
    state.remove("x")
    assert (fragile.pods, sturdy.pods) == (0, 0)
    assert state.requested.sum() == 0
