"""Jobs and CronJobs.

A Job finds its pods by its own UID unless the user insists on a selector of their own.

Source: Kubernetes' registry/batch/{job,cronjob}/strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause

from ..defaults import apps as defaults
from ..validation import batch as rules
from ..validation.pod_warnings import workload_warnings
from .base import Context, Document, Strategy
from .simple import SimpleStrategy


class JobStrategy(Strategy):
    """The strategy of Jobs."""

    propagation = "Orphan"
    propagation_warning = (
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or "
        "set propagationPolicy=Orphan to suppress this warning"
    )
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
        uid, name = meta["uid"], meta.get("name") or ""
        labels = spec["template"]["metadata"].setdefault("labels", {})
        for key, value in (
            (rules.LEGACY_UID_LABEL, uid),
            (rules.UID_LABEL, uid),
            (rules.LEGACY_NAME_LABEL, name),
            (rules.NAME_LABEL, name),
        ):
            labels.setdefault(key, value)
        # Whatever selector the user gave stays beside the generated one, for validation to judge.
        spec.setdefault("selector", {}).setdefault("matchLabels", {}).setdefault(rules.UID_LABEL, uid)

    def validate(self, obj: Document) -> list[Cause]:
        """A Job's rules."""
        return rules.job(obj)

    def validate_create(self, obj: Document) -> list[Cause]:
        """A new Job's rules."""
        return rules.job_create(obj)

    def validate_update(self, obj: Document, old: Document) -> list[Cause]:
        """Most of a Job's spec is for ever."""
        return rules.job_update(obj, old)

    def warn(self, obj: Document, old: Document | None) -> list[str]:
        """What is seldom meant in its pods."""
        return workload_warnings(obj, old)


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("batch", "jobs"): JobStrategy(),
    ("batch", "cronjobs"): SimpleStrategy(
        default=defaults.cronjob,
        validate=rules.cronjob,
        validate_create=rules.cronjob_create,
        validate_update=rules.cronjob_update,
        warn=workload_warnings,
        generation=True,
        initial_status={},
    ),
}
