"""Rules for ResourceQuotas and LimitRanges: which names and scopes they may have, and that their amounts agree.

Source: Kubernetes' core validation (ValidateResourceQuota, ValidateLimitRange).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, required

from . import names
from .resources import (
    QUOTA,
    amount,
    container_resource_name,
    is_overcommitted,
    is_quota_huge_page,
    quantities,
    resource_name,
    text,
)

Document = dict[str, Any]

_COMPUTE = frozenset({"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})
_CLAIMS = frozenset({"persistentvolumeclaims", "requests.storage"})
_PODS = frozenset({"pods"})
_SCOPES = {
    "Terminating": _PODS | _COMPUTE,
    "NotTerminating": _PODS | _COMPUTE,
    "BestEffort": _PODS,
    "NotBestEffort": _PODS | _COMPUTE,
    "PriorityClass": _PODS | _COMPUTE,
    "CrossNamespacePodAffinity": _PODS | _COMPUTE,
    "VolumeAttributesClass": _CLAIMS,
}
_ONLY_EXISTS = ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
_CONFLICTS = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_LIMIT_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_UNSUPPORTED = "unsupported scope applied to resource"


def resource_quota(obj: Document) -> list[Cause]:
    """What is wrong with a ResourceQuota."""
    spec = obj.get("spec") or {}
    causes = quantities(spec.get("hard"), "spec.hard", _quota_name)
    causes += _scopes(spec) + _scope_selector(spec)
    return causes + _quota_status(obj)


def _quota_status(obj: Document) -> list[Cause]:
    status = obj.get("status") or {}
    causes = quantities(status.get("hard"), "status.hard", _quota_name)
    return causes + quantities(status.get("used"), "status.used", _quota_name)


def resource_quota_update(new: Document, old: Document) -> list[Cause]:
    """A quota keeps its scopes."""
    before, after = (set((obj.get("spec") or {}).get("scopes") or ()) for obj in (old, new))
    if before == after:
        return []
    return [invalid_value("spec.scopes", (new.get("spec") or {}).get("scopes"), "field is immutable")]


def resource_quota_status(new: Document, old: Document) -> list[Cause]:
    """What is wrong with a quota's status."""
    return _quota_status(new)


def _quota_name(name: str, field: str) -> list[Cause]:
    causes = resource_name(name, field)
    if "/" not in name and not _is_standard(name):
        causes.append(invalid_value(field, name, "must be a standard resource for quota"))
    return causes


def _is_standard(name: str) -> bool:
    return name in QUOTA or is_quota_huge_page(name)


def _misapplied(spec: Document, scope: str) -> int:
    """How many of a quota's resources a scope has nothing to do with."""
    allowed = _SCOPES.get(scope)
    if allowed is None:
        return 0
    return sum(1 for name in spec.get("hard") or () if _is_standard(name) and name not in allowed)


def _scopes(spec: Document) -> list[Cause]:
    scopes, causes = spec.get("scopes") or [], []
    for scope in scopes:
        if scope not in _SCOPES:
            causes.append(invalid_value("spec.scopes", scopes, "unsupported scope"))
        causes += [invalid_value("spec.scopes", scopes, _UNSUPPORTED)] * _misapplied(spec, scope)
    if any(pair <= set(scopes) for pair in _CONFLICTS):
        causes.append(invalid_value("spec.scopes", scopes, "conflicting scopes"))
    return causes


def _scope_selector(spec: Document) -> list[Cause]:
    selector = spec.get("scopeSelector")
    if selector is None:
        return []
    field, causes, seen = "spec.scopeSelector.matchExpressions", [], set()
    for item in selector.get("matchExpressions") or ():
        scope, operator, values = item.get("scopeName") or "", item.get("operator") or "", item.get("values") or []
        if scope not in _SCOPES:
            causes.append(invalid_value(f"{field}.scopeName", scope, "unsupported scope"))
        causes += [invalid_value(field, selector, _UNSUPPORTED)] * _misapplied(spec, scope)
        if scope in _ONLY_EXISTS and operator != "Exists":
            detail = (
                "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
                "ResourceQuotaScopeCrossNamespacePodAffinity"
            )
            causes.append(invalid_value(f"{field}.operator", operator, detail))
        if operator in ("In", "NotIn"):
            if not values:
                detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                causes.append(required(f"{field}.values", detail))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                causes.append(invalid_value(f"{field}.values", values, detail))
        else:
            causes.append(invalid_value(f"{field}.operator", operator, "not a valid selector operator"))
        seen.add(scope)
    if any(pair <= seen for pair in _CONFLICTS):
        causes.append(invalid_value(field, spec.get("scopes"), "conflicting scopes"))
    return causes


