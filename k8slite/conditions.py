"""Status conditions: found by type, changed without moving a transition time that did not change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from .kinds.base import Condition

C = TypeVar("C", bound=Condition)


def find(conditions: Sequence[C], type_: str) -> C | None:
    """The condition of that type."""
    return next((condition for condition in conditions if condition.type == type_), None)


def is_true(conditions: Sequence[Condition], type_: str) -> bool:
    """Whether the condition is there and True."""
    found = find(conditions, type_)
    return found is not None and found.status == "True"


def put(conditions: Sequence[C], new: C, *, now: datetime) -> list[C]:
    """The list with `new` in place of the one of its type; its transition time is kept if the status is the same."""
    moment = now.replace(microsecond=0)
    old = find(conditions, new.type)
    same = old is not None and old.status == new.status
    since = old.last_transition_time if same and old is not None and old.last_transition_time else moment
    placed = new.model_copy(update={"last_transition_time": since})
    if old is None:
        return [*conditions, placed]
    return [placed if condition.type == new.type else condition for condition in conditions]


def drop(conditions: Sequence[C], type_: str) -> list[C]:
    """The list without that type."""
    return [condition for condition in conditions if condition.type != type_]
