"""What to count of a quota, and what its status should say.

Admission charges a quota before it stores the object, and several servers do so at once. A count that was made between
the two misses the object: written, it would let too much in. So a count that gives something back is announced before
it is made: the API servers store nothing any more then that they charged before. And it is written only over the value
that stood there when it was begun.

What is refused that way has to be tried again, so only kinds of which nothing was charged for a moment are counted.
What is being used up all the time is counted when it rests, which it does at the latest when the quota is exhausted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from k8slite.usage.amounts import ZERO, Amounts, wire
from k8slite.usage.measures import Quota

STILL = 0.3
"""Seconds without a rise after which what was charged is stored, if nothing is amiss."""


@dataclass(frozen=True, slots=True)
class Count:
    """The names to count now, and in how many seconds others will be due (None: there are no others)."""

    names: frozenset[str]
    later: float | None


def due(quota: Quota, risen: Mapping[str, float], *, now: float) -> Count:
    """Decide. `risen` says when a name's kind was last charged; what has no figure at all is due at once."""
    unknown = {name for name in quota.wanted if name not in quota.used or name not in quota.hard}
    waits = {name: STILL - (now - risen[name]) for name in quota.wanted.keys() - unknown if name in risen}
    moving = {name: wait for name, wait in waits.items() if wait > 0}
    names = frozenset(quota.wanted.keys() - moving.keys())
    return Count(names, min(moving.values()) if moving else None)


def rises(old: Quota | None, new: Quota) -> set[str]:
    """The names whose use is higher than it was."""
    before = old.used if old is not None else {}
    return {name for name, value in new.used.items() if value.value > before.get(name, ZERO).value}


def gives_back(counted: Amounts, quota: Quota) -> bool:
    """Whether a count would lower what is used: then it must have been announced."""
    return any(name in quota.used and value.value < quota.used[name].value for name, value in counted.items())


@dataclass(frozen=True, slots=True)
class Status:
    """What to write (None: nothing), and whether all that was counted is in it."""

    patch: dict[str, Any] | None
    complete: bool


def status(current: Quota, counted: Amounts, *, begun: Quota, uncountable: Collection[str]) -> Status:
    """The status of a quota after a count that was begun when it was `begun`.

    What was charged meanwhile keeps its figure. Names that nothing counts have none.
    """
    used: Amounts = {}
    complete = True
    for name in current.wanted:
        present = current.used.get(name)
        if name in uncountable:
            continue
        if name in counted and _same(present, begun.used.get(name)):
            used[name] = counted[name]
        elif present is not None:
            used[name] = present
            complete = complete and name not in counted
        else:
            complete = False
    if _equal(current.hard, current.wanted) and _equal(current.used, used):
        return Status(None, complete)
    patch = {
        "hard": dict.fromkeys(current.hard) | wire(current.wanted),
        "used": dict.fromkeys(current.used) | wire(used),
    }
    return Status(patch, complete)


def _same(one: Any, other: Any) -> bool:
    return (one.value if one is not None else None) == (other.value if other is not None else None)


def _equal(one: Amounts, other: Amounts) -> bool:
    return one.keys() == other.keys() and all(value.value == other[name].value for name, value in one.items())
