"""AdmissionReview: the question to a webhook, and what may be read from its answer. Pure.

Source: Kubernetes API reference, admission.k8s.io/v1; apiserver, admission/plugin/webhook/request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k8slite.catalogue import Resource
from k8slite.errors import ApiError

from ...authn.base import User
from ...strategies.base import Document
from ...wire.options import Options
from ..base import Admission, Operation
from ..matching import Gvk, Match, kind_of, namespace_of

_GROUP = "admission.k8s.io"
_META = "meta.k8s.io/v1"
_OPTIONS: dict[Operation, str] = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A webhook's answer. `patch` is the text of a JSON patch, empty if there is none."""

    allowed: bool
    patch: bytes = b""
    patch_type: str = ""
    result: Document | None = None
    warnings: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


class InvalidAnswer(ValueError):
    """An answer that is none to the question; the text says why, in Kubernetes' words."""


def question(
    admission: Admission, match: Match, *, uid: str, version: str, new: Document | None, old: Document | None
) -> Document:
    """The review of a request; `new` and `old` are as the match wants them."""
    return {
        "kind": "AdmissionReview",
        "apiVersion": f"{_GROUP}/{version}",
        "request": request_of(admission, match, uid=uid) | {"object": new, "oldObject": old} | _conditions(admission),
    }


def request_of(admission: Admission, match: Match, *, uid: str) -> Document:
    """A request without its objects, as webhooks see it."""
    asked = admission.requested or admission.resource
    kind = admission.kind or kind_of(asked, admission.subresource)
    request: Document = {
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
    request = {name: value for name, value in request.items() if value}
    return request | {"operation": admission.operation, "userInfo": user_info(admission.context.user)}


def _conditions(admission: Admission) -> Document:
    return {"dryRun": is_dry_run(admission), "options": options_of(admission.operation, admission.options)}


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
    preconditions = {
        name: value
        for name, value in (
            ("uid", options.precondition_uid),
            ("resourceVersion", options.precondition_resource_version),
        )
        if value
    }
    found: Document = {"gracePeriodSeconds": options.grace_period, "preconditions": preconditions or None}
    if options.orphan_dependents is not None:
        found["orphanDependents"] = options.orphan_dependents
    else:
        found["propagationPolicy"] = options.propagation or None
    return {name: value for name, value in found.items() if value is not None}


def verdict(review: Document, *, uid: str, version: str, mutating: bool) -> Verdict:
    """Read an answer. Raises InvalidAnswer."""
    response = review.get("response")
    if response is None:
        raise InvalidAnswer("webhook response was absent")
    if not isinstance(response, dict):
        raise InvalidAnswer("webhook response is no object")
    if version == "v1":
        _check_identity(review, response, uid)
    patch = _patch(response.get("patch"))
    kind = response.get("patchType")
    if version == "v1" and mutating:
        if patch and kind is None:
            raise InvalidAnswer("webhook returned response.patch but not response.patchType")
        if not patch and kind is not None:
            raise InvalidAnswer("webhook returned response.patchType but not response.patch")
        if kind == "":
            raise InvalidAnswer('webhook returned invalid response.patchType of ""')
    elif version == "v1" and patch:
        raise InvalidAnswer("validating webhook may not return response.patch")
    elif version == "v1" and kind is not None:
        raise InvalidAnswer("validating webhook may not return response.patchType")
    else:  # older reviews were not checked
        kind = "JSONPatch" if patch else ""
    annotations = _typed(response.get("auditAnnotations") or {}, dict, "auditAnnotations")
    warnings = _typed(response.get("warnings") or [], list, "warnings")
    return Verdict(
        allowed=_typed(response.get("allowed", False), bool, "allowed"),
        patch=patch if mutating else b"",
        patch_type=_typed(kind or "", str, "patchType"),
        result=_typed(response.get("status") or {}, dict, "status") or None,
        warnings=tuple(_typed(text, str, "warnings") for text in warnings),
        annotations={key: _typed(value, str, "auditAnnotations") for key, value in annotations.items()},
    )


def _check_identity(review: Document, response: Document, uid: str) -> None:
    if response.get("uid") != uid:
        raise InvalidAnswer(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    expected, got = f"{_GROUP}/v1, Kind=AdmissionReview", _shown(review)
    if got != expected:
        raise InvalidAnswer(f"expected webhook response of {expected}, got {got}")


def _shown(review: Document) -> str:
    api_version = str(review.get("apiVersion") or "")
    if "/" not in api_version:
        api_version = f"/{api_version}"
    return f"{api_version}, Kind={review.get('kind') or ''}"


def _patch(value: Any) -> bytes:
    try:
        return base64.b64decode(_typed(value or "", str, "patch"), validate=True)
    except binascii.Error as error:
        raise InvalidAnswer(f"response.patch is no base64: {error}") from None


def _typed(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise InvalidAnswer(f"response.{name} is no {kind.__name__}")
    return value


def refusal(webhook: str, result: Document | None) -> ApiError:
    """What a client hears of a webhook that said no: the webhook's own Status, as far as it is a failure."""
    result = result or {}
    code = result.get("code")
    code = code if isinstance(code, int) and 400 <= code < 1000 else 400
    why = result.get("message") or result.get("reason")
    denied = f'admission webhook "{webhook}" denied the request'
    details = result.get("details")
    return ApiError(
        code,
        str(result.get("reason") or ""),
        f"{denied}: {why}" if why else f"{denied} without explanation",
        details=details if isinstance(details, dict) else None,
    )
