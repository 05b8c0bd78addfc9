"""Fair queuing for requests: who of those that wait goes next. Pure: time is an argument, seats are counted elsewhere.

Each queue is served as if all that are busy shared the seats evenly, moment by moment. R is how many seat-seconds each
busy queue has had since the beginning; it grows with the seats in use divided by the busy queues. A queue remembers at
which R its next request would begin (`starts`): now, if it was idle, else when the work before it is done. Whichever
request would end first at that pace goes next. The work of a request is its seats times a guess of its duration; when
it ends, the guess is corrected by what it took.

What began while nobody waited is in no queue: it took nothing from anyone.

Source: KEP-1040, "Fair Queuing for Server Requests"; Demers, Keshav, Shenker 1989; Kubernetes' apiserver,
util/flowcontrol/fairqueuing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

GUESS = 0.003
"""Seconds that a request is thought to take before it has been seen to end."""

Owner = TypeVar("Owner")


class Waiting(Generic[Owner]):
    """A request in a queue, or one that came out of it and is served. `owner` is whatever the caller keeps with it."""

    __slots__ = ("arrived", "arrived_at", "began", "owner", "queue", "seats")

    def __init__(self, owner: Owner, *, seats: int, queue: Queue[Owner], arrived: float, arrived_at: float) -> None:
        self.owner = owner
        self.seats = seats
        self.queue = queue
        self.arrived = arrived
        """When it came, in seconds."""
        self.arrived_at = arrived_at
        """When it came, as R."""
        self.began = 0.0

    @property
    def work(self) -> float:
        """Seat-seconds that it is thought to take."""
        return self.seats * GUESS


class Queue(Generic[Owner]):
    """One queue, in order of arrival."""

    __slots__ = ("executing", "index", "seats", "starts", "waiting", "wanted")

    def __init__(self, index: int) -> None:
        self.index = index
        self.waiting: dict[Waiting[Owner], None] = {}
        self.wanted = 0
        """Seats of those that wait."""
        self.executing: dict[Waiting[Owner], None] = {}
        self.seats = 0
        """Seats of those that are served."""
        self.starts = 0.0
        """R at which its next request begins, in the ideal."""

    @property
    def busy(self) -> bool:
        """Whether anything waits or is served."""
        return bool(self.waiting or self.executing)

    @property
    def first(self) -> Waiting[Owner]:
        """Who waits longest. There must be one."""
        return next(iter(self.waiting))


class FairQueues(Generic[Owner]):
    """The queues of one priority level."""

    def __init__(self, count: int, *, length: int, now: float) -> None:
        self.length = length
        """How many may wait in one queue."""
        self.waiting = 0
        self.wanted = 0
        """Seats of all that wait."""
        self.progress = 0.0
        """R."""
        self._moment = now
        self._busy = 0
        self._asked = 0
        """Seats of all that wait or are served."""
        self._occupied: dict[Queue[Owner], None] = {}
        """Queues in which someone waits; who was served last is last."""
        self._enqueued = 0
        self._queues: list[Queue[Owner]] = []
        self.resize(count, length=length)

    def __iter__(self) -> Iterator[Queue[Owner]]:
        return iter(self._queues)

    def resize(self, count: int, *, length: int) -> None:
        """Have more or fewer queues. Those that are too many stay until they are empty; no hand may hold them."""
        self.length = length
        self._count = count
        while len(self._queues) < count:
            self._queues.append(Queue(len(self._queues)))
        self._trim()

    def _trim(self) -> None:
        while len(self._queues) > self._count and not self._queues[-1].busy:
            self._queues.pop()

    def advance(self, now: float, *, limit: int) -> None:
        """Bring R up to this moment. `limit` is how many seats there were since the last call."""
        if self._busy:
            self.progress += (now - self._moment) * min(self._asked, limit) / self._busy
        self._moment = now

    def add(self, owner: Owner, *, seats: int, hand: Sequence[int], now: float) -> Waiting[Owner] | None:
        """Let a request wait in the emptiest queue of its hand; None if that is full. Call `advance` first."""
        start = self._enqueued % len(hand)
        self._enqueued += 1
        # The first of equals wins, and each time another is first: flows whose hands overlap get no advantage by order.
        queue = min((self._queues[index] for index in (*hand[start:], *hand[:start])), key=_wanted)
        if len(queue.waiting) >= self.length:
            return None
        if not queue.busy:
            queue.starts = self.progress
            self._busy += 1
        request = Waiting(owner, seats=seats, queue=queue, arrived=now, arrived_at=self.progress)
        queue.waiting[request] = None
        queue.wanted += seats
        self.waiting += 1
        self.wanted += seats
        self._asked += seats
        self._occupied[queue] = None
        return request

    def next(self) -> Waiting[Owner] | None:
        """Who goes next, None if nobody waits. It still waits. Call `advance` first."""
        if not self._occupied:
            return None
        return min(self._occupied, key=_ends).first

    def begin(self, request: Waiting[Owner], *, now: float) -> None:
        """A request leaves its queue and is served."""
        queue = request.queue
        self._leave(request)
        request.began = now
        queue.executing[request] = None
        queue.seats += request.seats
        queue.starts += request.work
        self._asked += request.seats
        if queue.waiting:
            self._occupied[queue] = self._occupied.pop(queue, None)
        self._hold(queue)

    def withdraw(self, request: Waiting[Owner]) -> None:
        """A request waits no longer and will not be served. Call `advance` first."""
        queue = request.queue
        self._leave(request)
        self._hold(queue)
        self._rest(queue)

    def end(self, request: Waiting[Owner], *, now: float) -> None:
        """A request was served. Call `advance` first."""
        queue = request.queue
        del queue.executing[request]
        queue.seats -= request.seats
        self._asked -= request.seats
        queue.starts -= request.seats * (GUESS - (now - request.began))
        self._hold(queue)
        self._rest(queue)

    def _leave(self, request: Waiting[Owner]) -> None:
        queue = request.queue
        del queue.waiting[request]
        queue.wanted -= request.seats
        self.waiting -= 1
        self.wanted -= request.seats
        self._asked -= request.seats
        if not queue.waiting:
            del self._occupied[queue]

    def _hold(self, queue: Queue[Owner]) -> None:
        """Nothing begins before it came: a queue gathers no credit for what it did not ask for."""
        if queue.waiting:
            queue.starts = max(queue.starts, queue.first.arrived_at)

    def _rest(self, queue: Queue[Owner]) -> None:
        if not queue.busy:
            self._busy -= 1
            self._trim()


def _wanted(queue: Queue[Owner]) -> int:
    return queue.wanted


def _ends(queue: Queue[Owner]) -> float:
    return queue.starts + queue.first.work
