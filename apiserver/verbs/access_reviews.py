"""Reviews of access: may somebody do something, and what may I do at all. They are never stored, only answered.

`kubectl auth can-i` asks these; so do webhooks, aggregated API servers and anything else that authorizes on its own.

Source: Kubernetes API reference, authorization.k8s.io/v1; apis/authorization/validation; registry/authorization.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from k8slite.errors import Cause, bad_request, forbidden_field, invalid, invalid_value, required

from ..authn.base import User
from ..authz.base import Authorizer, Decision, Resolver, fault_of
from ..authz.reviewing import attributes_of
from ..strategies.base import Document
from ..validation import names

GROUP = "authorization.k8s.io"
_KINDS = {
    "selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "subjectaccessreviews": "SubjectAccessReview",
    "localsubjectaccessreviews": "LocalSubjectAccessReview",
}
PLURALS = (*_KINDS, "selfsubjectrulesreviews")


class Judge(Authorizer, Resolver, Protocol):
    """Decides, and lists what is allowed."""


class AccessReviews:
    """Answers reviews of access."""

    def __init__(self, authorizer: Judge) -> None:
        self._authorizer = authorizer

    async def review(self, plural: str, body: Document, *, user: User, namespace: str = "") -> Document:
        """Answer a review by the plural of its resource. Raises ApiError."""
        if plural == "selfsubjectrulesreviews":
            status = self._rules(body.get("spec") or {}, user)
        else:
            status = await self._access(plural, body, user, namespace)
        metadata = body.get("metadata") or {}
        answered = {"kind": body["kind"], "apiVersion": body["apiVersion"], "metadata": metadata}
        return answered | {"spec": body.get("spec") or {}, "status": status}

    async def _access(self, plural: str, body: Document, user: User, namespace: str) -> dict[str, Any]:
        spec = body.get("spec") or {}
        local = plural == "localsubjectaccessreviews"
        if local:
            _place(body, namespace)
        if causes := _validate(plural, body):
            raise invalid(_KINDS[plural], "", causes, group=GROUP)
        if local and (spec.get("resourceAttributes") or {}).get("namespace", "") != namespace:
            raise bad_request(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
        subject = user if plural == "selfsubjectaccessreviews" else _subject(spec)
        asked, ignored = attributes_of(spec, user=subject)
        decision, reason = await self._authorizer.authorize(asked)
        status: dict[str, Any] = {"allowed": decision is Decision.ALLOW}
        if decision is Decision.DENY:
            status["denied"] = True
        if reason:
            status["reason"] = str(reason)
        if problems := [*filter(None, [fault_of(reason)]), *ignored]:
            status["evaluationError"] = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        return status

    def _rules(self, spec: Mapping[str, Any], user: User) -> dict[str, Any]:
        namespace = spec.get("namespace") or ""
        if not namespace:
            raise bad_request("no namespace on request")
        held = self._authorizer.held(user, namespace)
        documents = [rule.document() for rule in held.rules]
        status: dict[str, Any] = {
            "resourceRules": [rule for rule in documents if rule.get("resources")],
            "nonResourceRules": [rule for rule in documents if rule.get("nonResourceURLs")],
            "incomplete": held.incomplete,
        }
        if problems := list(held.problems):
            status["evaluationError"] = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        return status


def _place(body: Document, namespace: str) -> None:
    metadata = body.setdefault("metadata", {})
    if (metadata.get("namespace") or namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    metadata["namespace"] = namespace


def _subject(spec: Mapping[str, Any]) -> User:
    extra = {key: tuple(values or ()) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user") or "", uid=spec.get("uid") or "", groups=tuple(spec.get("groups") or ()), extra=extra)


def _validate(plural: str, body: Document) -> list[Cause]:
    spec, local = body.get("spec") or {}, plural == "localsubjectaccessreviews"
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    causes: list[Cause] = []
    if resource is not None and path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        causes.append(invalid_value("spec.nonResourceAttributes", path, detail))
    if resource is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        causes.append(invalid_value("spec.resourceAttributes", None, detail))
    if plural != "selfsubjectaccessreviews" and not spec.get("user") and not spec.get("groups"):
        detail = "at least one of user or group must be specified"
        causes.append(invalid_value("spec.user", spec.get("user") or "", detail))
    causes += _selectors(resource or {})
    metadata = {
        key: value
        for key, value in (body.get("metadata") or {}).items()
        if value and key != "managedFields" and not (local and key == "namespace")
    }
    if metadata:
        detail = "must be empty except for namespace" if local else "must be empty"
        causes.append(invalid_value("metadata", metadata, detail))
    if local and resource is not None and (resource.get("namespace") or "") != body["metadata"]["namespace"]:
        given = resource.get("namespace") or ""
        causes.append(invalid_value("spec.resourceAttributes.namespace", given, "must match metadata.namespace"))
    if local and path is not None:
        causes.append(invalid_value("spec.nonResourceAttributes", path, "disallowed on this kind of request"))
    return causes


def _selectors(resource: Mapping[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for name, labels in (("fieldSelector", False), ("labelSelector", True)):
        selector = resource.get(name)
        if selector is None:
            continue
        here = f"spec.resourceAttributes.{name}"
        raw, requirements = selector.get("rawSelector") or "", selector.get("requirements") or []
        if raw and requirements:
            detail = "may not specified at the same time as requirements"
            causes.append(invalid_value(f"{here}.rawSelector", raw, detail))
        if not raw and not requirements:
            detail = f"when {here} is specified, requirements or rawSelector is required"
            causes.append(required(f"{here}.requirements", detail))
        for index, requirement in enumerate(requirements):
            causes += _requirement(requirement, f"{here}.requirements[{index}]", labels=labels)
    return causes


def _requirement(given: Mapping[str, Any], here: str, *, labels: bool) -> list[Cause]:
    key, values = given.get("key") or "", given.get("values") or []
    causes: list[Cause] = []
    if not key and not labels:
        causes.append(required(f"{here}.key", "must be specified"))
    match given.get("operator") or "":
        case "In" | "NotIn":
            if not values:
                causes.append(required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        case "Exists" | "DoesNotExist":
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                causes.append(forbidden_field(f"{here}.values", detail))
        case operator:
            causes.append(invalid_value(f"{here}.operator", operator, "not a valid selector operator"))
    if labels:
        if problem := names.qualified_name(key):
            causes.append(invalid_value(f"{here}.key", key, problem))
        wrong = ((index, value, names.label_value(value)) for index, value in enumerate(values))
        causes += [invalid_value(f"{here}.values[{i}]", value, problem) for i, value, problem in wrong if problem]
    return causes
