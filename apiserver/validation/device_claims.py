"""Rules of `resource.k8s.io` for who wants devices: claims, their templates, classes.

Source: Kubernetes' resource validation (ValidateResourceClaim, ValidateDeviceClass).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import (
    Cause,
    forbidden_field,
    invalid_field,
    invalid_value,
    not_supported,
    required,
    too_long,
    too_many,
)

from ..cel.devices import problem
from . import names
from .device_names import device_name, fully_qualified_name, pool_name
from .storage import driver_name
from .values import at, choice, distinct, each, named, needed, spelled, unchanged

Document = dict[str, Any]

_MOST = 32
_MOST_ALTERNATIVES = 8
_MOST_CONSUMERS = 256
_LONGEST_EXPRESSION = 10 * 1024
_MODES = ("All", "ExactCount")
EFFECTS = ("None", "NoExecute", "NoSchedule")
_NO_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
_ONE_OF = "exactly one of `exactly` or `firstAvailable` is required"

Requests = dict[str, set[str]]
"""The names of a claim's requests, each with those of its alternatives."""


def sized(items: list[Any] | None, field: str, limit: int) -> list[Cause]:
    """A list is not longer than its limit; a longer one is not looked into."""
    return [too_many(field, len(items), limit)] if items and len(items) > limit else []


def resource_claim(obj: Document) -> list[Cause]:
    """What is wrong with a ResourceClaim."""
    return _claim_spec(obj.get("spec") or {}, "spec")


def resource_claim_template(obj: Document) -> list[Cause]:
    """What is wrong with a ResourceClaimTemplate."""
    return _claim_spec((obj.get("spec") or {}).get("spec") or {}, "spec.spec")


def _claim_spec(spec: Document, field: str) -> list[Cause]:
    devices, here = spec.get("devices") or {}, f"{field}.devices"
    known = _requests(devices)
    causes = _list(devices.get("requests"), f"{here}.requests", _request)
    causes += _list(devices.get("constraints"), f"{here}.constraints", lambda one, at: _constraint(one, known, at))

    def config(one: Document, at: str) -> list[Cause]:
        return _references(one.get("requests"), known, f"{at}.requests") + _configuration(one, at)

    return causes + _list(devices.get("config"), f"{here}.config", config)


def _list(items: list[Document] | None, field: str, check: Any, limit: int = _MOST) -> list[Cause]:
    """A list of named or nameless things: not too long, each right, no name twice."""
    return sized(items, field, limit) or (
        each(items, field, check) + distinct([item.get("name") for item in items or ()], field)
    )


def _requests(devices: Document) -> Requests:
    return {
        request.get("name") or "": {one.get("name") or "" for one in request.get("firstAvailable") or ()}
        for request in devices.get("requests") or ()
    }


def _request(request: Document, field: str) -> list[Cause]:
    causes = named(request.get("name"), f"{field}.name", names.dns_label)
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable")
    if exactly is not None and alternatives:
        causes.append(invalid_value(field, None, f"{_ONE_OF}, but multiple fields are set"))
    elif alternatives:
        causes += _list(alternatives, f"{field}.firstAvailable", _alternative, _MOST_ALTERNATIVES)
    elif exactly is not None:
        causes += _exact(exactly, f"{field}.exactly")
    else:
        causes.append(required(field, _ONE_OF))
    return causes


def _alternative(request: Document, field: str) -> list[Cause]:
    return named(request.get("name"), f"{field}.name", names.dns_label) + _exact(request, field)


def _exact(request: Document, field: str) -> list[Cause]:
    causes = named(request.get("deviceClassName"), f"{field}.deviceClassName", names.dns_subdomain)
    causes += selectors(request.get("selectors"), f"{field}.selectors")
    mode, count = request.get("allocationMode"), request.get("count") or 0
    if mode == "All" and count:
        detail = "must not be specified when allocationMode is 'All'"
        causes.append(invalid_value(f"{field}.count", count, detail))
    if mode == "ExactCount" and count <= 0:
        causes.append(invalid_value(f"{field}.count", count, "must be greater than zero"))
    causes += choice(mode, f"{field}.allocationMode", _MODES)
    return causes + each(request.get("tolerations"), f"{field}.tolerations", _toleration)


def selectors(items: list[Document] | None, field: str) -> list[Cause]:
    """Expressions that pick devices."""

    def check(selector: Document, here: str) -> list[Cause]:
        cel = selector.get("cel")
        if cel is None:
            return [required(f"{here}.cel")]
        if len((cel.get("expression") or "").encode()) > _LONGEST_EXPRESSION:
            return [too_long(f"{here}.cel.expression", _LONGEST_EXPRESSION)]
        text, field_ = cel.get("expression") or "", f"{here}.cel.expression"
        if not text:
            return [required(field_)]
        return [invalid_value(field_, text, error)] if (error := problem(text)) else []

    return sized(items, field, _MOST) or each(items, field, check)


