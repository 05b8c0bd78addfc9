"""When a finished Job may go.

Source: Kubernetes documentation, "Automatic Cleanup for Finished Jobs".
"""

from __future__ import annotations

from datetime import datetime, timedelta

from k8slite.kinds.batch import Job


def left(job: Job, *, now: datetime) -> float | None:
    """Seconds that the Job is still kept, 0 if it may go; None if nobody said, or if it is not over, or goes already.

    A Job that is said to have ended in the future, because clocks differ, is kept from then.
    """
    ttl, over = job.spec.ttl_seconds_after_finished, job.finished
    if ttl is None or over is None or over.last_transition_time is None or job.deleting:
        return None
    return max((over.last_transition_time + timedelta(seconds=ttl) - now).total_seconds(), 0.0)
