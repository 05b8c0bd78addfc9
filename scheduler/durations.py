"""Durations as Go writes them: `1m30s`, `1.5s`, `300ms`. What upstream's configuration and messages hold.

Source: Go's package time, ParseDuration and Duration.String.
"""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError in Go's words."""
    body = text.lstrip("+-") if text[:1] in ("+", "-") else text
    if body == "0":
        return 0.0
    parts = _PART.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise ValueError(f'time: invalid duration "{text}"')
    nanoseconds = sum(Fraction(number if number[-1] != "." else number[:-1]) * _UNITS[unit] for number, unit in parts)
    return (-1 if text[0] == "-" else 1) * float(nanoseconds / 10**9)


def show_duration(seconds: float) -> str:
    """The duration as Go prints it."""
    nanoseconds = round(abs(seconds) * 10**9)
    sign = "-" if seconds < 0 else ""
    if nanoseconds == 0:
        return "0s"
    for unit in ("ms", "us", "ns"):
        if nanoseconds < 10**9 and nanoseconds >= _UNITS[unit]:
            return f"{sign}{_decimal(nanoseconds, _UNITS[unit])}{'µs' if unit == 'us' else unit}"
    minutes, rest = divmod(nanoseconds, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    lead = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{lead}{_decimal(rest, _UNITS['s'])}s"


def _decimal(amount: int, unit: int) -> str:
    whole, fraction = divmod(amount, unit)
    digits = f"{fraction:0{len(str(unit)) - 1}d}".rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)
