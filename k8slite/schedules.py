"""When something comes again: crontab(5) in five fields, `@daily` and its like, `@every 5m`; in any time zone.

The syntax and the words of complaints are those of robfig/cron, which Kubernetes parses schedules with; the API server
judges schedules by them, the CronJob controller follows them. A time that clocks skip when summer begins does not come
that day; one that they show twice when it ends comes twice. A day must fit both fields of days if either is `*`, else
one of them is enough.

The calendar is searched by cronsim. It gets fields with nothing in them but numbers, and wall-clock time: its own
syntax and its rules for summer time are Debian's.

Source: robfig/cron v3 (ParseStandard, SpecSchedule.Next, Every); Kubernetes documentation, "CronJob".
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_SECOND = timedelta(seconds=1)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_is_duration = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII).fullmatch
_duration_parts = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII).findall
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 10**9
"""Seconds: some thirty years. Longer pauses are as good as never, and do not fit a timedelta for ever."""
_LARGE = 1 << 64


class ScheduleError(ValueError):
    """A text is no schedule, in the parser's words."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a field may say."""

    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        """The number that a text means. Raises ScheduleError."""
        if text.lower() in self.names:
            return self.names.index(text.lower()) + self.low
        return _number(text)


_FIELDS = (Bounds(0, 59), Bounds(0, 23), Bounds(1, 31), Bounds(1, 12, _MONTHS), Bounds(0, 6, _DAYS))


@dataclass(frozen=True, slots=True)
class Field:
    """The numbers that a field names, and whether it says that any will do."""

    numbers: frozenset[int]
    any: bool = False

    def __str__(self) -> str:
        return "*" if self.any else ",".join(map(str, sorted(self.numbers)))


_ANY = Field(frozenset(), any=True)


