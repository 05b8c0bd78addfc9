"""The variables of one request, as expressions see them.

What costs something to make (the request's description, the namespace) is made when an expression first names it.

Source: apiserver, pkg/admission/plugin/cel/{activation,condition}.go (CreateAdmissionRequest, CreateNamespaceObject).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...cel.environment import Compiled
from ...cel.functions.authorization import Authorizer, ResourceCheck
from ...strategies.base import Document
from ..base import Admission
from ..matching import Match, kind_of
from .asking import Asking, of_request
from .declared import REQUEST_RESOURCE

_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}
_OF_NAMESPACE = (
    *("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "finalizers"),
)
"""The metadata of a namespace that expressions see."""


class Inputs:
    """Variables by name: values that are there, and functions that make the others once."""

    def __init__(self, known: Mapping[str, Any], made: Mapping[str, Callable[[], Any]]) -> None:
        self._known = dict(known)
        self._made = made

    def needed(self, compiled: Compiled) -> dict[str, Any]:
        """The variables that an expression names, as far as there are such."""
        found = {}
        for name in compiled.names:
            if name not in self._known:
                make = self._made.get(name)
                if make is None:
                    continue
                self._known[name] = make()
            found[name] = self._known[name]
        return found


def inputs(
    admission: Admission,
    match: Match,
    *,
    obj: Document | None,
    old: Document | None,
    asking: Asking,
    namespace: Callable[[], Document | None] = lambda: None,
) -> Inputs:
    """The variables for objects that are presented as `match` says.

    `namespace` gives the Namespace of the request, None if it is in none.
    """
    return Inputs(
        {
            "object": obj,
            "oldObject": old,
            "params": None,
            "authorizer": Authorizer(asking.ask),
            REQUEST_RESOURCE: ResourceCheck(asking.ask, of_request(admission)),
        },
        {"request": lambda: describe(admission, match), "namespaceObject": lambda: visible(namespace())},
    )


def describe(admission: Admission, match: Match) -> Document:
    """The variable `request`: an AdmissionRequest without its objects."""
    asked, user, context = admission.requested or admission.resource, admission.context.user, admission.context
    info: Document = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    info["extra"] = {key: list(values) for key, values in user.extra.items()}
    request: Document = {
        "uid": "",
        "kind": _kind(match.kind),
        "resource": _resource(match.resource.key),
        "subResource": admission.subresource,
        "requestKind": _kind(admission.kind or kind_of(asked, admission.subresource)),
        "requestResource": _resource(asked.key),
        "requestSubResource": admission.subresource,
        "name": admission.name,
        "namespace": admission.namespace,
        "operation": admission.operation,
        "userInfo": {key: value for key, value in info.items() if value},
        "dryRun": context.dry_run,
        "options": options(admission),
    }
    optional = ("subResource", "requestSubResource", "name", "namespace")
    return {key: value for key, value in request.items() if value or key not in optional}


def _kind(key: tuple[str, str, str]) -> Document:
    return {"group": key[0], "version": key[1], "kind": key[2]}


def _resource(key: tuple[str, str, str]) -> Document:
    return {"group": key[0], "version": key[1], "resource": key[2]}


def options(admission: Admission) -> Document | None:
    """The options of the operation, as an object; None where an operation has none."""
    kind, given = _OPTIONS.get(admission.operation), admission.options
    if kind is None:
        return None
    listed: Document = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if kind == "DeleteOptions":
        listed["gracePeriodSeconds"] = given.grace_period
        uid, revision = given.precondition_uid, given.precondition_resource_version
        preconditions = {"uid": uid or None, "resourceVersion": revision or None}
        listed["preconditions"] = {key: value for key, value in preconditions.items() if value} or None
        listed["orphanDependents"] = given.orphan_dependents
        listed["propagationPolicy"] = given.propagation or None
    else:
        listed["fieldManager"] = given.field_manager or None
        listed["fieldValidation"] = given.query.get("fieldValidation", [""])[0] or None
    listed["dryRun"] = ["All"] if given.dry_run else None
    return {key: value for key, value in listed.items() if value is not None}


def visible(namespace: Document | None) -> Document | None:
    """The variable `namespaceObject`: what expressions may know of a Namespace."""
    if namespace is None:
        return None
    metadata = namespace["metadata"]
    shown: Document = {"metadata": {key: metadata[key] for key in _OF_NAMESPACE if key in metadata}}
    return shown | {key: namespace.get(key) or {} for key in ("spec", "status")}
