"""Rules for a Job's status: conditions that contradict each other, counters that go back, finished Jobs that go on.

Source: Kubernetes' batch validation (validateJobStatus, ValidateJobStatusUpdate), registry/batch/job (their options).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_field, invalid_value, required

from .indexes import overlap, parse_indexes
from .values import non_negative

Document = dict[str, Any]

_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")
_CONDITIONS = "status.conditions"
_CLASHES = (
    ("Complete", "Failed", "cannot set Complete=True and Failed=true conditions"),
    ("Complete", "FailureTarget", "cannot set Complete=True and FailureTarget=true conditions"),
    ("SuccessCriteriaMet", "Failed", "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
    ("SuccessCriteriaMet", "FailureTarget", "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
)
_NEEDS = (
    ("Failed", "FailureTarget", "cannot set Failed=True condition without the FailureTarget=true condition"),
    (
        "Complete",
        "SuccessCriteriaMet",
        "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
    ),
)
_TERMINAL = ("Failed", "Complete", "FailureTarget")


def job_status(new: Document, old: Document) -> list[Cause]:
    """What is wrong with a Job's changed status."""
    status, before = new.get("status") or {}, old.get("status") or {}
    causes = [cause for name in _COUNTS for cause in non_negative(status.get(name), f"status.{name}")]
    true, was = _true(status), _true(before)
    causes += [invalid_field(_CONDITIONS, detail) for one, other, detail in _CLASHES if {one, other} <= true]
    # What was so before may stay so.
    causes += [
        invalid_field(_CONDITIONS, detail)
        for one, other, detail in _NEEDS
        if one in true and one not in was and other not in true
    ]
    resumed = "Suspended" in was - true
    causes += _times(status, before, true, restarts=resumed or bool((new.get("spec") or {}).get("suspend")))
    if true & {"Complete", "Failed"}:
        causes += _finished(status)
    causes += _indexes(status, new.get("spec") or {})
    if (status.get("ready") or 0) > (status.get("active") or 0):
        causes.append(invalid_value("status.ready", status["ready"], "cannot set more ready pods than active"))
    for kind in _TERMINAL:
        if kind in was - true:
            causes.append(invalid_field(_CONDITIONS, f"cannot disable the terminal {kind}=True condition"))
    if "SuccessCriteriaMet" in was - true:
        causes.append(invalid_field(_CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition"))
    for name in ("failed",) if _may_shrink(new.get("spec") or {}) else ("failed", "succeeded"):
        if (status.get(name) or 0) < (before.get(name) or 0):
            causes.append(invalid_value(f"status.{name}", status.get(name) or 0, f"cannot decrease the {name} counter"))
    return causes


def _may_shrink(spec: Document) -> bool:
    """An Indexed Job with as many completions as parallelism may be made smaller, and then has fewer successes."""
    return spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")


def _true(status: Document) -> set[str]:
    return {c.get("type") or "" for c in status.get("conditions") or () if c.get("status") == "True"}


def _times(status: Document, before: Document, true: set[str], *, restarts: bool) -> list[Cause]:
    causes = []
    started, ended = status.get("startTime"), status.get("completionTime")
    if ended and "Complete" not in true:
        detail = "cannot set completionTime when there is no Complete=True condition"
        causes.append(invalid_value("status.completionTime", ended, detail))
    if not ended and "Complete" in true:
        causes.append(required("status.completionTime", "completionTime is required for Complete jobs"))
    if started and ended and ended < started:
        causes.append(invalid_value("status.completionTime", ended, "must be equal to or after `startTime`"))
    if ended and before.get("completionTime") not in (None, ended):
        causes.append(invalid_value("status.completionTime", ended, "field is immutable"))
    if before.get("startTime") not in (None, started) and not restarts:
        causes.append(required("status.startTime", "startTime cannot be removed for unsuspended job"))
    if not started and true & {"Complete", "Failed"}:
        causes.append(required("status.startTime", "startTime is required for finished job"))
    return causes


def _finished(status: Document) -> list[Cause]:
    causes = []
    for name in ("active", "terminating"):
        if (status.get(name) or 0) > 0:
            causes.append(invalid_value(f"status.{name}", status[name], f"{name}>0 is invalid for finished job"))
    uncounted = status.get("uncountedTerminatedPods") or {}
    if uncounted.get("failed") or uncounted.get("succeeded"):
        detail = "must be empty for finished job"
        causes.append(invalid_value("status.uncountedTerminatedPods", uncounted, detail))
    return causes


def _indexes(status: Document, spec: Document) -> list[Cause]:
    causes = []
    completed, failed = status.get("completedIndexes") or "", status.get("failedIndexes")
    if completed and spec.get("completionMode") != "Indexed":
        detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
        causes.append(invalid_value("status.completedIndexes", completed, detail))
    if failed is not None and spec.get("backoffLimitPerIndex") is None:
        detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        causes.append(invalid_value("status.failedIndexes", failed, detail))
    if spec.get("completions") is None:
        return causes
    sets = []
    for name, text in (("completedIndexes", completed), ("failedIndexes", failed or "")):
        intervals, problem = parse_indexes(text, spec["completions"])
        sets.append(intervals)
        if problem:
            causes.append(invalid_value(f"status.{name}", text, f"error parsing {name}: {problem}"))
    if (common := overlap(*sets)) is not None:
        detail = f"failedIndexes and completedIndexes overlap at index: {common}"
        causes.append(invalid_value("status.failedIndexes", failed, detail))
    return causes
