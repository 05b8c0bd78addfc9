"""Rules for workloads: selectors that match their templates, replicas, strategies.

Source: Kubernetes' apps validation (ValidateDeployment, ValidateReplicaSet …).
"""

from __future__ import annotations

import re
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required
from k8slite.selectors import from_object

from .pods import template
from .selectors import label_selector

Document = dict[str, Any]

_is_percentage = re.compile(r"[0-9]+%").fullmatch


def deployment(obj: Document) -> list[Cause]:
    """What is wrong with a Deployment."""
    spec = obj.get("spec") or {}
    causes = _workload(spec)
    strategy = spec.get("strategy") or {}
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in ("Recreate", "RollingUpdate"):
        causes.append(not_supported("spec.strategy.type", kind or "", ("Recreate", "RollingUpdate")))
    elif kind == "Recreate" and rolling is not None:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        causes.append(forbidden_field("spec.strategy.rollingUpdate", detail))
    elif rolling is not None:
        causes += _rolling_update(rolling, "spec.strategy.rollingUpdate")
    for name in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        causes += non_negative(spec.get(name), f"spec.{name}")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        causes.append(invalid_value("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return causes


def replicaset(obj: Document) -> list[Cause]:
    """What is wrong with a ReplicaSet."""
    spec = obj.get("spec") or {}
    return _workload(spec) + non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")


def replicationcontroller(obj: Document) -> list[Cause]:
    """What is wrong with a ReplicationController."""
    spec = obj.get("spec") or {}
    causes = non_negative(spec.get("replicas"), "spec.replicas")
    if not spec.get("selector"):
        causes.append(required("spec.selector"))
    causes += template(spec.get("template"), "spec.template")
    return causes + _restart_policy(spec, ("Always",))


def statefulset(obj: Document) -> list[Cause]:
    """What is wrong with a StatefulSet."""
    spec = obj.get("spec") or {}
    causes = _workload(spec)
    policy = spec.get("podManagementPolicy")
    if policy not in ("OrderedReady", "Parallel"):
        causes.append(not_supported("spec.podManagementPolicy", policy or "", ("OrderedReady", "Parallel")))
    kind = (spec.get("updateStrategy") or {}).get("type")
    if kind not in ("RollingUpdate", "OnDelete"):
        causes.append(not_supported("spec.updateStrategy.type", kind or "", ("RollingUpdate", "OnDelete")))
    return causes


def statefulset_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a StatefulSet that must not."""
    free = (
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    )
    before = {name: value for name, value in (old.get("spec") or {}).items() if name not in free}
    after = {name: value for name, value in (new.get("spec") or {}).items() if name not in free}
    if before == after:
        return []
    detail = (
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
        "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    )
    return [forbidden_field("spec", detail)]


def daemonset(obj: Document) -> list[Cause]:
    """What is wrong with a DaemonSet."""
    spec = obj.get("spec") or {}
    causes = _workload(spec)
    kind = (spec.get("updateStrategy") or {}).get("type")
    if kind not in ("RollingUpdate", "OnDelete"):
        causes.append(not_supported("spec.updateStrategy.type", kind or "", ("RollingUpdate", "OnDelete")))
    return causes


def selector_immutable(new: Document, old: Document) -> list[Cause]:
    """A workload's selector is for ever."""
    before, after = (old.get("spec") or {}).get("selector"), (new.get("spec") or {}).get("selector")
    return [] if before == after else [invalid_value("spec.selector", after, "field is immutable")]


def revision_update(new: Document, old: Document) -> list[Cause]:
    """A ControllerRevision's data is for ever."""
    if new.get("data") == old.get("data"):
        return []
    return [invalid_value("data", new.get("data"), "field is immutable")]


def non_negative(value: int | None, field: str) -> list[Cause]:
    """A count is not below zero."""
    if value is None or value >= 0:
        return []
    return [invalid_value(field, value, "must be greater than or equal to 0")]


def _workload(spec: Document) -> list[Cause]:
    causes = non_negative(spec.get("replicas"), "spec.replicas")
    selector = spec.get("selector")
    if selector is None:
        causes.append(required("spec.selector"))
        if spec.get("template") is not None:
            causes += _unmatched(spec["template"])
    else:
        causes += (broken := label_selector(selector, "spec.selector"))
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            causes.append(invalid_value("spec.selector", selector, "empty selector is invalid for deployment"))
        elif spec.get("template") is not None and not broken:
            parsed = from_object(selector)
            if parsed is not None and not parsed.matches(_labels(spec["template"])):
                causes += _unmatched(spec["template"])
    causes += template(spec.get("template"), "spec.template")
    return causes + _restart_policy(spec, ("Always",))


def _labels(pod_template: Document) -> dict[str, str]:
    return (pod_template.get("metadata") or {}).get("labels") or {}


def _unmatched(pod_template: Document) -> list[Cause]:
    detail = "`selector` does not match template `labels`"
    return [invalid_value("spec.template.metadata.labels", _labels(pod_template), detail)]


def _restart_policy(spec: Document, allowed: tuple[str, ...]) -> list[Cause]:
    pod = (spec.get("template") or {}).get("spec") or {}
    policy = pod.get("restartPolicy")
    if policy in allowed or policy not in ("Always", "OnFailure", "Never"):
        return []
    return [not_supported("spec.template.spec.restartPolicy", policy, allowed)]


def _rolling_update(rolling: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    for name in ("maxUnavailable", "maxSurge"):
        causes += count_or_percentage(rolling.get(name), f"{field}.{name}")
    if not causes and _zero(rolling.get("maxUnavailable")) and _zero(rolling.get("maxSurge")):
        detail = "may not be 0 when `maxSurge` is 0"
        causes.append(invalid_value(f"{field}.maxUnavailable", rolling.get("maxUnavailable"), detail))
    return causes


def count_or_percentage(value: Any, field: str) -> list[Cause]:
    """A number that is not negative, or a percentage."""
    if isinstance(value, int):
        return non_negative(value, field)
    if isinstance(value, str) and not _is_percentage(value):
        detail = (
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
            "used for validation is '[0-9]+%')"
        )
        return [invalid_value(field, value, detail)]
    return []


def _zero(value: Any) -> bool:
    return value in (None, 0, "0%")
