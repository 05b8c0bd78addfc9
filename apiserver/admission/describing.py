"""A request as webhooks are told of it, and as expressions see it: an AdmissionRequest without its objects. Pure.

Source: Kubernetes API reference, admission.k8s.io/v1 AdmissionRequest.
"""

from __future__ import annotations

from k8slite.catalogue import Resource

from ..authn.base import User
from ..strategies.base import Document
from ..wire.options import Options
from .base import Admission, Operation
from .matching import Gvk, Match, kind_of, namespace_of

_META = "meta.k8s.io/v1"
_OPTIONS: dict[Operation, str] = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


def describe(admission: Admission, match: Match, *, uid: str) -> Document:
    """The request, with its objects in the version of the match. What is empty is left out, as on the wire."""
    asked = admission.requested or admission.resource
    kind = admission.kind or kind_of(asked, admission.subresource)
    named: Document = {
        "uid": uid,
        "kind": _kind(match.kind),
        "resource": _resource(match.resource),
        "subResource": admission.subresource,
        "requestKind": _kind(kind),
        "requestResource": _resource(asked),
        "requestSubResource": admission.subresource,
        "name": admission.name,
        "namespace": namespace_of(admission),
    }
    return {
        **{key: value for key, value in named.items() if value or key == "uid"},
        "operation": admission.operation,
        "userInfo": user_info(admission.context.user),
        "dryRun": is_dry_run(admission),
        "options": options_of(admission.operation, admission.options),
    }


def is_dry_run(admission: Admission) -> bool:
    """Whether nothing will be stored; DELETE may say so in its body alone."""
    return admission.options.dry_run or admission.context.dry_run


def _kind(kind: Gvk) -> Document:
    return {"group": kind[0], "version": kind[1], "kind": kind[2]}


def _resource(resource: Resource) -> Document:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


def user_info(user: User) -> Document:
    """Who asks; what is empty is left out."""
    info = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra.items()},
    }
    return {name: value for name, value in info.items() if value}


def options_of(operation: Operation, options: Options) -> Document | None:
    """The parameters of a write as an object, as far as its client gave them; connections have none."""
    kind = _OPTIONS.get(operation)
    if kind is None:
        return None
    found: Document = {"kind": kind, "apiVersion": _META}
    if options.dry_run:
        found["dryRun"] = ["All"]
    if kind == "DeleteOptions":
        return found | _deletion(options)
    if options.field_manager:
        found["fieldManager"] = options.field_manager
    if given := options.query.get("fieldValidation", [""])[0]:
        found["fieldValidation"] = given
    return found


def _deletion(options: Options) -> Document:
    uid, revision = options.precondition_uid, options.precondition_resource_version
    preconditions = {name: value for name, value in (("uid", uid), ("resourceVersion", revision)) if value}
    found: Document = {"gracePeriodSeconds": options.grace_period, "preconditions": preconditions or None}
    if options.orphan_dependents is not None:  # the old way to say it
        found["orphanDependents"] = options.orphan_dependents
    else:
        found["propagationPolicy"] = options.propagation or None
    return {name: value for name, value in found.items() if value is not None}
