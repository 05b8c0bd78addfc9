"""AdmissionReview: the question to a webhook, and what may be read from its answer. Pure.

Source: Kubernetes API reference, admission.k8s.io/v1; apiserver, admission/plugin/webhook/request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k8slite.errors import ApiError

from ...strategies.base import Document
from ..base import Admission
from ..describing import describe
from ..matching import Match

_GROUP = "admission.k8s.io"


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
        "request": {**describe(admission, match, uid=uid), "object": new, "oldObject": old},
    }


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
    text = _typed(value or "", str, "patch").replace("\n", "").replace("\r", "")  # as some encoders break lines
    try:
        return base64.b64decode(text, validate=True)
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
