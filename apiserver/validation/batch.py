"""Rules for Jobs and CronJobs.

Source: Kubernetes' batch validation (ValidateJob, ValidateJobUpdate, ValidateCronJob).
"""

from __future__ import annotations

import re
from typing import Any

from k8slite.errors import Cause, invalid_value, not_supported, required, too_long
from k8slite.selectors import from_object

from .apps import non_negative
from .pods import template
from .selectors import label_selector

Document = dict[str, Any]

_RESTART_POLICIES = ("OnFailure", "Never")
_CONCURRENCY = ("Allow", "Forbid", "Replace")
_LONGEST_CRONJOB_NAME = 52
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_NAMES: tuple[dict[str, int], ...] = (
    {},
    {},
    {},
    {n: i for i, n in enumerate(_MONTHS, 1)},
    {n: i for i, n in enumerate(_DAYS)},
)
_MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_part = re.compile(r"^(\*|\?|\w+)(?:-(\w+))?(?:/(\d+))?$").match


def job(obj: Document) -> list[Cause]:
    """What is wrong with a Job."""
    spec = obj.get("spec") or {}
    causes = job_spec(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        causes.append(required("spec.selector"))
    else:
        causes += label_selector(selector, "spec.selector")
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
        parsed = from_object(selector)
        if parsed is not None and not parsed.matches(labels):
            detail = "`selector` does not match template `labels`"
            causes.append(invalid_value("spec.template.metadata.labels", labels, detail))
    return causes


def job_spec(spec: Document, field: str) -> list[Cause]:
    """What is wrong with a Job's spec, apart from its selector."""
    causes: list[Cause] = []
    for name in ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"):
        causes += non_negative(spec.get(name), f"{field}.{name}")
    mode = spec.get("completionMode")
    if mode is not None and mode not in ("NonIndexed", "Indexed"):
        causes.append(not_supported(f"{field}.completionMode", mode, ("NonIndexed", "Indexed")))
    if mode == "Indexed" and spec.get("completions") is None:
        causes.append(required(f"{field}.completions", f'when completion mode is "{mode}"'))
    causes += template(spec.get("template"), f"{field}.template")
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy == "Always":
        causes.append(not_supported(f"{field}.template.spec.restartPolicy", policy, _RESTART_POLICIES))
    return causes


def job_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a Job that must not."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    causes: list[Cause] = []
    frozen = ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    if before.get("completionMode") != "Indexed":
        frozen.append("completions")
    if not (before.get("suspend") and not (old.get("status") or {}).get("startTime")):
        frozen.append("template")
    for name in frozen:
        if before.get(name) != after.get(name):
            causes.append(invalid_value(f"spec.{name}", after.get(name), "field is immutable"))
    return causes


def cronjob(obj: Document) -> list[Cause]:
    """What is wrong with a CronJob."""
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    if len(obj["metadata"].get("name") or "") > _LONGEST_CRONJOB_NAME:
        cause = too_long("metadata.name", _LONGEST_CRONJOB_NAME)
        causes.append(
            Cause("FieldValueInvalid", f"must be no more than {_LONGEST_CRONJOB_NAME} characters", cause.field)
        )
    schedule = spec.get("schedule") or ""
    if not schedule:
        causes.append(required("spec.schedule"))
    elif problem := schedule_problem(schedule):
        causes.append(invalid_value("spec.schedule", schedule, problem))
    if (policy := spec.get("concurrencyPolicy")) not in _CONCURRENCY:
        causes.append(not_supported("spec.concurrencyPolicy", policy or "", _CONCURRENCY))
    for name in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        causes += non_negative(spec.get(name), f"spec.{name}")
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    return causes + job_spec(job, "spec.jobTemplate.spec")


def schedule_problem(schedule: str) -> str | None:
    """Why a text is no cron schedule, None if it is one."""
    if schedule in _MACROS or re.fullmatch(r"@every \d+[smh0-9.]*", schedule):
        return None
    parts = schedule.split()
    if len(parts) != len(_BOUNDS):
        return f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
    for text, bounds, words in zip(parts, _BOUNDS, _NAMES, strict=True):
        for piece in text.split(","):
            if problem := _piece_problem(piece, bounds, words):
                return problem
    return None


def _piece_problem(piece: str, bounds: tuple[int, int], words: dict[str, int]) -> str | None:
    found = _part(piece)
    if found is None:
        return f"failed to parse {piece!r}"
    begin, end, step = found.groups()
    if step == "0":
        return f"step of range should be a positive number: {piece}"
    low, high = bounds
    for text in (begin, end):
        if text in (None, "*", "?"):
            continue
        number = words.get(text.lower()) if not text.isdigit() else int(text)
        if number is None:
            return f"failed to parse int from {text}"
        if number < low:
            return f"beginning of range ({number}) below minimum ({low}): {piece}"
        if number > high:
            return f"end of range ({number}) above maximum ({high}): {piece}"
    return None
