"""Rules for Nodes and Namespaces.

Source: Kubernetes' core validation (ValidateNode, ValidateNamespace, and the updates).
"""

from __future__ import annotations

import json
from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, required

from . import names
from .addresses import both_families, ip_range
from .affinity import taint_effect
from .resources import quantity
from .sequences import repeats

Document = dict[str, Any]

_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_AVOID = "scheduler.alpha.kubernetes.io/preferAvoidPods"
_TAINTS = "scheduler.alpha.kubernetes.io/taints"
_ONE_SOURCE = "exactly one reference subfield must be non-nil"


def node(obj: Document) -> list[Cause]:
    """What is wrong with a Node."""
    spec = obj.get("spec") or {}
    causes = _annotations(obj["metadata"].get("annotations") or {})
    causes += _taints(spec.get("taints") or (), "metadata.taints")
    for member in ("capacity", "allocatable"):
        for name, value in ((obj.get("status") or {}).get(member) or {}).items():
            causes += quantity(name, value, f"status.{member}.{name}")
    ranges, field = spec.get("podCIDRs") or [], "spec.podCIDRs"
    for index, text in enumerate(ranges):
        causes += ip_range(text, f"{field}[{index}]")
    if len(ranges) > 1:
        if len(ranges) > 2 or not both_families(ranges):
            causes.append(invalid_value(field, ranges, "may specify no more than one CIDR for each IP family"))
        causes += [duplicate(f"{field}[{index}]", ranges[index]) for index in repeats(ranges)]
    return causes


def _annotations(annotations: Document) -> list[Cause]:
    causes: list[Cause] = []
    for key in (_TAINTS, _AVOID):
        if not annotations.get(key):
            continue
        here = "metadata.annotations" if key == _TAINTS else "metadata.annotations.AvoidPods"
        try:
            value = json.loads(annotations[key])
        except ValueError as error:
            causes.append(invalid_value(here, key, str(error)))
            continue
        if key == _TAINTS and isinstance(value, list) and all(isinstance(one, dict) for one in value):
            causes += _taints(value, f"metadata.annotations.{_TAINTS}")
    return causes


def _taints(taints: Any, field: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        key, value, effect = (taint.get(name) or "" for name in ("key", "value", "effect"))
        here = f"{field}[{index}]"
        if problem := names.qualified_name(key):
            causes.append(invalid_value(f"{here}.key", key, problem))
        if problem := names.label_value(value):
            causes.append(invalid_value(f"{here}.value", value, problem))
        causes += taint_effect(effect, f"{here}.effect")
        if (key, effect) in seen:
            shown = {"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint.get("timeAdded")}
            twice = duplicate(here, shown)
            detail = f"{twice.message}: taints must be unique by key and effect pair"
            causes.append(Cause(twice.reason, detail, here))
        seen.add((key, effect))
    return causes


def node_update(new: Document, old: Document) -> list[Cause]:
    """What changed in a Node that must not: what was given to it once."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    causes: list[Cause] = []
    addresses = (new.get("status") or {}).get("addresses") or []
    pairs = [(one.get("type"), one.get("address")) for one in addresses]
    causes += [
        duplicate(f"status.addresses[{index}]", {"Type": pairs[index][0], "Address": pairs[index][1]})
        for index in repeats(pairs)
    ]
    if before.get("podCIDRs") and before["podCIDRs"] != after.get("podCIDRs"):
        detail = 'node updates may not change podCIDR except from "" to valid'
        causes.append(forbidden_field("spec.podCIDRs", detail))
    if before.get("providerID") and before["providerID"] != after.get("providerID"):
        detail = 'node updates may not change providerID except from "" to valid'
        causes.append(forbidden_field("spec.providerID", detail))
    if (source := after.get("configSource")) is not None:
        causes += _config_source(source, "spec.configSource", observed=False)
    config = (new.get("status") or {}).get("config") or {}
    for member in ("assigned", "active", "lastKnownGood"):
        if config.get(member) is not None:
            causes += _config_source(config[member], f"status.config.{member}", observed=True)
    if (before.get("externalID") or "") != (after.get("externalID") or ""):
        causes.append(forbidden_field("spec.externalID", "may not be updated"))
    return causes


def node_status(new: Document, old: Document) -> list[Cause]:
    """What is wrong with a Node's status: judged as the whole."""
    return node(new) + node_update(new, old)


def _config_source(source: Document, field: str, *, observed: bool) -> list[Cause]:
    reference = source.get("configMap")
    if reference is None:
        return [invalid_value(field, source, _ONE_SOURCE)]
    here, causes = f"{field}.configMap", []
    for member in ("uid", "resourceVersion"):
        if observed and not reference.get(member):
            causes.append(required(f"{here}.{member}", f"{member} must be set in status"))
        elif not observed and reference.get(member):
            causes.append(forbidden_field(f"{here}.{member}", f"{member} must not be set in spec"))
    rules = (("namespace", names.dns_label), ("name", names.dns_subdomain), ("kubeletConfigKey", names.config_key))
    for member, rule in rules:
        text = reference.get(member) or ""
        if not text:
            causes.append(required(f"{here}.{member}", f"{member} must be set"))
        elif problem := rule(text):
            causes.append(invalid_value(f"{here}.{member}", text, problem))
    return causes


def namespace(obj: Document, *, indexed: bool = False) -> list[Cause]:
    """What is wrong with a Namespace; the endpoint of its finalizers says which one."""
    causes: list[Cause] = []
    for index, name in enumerate((obj.get("spec") or {}).get("finalizers") or ()):
        field = f"spec.finalizers[{index}]" if indexed else "spec.finalizers"
        if problem := names.qualified_name(name):
            causes.append(invalid_value(field, name, problem))
        if "/" not in name and name not in _FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            causes.append(invalid_value(field, name, detail))
    return causes


def namespace_status(new: Document, old: Document) -> list[Cause]:
    """A Namespace is active until its deletion begins."""
    phase = (new.get("status") or {}).get("phase") or ""
    if new["metadata"].get("deletionTimestamp"):
        if phase == "Terminating":
            return []
        detail = "may only be 'Terminating' if `deletionTimestamp` is not empty"
    elif phase == "Active":
        return []
    else:
        detail = "may only be 'Active' if `deletionTimestamp` is empty"
    return [invalid_value("status.Phase", phase, detail)]
