"""Rules for PersistentVolumeClaims, and for what may change in them.

Source: Kubernetes' core validation (ValidatePersistentVolumeClaim, and its updates).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required

from . import names
from .differences import difference
from .resources import amount, basic, is_native, positive, quantity
from .selectors import label_selector
from .volume_sources import needs

Document = dict[str, Any]

VOLUME_MODES = ("Block", "Filesystem")
"""As what a volume is given to a container."""
_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_IMMUTABLE = "field is immutable"
_RESIZE = (
    *("ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress"),
    *("NodeResizeInfeasible", "NodeResizePending"),
)


def access_modes(spec: Document, field: str) -> list[Cause]:
    """What is wrong with how a volume may be mounted."""
    here, modes = f"{field}.accessModes", spec.get("accessModes") or ()
    causes = [not_supported(here, mode, _MODES) for mode in modes if mode not in _MODES]
    known = {mode for mode in modes if mode in _MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        causes.append(forbidden_field(here, "may not use ReadWriteOncePod with other access modes"))
    return causes


def claim(obj: Document) -> list[Cause]:
    """What is wrong with a PersistentVolumeClaim."""
    return claim_spec(obj.get("spec") or {}, "spec")


def claim_spec(spec: Document, field: str) -> list[Cause]:
    """What is wrong with a claim's spec, wherever it stands."""
    causes: list[Cause] = []
    if not spec.get("accessModes"):
        causes.append(required(f"{field}.accessModes", "at least 1 access mode is required"))
    causes += label_selector(spec.get("selector"), f"{field}.selector")
    causes += access_modes(spec, field)
    here = f"{field}.resources[storage]"
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    causes += [required(here)] if storage is None else positive(storage, here) or quantity("storage", storage, here)
    for name in ("storageClassName", "volumeAttributesClassName"):
        if (text := spec.get(name)) and (problem := names.dns_subdomain(text)):
            causes.append(invalid_value(f"{field}.{name}", text, problem))
    if (mode := spec.get("volumeMode")) is not None and mode not in VOLUME_MODES:
        causes.append(not_supported(f"{field}.volumeMode", mode, VOLUME_MODES))
    return causes + _data_sources(spec, field)


def _data_sources(spec: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    for name, given in (("dataSource", source), ("dataSourceRef", reference)):
        if given is not None:
            causes += _data_source(given, f"{field}.{name}")
    if source is None or reference is None:
        return causes
    if reference.get("namespace"):
        detail = "may not be specified when dataSourceRef.namespace is specified"
        causes.append(invalid_value(field, f"{field}.dataSource", detail))
    elif any(source.get(name) != reference.get(name) for name in ("apiGroup", "kind", "name")):
        causes.append(invalid_value(field, f"{field}.dataSource", "must match dataSourceRef"))
    return causes


def _data_source(source: Document, field: str) -> list[Cause]:
    causes = needs("name", "kind")(source, field)
    group, kind, namespace = source.get("apiGroup") or "", source.get("kind") or "", source.get("namespace")
    if not group and kind != "PersistentVolumeClaim":
        detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        causes.append(invalid_value(field, kind, detail))
    if group and (problem := names.dns_subdomain(group)):
        causes.append(invalid_value(f"{field}.apiGroup", group, problem))
    if namespace and (problem := names.dns_label(namespace)):
        causes.append(invalid_value(f"{field}.namespace", namespace, problem))
    return causes


def claim_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a claim that must not: all but its size and its class of attributes, once it is bound."""
    before, after = dict(old.get("spec") or {}), dict(new.get("spec") or {})
    causes: list[Cause] = []
    if not before.get("volumeName"):
        before.pop("volumeName", None)
        after.pop("volumeName", None)
    class_before = _beta_class(old)
    upgraded = class_before is not None and before.get("storageClassName") is None
    if upgraded and after.get("storageClassName") == class_before and _beta_class(new) in (None, class_before):
        after.pop("storageClassName")
    else:
        if _beta_class(new) != class_before:
            here = f"metadata.annotations.{_BETA_CLASS}"
            causes.append(invalid_value(here, _beta_class(new) or "", _IMMUTABLE))
        chosen = after.get("storageClassName")
        if before.get("storageClassName") is None and chosen is not None and class_before in (None, chosen):
            after.pop("storageClassName")
    size, wanted = _storage(before), _storage(after)
    if (new.get("status") or {}).get("phase") == "Bound":
        after = _with_storage(after, size)
        if after.get("volumeAttributesClassName") is not None:
            after["volumeAttributesClassName"] = before.get("volumeAttributesClassName")
            if after["volumeAttributesClassName"] is None:
                del after["volumeAttributesClassName"]
    if before != after:
        detail = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound "
            f"claims\n{difference(before, after, 'core.PersistentVolumeClaimSpec')}"
        )
        causes.append(forbidden_field("spec", detail))
    return causes + _smaller(wanted, size, old) + _kept(new, old)


def _smaller(wanted: Any, size: Any, old: Document) -> list[Cause]:
    least = ((old.get("status") or {}).get("capacity") or {}).get("storage", "0")
    now, was, given = amount(wanted), amount(size), amount(least)
    if now is None or was is None or given is None or now >= was or now > given:
        return []
    return [forbidden_field("spec.resources.requests.storage", "field can not be less than status.capacity")]


def _kept(new: Document, old: Document) -> list[Cause]:
    before, after = old.get("spec") or {}, new.get("spec") or {}
    causes: list[Cause] = []
    if before.get("volumeMode") != after.get("volumeMode"):
        causes.append(invalid_value("volumeMode", after.get("volumeMode"), _IMMUTABLE))
    if before.get("volumeAttributesClassName") is not None:
        here, chosen = "spec.volumeAttributesClassName", after.get("volumeAttributesClassName")
        if not chosen:
            word = "nil" if chosen is None else "an empty string"
            causes.append(forbidden_field(here, f"update from non-nil value to {word} is forbidden"))
    return causes


def _beta_class(obj: Document) -> str | None:
    value: str | None = (obj["metadata"].get("annotations") or {}).get(_BETA_CLASS)
    return value


def _storage(spec: Document) -> Any:
    return ((spec.get("resources") or {}).get("requests") or {}).get("storage")


def _with_storage(spec: Document, size: Any) -> Document:
    resources = spec.get("resources") or {}
    if not resources.get("requests") or size is None:
        return spec
    return {**spec, "resources": {**resources, "requests": {**resources["requests"], "storage": size}}}


def claim_status(new: Document, old: Document) -> list[Cause]:
    """What is wrong with a claim's status."""
    status = new.get("status") or {}
    causes: list[Cause] = []
    if not (new.get("spec") or {}).get("accessModes"):
        causes.append(required("Spec.accessModes"))
    for name, value in (status.get("capacity") or {}).items():
        causes += basic(value, f"status.capacity[{name}]")
    for name, state in (status.get("allocatedResourceStatuses") or {}).items():
        causes += _resource_key(name, "status.allocatedResourceStatus")
        if state not in _RESIZE:
            causes.append(not_supported("status.allocatedResourceStatus", name, _RESIZE))
    for name, value in (status.get("allocatedResources") or {}).items():
        here = "status.allocatedResources"
        causes += _resource_key(name, here) or basic(value, f"{here}[{name}]")
    return causes


def _resource_key(name: str, field: str) -> list[Cause]:
    if problem := names.qualified_name(name):
        return [invalid_value(field, name, problem)]
    return [not_supported(field, name, ("storage",))] if is_native(name) and name != "storage" else []
