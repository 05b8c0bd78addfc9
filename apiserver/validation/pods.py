"""Rules for pods and for the templates of pods.

Source: Kubernetes' core validation (ValidatePod, ValidatePodUpdate, ValidatePodTemplateSpec).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, not_supported, required

from . import names
from .containers import containers
from .metadata import label_map
from .spreading import spread_constraints

Document = dict[str, Any]

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_TOLERATION_OPERATORS = ("", "Equal", "Exists", "Lt", "Gt")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_MAX_DEADLINE = 2**31 - 1


def validate(pod: Document) -> list[Cause]:
    """What is wrong with a pod."""
    return pod_spec(pod.get("spec") or {}, "spec")


def template(obj: Document | None, field: str) -> list[Cause]:
    """What is wrong with a pod template."""
    if obj is None:
        return [required(field)]
    causes = []
    if labels := (obj.get("metadata") or {}).get("labels"):
        causes += label_map(labels, f"{field}.metadata.labels")
    return causes + pod_spec(obj.get("spec") or {}, f"{field}.spec")


def pod_spec(spec: Document, field: str) -> list[Cause]:
    """What is wrong with a pod's spec."""
    causes: list[Cause] = []
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        name = volume.get("name") or ""
        here = f"{field}.volumes[{index}]"
        if not name:
            causes.append(required(f"{here}.name"))
        elif problem := names.dns_label(name):
            causes.append(invalid_value(f"{here}.name", name, problem))
        elif name in volumes:
            causes.append(duplicate(f"{here}.name", name))
        volumes.add(name)
        if len(volume) > 2:
            causes.append(forbidden_field(here, "may not specify more than 1 volume type"))
        causes += _volume(volume, here)
    causes += containers(spec, field, frozenset(volumes))
    if (value := spec.get("restartPolicy")) not in _RESTART_POLICIES:
        causes.append(not_supported(f"{field}.restartPolicy", value or "", _RESTART_POLICIES))
    if (value := spec.get("dnsPolicy")) not in _DNS_POLICIES:
        causes.append(not_supported(f"{field}.dnsPolicy", value or "", _DNS_POLICIES))
    if (seconds := spec.get("terminationGracePeriodSeconds")) is not None and seconds < 0:
        detail = "must be greater than or equal to 0"
        causes.append(invalid_value(f"{field}.terminationGracePeriodSeconds", seconds, detail))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_DEADLINE:
        detail = f"must be between 1 and {_MAX_DEADLINE}, inclusive"
        causes.append(invalid_value(f"{field}.activeDeadlineSeconds", deadline, detail))
    for name, rule in (
        ("serviceAccountName", names.dns_subdomain),
        ("nodeName", names.dns_subdomain),
        ("hostname", names.dns_label),
        ("subdomain", names.dns_label),
        ("schedulerName", names.qualified_name),
    ):
        if (text := spec.get(name)) and (problem := rule(text)):
            causes.append(invalid_value(f"{field}.{name}", text, problem))
    if selector := spec.get("nodeSelector"):
        causes += label_map(selector, f"{field}.nodeSelector")
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        causes += _toleration(toleration, f"{field}.tolerations[{index}]")
    causes += spread_constraints(spec.get("topologySpreadConstraints") or (), f"{field}.topologySpreadConstraints")
    if spec.get("hostNetwork"):
        causes += _host_ports(spec, field)
    return causes


