"""Counts of who was authenticated and who was not, cheap enough for every request.

Names never become labels: whoever makes users up would make labels without end.

Source: Kubernetes' apiserver, endpoints/filters/metrics.go and authentication/token/cache/stats.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.registry import Collector

_NAMED = frozenset({"admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default"})


class AuthenticationMetrics(Collector):
    """What Prometheus sees of one server's authentication."""

    def __init__(self) -> None:
        self.attempts = {"success": 0, "failure": 0, "error": 0}
        self.hits = 0
        """Tokens that were known."""
        self._misses = 0
        self._fetches = {"ok": 0, "error": 0}
        self._fetching = 0
        self._users: dict[str, int] = {}
        self._reloads: dict[str, int] = {"success": 0, "failure": 0}
        self._reloaded: dict[str, float] = {}

    def succeeded(self, name: str) -> None:
        """A request has a user, perhaps the anonymous one."""
        self.attempts["success"] += 1
        label = name if name in _NAMED else "email_id" if "@" in name else "other"
        self._users[label] = self._users.get(label, 0) + 1

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """A token is not known: the methods are asked about it in this block."""
        self._misses += 1
        self._fetching += 1
        outcome = "error"
        try:
            yield
            outcome = "ok"
        finally:
            self._fetching -= 1
            self._fetches[outcome] += 1

    def reloaded(self, status: Literal["success", "failure"], seconds: float) -> None:
        """The configuration's file has changed, and was taken over or not, `seconds` after 1970."""
        self._reloads[status] += 1
        self._reloaded[status] = seconds

    def collect(self) -> Iterator[Metric]:
        """The metrics now. Two names are older than the custom that a counter's ends in `_total`."""
        yield _filled(
            UnknownMetricFamily("authentication_attempts", "Authentications by result.", labels=("result",)),
            self.attempts,
        )
        yield _filled(
            UnknownMetricFamily(
                "authenticated_user_requests", "Authenticated requests by sort of user name.", labels=("username",)
            ),
            self._users,
        )
        yield _filled(
            CounterMetricFamily(
                "authentication_token_cache_request", "Tokens that were looked up in memory.", labels=("status",)
            ),
            {"hit": self.hits, "miss": self._misses},
        )
        yield _filled(
            CounterMetricFamily(
                "authentication_token_cache_fetch", "Tokens that the methods were asked about.", labels=("status",)
            ),
            self._fetches,
        )
        yield _filled(
            GaugeMetricFamily(
                "authentication_token_cache_active_fetch_count", "Tokens being asked about.", labels=("status",)
            ),
            {"in_flight": self._fetching},
        )
        yield _filled(
            CounterMetricFamily(
                "apiserver_authentication_config_controller_automatic_reloads",
                "Changes of the authentication configuration.",
                labels=("status",),
            ),
            self._reloads,
        )
        yield _filled(
            GaugeMetricFamily(
                "apiserver_authentication_config_controller_automatic_reload_last_timestamp_seconds",
                "When the authentication configuration last changed.",
                labels=("status",),
            ),
            self._reloaded,
        )


Family = CounterMetricFamily | GaugeMetricFamily | UnknownMetricFamily


def _filled(family: Family, values: Mapping[str, float]) -> Metric:
    for label, value in dict(values).items():
        family.add_metric((label,), value)
    return family
