"""How long ago, in the few characters that a table has room for: `45s`, `5m30s`, `3h`, `2d4h`, `1y20d`.

Source: apimachinery, util/duration (`HumanDuration`) for the thresholds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_YEAR = 365 * _DAY


def human_duration(elapsed: timedelta) -> str:
    """A duration as kubectl prints it. A little below zero counts as zero, because clocks differ."""
    whole = int(elapsed.total_seconds())
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return _pair(whole // _MINUTE, "m", whole % _MINUTE, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _pair(whole // _HOUR, "h", whole // _MINUTE % 60, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _pair(whole // _DAY, "d", whole // _HOUR % 24, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _pair(whole // _YEAR, "y", whole // _DAY % 365, "d")
    return f"{whole // _YEAR}y"


def since(moment: str | None, now: datetime) -> str:
    """The time from an RFC 3339 moment until now; `<unknown>` for none."""
    parsed = read(moment)
    return human_duration(now - parsed) if parsed else "<unknown>"


def read(moment: str | None) -> datetime | None:
    """An RFC 3339 moment, aware; None for an empty or unreadable one."""
    if not moment:
        return None
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _pair(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"
