"""Whether a Job's fate is sealed: it has failed, or has succeeded, though its last pods may still be on their way out.

Source: Kubernetes documentation, "Jobs": termination and clean-up, pod failure policy, success policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from k8slite.kinds.batch import Job, JobCondition

from ..pods import Pod
from . import failure_policy, terms
from .counting import Counts
from .indexes import Indexes

SUCCESS, FAILURE = "SuccessCriteriaMet", "FailureTarget"


def condition(type_: str, reason: str, message: str, *, now: datetime, status: str = "True") -> JobCondition:
    """A condition, probed now."""
    moment = now.replace(microsecond=0)
    return JobCondition(type=type_, status=status, reason=reason, message=message, last_probe_time=moment)


def recorded(job: Job) -> JobCondition | None:
    """The fate that the status tells; success, once met, cannot turn into failure."""
    for type_ in (SUCCESS, FAILURE):
        for found in job.status.conditions:
            if found.type == type_ and found.status == "True":
                return found
    return None


def judge(job: Job, pods: Sequence[Pod], counts: Counts, *, now: datetime, active: int) -> JobCondition | None:
    """The fate of a Job that has none yet, if it is sealed now."""
    if (failure := _failure(job, pods, counts, now=now)) is not None:
        return condition(FAILURE, *failure, now=now)
    if (success := _success(job, counts, active=active)) is not None:
        return condition(SUCCESS, *success, now=now)
    return None


def deadline(job: Job, *, now: datetime) -> float | None:
    """Seconds that the Job may still run; None if it may for ever, or waits."""
    most = job.spec.active_deadline_seconds
    if most is None or job.spec.suspend:
        return None
    return most - (now - (job.status.start_time or now)).total_seconds()


def _failure(job: Job, pods: Sequence[Pod], counts: Counts, *, now: datetime) -> tuple[str, str] | None:
    if job.spec.pod_failure_policy is not None:
        for pod in pods:
            if terms.failed(job, pod):
                matched = failure_policy.match(job, pod)
                if matched.action == failure_policy.FAIL_JOB:
                    return "PodFailurePolicy", matched.message
    if counts.all_failed > job.spec.backoff_limit or _restarted_too_often(job, pods):
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    if (left := deadline(job, now=now)) is not None and left <= 0:
        return "DeadlineExceeded", "Job was active longer than specified deadline"
    if not counts.failed_indexes:
        return None
    broken, most = counts.failed_indexes.count, job.spec.max_failed_indexes
    if most is not None and broken > most:
        return "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
    if broken and broken + counts.completed.count >= (job.spec.completions or 0):
        return "FailedIndexes", "Job has failed indexes"
    return None


def _restarted_too_often(job: Job, pods: Sequence[Pod]) -> bool:
    """Pods that restart in place count by their restarts."""
    if job.spec.template.spec.get("restartPolicy") != "OnFailure":
        return False
    total = sum(
        status.restart_count
        for pod in pods
        if pod.status.phase in ("Running", "Pending")
        for status in (*pod.status.init_container_statuses, *pod.status.container_statuses)
    )
    return total >= max(job.spec.backoff_limit, 1)


def _success(job: Job, counts: Counts, *, active: int) -> tuple[str, str] | None:
    if (rule := _success_rule(job, counts.completed)) is not None:
        return "SuccessPolicy", f"Matched rules at index {rule}"
    if job.spec.completions is None:
        done = counts.all_succeeded > 0 and not active
    else:
        done = counts.all_succeeded >= job.spec.completions
    # A Job that was never let run has no start to tell of, and waits even if there is nothing to do.
    if done and (job.status.start_time is not None or not job.spec.suspend):
        return "CompletionsReached", "Reached expected number of succeeded pods"
    return None


def _success_rule(job: Job, completed: Indexes) -> int | None:
    """The first rule of the success policy that is met."""
    policy = job.spec.success_policy
    if policy is None or not completed.runs:
        return None
    for number, rule in enumerate(policy.rules):
        if rule.succeeded_indexes is not None:
            wanted = Indexes.parse(rule.succeeded_indexes, below=job.spec.completions or 0)
            enough = wanted.count if rule.succeeded_count is None else min(rule.succeeded_count, wanted.count)
            if wanted.runs and wanted.common(completed) >= enough:
                return number
        elif rule.succeeded_count is not None and completed.count >= rule.succeeded_count:
            return number
    return None
