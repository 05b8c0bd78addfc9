"""A pod on its way to a node: what the queue knows of it, and how long it is left alone after a failure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from .shape import Shape
from .view import Pod

if TYPE_CHECKING:
    from .rejected import Group


class Place(StrEnum):
    """Where a pod is."""

    ACTIVE = "active"
    BACKOFF = "backoff"
    UNSCHEDULABLE = "unschedulable"
    GATED = "gated"
    IN_FLIGHT = "in flight"


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a pod is left alone after a failure: so many seconds, twice as long each time, up to a limit."""

    first: float = 1.0
    longest: float = 10.0

    def seconds(self, failures: int) -> float:
        """The time after so many failures in a row."""
        if failures <= 0:
            return 0.0
        return min(self.first * 2.0 ** min(failures - 1, 32), self.longest)


DEFAULT_BACKOFF = Backoff()
NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Waiting:
    """A pod on its way to a node. Times are of the monotonic clock."""

    pod: Pod
    shape: Shape
    arrived: float
    """When it could first be tried: a gated pod arrives with the end of its last gate."""
    order: int
    """Among pods of equal rank the lower goes first: renewed whenever the pod comes back to the queue."""
    place: Place = Place.ACTIVE
    attempts: int = 0
    attempted: float = 0.0
    """When the last attempt began."""
    rejections: int = 0
    errors: int = 0
    """Errors in a row; an attempt that ends with a verdict ends the row."""
    ready_at: float = 0.0
    """When it may be tried again."""
    returned: float = 0.0
    """When the last attempt ended."""
    flushed: bool = False
    """Whether it is tried again because it rested long enough, not because anything helped it."""
    patient: bool = False
    """Whether it waits out its back-off even if nothing else is to be done."""
    rejected_by: frozenset[str] = NOBODY
    """Who said no at the last attempt, or keeps the pod from any; what metrics tell."""
    seen: int = 0
    """The position in the record of events when the last attempt began."""
    ticket: int = 0
    """Entries of the heaps with another ticket are stale."""
    group: Group | None = None
    """Where it rests, or for whom it tries its luck."""
