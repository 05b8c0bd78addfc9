"""Which start of a CronJob is due, and when the next one is.

Source: Kubernetes documentation, "CronJob": starting deadline, missed schedules, time zones.
"""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from k8slite.kinds.batch import CronJob
from k8slite.schedules import Schedule, latest

MANY = 100
"""Missed starts that are worth a warning."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Due:
    """The start that is due (None: none), one that came too late, how many were missed at least, and the next one.

    Of several that were missed only the last is due.
    """

    start: datetime | None = None
    too_late: datetime | None = None
    many_missed: bool = False
    next: datetime | None = None


def zone_of(name: str) -> tzinfo | None:
    """The time zone of that name, if there is one."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def due(cronjob: CronJob, schedule: Schedule, *, now: datetime, zone: tzinfo, not_before: datetime | None) -> Due:
    """Look from the last start (or the CronJob's beginning) to now.

    Starts before `not_before`, when the schedule became what it is, are none that were missed.
    """
    anchor = cronjob.status.last_schedule_time or cronjob.metadata.creation_timestamp or now
    since = max(anchor, not_before or _LONG_AGO)
    last = latest(schedule, after=since, until=now, zone=zone, anchor=anchor)
    following = schedule.next(now, zone=zone, anchor=anchor)
    if last is None:
        return Due(next=following)
    deadline = cronjob.spec.starting_deadline_seconds
    if deadline is not None:
        if last + timedelta(seconds=deadline) < now:
            return Due(too_late=last, next=following)
        since = max(since, now - timedelta(seconds=deadline))
    missed, moment = 0, schedule.next(since, zone=zone, anchor=anchor)
    while moment is not None and moment <= now and missed <= MANY:
        missed, moment = missed + 1, schedule.next(moment, zone=zone, anchor=anchor)
    return Due(start=last, many_missed=missed > MANY, next=following)
