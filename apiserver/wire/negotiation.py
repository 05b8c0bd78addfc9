"""Media types: which form a client accepts, and in which form its body comes.

Source: RFC 9110 (Accept, Content-Type); Kubernetes documentation, "API concepts: alternate representations".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import orjson
import yaml

from k8slite.errors import bad_request, not_acceptable, unsupported_media_type
from k8slite.remembering import remembered

from . import protobuf, yaml_reader
from .incoming import YAML_TYPES

JSON = b"application/json"
YAML = b"application/yaml"
_OFFERED = ("application/json", "application/yaml")
_ACCEPTED = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)
_STREAMED = ("application/json;stream=watch",)
_ANYTHING = frozenset({"application/*", "*/*"})
_JSON_NAMES = _ANYTHING | {"application/json"}
_YAML_NAMES = _ANYTHING | YAML_TYPES
_META = "meta.k8s.io"

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


Version = Literal["v1", "v1beta1"]
_VERSIONS: dict[str, Version] = {"v1": "v1", "v1beta1": "v1beta1"}


@dataclass(frozen=True, slots=True)
class Representation:
    """What to answer: the object, a Table, or metadata alone, as JSON or YAML.

    `version` is that of the Table or the metadata; `listed` says that a list of metadata was asked for, not one object.
    """

    form: Literal["object", "table", "metadata"] = "object"
    yaml: bool = False
    version: Version = "v1"
    listed: bool = False
    pretty: bool = False


OBJECT = Representation()


@remembered(256)
def accept(header: bytes, *, tables: bool = True, watch: bool = False) -> Representation:
    """What a client likes best of what can be given. Raises ApiError 406.

    `tables` says whether the resource has tables; `watch` that the answer is a stream, which YAML cannot be.
    """
    if not header:
        return OBJECT
    clauses = [_clause(text) for text in header.decode("latin-1").split(",")]
    # Stable: of equal quality, what is named first is liked best.
    clauses.sort(key=lambda clause: (-clause.quality, clause.media.startswith("*/"), clause.media.endswith("/*")))
    for clause in clauses:
        for as_yaml in (False, True):
            names = _YAML_NAMES if as_yaml else _JSON_NAMES
            if clause.media in names and (found := _representation(clause.options, as_yaml, tables)) is not None:
                if watch and found.yaml:
                    raise not_acceptable(_STREAMED)
                return found
    raise not_acceptable(_STREAMED if watch else _OFFERED)


@dataclass(frozen=True, slots=True)
class _Clause:
    media: str
    options: dict[str, str]
    quality: float


def _clause(text: str) -> _Clause:
    media, *parameters = (part.strip() for part in text.split(";"))
    options = {key.strip(): value.strip().strip('"') for key, _, value in (p.partition("=") for p in parameters)}
    try:
        quality = float(options.pop("q", "1"))
    except ValueError:
        quality = 1.0
    return _Clause(media.lower(), options, quality)


def _representation(options: dict[str, str], as_yaml: bool, tables: bool) -> Representation | None:
    """What the parameters of a clause ask for, None if it cannot be given."""
    stream = options.get("stream")
    if options.get("sv", "v1") not in ("", "v1") or (stream and (as_yaml or stream != "watch")):
        return None
    pretty = options.get("pretty") == "1"
    if not options.keys() & {"as", "g", "v"}:
        return Representation("object", as_yaml, pretty=pretty)
    version = _VERSIONS.get(options.get("v", ""))
    if options.get("g") != _META or version is None:
        return None
    match options.get("as"):
        case "Table" if tables:
            return Representation("table", as_yaml, version, pretty=pretty)
        case "PartialObjectMetadata":
            return Representation("metadata", as_yaml, version, pretty=pretty)
        case "PartialObjectMetadataList":
            return Representation("metadata", as_yaml, version, listed=True, pretty=pretty)
    return None


def accepts_gzip(header: bytes) -> bool:
    """Whether an Accept-Encoding names gzip; as in Kubernetes, one with a quality does not count."""
    return b"gzip" in header and any(token.strip() == b"gzip" for token in header.split(b","))


def prettified(body: bytes) -> bytes:
    """A JSON document for the eyes."""
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)


@remembered(256)
def media_type(header: bytes) -> str:
    """A Content-Type without its parameters, in lower case."""
    return header.decode("latin-1").partition(";")[0].strip().lower()


def json_body(body: bytes, content_type: str) -> bytes:
    """A body that must be JSON, as `incoming` makes of YAML and protobuf. Raises ApiError 415."""
    if content_type not in ("application/json", ""):
        raise unsupported_media_type(_ACCEPTED)
    return body


def load_either(body: bytes) -> tuple[Any, list[str]]:
    """Read JSON or YAML, and a line for every key that is set more than once. Raises ApiError 400, 413."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        value, repeated = yaml_reader.read(body)
        return orjson.loads(orjson.dumps(value)), repeated
    # `":` ends every key, and stands inside strings of both texts alike: fewer of them, and keys were lost.
    try:
        lost = orjson.dumps(document).count(b'":') != body.count(b'":')
    except TypeError as error:
        raise bad_request("error converting YAML to JSON: exceeded max depth") from error
    return document, yaml_reader.read(body)[1] if lost else []


def dump_yaml(body: bytes) -> bytes:
    """A JSON document as YAML."""
    text: str = yaml.dump(orjson.loads(body), Dumper=_Dumper, default_flow_style=False, allow_unicode=True)
    return text.encode()