def _toleration(toleration: Document, field: str) -> list[Cause]:
    operator, value = toleration.get("operator"), toleration.get("value") or ""
    causes = spelled(toleration.get("key") or None, f"{field}.key", names.qualified_name)
    match operator:
        case "Exists" if value:
            causes.append(invalid_value(f"{field}.value", value, "must be empty for operator `Exists`"))
        case "Equal":
            causes += spelled(value, f"{field}.value", names.label_value)
        case None | "":
            causes.append(required(f"{field}.operator"))
        case "Exists":
            pass
        case _:
            causes.append(not_supported(f"{field}.operator", operator, ("Equal", "Exists")))
    effect = toleration.get("effect")
    return causes + (choice(effect, f"{field}.effect", EFFECTS) if effect else [])


def _constraint(constraint: Document, known: Requests, field: str) -> list[Cause]:
    causes = _references(constraint.get("requests"), known, f"{field}.requests")
    same, other = constraint.get("matchAttribute"), constraint.get("distinctAttribute")
    if same is not None:
        return causes + fully_qualified_name(same, f"{field}.matchAttribute")
    if other is not None:
        return causes + fully_qualified_name(other, f"{field}.distinctAttribute")
    return [*causes, required(f"{field}.matchAttribute")]


def _references(items: list[str] | None, known: Requests, field: str) -> list[Cause]:
    def check(name: str, here: str) -> list[Cause]:
        return _reference(name, known, here)

    return sized(items, field, _MOST) or each(items, field, check) + distinct(items or (), field)


def _reference(name: str, known: Requests, field: str) -> list[Cause]:
    segments = name.split("/")
    if len(segments) > 2:
        return [invalid_value(field, name, _NO_REQUEST)]
    causes = [cause for segment in segments for cause in named(segment, field, names.dns_label)]
    if segments[0] not in known or (len(segments) == 2 and segments[1] not in known[segments[0]]):
        causes.append(invalid_value(field, name, _NO_REQUEST))
    return causes


def _configuration(config: Document, field: str) -> list[Cause]:
    opaque, here = config.get("opaque"), f"{field}.opaque"
    if opaque is None:
        return [required(here)]
    causes = driver_name(opaque.get("driver"), f"{here}.driver")
    parameters = opaque.get("parameters")
    if parameters is None:
        return [*causes, required(f"{here}.parameters")]
    if not isinstance(parameters, dict):
        return [*causes, invalid_value(f"{here}.parameters", "<value omitted>", "must be a valid JSON object")]
    return causes


def resource_claim_update(new: Document, old: Document) -> list[Cause]:
    """What was claimed is for ever; what was allocated too, until it is given back."""
    causes = unchanged(new, old, "spec")
    status, before = new.get("status") or {}, old.get("status") or {}
    return causes + (_status(status, before, new) if status != before else [])


def _status(status: Document, before: Document, claim: Document) -> list[Cause]:
    consumers, field = status.get("reservedFor") or [], "status.reservedFor"

    def consumer(one: Document, here: str) -> list[Cause]:
        return [cause for name in ("resource", "name", "uid") for cause in needed(one.get(name), f"{here}.{name}")]

    causes = sized(consumers, field, _MOST_CONSUMERS) or each(consumers, field, consumer)
    causes += distinct([one.get("uid") for one in consumers], field)
    allocation = status.get("allocation")
    if consumers and allocation is None:
        causes.append(forbidden_field(field, "may not be specified when `allocated` is not set"))
    elif claim["metadata"].get("deletionTimestamp") and any(
        one not in (before.get("reservedFor") or ()) for one in consumers
    ):
        detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        causes.append(forbidden_field(field, detail))
    if allocation is not None and before.get("allocation") is not None:
        causes += unchanged({"status": status}, {"status": before}, "status.allocation")
    elif allocation is not None:
        causes += _allocation(allocation, _requests(at(claim, "spec.devices") or {}), "status.allocation.devices")
    given = {_device(result) for result in at(status, "allocation.devices.results") or ()}
    for index, device in enumerate(status.get("devices") or ()):
        if _device(device) not in given:
            detail = "must be an allocated device in the claim"
            causes.append(invalid_field(f"status.devices[{index}]", detail))
    return causes


def _device(item: Document) -> tuple[Any, ...]:
    return tuple(item.get(name) for name in ("driver", "pool", "device", "shareID"))


def _allocation(allocation: Document, known: Requests, field: str) -> list[Cause]:
    def result(one: Document, here: str) -> list[Cause]:
        causes = _reference(one.get("request") or "", known, f"{here}.request")
        causes += driver_name(one.get("driver"), f"{here}.driver") + pool_name(one.get("pool"), f"{here}.pool")
        return causes + device_name(one.get("device"), f"{here}.device")

    results = (allocation.get("devices") or {}).get("results")
    return sized(results, f"{field}.results", _MOST) or each(results, f"{field}.results", result)


def resource_claim_template_update(new: Document, old: Document) -> list[Cause]:
    """A template is for ever."""
    return unchanged(new, old, "spec")


def device_class(obj: Document) -> list[Cause]:
    """What is wrong with a DeviceClass."""
    spec = obj.get("spec") or {}
    causes = selectors(spec.get("selectors"), "spec.selectors")
    causes += _list(spec.get("config"), "spec.config", _configuration)
    name, field = spec.get("extendedResourceName"), "spec.extendedResourceName"
    if name is not None and ("/" not in name or "kubernetes.io/" in name or names.qualified_name(f"requests.{name}")):
        causes.append(invalid_value(field, name, "must be a valid extended resource name"))
    return causes
