"""`batch/v1`: work that ends."""

from __future__ import annotations

from datetime import datetime

from .base import Condition, LabelSelectorModel, Model, Object
from .template import RawTemplate


class JobSpec(Model):
    """How often the pod must succeed."""

    parallelism: int | None = None
    completions: int | None = None
    active_deadline_seconds: int | None = None
    backoff_limit: int = 6
    selector: LabelSelectorModel = LabelSelectorModel()
    manual_selector: bool = False
    template: RawTemplate = RawTemplate()
    ttl_seconds_after_finished: int | None = None
    completion_mode: str = "NonIndexed"
    suspend: bool = False


class UncountedTerminatedPods(Model):
    """Pods that ended but are not yet in the counters, by UID."""

    succeeded: list[str] = []
    failed: list[str] = []


class JobStatus(Model):
    """How far the work is."""

    conditions: list[Condition] = []
    start_time: datetime | None = None
    completion_time: datetime | None = None
    active: int = 0
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    terminating: int = 0
    completed_indexes: str = ""
    uncounted_terminated_pods: UncountedTerminatedPods | None = None


class Job(Object):
    """`batch/v1.Job`."""

    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()
