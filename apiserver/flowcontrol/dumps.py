"""Flow control as people see it: levels, queues and requests as tables of comma-separated values.

Source: Kubernetes' apiserver, util/flowcontrol/apf_controller_debug.go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from .control import FlowControl
from .levels import Level, Ticket

PATH = "/debug/api_priority_and_fairness/"
_LEVELS = (
    "PriorityLevelName",
    "ActiveQueues",
    "IsIdle",
    "IsQuiescing",
    "WaitingRequests",
    "ExecutingRequests",
    "DispatchedRequests",
    "RejectedRequests",
    "TimedoutRequests",
    "CancelledRequests",
)
_QUEUES = (
    "PriorityLevelName",
    "Index",
    "PendingRequests",
    "ExecutingRequests",
    "SeatsInUse",
    "NextDispatchR",
    "InitialSeatsSum",
    "MaxSeatsSum",
    "TotalWorkSum",
)
_REQUESTS = (
    "PriorityLevelName",
    "FlowSchemaName",
    "QueueIndex",
    "RequestIndexInQueue",
    "FlowDistingsher",  # as Kubernetes spells it
    "ArriveTime",
    "InitialSeats",
    "FinalSeats",
    "AdditionalLatency",
    "StartTime",
)


def priority_levels(flow: FlowControl) -> str:
    """A row for each level."""
    return _table(_LEVELS, (_level(flow, level) for level in _sorted(flow)))


def queues(flow: FlowControl) -> str:
    """A row for each queue."""
    rows = (
        (
            level.name,
            queue.index,
            len(queue.waiting),
            len(queue.executing),
            queue.seats,
            _seat_seconds(queue.starts),
            queue.wanted,
            queue.wanted,
            _seat_seconds(sum(request.work for request in queue.waiting)),
        )
        for level in _sorted(flow)
        for queue in level.queues
    )
    return _table(_QUEUES, rows)


def requests(flow: FlowControl, *, now: datetime) -> str:
    """A row for each request that waits, or is served after it has waited or on more than one seat."""

    def moment(seconds: float) -> str:
        if not seconds:
            return "0001-01-01T00:00:00Z"
        return (now - timedelta(seconds=time.monotonic() - seconds)).isoformat().replace("+00:00", "Z")

    return _table(_REQUESTS, (row for level in _sorted(flow) for row in _requests(level, moment)))


def _requests(level: Level, moment: Callable[[float], str]) -> Iterator[Sequence[object]]:
    def row(ticket: Ticket, queue: int, index: int) -> Sequence[object]:
        return (
            level.name,
            ticket.flow.tally.schema,
            queue,
            index,
            ticket.flow.distinguisher,
            moment(ticket.arrived),
            ticket.seats,
            0,
            "0s",
            moment(ticket.began),
        )

    for queue in level.queues:
        for index, request in enumerate(queue.waiting):
            yield row(request.owner, queue.index, index)
    for ticket in level.tickets:
        yield row(ticket, ticket.request.queue.index if ticket.request is not None else -1, -1)


def _level(flow: FlowControl, level: Level) -> Sequence[object]:
    tallies = [tally for tally in flow.tallies.values() if tally.level == level.name]
    return (
        level.name,
        sum(bool(queue.waiting) for queue in level.queues),
        _boolean(level.idle),
        _boolean(level.removed),
        level.queues.waiting,
        sum(tally.executing for tally in tallies),
        sum(tally.dispatched for tally in tallies),
        level.rejected,
        level.timed_out,
        level.cancelled,
    )


def _sorted(flow: FlowControl) -> list[Level]:
    return sorted(flow.levels.values(), key=lambda level: level.name)


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _seat_seconds(value: float) -> str:
    return f"{value:.8f}ss"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns are padded, as Kubernetes' tabwriter does it, so that people can read them as they come."""
    cells = [[f"{cell}," for cell in row[:-1]] + [str(row[-1])] for row in (head, *rows)]
    widths = [max(8, *(len(row[column]) + 1 for row in cells)) for column in range(len(head))]
    lines = (
        "".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]) for row in cells
    )
    return "".join(f"{line}\n" for line in lines)
