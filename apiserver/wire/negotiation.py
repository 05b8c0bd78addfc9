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

from . import protobuf

JSON = b"application/json"
YAML = b"application/yaml"
_OFFERED = ("application/json", "application/yaml")
_ACCEPTED = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)
_STREAMED = ("application/json;stream=watch",)
_YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
_ANYTHING = frozenset({"application/*", "*/*"})
_JSON_NAMES = _ANYTHING | {"application/json"}
_YAML_NAMES = _ANYTHING | _YAML_TYPES
_META = "meta.k8s.io"

try:
    _Loader: Any = yaml.CSafeLoader
    _Dumper: Any = yaml.CSafeDumper
except AttributeError:
    _Loader, _Dumper = yaml.SafeLoader, yaml.SafeDumper


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
    """A body as JSON, whichever form it comes in. Raises ApiError 415, or 400 for one that is broken."""
    if content_type in ("application/json", ""):
        return body
    if content_type == protobuf.MEDIA_TYPE:
        return orjson.dumps(protobuf.decode(body)) if body else body
    if content_type not in _YAML_TYPES:
        raise unsupported_media_type(_ACCEPTED)
    return _as_json(load_yaml(body))


def repeated_in_yaml(body: bytes, content_type: str) -> list[str]:
    """Keys that a YAML body sets more than once, in a sentence; it must be one that can be read.

    JSON bodies are looked at where they are decoded.
    """
    lines = _repeated_keys(body) if content_type in _YAML_TYPES else []
    return ["\n  ".join(["yaml: unmarshal errors:", *lines])] if lines else []


def load_yaml(body: bytes) -> Any:
    """Read YAML. Raises ApiError 400 with the line."""
    try:
        return yaml.load(body, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise bad_request(f"error converting YAML to JSON: yaml: {line}{error.problem}") from error
    except yaml.YAMLError as error:
        raise bad_request(f"error converting YAML to JSON: yaml: {error}") from error


def load_either(body: bytes) -> tuple[Any, list[str]]:
    """Read JSON or YAML, and what its author should know: keys that are set more than once. Raises ApiError 400."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return orjson.loads(_as_json(load_yaml(body))), _repeated_keys(body)
    # `":` ends every key, and stands inside strings of both texts alike: fewer of them, and keys were lost.
    lost = _as_json(document).count(b'":') != body.count(b'":')
    return document, _repeated_keys(body) if lost else []


def _as_json(document: Any) -> bytes:
    """Raises ApiError 400 for what nothing could store: nested too deep, numbers beyond 64 bits."""
    try:
        return orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from error


def _repeated_keys(body: bytes) -> list[str]:
    found: list[str] = []
    waiting = [yaml.compose(body, Loader=_Loader)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen:
                    found.append(f'line {key.start_mark.line + 1}: key "{key.value}" already set in map')
                seen.add(key.value if isinstance(key.value, str) else "")
            waiting += [value for _, value in reversed(node.value)]
    return found


def dump_yaml(body: bytes) -> bytes:
    """A JSON document as YAML."""
    text: str = yaml.dump(orjson.loads(body), Dumper=_Dumper, default_flow_style=False, allow_unicode=True)
    return text.encode()
