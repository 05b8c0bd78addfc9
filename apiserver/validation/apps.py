"""Rules for workloads: selectors that match their templates, replicas, strategies.

Source: Kubernetes' apps validation (ValidateDeployment, ValidateReplicaSet, ValidateStatefulSet, ValidateDaemonSet).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required
from k8slite.selectors import from_object

from . import names
from .claims import claim_spec
from .pods import template
from .selectors import label_selector
from .values import (
    choice,
    count_or_percentage,
    each,
    needed,
    non_negative,
    not_above_all,
    optional_choice,
    unchanged,
)

Document = dict[str, Any]

_STRATEGIES = ("Recreate", "RollingUpdate")
_UPDATES = ("OnDelete", "RollingUpdate")
_RETENTIONS = ("Delete", "Retain")
_FREE_IN_STATEFULSETS = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_STATEFULSET_FORBIDDEN = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def deployment(obj: Document) -> list[Cause]:
    """What is wrong with a Deployment."""
    spec = obj.get("spec") or {}
    causes = _workload(spec, "Deployment")
    strategy = spec.get("strategy") or {}
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    causes += choice(kind, "spec.strategy.type", _STRATEGIES)
    if kind == "Recreate" and rolling is not None:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        causes.append(forbidden_field("spec.strategy.rollingUpdate", detail))
    elif kind == "RollingUpdate" and rolling is not None:
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
    return _workload(spec, "ReplicaSet") + non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")


def replicationcontroller(obj: Document) -> list[Cause]:
    """What is wrong with a ReplicationController."""
    spec = obj.get("spec") or {}
    causes = non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    causes += needed(spec.get("selector"), "spec.selector") + non_negative(spec.get("replicas"), "spec.replicas")
    pod_template = spec.get("template")
    if pod_template is None:
        return [*causes, required("spec.template")]
    wanted, labels = spec.get("selector") or {}, _labels(pod_template)
    if wanted and any(labels.get(key) != value for key, value in wanted.items()):
        causes.append(_unmatched(pod_template))
    return causes + template(pod_template, "spec.template") + _always(pod_template, "ReplicationController")


def statefulset(obj: Document) -> list[Cause]:
    """What is wrong with a StatefulSet."""
    spec = obj.get("spec") or {}
    policy = spec.get("podManagementPolicy")
    causes = needed(policy, "spec.podManagementPolicy") if not policy else []
    if policy and policy not in ("OrderedReady", "Parallel"):
        detail = "must be 'OrderedReady' or 'Parallel'"
        causes.append(invalid_value("spec.podManagementPolicy", policy, detail))
    causes += _statefulset_update_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for name in ("whenDeleted", "whenScaled"):
        field = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
        causes += optional_choice(retention.get(name), field, _RETENTIONS)
    for name in ("minReadySeconds", "revisionHistoryLimit"):
        causes += non_negative(spec.get(name), f"spec.{name}")
    causes += non_negative((spec.get("ordinals") or {}).get("start"), "spec.ordinals.start")
    if (service := spec.get("serviceName")) and (problem := names.dns_subdomain(service)):
        causes.append(invalid_value("spec.serviceName", service, problem))
    return causes + _workload(spec, "StatefulSet")


def statefulset_create(obj: Document) -> list[Cause]:
    """What is wrong with the pods of a new StatefulSet, and with its claims, which never change."""
    claims = (obj.get("spec") or {}).get("volumeClaimTemplates")
    return _statefulset_template(obj) + each(
        claims, "spec.volumeClaimTemplates", lambda claim, field: claim_spec(claim.get("spec") or {}, f"{field}.spec")
    )


def _statefulset_template(obj: Document) -> list[Cause]:
    """The template is judged as the pods will be: a claim is a volume of its name, and hides one that is listed."""
    spec = obj.get("spec") or {}
    if (pod_template := spec.get("template")) is None:
        return []
    names_of_claims = [(claim.get("metadata") or {}).get("name") for claim in spec.get("volumeClaimTemplates") or ()]
    claimed = {name: {"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names_of_claims if name}
    if claimed:
        pod = pod_template.get("spec") or {}
        listed = [claimed.pop(volume.get("name"), volume) for volume in pod.get("volumes") or ()]
        pod_template = {**pod_template, "spec": {**pod, "volumes": [*listed, *claimed.values()]}}
    return template(pod_template, "spec.template")


def _statefulset_update_strategy(strategy: Document, field: str) -> list[Cause]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if not kind:
        return [required(field)]
    if kind not in _UPDATES:
        return [invalid_value(field, strategy, "must be 'RollingUpdate' or 'OnDelete'")]
    if rolling is None:
        return []
    if kind == "OnDelete":
        detail = "only allowed for updateStrategy 'RollingUpdate'"
        return [invalid_value(f"{field}.rollingUpdate", rolling, detail)]
    here = f"{field}.rollingUpdate"
    causes = non_negative(rolling.get("partition"), f"{here}.partition")
    if (most := rolling.get("maxUnavailable")) is not None:
        causes += count_or_percentage(most, f"{here}.maxUnavailable")
        if _zero(most):
            causes.append(invalid_value(f"{here}.maxUnavailable", most, "cannot be 0"))
        causes += not_above_all(most, f"{here}.maxUnavailable")
    return causes


def statefulset_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a StatefulSet that must not; a template that was wrong before hinders no other change."""
    causes = [] if (found := _statefulset_template(new)) and _statefulset_template(old) else found
    causes += _status(
        new, old, ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    )
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if any(before.get(name) != after.get(name) for name in {*before, *after} - {*_FREE_IN_STATEFULSETS}):
        causes.append(forbidden_field("spec", _STATEFULSET_FORBIDDEN))
    return causes


