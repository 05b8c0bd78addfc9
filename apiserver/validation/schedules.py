"""When a CronJob runs: its schedule and its time zone, with the words of the parser that Kubernetes uses.

Source: Kubernetes' batch validation (schedules, time zones).
"""

from __future__ import annotations

import re
import zoneinfo

from k8slite import schedules
from k8slite.remembering import remembered

_is_zone_part = re.compile(r"[A-Za-z.\-_0-9+]{1,14}").fullmatch


@remembered(1024)
def schedule_problem(text: str) -> str | None:
    """Why a text is no schedule, None if it is one."""
    try:
        schedules.parse(text)
    except schedules.ScheduleError as problem:
        return str(problem)
    return None


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
