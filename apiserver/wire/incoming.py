"""A request's body in the form that verbs read: JSON, whatever the client wrote, and of a size that can be worked on.

Bytes are bounded where they are read (`body.py`), values here: three megabytes of brackets are a hundred times as much
once they are lists. What takes long is done in a thread, so that others are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from k8slite.errors import ApiError, bad_request

from . import protobuf
from .limits import MOST_VALUES, too_many_values
from .yaml_reader import read

JSON = "application/json"
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
APPLY = "application/apply-patch+yaml"

_SLOW = 64 * 1024
"""Bytes of YAML or protobuf that are not read between other requests."""
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+|[,\[{]+', re.DOTALL)
"""Strings, without their last quote, and what stands before values."""
_OPENING = re.compile(rb"\s*[{\[]")


class Body(NamedTuple):
    """A body; `repeated` has a line for each key that YAML set twice."""

    content: bytes
    content_type: str
    repeated: Sequence[str] = ()


async def readable(content: bytes, content_type: str) -> Body:
    """The same body as JSON, if it is YAML or protobuf; others are what they are. Raises ApiError 400, 413."""
    if content_type == protobuf.MEDIA_TYPE or content_type in YAML_TYPES:
        make, content_type = (_of_protobuf if content_type == protobuf.MEDIA_TYPE else _of_yaml), JSON
    elif content_type == APPLY and not _OPENING.match(content):
        make = _of_apply
    else:
        if len(content) > MOST_VALUES:
            _check_values(content)
        return Body(content, content_type)
    if not content:
        return Body(content, content_type)
    made, repeated = await asyncio.to_thread(make, content) if len(content) > _SLOW else make(content)
    return Body(made, content_type, repeated)


def _of_yaml(content: bytes) -> tuple[bytes, list[str]]:
    value, repeated = read(content)
    return orjson.dumps(value), repeated


def _of_apply(content: bytes) -> tuple[bytes, list[str]]:
    try:
        return _of_yaml(content)
    except ApiError as error:
        raise bad_request(f"error decoding YAML: {error.message}") if error.code == 400 else error from error


def _of_protobuf(content: bytes) -> tuple[bytes, list[str]]:
    made = orjson.dumps(protobuf.decode(content))
    _check_values(made)  # JSON may be embedded
    return made, []


def _check_values(content: bytes) -> None:
    """Refuse JSON of too many values: each but the first of a list or map follows a comma. Raises ApiError 413."""
    if sum(map(content.count, (b",", b"[", b"{"))) < MOST_VALUES:
        return
    found = strings = 0
    for token in _TOKENS.finditer(content):
        if token[0][:1] == b'"':  # what is in it does not count
            strings += 1
        else:
            found += token.end() - token.start()
        if found >= MOST_VALUES or strings > 2 * MOST_VALUES:
            raise too_many_values()