def daemonset(obj: Document) -> list[Cause]:
    """What is wrong with a DaemonSet."""
    spec = obj.get("spec") or {}
    causes = _workload(spec, "DaemonSet")
    for name in ("minReadySeconds", "revisionHistoryLimit"):
        causes += non_negative(spec.get(name), f"spec.{name}")
    strategy = spec.get("updateStrategy") or {}
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    causes += choice(kind, "spec.updateStrategy.type", _UPDATES)
    if kind == "RollingUpdate":
        field = "spec.updateStrategy.rollingUpdate"
        causes += [required(field)] if rolling is None else _daemonset_rolling_update(rolling, field)
    return causes


def _daemonset_rolling_update(rolling: Document, field: str) -> list[Cause]:
    gone, more = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    causes = []
    for name, value in (("maxUnavailable", gone), ("maxSurge", more)):
        causes += count_or_percentage(value, f"{field}.{name}") + not_above_all(value, f"{field}.{name}")
    if causes:
        return causes
    if not _zero(gone) and not _zero(more):
        causes.append(invalid_value(f"{field}.maxSurge", more, "may not be set when maxUnavailable is non-zero"))
    if _zero(gone) and _zero(more):
        causes.append(required(f"{field}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return causes


def revision(obj: Document) -> list[Cause]:
    """What is wrong with a ControllerRevision."""
    causes = needed(obj.get("data"), "data", "data is mandatory") if obj.get("data") is None else []
    return causes + non_negative(obj.get("revision"), "revision")


def revision_update(new: Document, old: Document) -> list[Cause]:
    """A ControllerRevision's data is for ever."""
    return unchanged(new, old, "data")


def deployment_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a Deployment that must not."""
    counts = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return _selector_and_status(
        new, old, (*counts, "unavailableReplicas", "collisionCount"), ("updatedReplicas", "readyReplicas")
    )


def replicaset_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a ReplicaSet that must not."""
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
    return _selector_and_status(new, old, counts, ("fullyLabeledReplicas", "readyReplicas"))


def replicationcontroller_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a ReplicationController's status that must not."""
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
    return _status(new, old, counts, ("fullyLabeledReplicas", "readyReplicas"))


def daemonset_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a DaemonSet that must not."""
    counts = (
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    )
    return _selector_and_status(new, old, counts)


def _selector_and_status(
    new: Document, old: Document, counts: tuple[str, ...], parts: tuple[str, ...] = ()
) -> list[Cause]:
    return unchanged(new, old, "spec.selector") + _status(new, old, counts, parts)


def _status(new: Document, old: Document, counts: tuple[str, ...], parts: tuple[str, ...] = ()) -> list[Cause]:
    """A changed status holds together: no count below zero, no part above the whole."""
    status = new.get("status") or {}
    if status == (old.get("status") or {}):
        return []
    causes = [cause for name in counts for cause in non_negative(status.get(name), f"status.{name}")]
    total, ready = status.get("replicas") or 0, status.get("readyReplicas") or 0
    for name in parts:
        if (status.get(name) or 0) > total:
            causes.append(invalid_value(f"status.{name}", status[name], "cannot be greater than status.replicas"))
    available = status.get("availableReplicas") or 0
    if available > total:
        detail = "cannot be greater than status.replicas"
        causes.append(invalid_value("status.availableReplicas", available, detail))
    if available > ready:
        causes.append(
            invalid_value("status.availableReplicas", available, "cannot be greater than status.readyReplicas")
        )
    if (old.get("status") or {}).get("collisionCount", 0) > status.get("collisionCount", 0):
        causes.append(invalid_value("status.collisionCount", status.get("collisionCount", 0), "cannot be decremented"))
    return causes


def _workload(spec: Document, kind: str) -> list[Cause]:
    causes = non_negative(spec.get("replicas"), "spec.replicas")
    selector, pod_template = spec.get("selector"), spec.get("template")
    if selector is None:
        causes.append(required("spec.selector"))
        if pod_template is not None:
            causes.append(_unmatched(pod_template))
    else:
        causes += (broken := label_selector(selector, "spec.selector"))
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            # A ReplicaSet borrows the Deployment's words.
            word = "deployment" if kind == "ReplicaSet" else kind.lower()
            causes.append(invalid_value("spec.selector", selector, f"empty selector is invalid for {word}"))
        elif pod_template is not None and not broken:
            parsed = from_object(selector)
            if parsed is not None and not parsed.matches(_labels(pod_template)):
                causes.append(_unmatched(pod_template))
    if pod_template is None:
        return [*causes, required("spec.template")]
    if kind != "StatefulSet":  # Whose claims are volumes too: see _statefulset_template.
        causes += template(pod_template, "spec.template")
    return causes + _always(pod_template, kind)


def _labels(pod_template: Document) -> dict[str, str]:
    return (pod_template.get("metadata") or {}).get("labels") or {}


def _unmatched(pod_template: Document) -> Cause:
    detail = "`selector` does not match template `labels`"
    return invalid_value("spec.template.metadata.labels", (pod_template.get("metadata") or {}).get("labels"), detail)


def _always(pod_template: Document, kind: str) -> list[Cause]:
    """Pods of workloads that run for ever restart, and have no deadline."""
    pod = pod_template.get("spec") or {}
    causes = []
    if (policy := pod.get("restartPolicy")) in ("OnFailure", "Never"):
        causes.append(not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        # A Deployment's template is checked as a ReplicaSet's.
        owner = "ReplicaSet" if kind == "Deployment" else kind
        detail = f"activeDeadlineSeconds in {owner} is not Supported"
        causes.append(forbidden_field("spec.template.spec.activeDeadlineSeconds", detail))
    return causes


def _rolling_update(rolling: Document, field: str) -> list[Cause]:
    gone, more = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    causes = count_or_percentage(gone, f"{field}.maxUnavailable") + count_or_percentage(more, f"{field}.maxSurge")
    if _zero(gone) and _zero(more):
        causes.append(invalid_value(f"{field}.maxUnavailable", gone, "may not be 0 when `maxSurge` is 0"))
    return causes + not_above_all(gone, f"{field}.maxUnavailable")


def _zero(value: Any) -> bool:
    return value in (None, 0) or (isinstance(value, str) and set(value) <= {"0", "%"})
