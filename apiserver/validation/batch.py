"""Rules for Jobs and CronJobs.

Source: Kubernetes' batch validation (ValidateJob, ValidateJobUpdate, ValidateCronJob).
"""

from __future__ import annotations

import json
from typing import Any

from k8slite.errors import Cause, invalid_value, not_supported, required, too_long
from k8slite.selectors import from_object

from . import names
from .job_policies import pod_failure_policy, success_policy
from .job_status import job_status
from .pods import template
from .schedules import schedule_problem, time_zone_problem
from .selectors import label_selector
from .values import choice, needed, non_negative, optional_choice, unchanged

Document = dict[str, Any]

UID_LABEL = "batch.kubernetes.io/controller-uid"
NAME_LABEL = "batch.kubernetes.io/job-name"
LEGACY_UID_LABEL = "controller-uid"
LEGACY_NAME_LABEL = "job-name"
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_MODES = ("Indexed", "NonIndexed")
_REPLACEMENTS = ("Failed", "TerminatingOrFailed")
_CONCURRENCY = ("Allow", "Forbid", "Replace")
_HISTORIES = ("successfulJobsHistoryLimit", "failedJobsHistoryLimit")
_LONGEST_MANAGER = 63
_LONGEST_CRONJOB_NAME = 52
_MANY_COMPLETIONS = 100_000
_MOST_INDEXED = 100_000
_MOST_WITH_MANY = 10_000
_WITH_INDEXES = "must be less than or equal to {} when completions are above {} and used with backoff limit per index"
_FROZEN = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_SCHEDULING = ("nodeSelector", "tolerations", "schedulingGates")


def job(obj: Document) -> list[Cause]:
    """What is wrong with a Job."""
    spec = obj.get("spec") or {}
    causes = _generated_selector(obj) + job_spec(spec, "spec")
    selector = spec.get("selector")
    causes += label_selector(selector, "spec.selector") if selector is not None else [required("spec.selector")]
    parsed = from_object(selector) if selector is not None else None
    labels = _labels(spec)
    if selector is None or (parsed is not None and not parsed.matches(labels)):
        detail = "`selector` does not match template `labels`"
        causes.append(invalid_value("spec.template.metadata.labels", labels, detail))
    return causes


def job_create(obj: Document) -> list[Cause]:
    """What is wrong with a new Job: the last index must still make a host name."""
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name") or ""
    completions = spec.get("completions") or 0
    if spec.get("completionMode") != "Indexed" or completions <= 0:
        return []
    longest = f"{name}-{completions - 1}"
    if not names.dns_label(longest):
        return []
    detail = f"will not able to create pod with invalid DNS label: {longest}"
    return [invalid_value("metadata.name", name, detail)]


def _labels(spec: Document) -> dict[str, str]:
    return ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}


def _generated_selector(obj: Document) -> list[Cause]:
    spec, meta = obj.get("spec") or {}, obj["metadata"]
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    uid, name, labels = meta.get("uid") or "", meta.get("name") or "", _labels(spec)
    wanted = {LEGACY_UID_LABEL: uid, LEGACY_NAME_LABEL: name, UID_LABEL: uid, NAME_LABEL: name}
    causes = []
    for key, value in wanted.items():
        field = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            causes.append(required(field, f"must be '{value}'"))
        elif labels[key] != value:
            causes.append(invalid_value(field, labels, f"must be '{value}'"))
    parsed = from_object(spec["selector"])
    if parsed is not None and not parsed.matches(wanted):
        causes.append(invalid_value("spec.selector", spec["selector"], "`selector` not auto-generated"))
    return causes


