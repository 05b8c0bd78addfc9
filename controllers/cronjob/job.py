"""The Jobs of a CronJob: their names, which say for when they are, and their documents.

Source: Kubernetes documentation, "CronJob": job name, labels and annotations.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any

from k8slite import ownership
from k8slite.kinds.batch import CronJob, Job
from k8slite.kinds.references import ObjectReference

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
"""The annotation that says for when a Job was made."""


def name_for(cronjob: CronJob, start: datetime) -> str:
    """The one name of the Job for a start: whoever makes it a second time finds the first."""
    return f"{cronjob.name}-{int(start.timestamp()) // 60}"


def scheduled_for(cronjob: CronJob, job: Job) -> datetime | None:
    """The start that the controller made the Job for; None if somebody else made it."""
    try:
        moment = datetime.fromisoformat(job.metadata.annotations.get(SCHEDULED, ""))
    except ValueError:
        return None
    if moment.tzinfo is None or job.name != name_for(cronjob, moment):
        return None
    return moment.astimezone(UTC)


def job_of(cronjob: CronJob, start: datetime, *, zone: tzinfo) -> dict[str, Any]:
    """The Job for a start. `zone` is the CronJob's own, for the annotation."""
    template = cronjob.spec.job_template
    moment = start.astimezone(zone).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name_for(cronjob, start),
            "namespace": cronjob.namespace,
            "labels": dict(template.labels),
            "annotations": {**template.annotations, SCHEDULED: moment},
            "ownerReferences": [ownership.controller_reference(cronjob)],
        },
        "spec": template.spec,
    }


def reference(job: Job) -> ObjectReference:
    """How a CronJob's status points to a Job."""
    return ObjectReference(
        api_version="batch/v1",
        kind="Job",
        namespace=job.namespace,
        name=job.name,
        uid=job.uid,
        resource_version=job.metadata.resource_version,
    )


def oldest(jobs: Iterable[Job], *, keep: int | None) -> list[Job]:
    """Those that a history of `keep` has no room for; None has room for all."""
    if keep is None:
        return []
    far = datetime.max.replace(tzinfo=UTC)
    ordered = sorted(jobs, key=lambda job: (job.status.start_time or far, job.name))
    return ordered[: max(len(ordered) - keep, 0)]
