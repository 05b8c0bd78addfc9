"""What plugins take, measured in one attempt of ten: clocks around every question would cost more than some answers.

In a measured attempt the methods of the plugins are covered by ones that look at the clock, and uncovered after it, so
that all others pay nothing. Plugins whose instances have no attributes of their own (`__slots__`) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

from . import metrics
from .framework import Plugin
from .profile import Profile

#: As kube-scheduler samples its plugins.
SAMPLED = 10
SUCCESS = "Success"
#: Extension points at which is counted how often plugins are asked.
_COUNTED = ("PreFilter", "Filter", "PreScore", "Score")


class Meter:
    """Measures the attempts of one profile."""

    def __init__(self, name: str, profile: Profile) -> None:
        self._name = name
        self._attempts = 0
        self._spent: dict[str, float] = {}
        self._asked: set[tuple[str, str]] = set()
        self._covers = [
            (vars(plugin), method, self._measured(plugin, method, point))
            for point, method, plugins in _methods(profile)
            for plugin in plugins
            if hasattr(plugin, "__dict__") and method not in vars(plugin)
        ]

    def begin(self) -> bool:
        """An attempt begins; whether it is measured, and `end` must follow."""
        self._attempts += 1
        if self._attempts % SAMPLED != 1:
            return False
        for attributes, method, measured in self._covers:
            attributes[method] = measured
        return True

    def end(self) -> None:
        """The measured attempt is over."""
        for attributes, method, _ in self._covers:
            attributes.pop(method, None)
        for point, seconds in self._spent.items():
            metrics.POINT_SECONDS.observe(seconds, point, SUCCESS, self._name)
        for plugin, point in self._asked:
            metrics.PLUGIN_EVALUATIONS.add(plugin, point, self._name, by=SAMPLED)
        self._spent.clear()
        self._asked.clear()

    def _measured(self, plugin: Plugin, method: str, point: str) -> Callable[..., Any]:
        ask: Callable[..., Any] = getattr(plugin, method)
        name, spent, asked = plugin.name, self._spent, self._asked

        def measured(*args: Any) -> Any:
            started = perf_counter()
            try:
                return ask(*args)
            finally:
                seconds = perf_counter() - started
                spent[point] = spent.get(point, 0.0) + seconds
                metrics.PLUGIN_SECONDS.observe(seconds, name, point, SUCCESS)
                if point in _COUNTED:
                    asked.add((name, point))

        return measured


def _methods(profile: Profile) -> Iterator[tuple[str, str, Iterable[Plugin]]]:
    """Extension points, the methods that plugins are asked by there, and the plugins."""
    yield "PreFilter", "pre_filter", profile.pre_filter
    yield "Filter", "filter", profile.filter
    yield "Filter", "filter_pod", profile.pod_filter
    yield "PostFilter", "post_filter", profile.post_filter
    yield "PreScore", "pre_score", profile.pre_score.values()
    yield "Score", "score", profile.score
    yield "Score", "compare", profile.compare
    yield "Reserve", "reserve", profile.reserve
    yield "Permit", "permit", profile.permit
