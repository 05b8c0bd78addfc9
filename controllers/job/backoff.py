"""How long to wait after failures before pods are made again: 10 s, 20 s, 40 s … at most six minutes.

Failures are counted back from now to the last success by the pods that are still there, so that a restart of the
controller forgets nothing.

Source: Kubernetes documentation, "Jobs": pod backoff failure policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..pods import Pod
from . import terms

FIRST, LAST = 10.0, 360.0
"""Seconds after the first failure in a row, and at most."""


def wait(pods: Sequence[Pod], *, now: datetime) -> float:
    """Seconds until a pod may be made, given all pods of a Job; 0 if it may now."""
    failed = [terms.ended_at(pod) for pod in pods if pod.status.phase == "Failed"]
    if not failed:
        return 0.0
    success = max((terms.ended_at(pod) for pod in pods if pod.status.phase == "Succeeded"), default=None)
    in_a_row = [moment for moment in failed if success is None or moment > success]
    return _left(len(in_a_row), since=max(in_a_row), now=now) if in_a_row else 0.0


def index_wait(replaced: Pod | None, *, now: datetime) -> float:
    """Seconds until the pod of an index may be replaced; 0 if it may now, or if the index had none."""
    if replaced is None:
        return 0.0
    return _left(sum(terms.index_failures(replaced)) + 1, since=terms.ended_at(replaced), now=now)


def _left(failures: int, *, since: datetime, now: datetime) -> float:
    delay = min(FIRST * 2.0 ** min(failures - 1, 16), LAST)
    return max(delay - (now - since).total_seconds(), 0.0)
