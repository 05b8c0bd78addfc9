"""What a level could use over time."""

from __future__ import annotations

import pytest

from k8slite.apiserver.flowcontrol.demand import DemandMeter


def test_a_period_has_a_peak_an_average_and_a_deviation() -> None:
    meter = DemandMeter(0.0)
    meter.note(4, 2.0)
    meter.note(0, 6.0)
    meter.close(8.0)
    assert (meter.peak, meter.average, meter.deviation) == (4, 2.0, 2.0)
    assert meter.smoothed == 4.0
    meter.close(18.0)
    assert (meter.peak, meter.average) == (0, 0.0)


def test_the_smoothed_figure_halves_in_five_minutes_however_they_are_counted() -> None:
    often, once = DemandMeter(0.0), DemandMeter(0.0)
    for meter in (often, once):
        meter.note(100, 0.0)
        meter.close(10.0)
        meter.note(0, 10.0)
        meter.close(10.0)
    for moment in range(20, 320, 10):
        often.close(float(moment))
    once.close(310.0)
    assert often.smoothed == pytest.approx(50, abs=1)
    assert once.smoothed == pytest.approx(often.smoothed)


def test_a_rise_counts_at_once() -> None:
    meter = DemandMeter(0.0)
    meter.note(7, 0.0)
    meter.close(10.0)
    assert meter.smoothed == 7
