"""Asking the authorizers from an expression: `authorizer.group('apps').resource('deployments').check('get').allowed()`.

The values only gather the question. Whoever provides the variable `authorizer` gives it a function that answers.

Source: Kubernetes documentation, "Kubernetes authorizer library"; apiserver, pkg/cel/library/authz.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ...validation import names
from ..values import EvaluationError
from .base import Declaration, Dispatch, method

AUTHORIZER = "kubernetes.authorization.Authorizer"
PATH_CHECK = "kubernetes.authorization.PathCheck"
GROUP_CHECK = "kubernetes.authorization.GroupCheck"
RESOURCE_CHECK = "kubernetes.authorization.ResourceCheck"
DECISION = "kubernetes.authorization.Decision"


@dataclass(frozen=True, slots=True)
class Question:
    """May `account` (namespace and name of a service account; None: who sent the request) do this?

    Either `path` or `resource` is set.
    """

    account: tuple[str, str] | None = None
    verb: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The authorizers' answer; `error` is empty if there was none."""

    allowed: bool
    reason: str = ""
    error: str = ""
    cel_type = DECISION


Ask = Callable[[Question], Decision]


@dataclass(frozen=True, slots=True)
class _Asking:
    """A question that is being put together."""

    ask: Ask
    question: Question = Question()


class Authorizer(_Asking):
    """The variable `authorizer`."""

    __slots__ = ()
    cel_type = AUTHORIZER


class PathCheck(_Asking):
    """A path outside the resource API."""

    __slots__ = ()
    cel_type = PATH_CHECK


class GroupCheck(_Asking):
    """An API group, of which a resource must be named yet."""

    __slots__ = ()
    cel_type = GROUP_CHECK


class ResourceCheck(_Asking):
    """A resource: also the variable `authorizer.requestResource`."""

    __slots__ = ()
    cel_type = RESOURCE_CHECK


def _named(text: str, what: str) -> str:
    if not text.strip():
        raise EvaluationError(f"{what} must not be empty")
    return text


def _path(authorizer: Authorizer, path: str) -> PathCheck:
    return PathCheck(authorizer.ask, replace(authorizer.question, path=_named(path, "path")))


def _group(authorizer: Authorizer, group: str) -> GroupCheck:
    return GroupCheck(authorizer.ask, replace(authorizer.question, group=group))


def _service_account(authorizer: Authorizer, namespace: str, name: str) -> Authorizer:
    if names.dns_subdomain(name):
        raise EvaluationError("Invalid service account name")
    if names.dns_label(namespace):
        raise EvaluationError("Invalid service account namespace")
    return Authorizer(authorizer.ask, Question(account=(namespace, name)))


def _resource(group: GroupCheck, resource: str) -> ResourceCheck:
    return ResourceCheck(group.ask, replace(group.question, resource=_named(resource, "resource")))


def _with(field: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
    def narrow(check: ResourceCheck, value: str) -> ResourceCheck:
        changes: dict[str, Any] = {field: value}
        return ResourceCheck(check.ask, replace(check.question, **changes))

    return narrow


def _check(check: PathCheck | ResourceCheck, verb: str) -> Decision:
    return check.ask(replace(check.question, verb=verb))


_PARTS = {
    "subresource": "subresource",
    "namespace": "namespace",
    "name": "name",
    "fieldSelector": "field_selector",
    "labelSelector": "label_selector",
}

FUNCTIONS: dict[str, Dispatch] = {
    "path": {Authorizer: _path},
    "group": {Authorizer: _group},
    "serviceAccount": {Authorizer: _service_account},
    "resource": {GroupCheck: _resource},
    **{name: {ResourceCheck: _with(field)} for name, field in _PARTS.items()},
    "check": {PathCheck: _check, ResourceCheck: _check},
    "allowed": {Decision: lambda decision: decision.allowed},
    "reason": {Decision: lambda decision: decision.reason},
    "errored": {Decision: lambda decision: bool(decision.error)},
    "error": {Decision: lambda decision: decision.error},
}

DECLARATIONS: tuple[Declaration, ...] = (
    method("path", AUTHORIZER, "string", result=PATH_CHECK),
    method("group", AUTHORIZER, "string", result=GROUP_CHECK),
    method("serviceAccount", AUTHORIZER, "string", "string", result=AUTHORIZER),
    method("resource", GROUP_CHECK, "string", result=RESOURCE_CHECK),
    *(method(name, RESOURCE_CHECK, "string", result=RESOURCE_CHECK) for name in _PARTS),
    *(method("check", kind, "string", result=DECISION) for kind in (PATH_CHECK, RESOURCE_CHECK)),
    method("allowed", DECISION, result="bool"),
    method("reason", DECISION, result="string"),
    method("errored", DECISION, result="bool"),
    method("error", DECISION, result="string"),
)
