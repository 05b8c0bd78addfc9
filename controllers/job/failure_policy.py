"""What a Job's podFailurePolicy says about a failed pod.

Source: Kubernetes documentation, "Jobs": pod failure policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from k8slite.kinds.batch import Job, OnExitCodes, OnPodCondition

from ..pods import ContainerStatus, Pod, PodCondition

FAIL_JOB, FAIL_INDEX, IGNORE, COUNT = "FailJob", "FailIndex", "Ignore", "Count"
_ACTIONS = frozenset({FAIL_JOB, FAIL_INDEX, IGNORE, COUNT})


@dataclass(frozen=True, slots=True)
class Match:
    """The action of the first rule that matches ("" for none), and how a Job that fails by it says why."""

    action: str = ""
    message: str = ""

    @property
    def counts(self) -> bool:
        """Whether the failure counts towards the back-off limits."""
        return self.action != IGNORE


NO_MATCH = Match()


def match(job: Job, pod: Pod) -> Match:
    """The first rule that matches the pod. A rule whose action nobody knows matches nothing."""
    policy = job.spec.pod_failure_policy
    if policy is None:
        return NO_MATCH
    where = f"{pod.namespace}/{pod.name}"
    for number, rule in enumerate(policy.rules):
        if rule.action not in _ACTIONS:
            continue
        ending = f"matching {rule.action} rule at index {number}"
        if rule.on_exit_codes is not None:
            container = _by_exit_code(pod, rule.on_exit_codes)
            if container is not None:
                code = _exit_code(container)
                return Match(
                    rule.action, f"Container {container.name} for pod {where} failed with exit code {code} {ending}"
                )
        elif rule.on_pod_conditions is not None:
            condition = _by_condition(pod, rule.on_pod_conditions)
            if condition is not None:
                return Match(rule.action, f"Pod {where} has condition {condition.type} {ending}")
    return NO_MATCH


def _by_exit_code(pod: Pod, wanted: OnExitCodes) -> ContainerStatus | None:
    for status in (*pod.status.container_statuses, *pod.status.init_container_statuses):
        code = _exit_code(status)
        if not code or wanted.container_name not in (None, status.name):
            continue
        if (code in wanted.values) == (wanted.operator == "In"):
            return status
    return None


def _exit_code(status: ContainerStatus) -> int | None:
    ended = status.state.terminated if status.state else None
    return ended.exit_code if ended is not None else None


def _by_condition(pod: Pod, patterns: Sequence[OnPodCondition]) -> PodCondition | None:
    wanted = {(pattern.type, pattern.status) for pattern in patterns}
    return next((c for c in pod.status.conditions if (c.type, c.status) in wanted), None)
