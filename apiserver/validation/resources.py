"""Rules for amounts of resources: what a resource may be called, what its quantity may be, requests against limits.

Source: Kubernetes' core validation (validateResourceRequirements, ValidateResourceQuantityValue) and core/helper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from k8slite.errors import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    not_found_value,
    not_supported,
    required,
)
from k8slite.quantity import QuantityError, canonical, parse

from . import names

Document = dict[str, Any]
NameRule = Callable[[str, str], list[Cause]]

HUGE_PAGES = "hugepages-"
_COMPUTE = frozenset({"cpu", "memory"})
_CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
_COUNTED = frozenset(
    {
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    }
)
QUOTA = (
    _COUNTED
    | _CONTAINER
    | {f"{kind}.{name}" for kind in ("requests", "limits") for name in _CONTAINER}
    | {"requests.storage"}
)
"""What a quota may limit by a name without prefix."""
_STANDARD = QUOTA | {"storage"}
_NEGATIVE = "must be greater than or equal to 0"


def amount(value: Any) -> Decimal | None:
    """The value of a quantity, None where it is none (the schema says so)."""
    try:
        return parse(value)
    except QuantityError:
        return None


def text(value: Any) -> str:
    """A quantity as messages show it."""
    try:
        return canonical(value)
    except QuantityError:
        return str(value)


def is_native(name: str) -> bool:
    """Whether Kubernetes itself knows the resource."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """Whether it is a resource that somebody added."""
    return not is_native(name) and not name.startswith("requests.") and not names.qualified_name(f"requests.{name}")


def is_overcommitted(name: str) -> bool:
    """Whether a limit may be above the request."""
    return is_native(name) and not name.startswith(HUGE_PAGES)


def is_quota_huge_page(name: str) -> bool:
    """Whether a quota's resource is a size of huge pages."""
    return name.startswith((HUGE_PAGES, "requests.hugepages-"))


def resource_name(name: str, field: str) -> list[Cause]:
    """A resource is one that Kubernetes knows, or has a prefix."""
    if problem := names.qualified_name(name):
        return [invalid_value(field, name, problem)]
    if "/" not in name and name not in _STANDARD and not is_quota_huge_page(name):
        return [invalid_value(field, name, "must be a standard resource type or fully qualified")]
    return []


def container_resource_name(name: str, field: str) -> list[Cause]:
    """What a container may ask for."""
    if name in _CONTAINER:
        return []
    causes = resource_name(name, field)
    if "/" not in name:
        if not name.startswith(HUGE_PAGES):
            causes.append(invalid_value(field, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        causes.append(invalid_value(field, name, "doesn't follow extended resource name standard"))
    return causes


def pod_resource_name(name: str, field: str) -> list[Cause]:
    """What a whole pod may ask for."""
    causes = resource_name(name, field)
    if not causes and name not in _COMPUTE and not name.startswith(HUGE_PAGES):
        causes.append(not_supported(field, name, (*_COMPUTE, HUGE_PAGES)))
    return causes


def quantity(name: str, value: Any, field: str) -> list[Cause]:
    """The quantity of a resource is not negative; some are counted in whole numbers."""
    number = amount(value)
    if number is None:
        return []
    causes = [invalid_value(field, text(value), _NEGATIVE)] if number < 0 else []
    if name not in _CONTAINER and (name in _COUNTED or is_extended(name)) and number % 1:
        causes.append(invalid_value(field, text(value), "must be an integer"))
    return causes


def positive(value: Any, field: str) -> list[Cause]:
    """A quantity is above zero."""
    number = amount(value)
    return [] if number is None or number > 0 else [invalid_value(field, text(value), "must be greater than zero")]


def basic(value: Any, field: str) -> list[Cause]:
    """A quantity is not negative."""
    number = amount(value)
    return (
        []
        if number is None or number >= 0
        else [invalid_value(field, int(number), "must be a valid resource quantity")]
    )


def quantities(values: Mapping[str, Any] | None, field: str, rule: NameRule) -> list[Cause]:
    """Names and quantities of a whole list; the paths are `field[name]`."""
    causes: list[Cause] = []
    for name, value in (values or {}).items():
        here = f"{field}[{name}]"
        causes += rule(name, here)
        causes += quantity(name, value, here)
    return causes


def requirements(
    wanted: Document,
    field: str,
    *,
    claims: frozenset[str] = frozenset(),
    rule: NameRule = container_resource_name,
) -> list[Cause]:
    """Requests and limits of a container or pod; `claims` are the names of the pod's resource claims."""
    if not wanted:
        return []
    limits, requests = wanted.get("limits") or {}, wanted.get("requests") or {}
    causes = _listed(limits, f"{field}.limits", rule)
    for name, value in requests.items():
        causes += _listed({name: value}, f"{field}.requests", rule)
        causes += _against_limit(name, value, limits, field)
    used = {*limits, *requests}
    if used and any(name.startswith(HUGE_PAGES) for name in used) and not used & _COMPUTE:
        causes.append(forbidden_field(field, "HugePages require cpu or memory"))
    if found := wanted.get("claims"):
        causes += _claims(found, claims, f"{field}.claims")
    return causes


def _listed(values: Mapping[str, Any], field: str, rule: NameRule) -> list[Cause]:
    causes: list[Cause] = []
    for name, value in values.items():
        here = f"{field}[{name}]"
        causes += rule(name, here)
        causes += quantity(name, value, here)
        if name.startswith(HUGE_PAGES) and not _divisible(name, value):
            detail = f"{text(value)} is not positive integer multiple of {name}"
            causes.append(invalid_value(here, text(value), detail))
    return causes


def _divisible(name: str, value: Any) -> bool:
    size, number = amount(name.removeprefix(HUGE_PAGES)), amount(value)
    if size is None or size <= 0 or size % 1:
        return False
    return number is None or number % size == 0


def _against_limit(name: str, value: Any, limits: Mapping[str, Any], field: str) -> list[Cause]:
    flexible = is_overcommitted(name)
    if name not in limits:
        return [] if flexible else [required(f"{field}.limits", "Limit must be set for non overcommitable resources")]
    wanted, most = amount(value), amount(limits[name])
    if wanted is None or most is None or wanted == most or (flexible and wanted < most):
        return []
    relation = "less than or equal to" if flexible else "equal to"
    detail = f"must be {relation} {name} limit of {text(limits[name])}"
    return [invalid_value(f"{field}.requests", text(value), detail)]


def _claims(claims: list[Document], known: frozenset[str], field: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        name, request, here = claim.get("name") or "", claim.get("request") or "", f"{field}[{index}]"
        if not name:
            causes.append(required(here))
            continue
        if request and (problem := names.dns_label(request)):
            causes.append(invalid_value(f"{here}.request", request, problem))
        key = f"{name}/{request}" if request else name
        if name in seen or (not request and any(other.startswith(f"{name}/") for other in seen)):
            causes.append(duplicate(here, name))
        elif key in seen:
            causes.append(duplicate(here, key))
        seen.add(key)
        if name not in known:
            listed = f": {', '.join(sorted(known))}" if known else " which is empty"
            detail = f"must be one of the names in pod.spec.resourceClaims{listed}"
            causes.append(not_found_value(here, name, detail))
    return causes
