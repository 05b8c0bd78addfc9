"""Which taints a toleration covers: one answer for who schedules pods, who evicts them, and who makes them for nodes.

Source: Kubernetes documentation, "Taints and Tolerations"; api/core/v1 Toleration.ToleratesTaint.
"""

from __future__ import annotations

import re
from typing import Protocol

_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")


class Tolerating(Protocol):
    """What of a toleration bears on taints, whatever model it was read into."""

    @property
    def key(self) -> str:
        """The taint's key; empty for any."""
        ...

    @property
    def operator(self) -> str:
        """Exists, Equal (or nothing), Lt or Gt."""
        ...

    @property
    def value(self) -> str:
        """What the taint's value is compared with."""
        ...

    @property
    def effect(self) -> str:
        """The taint's effect; empty for any."""
        ...


def covers(toleration: Tolerating, *, key: str, value: str, effect: str) -> bool:
    """Whether a toleration covers the taint of this key, value and effect."""
    if toleration.effect and toleration.effect != effect:
        return False
    if toleration.key and toleration.key != key:
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "Equal" | "":
            return toleration.value == value
        case "Lt" | "Gt":
            return _compares(value, toleration)
    return False


def _compares(value: str, toleration: Tolerating) -> bool:
    """Whether a taint's value is below (or above) the toleration's; what is no number of 64 bits compares with none."""
    mine, bound = _number(value), _number(toleration.value)
    if mine is None or bound is None:
        return False
    return mine < bound if toleration.operator == "Lt" else mine > bound


def _number(text: str) -> int | None:
    found = int(text) if _NUMBER.fullmatch(text) else None
    return found if found is not None and -(1 << 63) <= found < 1 << 63 else None
