"""How admission webhooks do, as Prometheus sees it.

Two of them count and are told as gauges: the names that Kubernetes has for them are none that the client library
allows a counter.

Source: Kubernetes' apiserver, admission/metrics.
"""

from __future__ import annotations

from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

Step = Literal["admit", "validating"]
Failure = Literal["calling_webhook_error", "apiserver_internal_error", "no_error"]

_DURATION = Histogram(
    "apiserver_admission_webhook_admission_duration_seconds",
    "How long calls of admission webhooks take.",
    ["name", "type", "operation", "rejected"],
    buckets=(0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0),
)
_REQUESTS = Counter(
    "apiserver_admission_webhook_request_total",
    "Calls of admission webhooks, by what came of them.",
    ["name", "type", "operation", "code", "rejected"],
)
_REJECTIONS = Gauge(
    "apiserver_admission_webhook_rejection_count",
    "Requests that admission webhooks, or their failures, refused.",
    ["name", "type", "operation", "error_type", "rejection_code"],
)
_FAILED_OPEN = Gauge(
    "apiserver_admission_webhook_fail_open_count",
    "Calls of admission webhooks that failed and were let pass.",
    ["name", "type"],
)
_EXCLUDED = Counter(
    "apiserver_admission_match_condition_exclusions_total",
    "Requests that match conditions kept from a webhook.",
    ["name", "kind", "type", "operation"],
)
_UNDECIDED = Counter(
    "apiserver_admission_match_condition_evaluation_errors_total",
    "Requests whose match conditions ended in an error.",
    ["name", "kind", "type", "operation"],
)
_TYPES = {"admit": "admit", "validating": "validate"}
"""What the step is called where match conditions are counted."""
_HIGHEST = 600
"""Codes above are told as this one: they are the webhook's to make up."""


def observe(name: str, step: Step, operation: str, *, seconds: float, code: int, rejected: bool) -> None:
    """Count a call."""
    refused = str(rejected).lower()
    _REQUESTS.labels(name, step, operation, str(min(code, _HIGHEST)), refused).inc()
    _DURATION.labels(name, step, operation, refused).observe(seconds)


def observe_rejection(name: str, step: Step, operation: str, *, failure: Failure, code: int) -> None:
    """Count a refusal."""
    _REJECTIONS.labels(name, step, operation, failure, str(min(code, _HIGHEST))).inc()


def observe_failed_open(name: str, step: Step) -> None:
    """Count a failure that was let pass."""
    _FAILED_OPEN.labels(name, step).inc()


def observe_excluded(name: str, step: Step, operation: str) -> None:
    """Count a request that match conditions kept away."""
    _EXCLUDED.labels(name, "webhook", _TYPES[step], operation).inc()


def observe_undecided(name: str, step: Step, operation: str) -> None:
    """Count a request whose match conditions failed."""
    _UNDECIDED.labels(name, "webhook", _TYPES[step], operation).inc()
