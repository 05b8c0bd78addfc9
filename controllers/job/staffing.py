"""Which pods a Job needs beside those that work, and which it has too many of.

Source: Kubernetes documentation, "Jobs": parallelism, pod replacement policy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from k8slite.kinds.batch import Job

from ..pods import Pod, ready_since, restarts
from . import backoff, failure_policy, terms
from .counting import Counts
from .indexes import Indexes

BURST = 500
"""Pods made or deleted in one sync at most."""


@dataclass(frozen=True, slots=True)
class NewPod:
    """A pod to make: for which index, and how often that has failed (None: the Job does not count that)."""

    index: int | None = None
    failures: int | None = None
    ignored_failures: int = 0


@dataclass(frozen=True, slots=True)
class Staffing:
    """What to change. `wait` is when to look again, in seconds, if failures hold creations back."""

    create: tuple[NewPod, ...] = ()
    remove: tuple[Pod, ...] = ()
    wait: float | None = None


def staff(job: Job, pods: Sequence[Pod], counts: Counts, *, now: datetime, deleted: Collection[str] = ()) -> Staffing:
    """Decide for a Job that runs. Pods are either made or removed, and removing comes first."""
    active = [pod for pod in pods if terms.active(pod, deleted)]
    wanted = _wanted(job, counts, active=len(active))
    if remove := surplus(job, active, at_least=len(active) - wanted):
        return Staffing(remove=remove[:BURST])
    leaving = [pod for pod in pods if terms.terminating(pod, deleted)] if terms.awaits_the_end(job) else []
    missing = min(wanted - len(active) - len(leaving), BURST)
    if missing <= 0:
        return Staffing()
    per_index = job.spec.backoff_limit_per_index is not None
    if not per_index and (wait := backoff.wait(pods, now=now)) > 0:
        return Staffing(wait=wait)
    if not terms.indexed(job):
        return Staffing(create=(NewPod(),) * missing)
    taken = Indexes.of(i for pod in (*active, *leaving) if (i := terms.index_of(job, pod)) is not None)
    taken = taken | counts.completed | (counts.failed_indexes or Indexes())
    free = taken.free(job.spec.completions or 0)
    if not per_index:
        return Staffing(create=tuple(NewPod(index) for index in islice(free, missing)))
    return _per_index(job, list(islice(free, missing)), counts, now=now)


def _wanted(job: Job, counts: Counts, *, active: int) -> int:
    parallelism = 1 if job.spec.parallelism is None else job.spec.parallelism
    if job.spec.completions is None:
        # A work queue: once a pod has succeeded, the others know that they are the last.
        return active if counts.all_succeeded else parallelism
    return max(min(parallelism, job.spec.completions - counts.all_succeeded), 0)


def _per_index(job: Job, free: Sequence[int], counts: Counts, *, now: datetime) -> Staffing:
    """Each index has failed as often as it has, and waits for itself."""
    create, waits = [], []
    for index in free:
        replaced = counts.held.get(index)
        if (wait := backoff.index_wait(replaced, now=now)) > 0:
            waits.append(wait)
            continue
        failures = ignored = 0
        if replaced is not None:
            counted = failure_policy.match(job, replaced).counts
            failures, ignored = terms.index_failures(replaced)
            failures, ignored = failures + counted, ignored + (not counted)
        create.append(NewPod(index, failures, ignored))
    return Staffing(create=tuple(create), wait=min(waits, default=None))


def surplus(job: Job, active: Sequence[Pod], *, at_least: int) -> tuple[Pod, ...]:
    """Pods to remove: so many, and all that share their index with another or have none; the youngest first."""
    remove: list[Pod] = []
    left = list(active)
    if terms.indexed(job):
        by_index: dict[int | None, list[Pod]] = defaultdict(list)
        for pod in active:
            by_index[terms.index_of(job, pod)].append(pod)
        remove += by_index.pop(None, [])
        left = []
        for same in by_index.values():
            *doubles, kept = sorted(same, key=_rank)
            remove += doubles
            left.append(kept)
    if (more := at_least - len(remove)) > 0:
        remove += sorted(left, key=_rank)[:more]
    return tuple(remove)


def _rank(pod: Pod) -> tuple[Any, ...]:
    """Smaller goes first: what has come less far."""
    since, made = ready_since(pod), pod.metadata.creation_timestamp
    return (
        bool(pod.spec.node_name),
        {"Pending": 0, "": 0, "Unknown": 1}.get(pod.status.phase, 2),
        pod.ready,
        -since.timestamp() if since else 0.0,
        *(-count for count in restarts(pod)),
        -made.timestamp() if made else 0.0,
        pod.uid,
    )
