"""Rules for what a pod asks for as a whole: its resources, and its claims of devices.

Source: Kubernetes' core validation (validatePodResources, validatePodResourceClaims).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, required

from . import names
from .resources import amount, pod_resource_name, requirements, text

Document = dict[str, Any]

_CLAIMS = ("resourceClaimName", "resourceClaimTemplateName")


def pod_resources(wanted: Document, spec: Document, field: str) -> list[Cause]:
    """What is wrong with the pod's own requests and limits, of which its containers may not want more."""
    causes: list[Cause] = []
    if wanted.get("claims") is not None:
        causes.append(forbidden_field(f"{field}.claims", "claims cannot be set for Resources at pod-level"))
    causes += requirements(wanted, field, rule=pod_resource_name)
    requests, limits = wanted.get("requests") or {}, wanted.get("limits") or {}
    for name, total in aggregate_requests(spec).items():
        own = amount(requests.get(name, "0"))
        if own is not None and total > own:
            shown = text(str(total))
            detail = f"must be greater than or equal to aggregate container requests of {shown}"
            causes.append(invalid_value(f"{field}.requests[{name}]", text(requests.get(name, "0")), detail))
    for index, container in enumerate(spec.get("containers") or ()):
        for name, value in ((container.get("resources") or {}).get("limits") or {}).items():
            most, own = amount(limits.get(name)), amount(value)
            if most is not None and own is not None and own > most:
                here = f"{field}.containers[{index}][{name}].limits"
                detail = f"must be less than or equal to pod limits of {text(limits[name])}"
                causes.append(invalid_value(here, text(value), detail))
    return causes


def aggregate_requests(spec: Document) -> dict[str, Decimal]:
    """What the containers want together: the running ones at once, or one that runs first beside the sidecars."""
    total: dict[str, Decimal] = {}
    for container in spec.get("containers") or ():
        _add(total, _requests(container))
    sidecars: dict[str, Decimal] = {}
    first: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        own = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            own = dict(sidecars)
        else:
            _add(own, sidecars)
        for name, value in own.items():
            first[name] = max(first.get(name, value), value)
    for name, value in first.items():
        total[name] = max(total.get(name, value), value)
    return total


def _requests(container: Document) -> dict[str, Decimal]:
    found = (container.get("resources") or {}).get("requests") or {}
    return {name: number for name, value in found.items() if (number := amount(value)) is not None}


def _add(total: dict[str, Decimal], more: dict[str, Decimal]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, Decimal(0)) + value


def claims(listed: list[Document], field: str) -> list[Cause]:
    """What is wrong with a pod's resource claims."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, claim in enumerate(listed):
        name, here = claim.get("name") or "", f"{field}[{index}]"
        if not name:
            causes.append(required(f"{here}.name"))
        elif name in seen:
            causes.append(duplicate(f"{here}.name", name))
        elif problem := names.dns_label(name):
            causes.append(invalid_value(f"{here}.name", name, problem))
        seen.add(name)
        given = [kind for kind in _CLAIMS if claim.get(kind) is not None]
        if len(given) > 1:
            detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            causes.append(invalid_value(here, claim, detail))
        if not given:
            detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            causes.append(invalid_value(here, claim, detail))
        for kind in given:
            if problem := names.dns_subdomain(claim[kind]):
                causes.append(invalid_value(f"{here}.{kind}", claim[kind], problem))
    return causes
