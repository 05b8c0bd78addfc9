"""How often pods were judged, and how.

Source: Kubernetes documentation, "Kubernetes Metrics Reference"; pod-security-admission, metrics/metrics.go.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from prometheus_client import Counter

import k8slite

from ..base import Admission
from .levels import LATEST, Standard

_REQUEST = ("request_operation", "resource", "subresource")
EVALUATIONS = Counter(
    "pod_security_evaluations_total",
    "Pods that were judged; those that are ignored or exempt are not.",
    ("decision", "policy_level", "policy_version", "mode", *_REQUEST),
)
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
    _evaluations(decision, standard, mode, *_request(of)).inc()


def count_exempt(of: Admission) -> None:
    """Count a request that is exempt."""
    EXEMPTIONS.labels(*_request(of)).inc()


def count_error(of: Admission, *, fatal: bool) -> None:
    """Count a request whose namespace's labels are wrong, or whose namespace is not there (fatal)."""
    ERRORS.labels(str(fatal).lower(), *_request(of)).inc()


def _request(of: Admission) -> tuple[str, str, str]:
    return of.operation.lower(), _RESOURCES.get(of.resource.plural, "controller"), of.subresource


@lru_cache(maxsize=256)
def _evaluations(
    decision: str, standard: Standard, mode: str, operation: str, resource: str, subresource: str
) -> Counter:
    version = standard.version
    if standard.level == "privileged":
        version = LATEST
    elif standard.minor is not None and standard.minor > _SERVED:
        version = "future"
    return EVALUATIONS.labels(decision, standard.level, version, mode, operation, resource, subresource)
