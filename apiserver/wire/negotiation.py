"""Media types: which form a client accepts, and in which form its body comes.

Source: RFC 9110 (Accept, Content-Type); Kubernetes documentation, "API concepts: alternate representations".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import orjson
import yaml

from k8slite.errors import bad_request, not_acceptable, unsupported_media_type

from . import protobuf

JSON = b"application/json"
YAML = b"application/yaml"
_OFFERED = ("application/json", "application/yaml")
_ACCEPTED = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)
_YAML_NAMES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
_ANYTHING = frozenset({"application/json", "application/*", "*/*"})
_META = "meta.k8s.io"

try:
    _Loader: Any = yaml.CSafeLoader
    _Dumper: Any = yaml.CSafeDumper
except AttributeError:
    _Loader, _Dumper = yaml.SafeLoader, yaml.SafeDumper


@dataclass(frozen=True, slots=True)
class Representation:
    """What to answer: the object, a Table, or metadata alone, as JSON or YAML."""

    form: Literal["object", "table", "metadata"] = "object"
    yaml: bool = False


OBJECT = Representation()


@lru_cache(maxsize=256)
def accept(header: bytes) -> Representation:
    """The first form in an Accept header that can be given. Raises ApiError 406.

    Kubernetes clients list what they like best first; quality values are not weighed.
    """
    if not header:
        return OBJECT
    for clause in header.decode("latin-1").split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        options = dict(p.split("=", 1) for p in parameters if "=" in p)
        if media in _YAML_NAMES:
            as_yaml = True
        elif media in _ANYTHING:
            as_yaml = False
        else:
            continue
        form = options.get("as", "")
        if not form:
            return Representation("object", as_yaml)
        if options.get("g") != _META or options.get("v") != "v1":
            continue
        if form == "Table":
            return Representation("table", as_yaml)
        if form in ("PartialObjectMetadata", "PartialObjectMetadataList"):
            return Representation("metadata", as_yaml)
    raise not_acceptable(_OFFERED)


@lru_cache(maxsize=256)
def media_type(header: bytes) -> str:
    """A Content-Type without its parameters, in lower case."""
    return header.decode("latin-1").partition(";")[0].strip().lower()


def json_body(body: bytes, content_type: str) -> bytes:
    """A body as JSON, whichever form it comes in. Raises ApiError 415, or 400 for one that is broken."""
    if content_type in ("application/json", ""):
        return body
    if content_type == protobuf.MEDIA_TYPE:
        return orjson.dumps(protobuf.decode(body)) if body else body
    if content_type not in _YAML_NAMES:
        raise unsupported_media_type(_ACCEPTED)
    return orjson.dumps(load_yaml(body), option=orjson.OPT_NON_STR_KEYS)


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


def dump_yaml(body: bytes) -> bytes:
    """A JSON document as YAML."""
    text: str = yaml.dump(orjson.loads(body), Dumper=_Dumper, default_flow_style=False, allow_unicode=True)
    return text.encode()
