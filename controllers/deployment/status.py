"""The status of a Deployment: counts, and how its rollout progresses.

Source: Kubernetes documentation, "Deployment status"; reasons and messages are those that kubectl knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from k8slite import conditions
from k8slite.kinds.apps import Deployment, DeploymentStatus, ReplicaSet
from k8slite.kinds.base import Condition

from . import scaling

NO_DEADLINE = 2**31 - 1

AVAILABLE, PROGRESSING, FAILURE = "Available", "Progressing", "ReplicaFailure"
NEW_AVAILABLE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
NOT_CREATED = "ReplicaSetCreateError"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"


@dataclass(frozen=True, slots=True)
class Step:
    """What this sync does to the new ReplicaSet, for the Progressing condition: a reason and a message, or nothing."""

    reason: str = ""
    message: str = ""


def counts(
    deployment: Deployment, *, new: ReplicaSet | None, everyone: Sequence[ReplicaSet], now: datetime
) -> DeploymentStatus:
    """The new counts and the Available condition; all other conditions as they were."""
    serving = scaling.available(everyone)
    status = DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        replicas=sum(rs.status.replicas for rs in everyone),
        updated_replicas=new.status.replicas if new else 0,
        ready_replicas=sum(rs.status.ready_replicas for rs in everyone),
        available_replicas=serving,
        unavailable_replicas=max(0, scaling.total(everyone) - serving),
        terminating_replicas=_terminating(everyone),
        collision_count=deployment.status.collision_count,
        conditions=deployment.status.conditions,
    )
    minimum = deployment.spec.replicas - scaling.Bounds.of(deployment).unavailable
    if serving >= minimum:
        held = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        held = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return _with(status, AVAILABLE, *held, now=now)


def _terminating(everyone: Sequence[ReplicaSet]) -> int | None:
    """The pods on their way out; None if one of the ReplicaSets does not tell."""
    counts = [rs.status.terminating_replicas for rs in everyone]
    return None if None in counts else sum(count for count in counts if count is not None)


def complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Whether all pods are new and serve, and no old one is left."""
    wanted = deployment.spec.replicas
    return (
        status.updated_replicas == status.replicas == status.available_replicas == wanted
        and status.observed_generation >= deployment.metadata.generation
    )


def progress(
    deployment: Deployment, status: DeploymentStatus, *, new: ReplicaSet | None, step: Step, now: datetime
) -> DeploymentStatus:
    """The status with the Progressing condition of a rollout that is neither paused nor merely scaled."""
    if not _has_deadline(deployment):
        return status.model_copy(update={"conditions": conditions.drop(status.conditions, PROGRESSING)})
    if step.reason:
        status = _with(status, PROGRESSING, "True", step.reason, step.message, now=now)
    current = conditions.find(status.conditions, PROGRESSING)
    settled = status.replicas == status.updated_replicas and current is not None and current.reason == NEW_AVAILABLE
    if settled:
        return status
    subject = f'ReplicaSet "{new.name}"' if new else f'Deployment "{deployment.name}"'
    if complete(deployment, status):
        return _with(status, PROGRESSING, "True", NEW_AVAILABLE, f"{subject} has successfully progressed.", now=now)
    if _moved(deployment.status, status):
        message = f"{subject} is progressing."
        return _with(status, PROGRESSING, "True", "ReplicaSetUpdated", message, now=now, renew=True)
    if timed_out(deployment, status, now=now):
        return _with(status, PROGRESSING, "False", TIMED_OUT, f"{subject} has timed out progressing.", now=now)
    return status


def pausing(deployment: Deployment, status: DeploymentStatus, *, now: datetime) -> DeploymentStatus:
    """The status with what pausing and resuming say about progress; a rollout that timed out stays so."""
    current = conditions.find(status.conditions, PROGRESSING)
    if not _has_deadline(deployment) or (current is not None and current.reason == TIMED_OUT):
        return status
    was_paused = current is not None and current.reason == PAUSED
    if deployment.spec.paused and not was_paused:
        return _with(status, PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now=now)
    if not deployment.spec.paused and was_paused:
        return _with(status, PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", now=now)
    return status


def failure(
    status: DeploymentStatus, *, new: ReplicaSet | None, everyone: Sequence[ReplicaSet], now: datetime
) -> DeploymentStatus:
    """The status with the failure of a ReplicaSet to make or delete its pods: the new one's, or else any other's."""
    ordered = [*([new] if new else []), *everyone]
    found = next((c for rs in ordered if (c := conditions.find(rs.status.conditions, FAILURE)) is not None), None)
    if found is None:
        return status.model_copy(update={"conditions": conditions.drop(status.conditions, FAILURE)})
    return _with(status, FAILURE, found.status, found.reason, found.message, now=found.last_transition_time or now)


def not_created(deployment: Deployment, *, message: str, now: datetime) -> DeploymentStatus:
    """The status as it was, but that the new ReplicaSet could not be made."""
    if not _has_deadline(deployment):
        return deployment.status
    return _with(deployment.status, PROGRESSING, "False", NOT_CREATED, message, now=now)


def timed_out(deployment: Deployment, status: DeploymentStatus, *, now: datetime) -> bool:
    """Whether nothing has moved for longer than the Deployment allows."""
    current = conditions.find(status.conditions, PROGRESSING)
    if current is None or current.reason == NEW_AVAILABLE:
        return False
    if current.reason == TIMED_OUT:
        return True
    deadline = _deadline(deployment, current)
    return deadline is not None and deadline <= now


def deadline_in(deployment: Deployment, status: DeploymentStatus, *, now: datetime) -> float | None:
    """Seconds until the rollout would time out; None if it cannot, or has."""
    current = conditions.find(status.conditions, PROGRESSING)
    if not _has_deadline(deployment) or current is None or current.reason in (NEW_AVAILABLE, TIMED_OUT, PAUSED):
        return None
    deadline = _deadline(deployment, current)
    return max(0.0, (deadline - now).total_seconds()) + 1.0 if deadline is not None else None


def _deadline(deployment: Deployment, current: Condition) -> datetime | None:
    since = current.last_update_time
    return since + timedelta(seconds=deployment.spec.progress_deadline_seconds) if since is not None else None


def _has_deadline(deployment: Deployment) -> bool:
    return deployment.spec.progress_deadline_seconds != NO_DEADLINE


def _moved(old: DeploymentStatus, new: DeploymentStatus) -> bool:
    return (
        new.updated_replicas > old.updated_replicas
        or new.replicas - new.updated_replicas < old.replicas - old.updated_replicas
        or new.ready_replicas > old.ready_replicas
        or new.available_replicas > old.available_replicas
    )


def _with(
    status: DeploymentStatus, type_: str, value: str, reason: str, message: str, *, now: datetime, renew: bool = False
) -> DeploymentStatus:
    """The status with a condition; one of the same status and reason stays as it is unless `renew` says it is news."""
    current = conditions.find(status.conditions, type_)
    if not renew and current is not None and (current.status, current.reason) == (value, reason):
        return status
    moment = now.replace(microsecond=0)
    condition = Condition(type=type_, status=value, reason=reason, message=message, last_update_time=moment)
    return status.model_copy(update={"conditions": conditions.put(status.conditions, condition, now=now)})
