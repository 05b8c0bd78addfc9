"""How many seats a priority level could use over time: the most, the average, the deviation, and a smoothed figure.

Source: Kubernetes' apiserver, util/flowcontrol/fairqueuing/integrator.go and apf_controller.go.
"""

from __future__ import annotations

import math

PERIOD = 10.0
"""Seconds after which levels lend and borrow anew."""
_DECAY = 0.977
"""What is left of the smoothed figure after a period: half of it after five minutes."""


class DemandMeter:
    """Integrates a figure that stands still between the moments at which it is noted.

    `peak`, `average`, `deviation` and `smoothed` are those of the last period that is over.
    """

    __slots__ = (
        "_began",
        "_highest",
        "_moment",
        "_sum",
        "_sum_of_squares",
        "_value",
        "average",
        "deviation",
        "peak",
        "smoothed",
    )

    def __init__(self, now: float) -> None:
        self.peak = 0
        self.average = self.deviation = self.smoothed = 0.0
        self._value = 0
        self._start(now)

    def _start(self, now: float) -> None:
        self._began = self._moment = now
        self._sum = self._sum_of_squares = 0.0
        self._highest = self._value

    def note(self, value: int, now: float, *, peak: int = 0) -> None:
        """The figure is `value` from now on; it was as high as `peak` just before."""
        last, span = self._value, now - self._moment
        if last:
            self._sum += span * last
            self._sum_of_squares += span * last * last
        self._moment, self._value = now, value
        if value > peak:
            peak = value
        if peak > self._highest:
            self._highest = peak

    def _integrate(self, now: float) -> None:
        span, value = now - self._moment, self._value
        self._moment = now
        self._sum += span * value
        self._sum_of_squares += span * value * value

    def close(self, now: float) -> None:
        """End a period, however long it was, and begin the next."""
        self._integrate(now)
        self.peak, length = self._highest, now - self._began
        if length > 0:
            self.average = self._sum / length
            self.deviation = math.sqrt(max(0.0, self._sum_of_squares / length - self.average**2))
            envelope = self.average + self.deviation
            kept = _DECAY ** (length / PERIOD)
            self.smoothed = max(envelope, kept * self.smoothed + (1 - kept) * envelope)
        self._start(now)
