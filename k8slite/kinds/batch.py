"""`batch/v1`: work that ends, and work that comes again."""

from __future__ import annotations

from datetime import datetime

from .base import Condition, LabelSelectorModel, Model, Object
from .references import ObjectReference
from .template import RawTemplate


class OnExitCodes(Model):
    """Containers that ended with one of these codes, or with none of them."""

    operator: str = "In"
    values: list[int] = []
    container_name: str | None = None


class OnPodCondition(Model):
    """A condition of a pod, in a state."""

    type: str
    status: str = "True"


class PodFailureRule(Model):
    """What to do about a failed pod that meets one of two requirements."""

    action: str
    on_exit_codes: OnExitCodes | None = None
    on_pod_conditions: list[OnPodCondition] | None = None


class PodFailurePolicy(Model):
    """Rules for failed pods; the first that matches counts."""

    rules: list[PodFailureRule] = []


class SuccessRule(Model):
    """Which indexes must succeed, or how many, for the Job to succeed early."""

    succeeded_indexes: str | None = None
    succeeded_count: int | None = None


class SuccessPolicy(Model):
    """Rules for an early success; any one is enough."""

    rules: list[SuccessRule] = []


class JobSpec(Model):
    """How often the pod must succeed."""

    parallelism: int | None = None
    completions: int | None = None
    active_deadline_seconds: int | None = None
    backoff_limit: int = 6
    backoff_limit_per_index: int | None = None
    max_failed_indexes: int | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    success_policy: SuccessPolicy | None = None
    pod_replacement_policy: str = "TerminatingOrFailed"
    managed_by: str | None = None
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


class JobCondition(Condition):
    """A condition of a Job."""

    last_probe_time: datetime | None = None


class JobStatus(Model):
    """How far the work is."""

    conditions: list[JobCondition] = []
    start_time: datetime | None = None
    completion_time: datetime | None = None
    active: int = 0
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    terminating: int = 0
    completed_indexes: str = ""
    failed_indexes: str | None = None
    uncounted_terminated_pods: UncountedTerminatedPods | None = None


class Job(Object):
    """`batch/v1.Job`."""

    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()

    @property
    def finished(self) -> JobCondition | None:
        """The condition that says that the Job is over: Complete or Failed."""
        ends = (c for c in self.status.conditions if c.type in ("Complete", "Failed") and c.status == "True")
        return next(ends, None)


class CronJobSpec(Model):
    """When to make which Job."""

    schedule: str = ""
    time_zone: str | None = None
    starting_deadline_seconds: int | None = None
    concurrency_policy: str = "Allow"
    suspend: bool = False
    job_template: RawTemplate = RawTemplate()
    successful_jobs_history_limit: int | None = None
    failed_jobs_history_limit: int | None = None


class CronJobStatus(Model):
    """What runs, and what was last."""

    active: list[ObjectReference] = []
    last_schedule_time: datetime | None = None
    last_successful_time: datetime | None = None


class CronJob(Object):
    """`batch/v1.CronJob`."""

    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()
