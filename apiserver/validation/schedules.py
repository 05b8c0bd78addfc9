"""When a CronJob runs: its schedule and its time zone, with the words of the parser that Kubernetes uses.

Source: crontab(5) in five fields, descriptors such as `@daily`, `@every 5m`; Kubernetes' batch validation (time zones).
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass, field

from k8slite.remembering import remembered

from .sequences import natural


@dataclass(frozen=True, slots=True)
class _Field:
    low: int
    high: int
    names: dict[str, int] = field(default_factory=dict)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    _Field(0, 59),
    _Field(0, 23),
    _Field(1, 31),
    _Field(
        1,
        12,
        {
            n: i
            for i, n in enumerate(
                ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
            )
        },
    ),
    _Field(0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY = "@every "
_is_duration = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)").fullmatch
_is_zone_part = re.compile(r"[A-Za-z.\-_0-9+]{1,14}").fullmatch


@remembered(1024)
def schedule_problem(text: str) -> str | None:
    """Why a text is no schedule, None if it is one."""
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, _, text = text.partition(" ")
        name = zone.partition("=")[2]
        if name not in zoneinfo.available_timezones():
            return f"provided bad location {name}: unknown time zone {name}"
        text = text.strip()
    if text.startswith("@"):
        return _descriptor_problem(text)
    parts = text.split()
    if len(parts) != len(_FIELDS):
        return f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
    for part, bounds in zip(parts, _FIELDS, strict=True):
        for piece in filter(None, dict.fromkeys(part.split(","))):
            if problem := _piece_problem(piece, bounds):
                return problem
    return None


def _descriptor_problem(text: str) -> str | None:
    if text in _DESCRIPTORS:
        return None
    if text.startswith(_EVERY):
        duration = text.removeprefix(_EVERY)
        if _is_duration(duration):
            return None
        return f'failed to parse duration {text}: time: invalid duration "{duration}"'
    return f"unrecognized descriptor: {text}"


def _piece_problem(piece: str, bounds: _Field) -> str | None:
    span, *steps = piece.split("/")
    first, *others = span.split("-")
    if first in ("*", "?"):
        start, end = bounds.low, bounds.high
    else:
        start_or_problem = _number(first, bounds.names)
        if isinstance(start_or_problem, str):
            return start_or_problem
        if len(others) > 1:
            return f"too many hyphens: {piece}"
        end_or_problem = _number(others[0], bounds.names) if others else start_or_problem
        if isinstance(end_or_problem, str):
            return end_or_problem
        start, end = start_or_problem, end_or_problem
    if len(steps) > 1:
        return f"too many slashes: {piece}"
    step = _number(steps[0], {}) if steps else 1
    if isinstance(step, str):
        return step
    if steps and not others:
        end = bounds.high
    return _range_problem(piece, bounds, (start, end, step))


def _range_problem(piece: str, bounds: _Field, span: tuple[int, int, int]) -> str | None:
    start, end, step = span
    if start < bounds.low:
        return f"beginning of range ({start}) below minimum ({bounds.low}): {piece}"
    if end > bounds.high:
        return f"end of range ({end}) above maximum ({bounds.high}): {piece}"
    if start > end:
        return f"beginning of range ({start}) beyond end of range ({end}): {piece}"
    return f"step of range should be a positive number: {piece}" if step == 0 else None


def _number(text: str, names: dict[str, int]) -> int | str:
    """The number that a text means, or the problem with it."""
    if text.lower() in names:
        return names[text.lower()]
    if re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        number = natural(text.lstrip("+-"))
        return number if number == 0 or text[0] != "-" else f"negative number ({text}) not allowed: {text}"
    return f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax'


@remembered(256)
def time_zone_problem(name: str) -> str | None:
    """Why a text is no time zone's name, None if it is one."""
    if not name:
        return "timeZone must be nil or non-empty string"
    parts = name.split("/")
    if any(part in (".", "..") or part.startswith("-") or not _is_zone_part(part) for part in parts):
        return f"unknown time zone {name}"
    if name.lower() == "local":
        return "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
    return None if name in zoneinfo.available_timezones() or name == "UTC" else f"unknown time zone {name}"
