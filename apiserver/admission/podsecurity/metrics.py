"""How often pods were judged, and how.

Source: Kubernetes documentation, "Kubernetes Metrics Reference"; pod-security-admission, metrics/metrics.go.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from prometheus_client import REGISTRY, Counter
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

import k8slite

from ..base import Admission
from .levels import LATEST, Standard

_REQUEST = ("request_operation", "resource", "subresource")
_Labels = tuple[str, str, str, str, str, str, str]


class Evaluations(Collector):
    """Judgements, by all that labels tell of them. Most pods are of namespaces that ask for nothing: one addition."""

    def __init__(self) -> None:
        self._counts: Counts[_Labels] = Counts()
        self._unasked: dict[tuple[str, str], int] = {}

    def add(self, labels: _Labels) -> None:
        """Count a judgement."""
        self._counts[labels] += 1

    def add_unasked(self, operation: str, subresource: str) -> None:
        """Count a pod of which nothing is asked."""
        place = operation, subresource
        self._unasked[place] = self._unasked.get(place, 0) + 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The metric now."""
        family = CounterMetricFamily(
            "pod_security_evaluations",
            "Pods that were judged; those that are ignored or exempt are not.",
            labels=("decision", "policy_level", "policy_version", "mode", *_REQUEST),
        )
        counts = self._counts.copy()
        for (operation, subresource), count in self._unasked.copy().items():
            counts[_labels("allow", Standard(), "enforce", operation.lower(), "pod", subresource)] += count
        for labels, count in counts.items():
            family.add_metric(labels, count)
        yield family


EVALUATIONS = Evaluations()
REGISTRY.register(EVALUATIONS)
EXEMPTIONS = Counter("pod_security_exemptions_total", "Requests that are exempt from Pod Security.", _REQUEST)
ERRORS = Counter(
    "pod_security_errors_total",
    "Pods and workloads whose namespace cannot be understood (fatal: was not found).",
    ("fatal", *_REQUEST),
)

_SERVED = int(k8slite.KUBERNETES_VERSION.removeprefix("v").split(".")[1])
_RESOURCES = {"pods": "pod", "namespaces": "namespace"}


def count(
    decision: Literal["allow", "deny"], standard: Standard, mode: Literal["enforce", "audit", "warn"], of: Admission
) -> None:
    """Count a judgement."""
    EVALUATIONS.add(_labels(decision, standard, mode, *_request(of)))


def count_exempt(of: Admission) -> None:
    """Count a request that is exempt."""
    EXEMPTIONS.labels(*_request(of)).inc()


def count_error(of: Admission, *, fatal: bool) -> None:
    """Count a request whose namespace's labels are wrong, or whose namespace is not there (fatal)."""
    ERRORS.labels(str(fatal).lower(), *_request(of)).inc()


def _request(of: Admission) -> tuple[str, str, str]:
    return of.operation.lower(), _RESOURCES.get(of.resource.plural, "controller"), of.subresource


@lru_cache(maxsize=256)
def _labels(decision: str, standard: Standard, mode: str, operation: str, resource: str, subresource: str) -> _Labels:
    version = standard.version
    if standard.level == "privileged":
        version = LATEST
    elif standard.minor is not None and standard.minor > _SERVED:
        version = "future"
    return decision, standard.level, version, mode, operation, resource, subresource
