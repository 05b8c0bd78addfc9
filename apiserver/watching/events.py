"""Events, and the lines in which watches show them.

A change is one `Event` for everybody, and its line is encoded once per form in which it is wanted (a type, a
transformation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

from ..storage.batch import restamp

if TYPE_CHECKING:
    from .objects import Entry

Transform: TypeAlias = Callable[[bytes], bytes]
"""From the stored document to what the client wants (a table, another version). Pass the same function object for the
same transformation: what it makes of a change is shared by all watchers that pass it."""

Verdict: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED", "LEFT"]
"""What an event is for a watcher; LEFT goes out as DELETED, with the object as it was when it still matched."""

INITIAL_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark that ends the initial objects."""


def line(kind: str, document: bytes) -> bytes:
    """One line of a watch."""
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), document)


def parts_of(text: bytes) -> tuple[bytes, bytes]:
    """The kind and the document of such a line."""
    kind, _, document = text.removeprefix(b'{"type":"').partition(b'","object":')
    return kind, document[:-2]


@lru_cache(maxsize=64)
def bookmark_line(
    kind: str, api_version: str, revision: int, initial_end: bool, transform: Transform | None = None
) -> bytes:
    """A bookmark: everything up to `revision` was sent; `initial_end` marks the end of the initial objects."""
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if initial_end:
        metadata["annotations"] = {INITIAL_END: "true"}
    document = orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata})
    return line("BOOKMARK", transform(document) if transform else document)


@dataclass(frozen=True, slots=True)
class Shown:
    """How a watch shows objects: the kind that was asked for, and the transformation of each object.

    Bookmarks are of that kind, and go through `mark` (a table's bookmark is a table too).
    """

    kind: str
    api_version: str
    transform: Transform | None = None
    mark: Transform | None = None

    def bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        """The line of a bookmark."""
        return bookmark_line(self.kind, self.api_version, revision, initial_end, self.mark)


class Event:
    """One change of one object. For DELETED `entry` is the last document with the deletion's revision."""

    __slots__ = ("_lines", "entry", "old", "revision", "type")

    def __init__(self, kind: Literal["ADDED", "MODIFIED", "DELETED"], entry: Entry, old: Entry | None) -> None:
        self.type = kind
        self.entry = entry
        self.old = old
        self.revision = entry.revision
        self._lines: dict[tuple[Verdict, Transform | None], bytes] = {}

    def line(self, verdict: Verdict, transform: Transform | None) -> bytes:
        """The line for a watcher with that verdict."""
        known = self._lines.get((verdict, transform))
        if known is None:
            if verdict == "LEFT" and self.old is not None:
                document = restamp(self.old.value, self.old.revision, self.revision)
            else:
                document = self.entry.value
            shown = transform(document) if transform else document
            known = self._lines[verdict, transform] = line("DELETED" if verdict == "LEFT" else verdict, shown)
        return known

    def forget_lines(self) -> None:
        """Free the encoded lines; they are made again if a late reader needs them."""
        self._lines.clear()
