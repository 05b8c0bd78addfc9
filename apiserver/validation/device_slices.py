"""Rules of `resource.k8s.io` for which devices there are: slices of pools, and taints on devices.

Source: Kubernetes' resource validation (ValidateResourceSlice, ValidateDeviceTaintRule).
"""

from __future__ import annotations

import re
from typing import Any

from k8slite.errors import Cause, invalid_value, required, too_long

from . import names
from .device_claims import EFFECTS, sized
from .device_names import device_name, pool_name, qualified_name
from .storage import driver_name
from .values import choice, distinct, each, named, needed, positive, spelled, unchanged

Document = dict[str, Any]

_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_ONE_PLACE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_DEVICE_PLACE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true "
    "in the ResourceSlice spec"
)
_NO_DEVICE_PLACE = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the "
    "ResourceSlice spec"
)
_MOST_DEVICES, _MOST_SPECIAL_DEVICES = 128, 64
_MOST_TAINTS = 16
_MOST_COUNTER_SETS = 8
_MOST_FACTS = 32
_LONGEST_VALUE = 64
_NUMBER = r"(0|[1-9]\d*)"
_PART = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_is_version = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PART}(\.{_PART})*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?", re.ASCII
).fullmatch


def resource_slice(obj: Document) -> list[Cause]:
    """What is wrong with a ResourceSlice."""
    spec = obj.get("spec") or {}
    pool, devices, counters = spec.get("pool") or {}, spec.get("devices"), spec.get("sharedCounters")
    causes = driver_name(spec.get("driver"), "spec.driver") + pool_name(pool.get("name"), "spec.pool.name")
    field = "spec.pool.resourceSliceCount"
    causes += positive(pool.get("resourceSliceCount") or 0, field, "must be greater than zero")
    if (generation := pool.get("generation") or 0) < 0:
        detail = "must be greater than or equal to zero"
        causes.append(invalid_value("spec.pool.generation", generation, detail))
    causes += _place(spec)
    if counters is not None and devices is not None:
        causes.append(invalid_value("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    special = any(device.get("taints") or device.get("consumesCounters") for device in devices or ())
    by_device = bool(spec.get("perDeviceNodeSelection"))
    causes += sized(devices, "spec.devices", _MOST_SPECIAL_DEVICES if special else _MOST_DEVICES) or (
        each(devices, "spec.devices", lambda device, here: _device(device, here, by_device=by_device))
        + distinct([device.get("name") for device in devices or ()], "spec.devices")
    )
    return causes + (
        sized(counters, "spec.sharedCounters", _MOST_COUNTER_SETS)
        or each(counters, "spec.sharedCounters", lambda one, here: _counters(one, "name", here))
        + distinct([one.get("name") for one in counters or ()], "spec.sharedCounters")
    )


def _place(spec: Document) -> list[Cause]:
    causes: list[Cause] = []
    chosen = [name for name in _PLACES if spec.get(name)]
    node = spec.get("nodeName")
    if node == "":
        detail = "must be either unset or set to a non-empty string"
        causes.append(invalid_value("spec.nodeName", node, detail))
    elif node:
        causes += spelled(node, "spec.nodeName", names.dns_subdomain)
    terms = (spec.get("nodeSelector") or {}).get("nodeSelectorTerms") or []
    if spec.get("nodeSelector") is not None and len(terms) != 1:
        detail = "must have exactly one node selector term"
        causes.append(invalid_value("spec.nodeSelector.nodeSelectorTerms", terms, detail))
    for name in ("allNodes", "perDeviceNodeSelection"):
        if spec.get(name) is False:
            causes.append(invalid_value(f"spec.{name}", False, "must be either unset or set to true"))
    if not chosen:
        causes.append(required("spec", _ONE_PLACE))
    elif len(chosen) > 1:
        causes.append(invalid_value("spec", _listed(chosen), f"{_ONE_PLACE}, but multiple fields are set"))
    return causes


def _listed(chosen: list[str]) -> str:
    return "{" + ", ".join(f"`{name}`" for name in chosen) + "}"


def _device(device: Document, field: str, *, by_device: bool) -> list[Cause]:
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    causes = device_name(device.get("name"), f"{field}.name")
    if (count := len(attributes) + len(capacity)) > _MOST_FACTS:
        detail = f"the total number of attributes and capacities must not exceed {_MOST_FACTS}"
        causes.append(invalid_value(field, count, detail))
    for name, value in attributes.items():
        here = f"{field}.attributes[{name}]"
        causes += qualified_name(name, here) + _attribute(value, here)
    for name, value in capacity.items():
        here = f"{field}.capacity[{name}]"
        causes += qualified_name(name, here)
        if value.get("requestPolicy") is not None and not device.get("allowMultipleAllocations"):
            detail = "Forbidden: allowMultipleAllocations must be true"
            causes.append(Cause("FieldValueForbidden", detail, f"{here}.requestPolicy"))
    taints = device.get("taints")
    causes += sized(taints, f"{field}.taints", _MOST_TAINTS) or each(taints, f"{field}.taints", device_taint)
    here, consumed = f"{field}.consumesCounters", device.get("consumesCounters")
    causes += each(consumed, here, lambda one, place: _counters(one, "counterSet", place))
    causes += distinct([one.get("counterSet") for one in consumed or ()], here)
    chosen = [name for name in _PLACES[:3] if device.get(name) is not None]
    if not by_device and chosen:
        causes.append(invalid_value(field, None, _NO_DEVICE_PLACE))
    elif by_device and not chosen:
        causes.append(required(field, _DEVICE_PLACE))
    elif by_device and len(chosen) > 1:
        causes.append(invalid_value(field, _listed(chosen), _DEVICE_PLACE))
    return causes


def _attribute(value: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    text, version = value.get("string"), value.get("version")
    if version is not None and not _is_version(version):
        detail = "must be a string compatible with semver.org spec 2.0.0"
        causes.append(invalid_value(f"{field}.version", version, detail))
    for name, given in (("string", text), ("version", version)):
        if given is not None and len(given) > _LONGEST_VALUE:
            causes.append(too_long(f"{field}.{name}", _LONGEST_VALUE))
    given_kinds = [name for name in ("bool", "int", "string", "version") if value.get(name) is not None]
    if len(given_kinds) != 1:
        causes.append(invalid_value(field, value if given_kinds else "", "exactly one value must be specified"))
    return causes


def _counters(item: Document, key: str, field: str) -> list[Cause]:
    counters, here = item.get("counters") or {}, f"{field}.counters"
    causes = named(item.get(key), f"{field}.{key}", names.dns_label) + needed(counters, here)
    return causes + [cause for name in counters for cause in spelled(name, f"{here}[{name}]", names.dns_label)]


def resource_slice_update(new: Document, old: Document) -> list[Cause]:
    """A slice is for ever of one pool, driver and node."""
    return unchanged(new, old, "spec.pool.name", "spec.driver", "spec.nodeName")


def device_taint(taint: Document, field: str) -> list[Cause]:
    """What keeps pods from a device."""
    effect, value = taint.get("effect"), taint.get("value") or ""
    causes = spelled(taint.get("key") or "", f"{field}.key", names.qualified_name)
    causes += spelled(value, f"{field}.value", names.label_value)
    return causes + (choice(effect, f"{field}.effect", EFFECTS) if effect else [required(f"{field}.effect")])


def device_taint_rule(obj: Document) -> list[Cause]:
    """What is wrong with a DeviceTaintRule."""
    spec = obj.get("spec") or {}
    selector, field = spec.get("deviceSelector") or {}, "spec.deviceSelector"
    causes: list[Cause] = []
    for name, rule in (("driver", driver_name), ("pool", pool_name), ("device", device_name)):
        if (value := selector.get(name)) is not None:
            causes += rule(value, f"{field}.{name}")
    return causes + device_taint(spec.get("taint") or {}, "spec.taint")
