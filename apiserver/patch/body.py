"""A patch as a request brings it: read, looked over for what strict writers want to know, and carried out.

Source: Kubernetes' apiserver, endpoints/handlers/patch.go (validateAndTranscodePatch, applyJSPatch,
strategicPatchObject).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from k8slite.errors import ApiError, bad_request, request_entity_too_large
from k8slite.schema import TypeFacts
from k8slite.schema.decoder import keep_duplicates, may_repeat_keys, repeated_fields
from k8slite.schema.scalars import json_type

from . import json as json_patch
from . import merge as merge_patch
from . import strategic as strategic_patch
from .json import PatchError

Document = dict[str, Any]
Form = Literal["json", "merge", "strategic"]
_MEMBERS = ("op", "path", "from", "value")
_TOO_DEEP = "exceeded max depth"


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch that was read; `findings` are fields that it repeats or that no patch has, as strict decoding words them.

    `facts` are those of the kind, for strategic merge patches.
    """

    form: Form
    content: Any
    findings: list[str]
    facts: TypeFacts | None

    def apply(self, document: Document) -> Any:
        """The patched document; the given one is not changed. Raises ApiError."""
        try:
            match self.form:
                case "json":
                    return json_patch.apply(document, self.content)
                case "merge":
                    return merge_patch.apply(document, self.content)
                case "strategic":
                    return strategic_patch.apply(document, self.content, self.facts)
        except PatchError as error:
            raise _refusal(error) from error
        except RecursionError:
            raise bad_request(_TOO_DEEP) from None

    def shown(self, outcome: Any) -> str:
        """What a refusal of the outcome shows: of a strategic merge patch itself, as Go prints it."""
        if self.form == "strategic":
            return _go_text(self.content)
        try:
            return orjson.dumps(outcome, option=orjson.OPT_SORT_KEYS).decode()
        except orjson.JSONEncodeError:  # operations that dig deeper and deeper
            return _TOO_DEEP


def read_patch(body: bytes, form: Form, *, facts: TypeFacts | None, strict: bool) -> Patch:
    """A patch in one of its forms; only if `strict` anything is found. Raises ApiError 400."""
    try:
        content: Any = orjson.loads(body)
        encoded = orjson.dumps(content)
    except orjson.JSONDecodeError as error:
        raise bad_request("invalid JSON patch") from error
    except orjson.JSONEncodeError as error:
        raise bad_request(f"error decoding patch: {_TOO_DEEP}") from error
    findings: list[str] = []
    if strict and may_repeat_keys(body, encoded):
        findings = repeated_fields(json.loads(body, object_pairs_hook=keep_duplicates))
    if form == "json":
        _check_operations(content)
        if strict:
            findings += [
                f'unknown field "[{index}].{name}"'
                for index, operation in enumerate(content)
                for name in operation
                if name not in _MEMBERS
            ]
        findings = [f"json patch {finding}" for finding in findings]
    elif content is None and form == "merge":
        raise bad_request("Invalid JSON Patch")
    elif not isinstance(content, dict | None):
        raise _undecodable(content, "value of type map[string]interface {}")
    return Patch(form, {} if content is None else content, findings, facts)


def _check_operations(content: Any) -> None:
    if not isinstance(content, list):
        raise _undecodable(content, "value of type []handlers.jsonPatchOp")
    for operation in content:
        if not isinstance(operation, dict):
            raise _undecodable(operation, "value of type handlers.jsonPatchOp")
        for member in ("op", "path", "from"):
            if not isinstance(operation.get(member, ""), str):
                raise _undecodable(operation[member], f"struct field jsonPatchOp.{member} of type string")


def _undecodable(value: Any, target: str) -> ApiError:
    return bad_request(f"error decoding patch: json: cannot unmarshal {json_type(value)} into Go {target}")


def _refusal(error: PatchError) -> ApiError:
    match error.code:
        case 400:
            return bad_request(str(error))
        case 413:
            return request_entity_too_large(str(error))
        case _:
            message = f"the server rejected our request due to an error in our request: {error}"
            return ApiError(422, "Invalid", message, details={})


def _go_text(value: Any) -> str:
    """A value as Go's `%+v` prints it."""
    match value:
        case dict():
            return "map[" + " ".join(f"{name}:{_go_text(value[name])}" for name in sorted(value)) + "]"
        case list():
            return "[" + " ".join(map(_go_text, value)) + "]"
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
