import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.clock import VirtualClock
from k8slite.workqueue import WorkQueue


async def test_a_key_waits_once():
    queue = WorkQueue(clock=VirtualClock())
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]


async def test_a_key_added_while_worked_on_comes_again_only_after():
    queue = WorkQueue(clock=VirtualClock())
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_the_earliest_delay_wins():
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    queue.add_after("a", 10)
    queue.add_after("a", 2)
    queue.add_after("a", 5)
    await clock.advance(1.9)
    assert len(queue) == 0
    await clock.advance(0.2)
    assert await queue.get() == "a"
    queue.done("a")
    await clock.advance(20)
    assert len(queue) == 0


async def test_failures_double_the_delay_up_to_the_limit_and_success_resets_it():
    clock = VirtualClock()
    queue = WorkQueue(clock=clock, base_delay=1, max_delay=5)
    for delay in (1, 2, 4, 5, 5):
        queue.add_rate_limited("a")
        await clock.advance(delay - 0.1)
        assert len(queue) == 0
        await clock.advance(0.2)
        assert await queue.get() == "a"
        queue.done("a")
    queue.forget("a")
    queue.add_rate_limited("a")
    await clock.advance(1.1)
    assert len(queue) == 1


async def test_a_cancelled_worker_passes_its_key_on():
    queue = WorkQueue(clock=VirtualClock())
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await second == "a"


async def test_close_drops_delays():
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    queue.add_after("a", 1)
    queue.close()
    await clock.advance(2)
    assert len(queue) == 0


async def test_what_is_dropped_does_not_come_later_and_takes_no_room():
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    for number in range(10_000):
        queue.add_after(str(number), 1000 + number)
        queue.drop(str(number))
    assert len(queue._heap) < 100  # nobody else can tell
    queue.add_after("a", 5)
    queue.drop("a")
    queue.add_after("a", 7)
    await clock.advance(6)
    assert len(queue) == 0
    await clock.advance(2)
    assert await queue.get() == "a"
    queue.done("a")
    await clock.advance(20_000)
    assert len(queue) == 0


async def test_a_burst_is_seen_to_at_once_and_then_once_more():
    clock = VirtualClock()
    queue = WorkQueue(clock=clock, rest=2)
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.done("a")
    assert len(queue) == 0
    await clock.advance(1)
    queue.add("a")
    queue.add("b")
    assert await queue.get() == "b"
    assert len(queue) == 0
    await clock.advance(1.1)
    assert await queue.get() == "a"
    queue.done("a")
    await clock.advance(10)
    assert len(queue) == 0
    queue.add("a")
    assert len(queue) == 1
    queue.close()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "later", "fail", "get", "done", "time"]), st.integers(0, 3))),
    st.sampled_from([0.0, 2.5]),
)
async def test_nothing_is_lost_and_nothing_is_worked_on_twice_at_once(moves, rest):
    clock = VirtualClock()
    queue = WorkQueue(clock=clock, rest=rest)
    done_at: dict[str, float] = {}
    working: list[str] = []
    owed: set[str] = set()
    for move, number in moves:
        key = str(number)
        if move in ("add", "later", "fail"):
            owed.add(key)
            {"add": queue.add, "later": lambda k: queue.add_after(k, 3), "fail": queue.add_rate_limited}[move](key)
        elif move == "get" and len(queue):
            got = await queue.get()
            assert got not in working
            assert clock.monotonic() - done_at.get(got, -10) >= rest
            working.append(got)
            owed.discard(got)
        elif move == "done" and working:
            finished = working.pop(number % len(working))
            queue.done(finished)
            done_at[finished] = clock.monotonic()
        else:
            await clock.advance(1)
    for key in working:
        queue.done(key)
    await clock.advance(100)
    while len(queue):
        key = await queue.get()
        owed.discard(key)
        queue.done(key)
    assert owed == set()
    queue.close()
