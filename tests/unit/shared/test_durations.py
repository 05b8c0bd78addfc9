"""How long ago, in kubectl's words."""

from datetime import UTC, datetime, timedelta

import pytest

from k8slite.durations import human_duration, since

M, H, D, Y = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (120, "2m"),
        (2 * M + 5, "2m5s"),
        (9 * M + 59, "9m59s"),
        (10 * M + 30, "10m"),
        (3 * H - 1, "179m"),
        (3 * H, "3h"),
        (3 * H + 5 * M, "3h5m"),
        (8 * H + 5 * M, "8h"),
        (47 * H, "47h"),
        (48 * H, "2d"),
        (2 * D + 3 * H, "2d3h"),
        (8 * D + 3 * H, "8d"),
        (2 * Y - 1, "729d"),
        (2 * Y, "2y"),
        (2 * Y + 3 * D, "2y3d"),
        (9 * Y + 3 * D, "9y"),
    ],
)
def test_thresholds(seconds, expected):
    assert human_duration(timedelta(seconds=seconds)) == expected


def test_since_a_moment():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert since("2025-12-31T23:59:30Z", now) == "30s"
    assert since("2026-01-01T01:59:30.000000+02:00", now) == "30s"
    assert since((now - timedelta(days=3)).isoformat(), now) == "3d"
    assert since(None, now) == "<unknown>"
