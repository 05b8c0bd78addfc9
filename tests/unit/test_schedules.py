"""When something comes again, held against a clock that is read minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.schedules import Every, ScheduleError, Times, latest, parse

NEW_YORK, BERLIN, LORD_HOWE = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")
MINUTE = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def names(times: Times, local: datetime) -> bool:
    """Whether a clock that shows this is one of the times."""
    by_day, by_weekday = local.day in times.day.numbers, local.isoweekday() % 7 in times.weekday.numbers
    days = (by_day and by_weekday) if times.day.any or times.weekday.any else (by_day or by_weekday)
    return days and all(
        value in field.numbers
        for value, field in ((local.minute, times.minute), (local.hour, times.hour), (local.month, times.month))
    )


def next_by_the_minute(times: Times, after: datetime, zone, *, minutes: int) -> datetime | None:
    moment = after.replace(second=0, microsecond=0)
    for _ in range(minutes):
        moment += MINUTE
        if names(times, moment.astimezone(zone)):
            return moment
    return None


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("0/15 * * * *", "2012-07-09T14:45:00+00:00", "2012-07-09T15:00:00+00:00"),
        ("20-35/15 * * * *", "2012-07-09T14:45:00+00:00", "2012-07-09T15:20:00+00:00"),
        ("0 0 * Feb Mon", "2012-07-09T23:35:00+00:00", "2013-02-04T00:00:00+00:00"),
        ("0 0 29 2 ?", "2012-07-09T23:35:00+00:00", "2016-02-29T00:00:00+00:00"),
        ("0 0 13 * 5", "2026-11-14T00:00:00+00:00", "2026-11-20T00:00:00+00:00"),
        ("0 0 */2 * mon", "2026-11-21T00:00:00+00:00", "2026-11-23T00:00:00+00:00"),
        ("@yearly", "2026-11-21T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("@monthly", "2026-11-21T00:00:00+00:00", "2026-12-01T00:00:00+00:00"),
        ("@weekly", "2026-11-21T00:00:00+00:00", "2026-11-22T00:00:00+00:00"),
        ("@midnight", "2026-11-21T00:00:00+00:00", "2026-11-22T00:00:00+00:00"),
        ("@hourly", "2026-11-21T00:30:00+00:00", "2026-11-21T01:00:00+00:00"),
        ("@every 1h30m", "2026-11-21T00:30:00.500000+00:00", "2026-11-21T02:00:00+00:00"),
        ("@every 10ms", "2026-11-21T00:30:00+00:00", "2026-11-21T00:30:01+00:00"),
        ("0 0 , * 1", "2026-11-21T00:00:00+00:00", "2026-11-23T00:00:00+00:00"),
        ("TZ=Europe/Berlin 0 6 * * *", "2026-11-21T00:00:00+00:00", "2026-11-21T05:00:00+00:00"),
        ("0 0 31 4,6 *", "2026-11-21T00:00:00+00:00", None),
        ("0 0 , * *", "2026-11-21T00:00:00+00:00", None),
    ],
)
def test_the_next_time(text, after, expected):
    assert parse(text).next(utc(after)) == (utc(expected) if expected else None)


@pytest.mark.parametrize(
    ("text", "zone", "after", "expected"),
    [
        # 2 o'clock does not come in New York on the day when summer begins, and 1 o'clock comes twice when it ends.
        ("0 2 * * *", NEW_YORK, "2012-03-11T00:00:00-05:00", "2012-03-12T02:00:00-04:00"),
        ("0 * * * *", NEW_YORK, "2012-03-11T01:00:00-05:00", "2012-03-11T03:00:00-04:00"),
        ("0 1 * * *", NEW_YORK, "2012-11-04T00:00:00-04:00", "2012-11-04T01:00:00-04:00"),
        ("0 1 * * *", NEW_YORK, "2012-11-04T01:00:00-04:00", "2012-11-04T01:00:00-05:00"),
        ("0 1 * * *", NEW_YORK, "2012-11-04T01:00:00-05:00", "2012-11-05T01:00:00-05:00"),
        ("30 1 4 11 *", NEW_YORK, "2012-11-04T01:45:00-04:00", "2012-11-04T01:30:00-05:00"),
        ("0 3 * * *", BERLIN, "2026-03-28T12:00:00+00:00", "2026-03-29T01:00:00+00:00"),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00:00+00:00", "2026-10-04T15:15:00+00:00"),
    ],
)
def test_when_clocks_are_set(text, zone, after, expected):
    assert parse(text).next(utc(after), zone=zone) == utc(expected)


@st.composite
def schedules(draw):
    def field(low: int, high: int) -> str:
        kind = draw(st.sampled_from(["*", "?", "*/n", "a", "a-b", "a-b/n", "a/n", "list"]))
        one, two = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        step = draw(st.integers(1, 20))
        texts = {"*/n": f"*/{step}", "a": f"{one}", "a-b": f"{one}-{two}", "list": f"{two},{one}"}
        texts |= {"a-b/n": f"{one}-{two}/{step}", "a/n": f"{one}/{step}"}
        return texts.get(kind, kind)

    minute, hour = field(0, 59), field(0, 23)
    return f"{minute} {hour} {field(1, 31)} {draw(st.sampled_from(['*', '3', '10-11', '*/2']))} {field(0, 6)}"


@settings(max_examples=150, deadline=None)
@given(
    schedules(),
    st.sampled_from([UTC, NEW_YORK, BERLIN, LORD_HOWE]),
    st.sampled_from(["2026-03-08", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-11-01", "2026-12-31"]),
    st.integers(0, 2 * 86_400),
)
def test_the_calendar_is_the_clocks(text, zone, day, seconds):
    schedule, after = parse(text), utc(f"{day}T00:00:00+00:00") + timedelta(seconds=seconds)
    assert isinstance(schedule, Times)
    found = schedule.next(after, zone=zone)
    minutes = 3 * 1440
    expected = next_by_the_minute(schedule, after, zone, minutes=minutes)
    if expected is None:
        assert found is None or found > after.replace(second=0, microsecond=0) + minutes * MINUTE
    else:
        assert found == expected


@settings(max_examples=60, deadline=None)
@given(schedules() | st.sampled_from(["@every 7m", "@every 90s"]), st.integers(0, 400_000), st.integers(0, 400_000))
def test_the_latest_is_the_last_of_all(text, start, length):
    schedule, after = parse(text), utc("2026-10-20T00:00:00+00:00") + timedelta(seconds=start)
    until = after + timedelta(seconds=length)
    last, moment = None, schedule.next(after, zone=BERLIN, anchor=after)
    while moment is not None and moment <= until:
        last, moment = moment, schedule.next(moment, zone=BERLIN, anchor=after)
    assert latest(schedule, after=after, until=until, zone=BERLIN, anchor=after) == last


@given(st.integers(1, 10_000), st.integers(-5_000, 100_000))
def test_pauses_are_counted_from_their_beginning(pause, passed):
    anchor = utc("2026-10-20T00:00:00+00:00")
    after = anchor + timedelta(seconds=passed)
    found = Every(pause).next(after, anchor=anchor)
    assert found > after
    assert (found - anchor).total_seconds() % pause == 0
    assert found - after <= timedelta(seconds=pause) or after < anchor


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "@never", "@every", "@every 5", "TZ=No/Where * * * * *"])
def test_what_is_none(text):
    with pytest.raises(ScheduleError):
        parse(text)
