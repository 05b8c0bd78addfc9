"""Documents in, dictionaries out: the one door through which objects enter the API server.

`decode` takes the fast road (`validators.py`) and, if that refuses, the slow one (`decoder.py`), which either repairs
the document or knows the words for what is wrong with it.

Source: Kubernetes documentation, "API concepts: field validation"; apiserver's decode errors for the words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson
from pydantic_core import SchemaValidator, ValidationError

from ..errors import MOST_CAUSES, ApiError, Cause, DecodeError, bad_request, invalid, no_such_path
from .atoms import Atom, atom_of
from .decoder import keep_duplicates, may_repeat_keys, walk
from .facts import FactsTable, TypeFacts, builtin_facts
from .validators import compile_type

Strictness = Literal["Ignore", "Warn", "Strict"]
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"


@dataclass(slots=True)  # not frozen, as that costs: one is made for every write
class Decoded:
    """A document that passed.

    `object` is pruned, canonical, with `kind`, `apiVersion` and (if the kind has it) `metadata` first. `warnings` are
    for the client. `causes` are required fields that are missing: add them to what the kind's validation finds, after
    defaults and admission had their turn, and answer 422 with all of them.
    """

    object: dict[str, Any]
    warnings: list[str]
    causes: list[Cause] = field(default_factory=list)


class Reader(Protocol):
    """Reads documents of one kind in one version."""

    @property
    def atom(self) -> Atom:
        """How its documents merge."""
        ...

    def decode(self, body: bytes, strictness: Strictness, noticed: Sequence[str] = ()) -> Decoded:
        """A JSON body; what was `noticed` before comes first among its findings. Raises ApiError 400."""
        ...

    def check(self, document: dict[str, Any], strictness: Strictness) -> Decoded:
        """A decoded document, such as the outcome of a patch; it is not changed. Raises ApiError 400."""
        ...


class Schemas:
    """Decodes documents of every kind: those in a table of facts, and those whose readers are added at run time.

    Validators of built-in kinds are compiled when a kind is first used.
    """

    def __init__(self, facts: FactsTable | None = None) -> None:
        self._facts = facts or builtin_facts()
        self._readers: dict[tuple[str, str, str], Reader] = {}

    def add(self, group: str, version: str, kind: str, reader: Reader) -> None:
        """Read a kind by that reader from now on."""
        self._readers[(group, version, kind)] = reader

    def remove(self, group: str, version: str, kind: str) -> None:
        """Read a kind no longer that was added."""
        self._readers.pop((group, version, kind), None)

    def atom_of(self, group: str, version: str, kind: str) -> Atom:
        """How documents of a kind merge. Raises ApiError 404 for a kind that is unknown."""
        return self._reader(group, version, kind).atom

    def type_of(self, group: str, version: str, kind: str) -> TypeFacts | None:
        """The walkable facts of a built-in kind; None if it is none."""
        facts = self._facts.by_kind(group, version, kind)
        return self._facts.by_name(_DELETE_OPTIONS) if facts is None and kind == "DeleteOptions" else facts

    def decode(
        self,
        body: bytes,
        *,
        group: str,
        version: str,
        kind: str,
        strictness: Strictness = "Warn",
        noticed: Sequence[str] = (),
    ) -> Decoded:
        """Read a JSON body as an object of that kind.

        `noticed` is what the body lost on its way to JSON: it counts as unknown and duplicate fields do. Raises
        ApiError 400 in Kubernetes' words: for broken JSON, for another kind or version in the body, for a value of the
        wrong type, and with `Strict` for unknown and duplicate fields.
        """
        return self._reader(group, version, kind).decode(body, strictness, noticed)

    def check(
        self, document: dict[str, Any], *, group: str, version: str, kind: str, strictness: Strictness = "Warn"
    ) -> Decoded:
        """The same for a document that is decoded, such as the outcome of a patch; the argument is not changed."""
        return self._reader(group, version, kind).check(document, strictness)

    def _reader(self, group: str, version: str, kind: str) -> Reader:
        known = self._readers.get((group, version, kind))
        if known is None:
            facts = self.type_of(group, version, kind)
            if facts is None:
                raise no_such_path()
            known = _Kind(f"{group}/{version}" if group else version, version, kind, facts, compile_type(facts))
            self._readers[(group, version, kind)] = known
        return known


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind that an endpoint expects, compiled."""

    api_version: str
    version: str
    kind: str
    facts: TypeFacts
    validator: SchemaValidator

    @property
    def atom(self) -> Atom:
        return atom_of(self.facts)

    def decode(self, body: bytes, strictness: Strictness, noticed: Sequence[str] = ()) -> Decoded:
        try:
            document = self.validator.validate_json(body)
        except ValidationError:
            pass
        else:
            encoded = _encode(document, self)
            if strictness == "Ignore" or not (noticed or may_repeat_keys(body, encoded)):
                return Decoded(_headed(document, self), [])
        return _slowly(parse_json(body, self.kind), self, strictness, noticed)

    def check(self, document: dict[str, Any], strictness: Strictness) -> Decoded:
        try:
            valid = self.validator.validate_python(document)
        except ValidationError:
            return _slowly(document, self, strictness)
        return Decoded(_headed(valid, self), [])

    def error(self, detail: str, *, given: str = "") -> ApiError:
        return DecodeError(self.kind, self.version, detail, given=given)


