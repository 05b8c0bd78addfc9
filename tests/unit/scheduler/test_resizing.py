"""Pods that are resized where they run: their room is given away when they have let go of it, and not before."""

from __future__ import annotations

from typing import Any

from k8slite.scheduler.view import Pod

from .builders import node, pod
from .running import cluster


def running(cpu: str, *, granted: str, infeasible: bool = False) -> Pod:
    """A pod that asks for an amount, of which the kubelet says what it was granted and has."""
    status: dict[str, Any] = {
        "phase": "Running",
        "containerStatuses": [
            {"name": "c", "allocatedResources": {"cpu": granted}, "resources": {"requests": {"cpu": granted}}}
        ],
    }
    if infeasible:
        status["conditions"] = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]
    asking = pod("resized", requests={"cpu": cpu}, nodeName="n")
    return Pod.model_validate(asking.model_dump(by_alias=True) | {"status": status})


async def test_room_is_free_when_the_kubelet_says_so() -> None:
    async with cluster(node("n")) as state:
        state.show(running("3", granted="3"))
        state.show(pod("waiting", requests={"cpu": "2"}))
        await state.settle(lambda: state.api.conditions)
        state.show(running("1", granted="3"))
        await state.settle(lambda: not state.api.bound)
        await state.clock.advance(20)
        state.show(running("1", granted="1"))
        await state.settle(lambda: state.api.bound == [("waiting", "n")])


async def test_a_pod_that_grows_has_its_room_at_once() -> None:
    async with cluster(node("n")) as state:
        state.show(running("1", granted="1"))
        state.show(running("3", granted="1"))
        state.show(pod("waiting", requests={"cpu": "2"}))
        await state.settle(lambda: state.api.conditions)
        assert not state.api.bound


async def test_what_can_never_be_granted_takes_no_room() -> None:
    async with cluster(node("n")) as state:
        state.show(running("9", granted="1", infeasible=True))
        state.show(pod("waiting", requests={"cpu": "2"}))
        await state.settle(lambda: state.api.bound == [("waiting", "n")])


async def test_a_pod_that_asks_for_less_while_it_waits_is_tried_again() -> None:
    async with cluster(node("n")) as state:
        state.show(pod("waiting", uid="w", requests={"cpu": "5"}))
        await state.settle(lambda: state.api.conditions)
        state.show(pod("waiting", uid="w", requests={"cpu": "3"}))
        await state.clock.advance(2)
        await state.settle(lambda: state.api.bound == [("waiting", "n")])


async def test_a_pod_that_learns_to_tolerate_is_tried_again() -> None:
    async with cluster(node("n", taints=["a=b:NoSchedule"])) as state:
        state.show(pod("waiting", uid="w"))
        await state.settle(lambda: state.api.conditions)
        state.show(pod("waiting", uid="w", tolerations=[{"key": "a", "operator": "Exists"}]))
        await state.clock.advance(2)
        await state.settle(lambda: state.api.bound == [("waiting", "n")])