@dataclass(frozen=True)
class Times:
    """Minutes of a calendar. `zone` is one that the text itself names."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    zone: tzinfo | None = None

    def next(self, after: datetime, *, zone: tzinfo = UTC, anchor: datetime | None = None) -> datetime | None:
        """The first moment after `after`, in UTC; None if there is none. `anchor` means nothing here."""
        zone = self.zone or zone
        moment = after.astimezone(UTC).replace(microsecond=0) + _SECOND
        while True:
            offset = _offset(moment, zone)
            wall = self._wall(moment.replace(tzinfo=None) + offset - _SECOND)
            if wall is None:
                return None
            found = (wall - offset).replace(tzinfo=UTC)
            change = _next_change(moment, found, zone)
            if change is None:
                return found
            moment = change

    def _wall(self, after: datetime) -> datetime | None:
        """The first time after that, on a clock that is never set."""
        from cronsim import CronSim, CronSimError  # a millisecond that only who follows schedules need pay

        if self._numbers is None:
            return None
        try:
            return next(CronSim(self._numbers, after), None)
        except CronSimError:  # a day that no month has
            return None

    @cached_property
    def _numbers(self) -> str | None:
        """The fields for cronsim; None if no day can fit."""
        if not all(field.numbers for field in (self.minute, self.hour, self.month)):
            return None
        day, weekday = self.day, self.weekday
        if not (day.numbers and weekday.numbers):
            # A field of commas names no day. Then the other alone decides, unless both must fit.
            if day.any or weekday.any or not (day.numbers or weekday.numbers):
                return None
            day, weekday = (_ANY, weekday) if weekday.numbers else (day, _ANY)
        return f"{self.minute} {self.hour} {day} {self.month} {weekday}"


@dataclass(frozen=True, slots=True)
class Every:
    """A pause in whole seconds, counted from when it was last, or began."""

    seconds: int

    def next(self, after: datetime, *, zone: tzinfo = UTC, anchor: datetime | None = None) -> datetime | None:
        """The first moment after `after` that is whole pauses from `anchor` (by default `after` itself), in UTC."""
        start = (anchor or after).astimezone(UTC).replace(microsecond=0)
        passed = (after.astimezone(UTC) - start) // timedelta(seconds=self.seconds)
        try:
            return start + timedelta(seconds=self.seconds) * (max(passed, 0) + 1)
        except OverflowError:
            return None


Schedule = Times | Every


def latest(
    schedule: Schedule, *, after: datetime, until: datetime, zone: tzinfo = UTC, anchor: datetime | None = None
) -> datetime | None:
    """The last moment of a schedule that is after `after` and not after `until`; None if there is none."""
    first = schedule.next(after, zone=zone, anchor=anchor)
    if first is None or first > until:
        return None
    # Something comes after `low` and until then, nothing comes after `high`: narrow down to one moment.
    low, high = after, until
    while high - low > _SECOND / 2:
        middle = low + (high - low) / 2
        found = schedule.next(middle, zone=zone, anchor=anchor)
        if found is not None and found <= until:
            low, first = middle, found
        else:
            high = middle
    return first


def parse(text: str) -> Schedule:
    """The schedule of a text. Raises ScheduleError."""
    zone: tzinfo | None = None
    if text.startswith(("TZ=", "CRON_TZ=")):
        named, _, text = text.partition(" ")
        name = named.partition("=")[2]
        if name not in zoneinfo.available_timezones():
            raise ScheduleError(f"provided bad location {name}: unknown time zone {name}")
        zone = zoneinfo.ZoneInfo(name)
        text = text.strip()
    if text.startswith(_EVERY):
        return Every(_pause(text))
    if text.startswith("@") and text not in _DESCRIPTORS:
        raise ScheduleError(f"unrecognized descriptor: {text}")
    parts = _DESCRIPTORS.get(text, text).split()
    if len(parts) != len(_FIELDS):
        raise ScheduleError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    minute, hour, day, month, weekday = (_field(part, bounds) for part, bounds in zip(parts, _FIELDS, strict=True))
    return Times(minute, hour, day, month, weekday, zone)


def _pause(text: str) -> int:
    duration = text.removeprefix(_EVERY)
    if not _is_duration(duration):
        raise ScheduleError(f'failed to parse duration {text}: time: invalid duration "{duration}"')
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _duration_parts(duration))
    return max(int(min(seconds, _LONGEST)), 1) if not duration.startswith("-") else 1


def _field(text: str, bounds: Bounds) -> Field:
    numbers: set[int] = set()
    any_will_do = False
    for piece in filter(None, dict.fromkeys(text.split(","))):
        found = _piece(piece, bounds)
        numbers |= found.numbers
        any_will_do |= found.any
    return Field(frozenset(numbers), any_will_do)


def _piece(piece: str, bounds: Bounds) -> Field:
    span, *steps = piece.split("/")
    first, *others = span.split("-")
    star = first in ("*", "?")
    if star:
        start, end = bounds.low, bounds.high
    else:
        start = bounds.number(first)
        if len(others) > 1:
            raise ScheduleError(f"too many hyphens: {piece}")
        end = bounds.number(others[0]) if others else start
    if len(steps) > 1:
        raise ScheduleError(f"too many slashes: {piece}")
    step = _number(steps[0]) if steps else 1
    if steps and not others:
        end = bounds.high
    if start < bounds.low:
        raise ScheduleError(f"beginning of range ({start}) below minimum ({bounds.low}): {piece}")
    if end > bounds.high:
        raise ScheduleError(f"end of range ({end}) above maximum ({bounds.high}): {piece}")
    if start > end:
        raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {piece}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {piece}")
    return Field(frozenset(range(start, end + 1, step)), any=star and step == 1)


def _number(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise ScheduleError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    digits = text.lstrip("+-").lstrip("0")
    number = int(digits or "0") if len(digits) <= 20 else _LARGE
    if number and text[0] == "-":
        raise ScheduleError(f"negative number ({text}) not allowed: {text}")
    return number


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _next_change(start: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """The first moment after `start`, and not after `end`, when the zone's clocks are set."""
    if zone is UTC:
        return None
    offset, low = _offset(start, zone), start
    while low < end:
        high = min(low + _DAY, end)
        if _offset(high, zone) != offset:
            while high - low > _SECOND:
                middle = (low + (high - low) / 2).replace(microsecond=0)
                low, high = (middle, high) if _offset(middle, zone) == offset else (low, middle)
            return high
        low = high
    return None