def _slowly(document: Any, expected: _Kind, strictness: Strictness, noticed: Sequence[str] = ()) -> Decoded:
    _refuse_other_kind(document, expected)
    try:
        result, findings = walk(document, expected.facts)
    except RecursionError:
        raise expected.error("exceeded max depth") from None
    if findings.error:
        raise expected.error(findings.error)
    strict = [*noticed, *findings.strict]
    if strict and strictness == "Strict":
        raise expected.error("strict decoding error: " + ", ".join(strict))
    if len(findings.causes) > MOST_CAUSES:
        raise invalid(expected.kind, _name(document), findings.causes, group=expected.api_version.rpartition("/")[0])
    _encode(result, expected)
    return Decoded(_headed(result, expected), strict if strictness == "Warn" else [], findings.causes)


def _name(document: Any) -> str:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


def _encode(document: dict[str, Any], expected: _Kind) -> bytes:
    """The document as it would be stored. Raises ApiError 400 for the few that JSON allows and nothing can store."""
    try:
        return encode(document)
    except TypeError as error:
        raise expected.error(unstorable(error)) from None


def encode(document: dict[str, Any]) -> bytes:
    """The document as it would be stored. Raises TypeError for what nothing can store."""
    encoded = orjson.dumps(document)
    if encoded.count(b"{") + encoded.count(b"[") > _DEEP:
        orjson.dumps([[[[[[[[document]]]]]]]])  # lists, tables and reviews that it will stand in are documents too
    return encoded


_DEEP = 240
"""Lists and maps of a document that cannot be nested too deep, even if each is in the one before."""


def unstorable(error: TypeError) -> str:
    """Why a document cannot be encoded: nested too deep, halves of surrogate pairs, integers beyond 64 bits."""
    return "exceeded max depth" if str(error) == "Recursion limit reached" else str(error)


def _headed(document: dict[str, Any], expected: _Kind) -> dict[str, Any]:
    """The document with the members that every object has, once its kind was checked."""
    fields = expected.facts.fields
    if document.get("kind") == expected.kind and document.get("apiVersion") == expected.api_version:
        if "metadata" in document or "metadata" not in fields:
            return document
    else:
        _refuse_other_kind(document, expected)
    head: dict[str, Any] = {"kind": expected.kind, "apiVersion": expected.api_version}
    if "metadata" in fields:
        head["metadata"] = {}
    rest = {name: value for name, value in document.items() if name not in ("kind", "apiVersion")}
    return {**head, **rest}


def _refuse_other_kind(document: Any, expected: _Kind) -> None:
    """Raise if the document says that it is something else; saying nothing is fine."""
    if not isinstance(document, dict) or expected.kind == "DeleteOptions":
        return
    kind, api_version = document.get("kind") or expected.kind, document.get("apiVersion") or expected.api_version
    if isinstance(api_version, str) and api_version != expected.api_version:
        raise bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version "
            f"({expected.api_version})"
        )
    if isinstance(kind, str) and kind != expected.kind:
        raise expected.error(f"the kind in the data is not {expected.kind}", given=kind)


def parse_json(body: bytes, kind: str) -> Any:
    """A body that should be of a kind, as JSON; objects with repeated keys are marked. Raises ApiError 400."""
    try:
        return json.loads(body, object_pairs_hook=keep_duplicates, parse_constant=_refuse_constant)
    except RecursionError:
        detail = "exceeded max depth"
    except UnicodeDecodeError:
        detail = "invalid UTF-8"
    except json.JSONDecodeError as error:
        detail = _go_words(error)
    except ValueError:
        detail = "number out of range"
    summary = _summary(body)
    raise bad_request(
        f"the object provided is unrecognized (must be of type {kind}): "
        f"couldn't get version/kind; json parse error: {detail} ({summary})"
    )


def _refuse_constant(name: str) -> Any:
    raise json.JSONDecodeError(name, name, 0)


def _go_words(error: json.JSONDecodeError) -> str:
    """A syntax error as Go would word it."""
    if error.pos >= len(error.doc.rstrip()):
        return "unexpected end of JSON input"
    character = error.doc[error.pos]
    if error.msg == "Extra data":
        return f"invalid character '{character}' after top-level value"
    if error.msg.startswith("Expecting property name"):
        return f"invalid character '{character}' looking for beginning of object key string"
    if error.msg.startswith("Expecting ',' delimiter"):
        return f"invalid character '{character}' after object key:value pair"
    if error.msg.startswith("Expecting ':' delimiter"):
        return f"invalid character '{character}' after object key"
    return f"invalid character '{character}' looking for beginning of value"


def _summary(body: bytes) -> str:
    if not body:
        return "<empty>"
    text = body[:30].decode(errors="replace") if body.startswith(b"{") else body[:30].hex()
    return text + (" ..." if len(body) > 30 else "")
