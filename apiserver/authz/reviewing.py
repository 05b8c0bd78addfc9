"""Attributes as a SubjectAccessReview says them, and back: what webhooks are asked and what reviews ask.

Source: Kubernetes API reference, "SubjectAccessReview"; registry/authorization/util; apiserver,
authorizer/webhook (selectors).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k8slite.selectors import (
    EVERYTHING,
    FieldRequirement,
    FieldSelector,
    LabelSelector,
    Requirement,
    SelectorError,
    parse_field_selector,
    parse_label_selector,
)

from ..authn.base import User
from .base import NO_FIELDS, Attributes

_SIGNS = {"In": True, "NotIn": False}
_LABELS = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})


def spec_of(attributes: Attributes) -> dict[str, Any]:
    """The spec of a SubjectAccessReview."""
    user = attributes.user
    spec: dict[str, Any] = {"user": user.name}
    if user.groups:
        spec["groups"] = list(user.groups)
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra.items()}
    if user.uid:
        spec["uid"] = user.uid
    if not attributes.is_resource:
        spec["nonResourceAttributes"] = {"path": attributes.path, "verb": attributes.verb}
        return spec
    fields = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
    resource = {field: value for field in fields if (value := getattr(attributes, field))}
    if attributes.fields:
        resource["fieldSelector"] = {"requirements": [_field(one) for one in attributes.fields.requirements]}
    labels = [one for one in attributes.labels.requirements if one.operator in _LABELS]
    if labels:
        resource["labelSelector"] = {"requirements": [_label(one) for one in labels]}
    spec["resourceAttributes"] = resource
    return spec


def _field(one: FieldRequirement) -> dict[str, Any]:
    return {"key": one.field, "operator": "In" if one.equal else "NotIn", "values": [one.value]}


def _label(one: Requirement) -> dict[str, Any]:
    written: dict[str, Any] = {"key": one.key, "operator": one.operator}
    return written | ({"values": sorted(one.values)} if one.values else {})


def attributes_of(spec: Mapping[str, Any], *, user: User) -> tuple[Attributes, list[str]]:
    """The request that a review describes, and what of its selectors was left out, as it cannot be judged.

    A selector only narrows: without a part of it the question is a wider one, and its answer never too generous.
    """
    if (path := spec.get("nonResourceAttributes")) is not None:
        return Attributes(user, path.get("verb") or "", path=path.get("path") or ""), []
    resource = spec.get("resourceAttributes") or {}
    fields, field_problem = _fields(resource.get("fieldSelector"))
    labels, label_problem = _labels(resource.get("labelSelector"))
    asked = Attributes(
        user,
        resource.get("verb") or "",
        group=resource.get("group") or "",
        version=resource.get("version") or "",
        # Without a resource the review asks for all of them.
        resource=resource.get("resource") or "*",
        subresource=resource.get("subresource") or "",
        namespace=resource.get("namespace") or "",
        name=resource.get("name") or "",
        fields=fields,
        labels=labels,
    )
    return asked, [problem for problem in (field_problem, label_problem) if problem]


def _fields(selector: Mapping[str, Any] | None) -> tuple[FieldSelector, str]:
    if not selector:
        return NO_FIELDS, ""
    if raw := selector.get("rawSelector"):
        try:
            return parse_field_selector(raw), ""
        except SelectorError:
            return NO_FIELDS, _ignored("fieldSelector", some=False)
    wanted = selector.get("requirements") or []
    found = [
        FieldRequirement(one["key"], one["values"][0], _SIGNS[one["operator"]])
        for one in wanted
        if one.get("operator") in _SIGNS and len(one.get("values") or ()) == 1
    ]
    problem = "" if len(found) == len(wanted) else _ignored("fieldSelector", some=bool(found))
    return FieldSelector(tuple(found)), problem


def _labels(selector: Mapping[str, Any] | None) -> tuple[LabelSelector, str]:
    if not selector:
        return EVERYTHING, ""
    if raw := selector.get("rawSelector"):
        try:
            return parse_label_selector(raw), ""
        except SelectorError:
            return EVERYTHING, _ignored("labelSelector", some=False)
    wanted = selector.get("requirements") or []
    found = [
        Requirement(one["key"], one["operator"], frozenset(one.get("values") or ()))
        for one in wanted
        if one.get("operator") in _LABELS
    ]
    problem = "" if len(found) == len(wanted) else _ignored("labelSelector", some=bool(found))
    return LabelSelector(tuple(found)), problem


def _ignored(field: str, *, some: bool) -> str:
    return f"spec.resourceAttributes.{field} {'partially ' if some else ''}ignored due to parse error"