def _volume(volume: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    for source, key in (
        ("hostPath", "path"),
        ("secret", "secretName"),
        ("configMap", "name"),
        ("persistentVolumeClaim", "claimName"),
    ):
        if source in volume and not (volume[source] or {}).get(key):
            causes.append(required(f"{field}.{source}.{key}"))
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        mode = (volume.get(source) or {}).get("defaultMode")
        if mode is not None and not 0 <= mode <= 0o777:
            detail = "must be a number between 0 and 0777 (octal), both inclusive"
            causes.append(invalid_value(f"{field}.{source}.defaultMode", mode, detail))
    return causes


def _toleration(toleration: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    key, operator = toleration.get("key") or "", toleration.get("operator") or ""
    if key and (problem := names.qualified_name(key)):
        causes.append(invalid_value(f"{field}.key", key, problem))
    if not key and operator != "Exists":
        causes.append(
            invalid_value(
                f"{field}.operator",
                operator,
                'operator must be Exists when `key` is empty, which means "match all values and all keys"',
            )
        )
    if operator not in _TOLERATION_OPERATORS:
        causes.append(not_supported(f"{field}.operator", operator, _TOLERATION_OPERATORS[1:]))
    if operator == "Exists" and toleration.get("value"):
        causes.append(
            invalid_value(f"{field}.operator", toleration["value"], "value must be empty when `operator` is 'Exists'")
        )
    effect = toleration.get("effect") or ""
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        causes.append(
            invalid_value(f"{field}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
        )
    if effect and effect not in _EFFECTS:
        causes.append(not_supported(f"{field}.effect", effect, _EFFECTS))
    return causes


def _host_ports(spec: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, container in enumerate(spec.get("containers") or ()):
        for number, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort") and port["hostPort"] != port.get("containerPort"):
                here = f"{field}.containers[{index}].ports[{number}].containerPort"
                causes.append(
                    invalid_value(here, port.get("containerPort"), "must match `hostPort` when `hostNetwork` is true")
                )
    return causes


MUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a pod that must not."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before == after:
        return []
    causes: list[Cause] = []
    if len(before.get("containers") or ()) != len(after.get("containers") or ()):
        return [forbidden_field("spec.containers", "pod updates may not add or remove containers")]
    if before.get("ephemeralContainers") != after.get("ephemeralContainers"):
        causes += _ephemeral_changes(before, after)
    if before.get("tolerations") != after.get("tolerations"):
        kept = after.get("tolerations") or []
        for toleration in before.get("tolerations") or ():
            if not any(_same_but_seconds(toleration, other) for other in kept):
                detail = "existing toleration can not be modified except its tolerationSeconds"
                return [forbidden_field("spec.tolerations", detail)]
    if before.get("nodeName") and before.get("schedulingGates") is None and after.get("schedulingGates"):
        causes.append(forbidden_field("spec.schedulingGates", "only deletion is allowed"))
    gated = bool(before.get("schedulingGates"))
    if _frozen(before, gated=gated) != _frozen(after, gated=gated):
        causes.append(forbidden_field("spec", MUTABLE))
    return causes


def _ephemeral_changes(before: Document, after: Document) -> list[Cause]:
    """Ephemeral containers are only ever added, under names of their own."""
    field = "spec.ephemeralContainers"
    wanted = {container.get("name") or "": container for container in after.get("ephemeralContainers") or ()}
    for container in before.get("ephemeralContainers") or ():
        name = container.get("name") or ""
        if wanted.get(name) != container:
            done = "changed" if name in wanted else "removed"
            return [forbidden_field(field, f'existing ephemeral containers "{name}" may not be {done}\n')]
    taken = {
        container.get("name") for group in ("containers", "initContainers") for container in after.get(group) or ()
    }
    causes: list[Cause] = []
    for index, container in enumerate(after.get("ephemeralContainers") or ()):
        name = container.get("name") or ""
        if name in taken:
            causes.append(duplicate(f"{field}[{index}].name", name))
        elif problem := names.dns_label(name):
            causes.append(invalid_value(f"{field}[{index}].name", name, problem))
        taken.add(name)
        if not container.get("image"):
            causes.append(required(f"{field}[{index}].image"))
        target = container.get("targetContainerName")
        if target and target not in {one.get("name") for one in after.get("containers") or ()}:
            here = f"{field}[{index}].targetContainerName"
            causes.append(Cause("FieldValueNotFound", f'Not found: "{target}"', here))
    return causes


def _same_but_seconds(left: Document, right: Document) -> bool:
    names_of = ("key", "operator", "value", "effect")
    return all(left.get(name) == right.get(name) for name in names_of)


def resources_of(pod: Document) -> dict[str, Any]:
    """What each container asks for, by name."""
    spec = pod.get("spec") or {}
    every = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    return {container.get("name") or "": container.get("resources") for container in every}


def _frozen(spec: Document, *, gated: bool) -> Document:
    """The spec without what may change."""
    free = ("activeDeadlineSeconds", "tolerations", "ephemeralContainers", "schedulingGates")
    kept = {name: value for name, value in spec.items() if name not in free}
    for group in ("containers", "initContainers"):
        if group in kept:
            kept[group] = [
                {name: value for name, value in container.items() if name not in ("image", "resources", "resizePolicy")}
                for container in kept[group]
            ]
    if gated:
        # A gated pod may still narrow where it can go.
        for name in ("nodeSelector", "affinity"):
            kept.pop(name, None)
    if (kept.get("terminationGracePeriodSeconds") or 0) < 0:
        kept["terminationGracePeriodSeconds"] = 1
    return kept
