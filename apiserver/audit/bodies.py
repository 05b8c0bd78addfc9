"""The objects that a request brought and got, as events hold them: without credentials, whatever the policy says.

The policy chooses whose bodies are recorded. But a token in a log is a token lost, so three kinds never show theirs: a
TokenReview its token, a TokenRequest the one it made, a Secret its values (Kubernetes records all three).
"""

from __future__ import annotations

from typing import Any

import orjson

from k8slite.errors import ApiError

from ..authz.base import Attributes
from ..wire.incoming import APPLY
from ..wire.negotiation import load_either

HIDDEN = "REDACTED"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_VALUES = frozenset({"data", "stringData"})
_SECRETS = ("", "secrets")
_CITING = frozenset({400, 422})
_TOKENS = frozenset({("", "serviceaccounts", "token"), ("authentication.k8s.io", "tokenreviews", "")})


def received(body: bytes, content_type: str, attributes: Attributes, *, omit_managed_fields: bool) -> Any:
    """What a request brought, None if it cannot be read: then it was refused for that."""
    if not body:
        return None
    try:
        document = _read(body, content_type)
        document = _cleaned(document, attributes, omit_managed_fields=omit_managed_fields)
        return orjson.Fragment(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS))
    except (ApiError, ValueError, TypeError, RecursionError):
        return None


def _read(body: bytes, content_type: str) -> Any:
    return load_either(body)[0] if content_type == APPLY else orjson.loads(body)


def answered(body: bytes, attributes: Attributes, *, omit_managed_fields: bool) -> Any:
    """What a request got: a JSON document of ours, or None for anything else."""
    if not body.startswith(b"{"):
        return None
    if not omit_managed_fields and not _has_credentials(attributes):
        return orjson.Fragment(body)
    try:
        document = _cleaned(orjson.loads(body), attributes, omit_managed_fields=omit_managed_fields)
        return orjson.Fragment(orjson.dumps(document))
    except (ValueError, TypeError, RecursionError):  # a list of what may just be stored is nested deeper still
        return None


def refusal(problem: ApiError, attributes: Attributes) -> dict[str, Any]:
    """The Status of a refusal. One that is about what a document holds may cite the document, whole."""
    said = problem.status()
    if problem.code not in _CITING or not _has_credentials(attributes):
        return said
    said["message"] = HIDDEN
    causes = (said.get("details") or {}).get("causes")
    if causes:
        hidden = [{**cause, "message": HIDDEN} for cause in causes]
        said["details"] = {**said["details"], "causes": hidden}
    return said


def _has_credentials(attributes: Attributes) -> bool:
    place = (attributes.group, attributes.resource)
    return place == _SECRETS or (*place, attributes.subresource) in _TOKENS


def _cleaned(document: Any, attributes: Attributes, *, omit_managed_fields: bool) -> Any:
    if (attributes.group, attributes.resource) == _SECRETS:
        _hide_values(document)
    elif _has_credentials(attributes):
        _hide_tokens(document)
    if omit_managed_fields and isinstance(document, dict):
        _drop_managed_fields(document)
    return document


def _hide_values(node: Any) -> None:
    """Hide the values of Secrets in an object, a list, a table or a patch."""
    if isinstance(node, list):
        for item in node:
            _hide_values(item)
        return
    if not isinstance(node, dict):
        return
    patches = "op" in node
    for key, value in node.items():
        if key in _VALUES and isinstance(value, dict):
            node[key] = dict.fromkeys(value, HIDDEN)
        elif key in _VALUES or key == _LAST_APPLIED or (patches and key == "value"):
            node[key] = HIDDEN
        else:
            _hide_values(value)


def _hide_tokens(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _hide_tokens(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "token":
                node[key] = HIDDEN
            else:
                _hide_tokens(value)


def _drop_managed_fields(document: dict[str, Any]) -> None:
    """Of an object, of each item of a list, of the objects of a table."""
    rows = [row.get("object") for row in document.get("rows") or () if isinstance(row, dict)]
    items = document.get("items")
    for one in (document, *(items if isinstance(items, list) else ()), *rows):
        metadata = one.get("metadata") if isinstance(one, dict) else None
        if isinstance(metadata, dict):
            metadata.pop("managedFields", None)
