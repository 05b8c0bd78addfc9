"""What `get -w` shows: what there is, then every change, for as long as the user likes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from ..api import Api
from ..failure import Failure

SHORT = 1.0
"""Seconds: a watch that brings nothing and ends sooner will not do better next time."""


def watch(api: Api, path: str, query: Mapping[str, str], *, accept: str = "application/json") -> Iterator[Any]:
    """The listed objects, then changed ones (or tables of them, if `accept` asks for tables).

    A watch that the server ends, as it does now and then, is taken up where it was. Raises ApiError, Failure.
    """
    listing = api.call("GET", path, query=query, accept=accept)
    yield from listing.get("items", [listing])
    revision = listing["metadata"].get("resourceVersion", "")
    while True:
        began = time.monotonic()
        brought = False
        watching = {**query, "watch": "true", "resourceVersion": revision, "allowWatchBookmarks": "true"}
        for event in events(api.lines(path, query=watching, accept=accept)):
            brought = True
            if event["type"] == "ERROR":
                raise Failure(str(event["object"].get("message")))
            revision = _revision(event["object"]) or revision
            if event["type"] != "BOOKMARK":
                yield event["object"]
        if not brought and time.monotonic() - began < SHORT:
            raise Failure("the server ended the watch")


def _revision(changed: Mapping[str, Any]) -> str:
    """The revision of an object, or of the last row of a table."""
    rows = changed.get("rows")
    inner = rows[-1].get("object", {}) if rows else changed
    revision: str = inner.get("metadata", {}).get("resourceVersion", "")
    return revision


def events(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON documents of a watch, one a line."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (orjson.loads(line) for line in lines if line)
