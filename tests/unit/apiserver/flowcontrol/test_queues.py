"""Fair queuing on a virtual clock: no seat too many, none idle for nothing, nobody starves, shares are even."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.apiserver.flowcontrol.queues import FairQueues, Waiting


@dataclass(frozen=True)
class Arrival:
    """A request of a simulation. Its flow may use one queue only, that of the same number."""

    time: float
    flow: int
    seats: int = 1
    duration: float = 0.01


class Simulation:
    """One level: queues, seats, and a clock that jumps from event to event."""

    def __init__(self, *, queues: int, limit: int, length: int = 10_000) -> None:
        self.now = 0.0
        self.limit = limit
        self.queues: FairQueues[Arrival] = FairQueues(queues, length=length, now=0.0)
        self.in_use = 0
        self.served: dict[int, float] = defaultdict(float)
        self.waited: dict[Arrival, float] = {}
        self.refused: list[Arrival] = []
        self.ending: list[tuple[float, int, Waiting[Arrival]]] = []
        self._order = itertools.count()

    def run(self, arrivals: Sequence[Arrival], *, until: float = float("inf")) -> None:
        """Let them come, and serve until all are done or the time has come."""
        coming = sorted(arrivals, key=lambda arrival: arrival.time)
        index = 0
        while index < len(coming) or self.ending:
            ends = self.ending[0][0] if self.ending else float("inf")
            comes = coming[index].time if index < len(coming) else float("inf")
            if min(ends, comes) > until:
                break
            self.now = min(ends, comes)
            self.queues.advance(self.now, limit=self.limit)
            if ends <= comes:
                self.end(heapq.heappop(self.ending)[2])
            else:
                arrival = coming[index]
                index += 1
                if self.queues.add(arrival, seats=arrival.seats, hand=[arrival.flow], now=self.now) is None:
                    self.refused.append(arrival)
            self.dispatch()
            self.check()

    def fits(self, seats: int) -> bool:
        return self.in_use + seats <= self.limit or (seats > self.limit and not self.in_use)

    def dispatch(self) -> None:
        while (request := self.queues.next()) is not None and self.fits(request.seats):
            self.queues.begin(request, now=self.now)
            self.in_use += request.seats
            self.waited[request.owner] = self.now - request.owner.time
            heapq.heappush(self.ending, (self.now + request.owner.duration, next(self._order), request))

    def end(self, request: Waiting[Arrival]) -> None:
        self.queues.end(request, now=self.now)
        self.in_use -= request.seats
        self.served[request.owner.flow] += request.seats * request.owner.duration

    def check(self) -> None:
        assert self.in_use <= self.limit or len(self.ending) == 1
        following = self.queues.next()
        assert following is None or not self.fits(following.seats), "a seat is free for who is next"
        assert self.queues.waiting == sum(len(queue.waiting) for queue in self.queues)
        assert self.queues.wanted == sum(r.seats for queue in self.queues for r in queue.waiting)


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        time=st.floats(0, 1),
        flow=st.integers(0, 3),
        seats=st.integers(1, 6),
        duration=st.floats(0.0001, 0.5),
    ),
    max_size=60,
    unique=True,
)


@settings(deadline=None)
@given(arrivals=ARRIVALS, limit=st.integers(1, 8), length=st.integers(1, 20))
def test_limits_hold_and_everyone_who_waits_is_served(arrivals: list[Arrival], limit: int, length: int) -> None:
    simulation = Simulation(queues=4, limit=limit, length=length)
    simulation.run(arrivals)
    assert set(simulation.waited) | set(simulation.refused) == set(arrivals)
    assert simulation.in_use == simulation.queues.waiting == 0
    if len(arrivals) <= length:
        assert simulation.refused == []


@settings(max_examples=30, deadline=None)
@given(
    seats=st.lists(st.integers(1, 4), min_size=2, max_size=5),
    durations=st.data(),
    limit=st.integers(4, 12),
)
def test_flows_that_always_want_more_have_equal_shares(seats: list[int], durations: st.DataObject, limit: int) -> None:
    lengths = [durations.draw(st.floats(0.005, 0.05)) for _ in seats]
    simulation = Simulation(queues=len(seats), limit=limit)
    arrivals = [
        Arrival(time=number * 1e-9, flow=flow, seats=width, duration=lengths[flow])
        for flow, width in enumerate(seats)
        for number in range(int(2 * limit / (width * lengths[flow])))
    ]
    simulation.run(arrivals, until=1.0)
    assert all(queue.waiting for queue in simulation.queues), "the simulation must end while all still want more"
    # A queue is told of a wrong guess when a request ends: until then it may have all seats with requests of the kind.
    slack = 2 * (limit + max(seats)) * (max(lengths) + 0.003)
    shares = [simulation.served[flow] for flow in range(len(seats))]
    assert max(shares) - min(shares) <= slack
    assert sum(shares) >= 0.5 * limit - slack


@settings(max_examples=20, deadline=None)
@given(flood=st.integers(50, 400), limit=st.integers(1, 6))
def test_a_request_waits_no_longer_for_a_longer_queue_of_others(flood: int, limit: int) -> None:
    simulation = Simulation(queues=2, limit=limit)
    quiet = Arrival(time=0.005, flow=1)
    simulation.run([Arrival(time=n * 1e-9, flow=0) for n in range(flood)] + [quiet])
    assert simulation.waited[quiet] <= 3 * 0.01


def test_what_was_not_asked_for_is_no_credit() -> None:
    simulation = Simulation(queues=2, limit=1)
    simulation.run(
        [Arrival(time=n * 1e-9, flow=0) for n in range(300)]
        + [Arrival(time=1.0 + n * 1e-9, flow=1) for n in range(100)],
        until=2.0,
    )
    # The second flow came a second later: from then on both have had half, not the latecomer all.
    assert abs(simulation.served[0] - 1.5) < 0.1
    assert abs(simulation.served[1] - 0.5) < 0.1


def test_a_flow_goes_to_the_emptiest_queue_of_its_hand() -> None:
    queues: FairQueues[int] = FairQueues(4, length=2, now=0.0)
    placed = [queues.add(n, seats=1, hand=[0, 1, 3], now=0.0) for n in range(6)]
    assert Counter(request.queue.index for request in placed if request is not None) == {0: 2, 1: 2, 3: 2}
    assert queues.add(6, seats=1, hand=[0, 1, 3], now=0.0) is None
    assert queues.add(7, seats=1, hand=[0, 1, 2], now=0.0) is not None


def test_who_gives_up_waits_no_more() -> None:
    queues: FairQueues[str] = FairQueues(1, length=5, now=0.0)
    first, second = (queues.add(name, seats=2, hand=[0], now=0.0) for name in ("first", "second"))
    assert first is not None
    assert second is not None
    assert queues.next() is first
    queues.withdraw(first)
    assert queues.next() is second
    queues.withdraw(second)
    assert queues.next() is None
    assert queues.waiting == queues.wanted == 0


def test_fewer_queues_serve_what_they_have() -> None:
    queues: FairQueues[int] = FairQueues(3, length=5, now=0.0)
    last = queues.add(1, seats=1, hand=[2], now=0.0)
    assert last is not None
    queues.resize(1, length=5)
    assert len(list(queues)) == 3
    assert queues.next() is last
    queues.begin(last, now=0.0)
    queues.end(last, now=1.0)
    assert len(list(queues)) == 1
    queues.resize(2, length=5)
    assert queues.add(2, seats=1, hand=[1], now=0.0) is not None
