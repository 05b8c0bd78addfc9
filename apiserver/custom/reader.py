"""Reads documents of a custom resource: known fields are kept, others dropped or refused, defaults filled in.

Source: Kubernetes documentation, "API concepts: field validation"; apiextensions-apiserver, customresource_handler.go
(schemaCoercingDecoder).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from k8slite.catalogue import Resource
from k8slite.errors import ApiError, DecodeError, bad_request
from k8slite.schema import Decoded, Strictness
from k8slite.schema.atoms import ANY, Atom
from k8slite.schema.decoder import may_repeat_keys, repeated_fields
from k8slite.schema.schemas import encode, parse_json, unstorable

from . import metadata
from .defaulting import default, drop_nulls
from .pruning import prune
from .structural import Structural

Document = dict[str, Any]
_JSON_TYPES = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}


class CustomReader:
    """Reads one version of a custom resource."""

    def __init__(self, resource: Resource, schema: Structural, *, atom: Atom = ANY) -> None:
        self._resource = resource
        self._schema = schema
        self._atom = atom

    @property
    def atom(self) -> Atom:
        """How its documents merge."""
        return self._atom

    def decode(self, body: bytes, strictness: Strictness, noticed: Sequence[str] = ()) -> Decoded:
        """A JSON body; what was `noticed` before comes first among its findings. Raises ApiError 400."""
        kind = self._resource.kind
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = parse_json(body, kind)
        if isinstance(document, dict):
            for field, name in (("kind", "Kind"), ("apiVersion", "apiVersion")):
                if not document.get(field):
                    text = body.decode(errors="replace")
                    raise bad_request(
                        f"the object provided is unrecognized (must be of type {kind}): Object '{name}' is missing in "
                        f"'{text}' ({text[:30]}{' ...' if len(text) > 30 else ''})"
                    )
        encoded = self._encode(document)
        repeated = list(noticed)
        if strictness != "Ignore" and may_repeat_keys(body, encoded):
            repeated += repeated_fields(parse_json(body, kind))  # keys may have been lost on the way in
        return self._decoded(document, repeated, strictness)

    def check(self, document: Document, strictness: Strictness) -> Decoded:
        """A decoded document; it is not changed. Raises ApiError 400."""
        copied: Document = orjson.loads(self._encode(document))
        return self._decoded(copied, [], strictness)

    def _encode(self, document: Any) -> bytes:
        """A document as JSON. Raises ApiError 400 for what is no object or what nothing could store."""
        if not isinstance(document, dict):
            kind = _JSON_TYPES.get(type(document), "null")
            raise self._error(f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
        try:
            return encode(document)
        except TypeError as error:
            raise self._error(unstorable(error)) from None

    def _decoded(self, document: Document, findings: list[str], strictness: Strictness) -> Decoded:
        resource = self._resource
        given = document.get("apiVersion")
        if given != resource.api_version:
            raise bad_request(
                f"the API version in the data ({given}) does not match the expected API version "
                f"({resource.api_version})"
            )
        if document.get("kind") != resource.kind:
            raise self._error(f"the kind in the data is not {resource.kind}", given=str(document.get("kind") or ""))
        try:
            findings = findings + renew(document, self._schema, lenient=False)
        except metadata.Malformed as error:
            raise self._error(str(error)) from None
        if findings and strictness == "Strict":
            raise self._error("strict decoding error: " + ", ".join(findings))
        head: Document = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": document["metadata"]}
        head.update((name, value) for name, value in document.items() if name not in head)
        return Decoded(head, findings if strictness == "Warn" else [])

    def _error(self, detail: str, *, given: str = "") -> ApiError:
        resource = self._resource
        return DecodeError(resource.kind, resource.version, detail, given=given)


def renew(document: Document, schema: Structural, *, lenient: bool) -> list[str]:
    """Bring a document to what the schema says, in place: pruned, without idle nulls, with defaults.

    Answers what was unknown, as strict decoding words it. What is malformed in metadata is dropped if `lenient`; else
    metadata.Malformed is raised.
    """
    document["metadata"], findings = metadata.read(document.get("metadata"), lenient=lenient)
    findings += [f'unknown field "{path}"' for path in prune(document, schema)]
    drop_nulls(document, schema)
    findings += metadata.coerce(document, schema, lenient=lenient)
    default(document, schema)
    return findings
