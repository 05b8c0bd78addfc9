"""Parts of timestamps and durations: getFullYear, getHours …, with an optional time zone for timestamps.

A duration's parts are the whole of it in that unit; so are its milliseconds in cel-go, where the specification means
the part below a second.

Source: cel-spec, "Timestamps and durations"; cel-go, common/types/duration.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from ..values import NANOS, Duration, EvaluationError, Timestamp
from .base import Dispatch

_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)", re.ASCII)


def _zone(name: str) -> tzinfo:
    offset = _OFFSET.fullmatch(name)
    if offset:
        delta = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-delta if offset[1] == "-" else delta)
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise EvaluationError(f"unknown time zone {name}") from None


def _part(read: Callable[[datetime, int], int]) -> Callable[..., Any]:
    """A part as `read` finds it in a local time; what it must add to the year, where that is out of Python's range."""

    def get(moment: Timestamp, zone: str = "UTC") -> int:
        at, place = moment.moment(), _zone(zone)
        try:
            return read(at.astimezone(place), 0)
        except OverflowError:  # the zone's hour is in the year 0 or 10000, which Python does not know
            years = 400 if at.year < 400 else -400
            return read(at.replace(year=at.year + years).astimezone(place), -years)

    return get


def _milliseconds(moment: Timestamp, zone: str = "UTC") -> int:
    _zone(zone)
    return moment.nanos % NANOS // 1_000_000


def _whole(nanos: int, unit: int) -> int:
    return abs(nanos) // unit * (1 if nanos >= 0 else -1)


FUNCTIONS: dict[str, Dispatch] = {
    "getFullYear": {Timestamp: _part(lambda at, years: at.year + years)},
    "getMonth": {Timestamp: _part(lambda at, _: at.month - 1)},
    "getDate": {Timestamp: _part(lambda at, _: at.day)},
    "getDayOfMonth": {Timestamp: _part(lambda at, _: at.day - 1)},
    "getDayOfWeek": {Timestamp: _part(lambda at, _: at.isoweekday() % 7)},
    "getDayOfYear": {Timestamp: _part(lambda at, _: at.timetuple().tm_yday - 1)},
    "getHours": {Timestamp: _part(lambda at, _: at.hour), Duration: lambda d: _whole(d.nanos, 3600 * NANOS)},
    "getMinutes": {Timestamp: _part(lambda at, _: at.minute), Duration: lambda d: _whole(d.nanos, 60 * NANOS)},
    "getSeconds": {Timestamp: _part(lambda at, _: at.second), Duration: lambda d: _whole(d.nanos, NANOS)},
    "getMilliseconds": {Timestamp: _milliseconds, Duration: lambda d: _whole(d.nanos, 1_000_000)},
}