def limit_range(obj: Document) -> list[Cause]:
    """What is wrong with a LimitRange."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, item in enumerate((obj.get("spec") or {}).get("limits") or ()):
        kind, field = item.get("type") or "", f"spec.limits[{index}]"
        if problem := names.qualified_name(kind):
            causes.append(invalid_value(f"{field}.type", kind, problem))
        elif "/" not in kind and kind not in _LIMIT_TYPES:
            detail = "must be a standard limit type or fully qualified"
            causes.append(invalid_value(f"{field}.type", kind, detail))
        if kind in seen:
            causes.append(duplicate(f"{field}.type", kind))
        seen.add(kind)
        causes += _limit_names(item, kind, field)
        causes += _limit_amounts(item, kind, field)
    return causes


def _limit_names(item: Document, kind: str, field: str) -> list[Cause]:
    rule = container_resource_name if kind in ("Pod", "Container") else resource_name
    causes: list[Cause] = []
    for member in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
        values = item.get(member) or {}
        if kind == "Pod" and member.startswith("default"):
            if values:
                causes.append(forbidden_field(f"{field}.{member}", "may not be specified when `type` is 'Pod'"))
            continue
        for name in values:
            causes += rule(name, f"{field}.{member}[{name}]")
    sizes = (*(item.get("min") or ()), *(item.get("max") or ()))
    if kind == "PersistentVolumeClaim" and "storage" not in sizes:
        detail = "either minimum or maximum storage value is required, but neither was provided"
        causes.append(required(f"{field}.limits", detail))
    return causes


def _limit_amounts(item: Document, kind: str, field: str) -> list[Cause]:
    members = ("max", "min", "maxLimitRequestRatio", *(("default", "defaultRequest") if kind != "Pod" else ()))
    keys = dict.fromkeys(name for member in members for name in item.get(member) or ())
    return [cause for name in keys for cause in _agreement(item, name, kind, field)]


def _agreement(item: Document, name: str, kind: str, field: str) -> Iterator[Cause]:
    least, most = (item.get("min") or {}).get(name), (item.get("max") or {}).get(name)
    limit = (item.get("default") or {}).get(name) if kind != "Pod" else None
    request = (item.get("defaultRequest") or {}).get(name) if kind != "Pod" else None
    ratio = (item.get("maxLimitRequestRatio") or {}).get(name)
    for low, high, member, shown, words in (
        (least, most, "min", least, ("min value", "max value")),
        (least, request, "defaultRequest", request, ("min value", "default request value")),
        (request, most, "defaultRequest", request, ("default request value", "max value")),
        (request, limit, "defaultRequest", request, ("default request value", "default limit value")),
        (least, limit, "default", least, ("min value", "default value")),
        (limit, most, "default", most, ("default value", "max value")),
    ):
        below, above = (amount(value) if value is not None else None for value in (low, high))
        if below is not None and above is not None and below > above:
            detail = f"{words[0]} {text(low)} is greater than {words[1]} {text(high)}"
            yield invalid_value(f"{field}.{member}[{name}]", text(shown), detail)
    number = amount(ratio) if ratio is not None else None
    if number is not None:
        here = f"{field}.maxLimitRequestRatio[{name}]"
        if number < 1:
            yield invalid_value(here, text(ratio), f"ratio {text(ratio)} is less than 1")
        below, above = (amount(value) if value is not None else None for value in (least, most))
        if below and above is not None and number > above / below:
            detail = f"ratio {text(ratio)} is greater than max/min = {above / below:.6f}"
            yield invalid_value(here, text(ratio), detail)
    if not is_overcommitted(name) and limit is not None and request is not None and amount(limit) != amount(request):
        detail = f"default value {text(limit)} must equal to defaultRequest value {text(request)} in {name}"
        yield invalid_value(f"{field}.defaultRequest[{name}]", text(request), detail)