def job_spec(spec: Document, field: str) -> list[Cause]:
    """What is wrong with a Job's spec, apart from its selector."""
    causes = [cause for name in _COUNTS for cause in non_negative(spec.get(name), f"{field}.{name}")]
    per_index, most_failed = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes")
    if most_failed is not None and per_index is None:
        causes.append(required(f"{field}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if (manager := spec.get("managedBy")) is not None:
        causes += domain_prefixed_path(manager, f"{field}.managedBy")
        if len(manager) > _LONGEST_MANAGER:
            causes.append(too_long(f"{field}.managedBy", _LONGEST_MANAGER))
    mode = spec.get("completionMode")
    causes += optional_choice(mode, f"{field}.completionMode", _MODES)
    if mode == "Indexed":
        causes += _indexed(spec, field)
    elif mode in (None, "NonIndexed"):
        for name, value in (("backoffLimitPerIndex", per_index), ("maxFailedIndexes", most_failed)):
            if value is not None:
                causes.append(invalid_value(f"{field}.{name}", value, "requires indexed completion mode"))
    if (failures := spec.get("podFailurePolicy")) is not None:
        causes += pod_failure_policy(failures, spec, f"{field}.podFailurePolicy")
    if (success := spec.get("successPolicy")) is not None:
        if mode == "Indexed":
            causes += success_policy(success, spec.get("completions") or 0, f"{field}.successPolicy")
        else:
            causes.append(invalid_value(f"{field}.successPolicy", success, "requires indexed completion mode"))
    replacements = ("Failed",) if failures is not None else _REPLACEMENTS
    causes += optional_choice(spec.get("podReplacementPolicy"), f"{field}.podReplacementPolicy", replacements)
    causes += template(spec.get("template"), f"{field}.template")
    return causes + _restart_policy(spec, f"{field}.template.spec.restartPolicy")


def _indexed(spec: Document, field: str) -> list[Cause]:
    completions, parallelism = spec.get("completions"), spec.get("parallelism")
    most_failed = spec.get("maxFailedIndexes")
    causes = []
    if completions is None:
        causes.append(required(f"{field}.completions", "when completion mode is Indexed"))
    if parallelism is not None and parallelism > _MOST_INDEXED:
        detail = f"must be less than or equal to {_MOST_INDEXED} when completion mode is Indexed"
        causes.append(invalid_value(f"{field}.parallelism", parallelism, detail))
    if completions is not None and most_failed is not None and most_failed > completions:
        detail = "must be less than or equal to completions"
        causes.append(invalid_value(f"{field}.maxFailedIndexes", most_failed, detail))
    if most_failed is not None and most_failed > _MOST_INDEXED:
        detail = f"must be less than or equal to {_MOST_INDEXED}"
        causes.append(invalid_value(f"{field}.maxFailedIndexes", most_failed, detail))
    if (completions or 0) > _MANY_COMPLETIONS and spec.get("backoffLimitPerIndex") is not None:
        if most_failed is None:
            detail = f"must be specified when completions is above {_MANY_COMPLETIONS}"
            causes.append(required(f"{field}.maxFailedIndexes", detail))
        for name, value in (("parallelism", parallelism), ("maxFailedIndexes", most_failed)):
            if value is not None and value > _MOST_WITH_MANY:
                detail = _WITH_INDEXES.format(_MOST_WITH_MANY, _MANY_COMPLETIONS)
                causes.append(invalid_value(f"{field}.{name}", value, detail))
    return causes


def _restart_policy(spec: Document, field: str) -> list[Cause]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy in (None, "Always"):
        return [required(field, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [not_supported(field, policy, ("OnFailure", "Never"))]
    if spec.get("podFailurePolicy") is not None and policy != "Never":
        return [invalid_value(field, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def domain_prefixed_path(value: str, field: str) -> list[Cause]:
    """A path below somebody's domain: `example.com/controller`."""
    if not value:
        return [required(field)]
    domain, slash, path = value.partition("/")
    if not slash or not domain or not path:
        return [invalid_value(field, value, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    causes = []
    if problem := names.dns_subdomain(domain):
        causes.append(invalid_value(field, domain, problem))
    if not names.is_http_path(path):
        causes.append(invalid_value(field, path, f"Invalid path: {json.dumps(names.HTTP_PATH)}"))
    return causes


def job_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a Job that must not."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    causes = _completions(after, before) + unchanged(new, old, "spec.selector")
    causes += _template_update(after, before, old.get("status") or {})
    causes += unchanged(new, old, *(f"spec.{name}" for name in _FROZEN))
    if (new.get("status") or {}) != (old.get("status") or {}):
        causes += job_status(new, old)
    return causes


def _completions(after: Document, before: Document) -> list[Cause]:
    completions = after.get("completions")
    if completions == before.get("completions"):
        return []
    if after.get("completionMode") != "Indexed":
        return [invalid_value("spec.completions", completions, "field is immutable")]
    if completions is None or completions == after.get("parallelism"):
        return []
    return [invalid_value("spec.completions", completions, "can only be modified in tandem with spec.parallelism")]


def _template_update(after: Document, before: Document, status: Document) -> list[Cause]:
    """A suspended Job's template may say anew where its pods may go and what they ask for."""
    now, then = after.get("template") or {}, before.get("template") or {}
    if now == then:
        return []
    suspended = bool(before.get("suspend"))
    mutable = suspended and not _runs(status)
    if mutable and _fixed_part(now) == _fixed_part(then):
        return []
    return [invalid_value("spec.template", now, "field is immutable")]


def _runs(status: Document) -> bool:
    suspended = any(c.get("type") == "Suspended" and c.get("status") == "True" for c in status.get("conditions") or ())
    return bool(status.get("active")) or (bool(status.get("startTime")) and not suspended)


def _fixed_part(pod_template: Document) -> Document:
    pod = {name: value for name, value in (pod_template.get("spec") or {}).items() if name not in _SCHEDULING}
    affinity = {name: value for name, value in (pod.pop("affinity", None) or {}).items() if name != "nodeAffinity"}
    for group in ("containers", "initContainers"):
        if group in pod:
            pod[group] = [{n: v for n, v in one.items() if n != "resources"} for one in pod[group]]
    return {"spec": pod, "affinity": affinity}


def cronjob(obj: Document) -> list[Cause]:
    """What is wrong with a CronJob."""
    spec = obj.get("spec") or {}
    schedule = spec.get("schedule") or ""
    causes = needed(schedule, "spec.schedule")
    if schedule and (problem := schedule_problem(schedule)):
        causes.append(invalid_value("spec.schedule", schedule, problem))
    causes += non_negative(spec.get("startingDeadlineSeconds"), "spec.startingDeadlineSeconds")
    policy = spec.get("concurrencyPolicy")
    causes += choice(policy, "spec.concurrencyPolicy", _CONCURRENCY) if policy else [required("spec.concurrencyPolicy")]
    inner = (spec.get("jobTemplate") or {}).get("spec") or {}
    causes += job_spec(inner, "spec.jobTemplate.spec")
    if (selector := inner.get("selector")) is not None:
        detail = "`selector` will be auto-generated"
        causes.append(invalid_value("spec.jobTemplate.spec.selector", selector, detail))
    if inner.get("manualSelector"):
        causes.append(not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false")))
    return causes + [cause for name in _HISTORIES for cause in non_negative(spec.get(name), f"spec.{name}")]


def cronjob_create(obj: Document) -> list[Cause]:
    """What is wrong with a new CronJob: its Jobs' names are its own and eleven characters."""
    causes = _zones(obj, {})
    name = obj["metadata"].get("name") or ""
    if len(name) > _LONGEST_CRONJOB_NAME:
        detail = f"must be no more than {_LONGEST_CRONJOB_NAME} characters"
        causes.append(invalid_value("metadata.name", name, detail))
    return causes


def cronjob_update(new: Document, old: Document) -> list[Cause]:
    """A schedule may go on naming its zone itself if it did so before."""
    return _zones(new, old.get("spec") or {})


def _zones(obj: Document, before: Document) -> list[Cause]:
    spec = obj.get("spec") or {}
    schedule, zone, causes = spec.get("schedule") or "", spec.get("timeZone"), []
    if "TZ" in schedule:
        if "TZ" not in (before.get("schedule") or ""):
            detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            causes.append(invalid_value("spec.schedule", schedule, detail))
        elif zone is not None:
            detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
            causes.append(invalid_value("spec.schedule", schedule, detail))
    if zone is not None and zone != before.get("timeZone") and (problem := time_zone_problem(zone)):
        causes.append(invalid_value("spec.timeZone", zone, problem))
    return causes
