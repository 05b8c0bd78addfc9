import asyncio

import pytest

from k8slite.clock import VirtualClock
from k8slite.controller import DONE, Controller, Result


async def running(controller):
    task = asyncio.create_task(controller.run())
    await asyncio.sleep(0)
    return task


async def stop(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_failure_is_tried_again_later():
    clock = VirtualClock()
    tries = []

    async def sync(key):
        tries.append(key)
        if len(tries) < 3:
            raise RuntimeError("not yet")
        return DONE

    controller = Controller("test", sync, clock=clock)
    task = await running(controller)
    controller.queue.add("a")
    await clock.advance(1)
    assert tries == ["a", "a", "a"]
    await stop(task)


async def test_requeue_after_comes_again_at_that_time():
    clock = VirtualClock()
    seen = []

    async def sync(key):
        seen.append(clock.monotonic())
        return Result(requeue_after=30)

    controller = Controller("test", sync, clock=clock)
    task = await running(controller)
    controller.queue.add("a")
    await clock.advance(61)
    assert seen == [0, 30, 60]
    await stop(task)


async def test_one_key_is_never_worked_on_twice_at_once():
    clock = VirtualClock()
    active = peak = 0

    async def sync(key):
        nonlocal active, peak
        active += 1
        peak = max(peak, active)
        await clock.sleep(1)
        active -= 1
        return DONE

    controller = Controller("test", sync, clock=clock, workers=4)
    task = await running(controller)
    for _ in range(5):
        controller.queue.add("a")
        await clock.advance(0.3)
    await clock.advance(5)
    assert peak == 1
    await stop(task)


async def test_stopping_lets_a_sync_finish():
    clock = VirtualClock()
    finished = []

    async def sync(key):
        await clock.sleep(2)
        finished.append(key)
        return DONE

    controller = Controller("test", sync, clock=clock)
    task = await running(controller)
    controller.queue.add("a")
    await clock.advance(1)
    task.cancel()
    await clock.advance(2)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert finished == ["a"]


async def test_stopping_does_not_wait_for_ever():
    clock = VirtualClock()

    async def sync(key):
        await clock.sleep(1000)
        return DONE

    controller = Controller("test", sync, clock=clock)
    task = await running(controller)
    controller.queue.add("a")
    await clock.advance(1)
    task.cancel()
    await clock.advance(6)
    with pytest.raises(asyncio.CancelledError):
        await task
