"""Jobs and CronJobs.

A Job finds its pods by its own UID unless the user insists on a selector of their own.

Source: Kubernetes' registry/batch/{job,cronjob}/strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause

from ..defaults import apps as defaults
from ..validation import batch as rules
from .base import Context, Document, Strategy
from .simple import SimpleStrategy

_UID = "batch.kubernetes.io/controller-uid"
_NAME = "batch.kubernetes.io/job-name"
_LEGACY_UID = "controller-uid"
_LEGACY_NAME = "job-name"


class JobStrategy(Strategy):
    """The strategy of Jobs."""

    selectable_fields = {"status.successful": lambda job: str((job.get("status") or {}).get("succeeded") or 0)}

    def default(self, obj: Document) -> None:
        """Fill in what the user left out."""
        defaults.job(obj)

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Give the Job a selector that finds its pods and no others."""
        obj["status"] = {}
        spec, meta = obj["spec"], obj["metadata"]
        if spec.get("manualSelector") or spec.get("template") is None:
            return
        labels = spec["template"]["metadata"].setdefault("labels", {})
        for key, value in (
            (_LEGACY_UID, meta["uid"]),
            (_UID, meta["uid"]),
            (_LEGACY_NAME, meta.get("name") or ""),
            (_NAME, meta.get("name") or ""),
        ):
            labels.setdefault(key, value)
        selector = spec.setdefault("selector", {}).setdefault("matchLabels", {})
        selector.setdefault(_UID, meta["uid"])

    def validate(self, obj: Document) -> list[Cause]:
        """A Job's rules."""
        return rules.job(obj)

    def validate_update(self, obj: Document, old: Document) -> list[Cause]:
        """Most of a Job's spec is for ever."""
        return rules.job_update(obj, old)


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("batch", "jobs"): JobStrategy(),
    ("batch", "cronjobs"): SimpleStrategy(
        default=defaults.cronjob, validate=rules.cronjob, generation=True, initial_status={}
    ),
}
