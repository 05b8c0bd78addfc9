"""Revisions: templates kept as ControllerRevisions, as StatefulSets and DaemonSets keep theirs.

A revision is found by comparing what it holds, never by its hash; the hash only has to be a good name.

Source: Kubernetes documentation, "Perform a Rollback on a DaemonSet"; kubernetes pkg/controller/history for the form of
what is kept, which `kubectl rollout undo` sends back as a patch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from k8slite.kinds.apps import ControllerRevision
from k8slite.kinds.template import RawTemplate

from .children import encode_safely

HASH_LABEL = "controller.kubernetes.io/hash"
"""On a revision: its hash."""
POD_LABEL = "controller-revision-hash"
"""On a pod: which revision it was made from."""
MAX_PREFIX = 223
"""Characters of the owner's name that a revision's name begins with, at most."""


_SAYS_NOTHING_EMPTY = frozenset({"metadata", "labels", "annotations", "resources", "securityContext"})
"""What is the same whether it is empty or absent. An empty selector matches everything, an absent one nothing."""


def data_of(template: RawTemplate) -> dict[str, Any]:
    """What a revision keeps: a strategic merge patch for its owner that puts the whole template back."""
    return {"spec": {"template": {"$patch": "replace", **template.document}}}


def canonical(data: dict[str, Any]) -> bytes:
    """What a revision holds as comparable bytes: sorted, without nulls, and without what says nothing when empty."""
    return orjson.dumps(_plain(data), option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: _plain(item)
                for key, item in value.items()
                if item is not None and not (key in _SAYS_NOTHING_EMPTY and item == {})
            }
        case list():
            return [_plain(item) for item in value]
        case _:
            return value


def hash_of(data: dict[str, Any], *, collisions: int) -> str:
    """A short name for what a revision holds; the number of collisions so far makes it another one."""
    number = 0x811C9DC5
    for byte in canonical(data) + (str(collisions).encode() if collisions else b""):
        number = ((number ^ byte) * 0x01000193) & 0xFFFFFFFF
    return encode_safely(str(number))


def name_of(owner: str, hash_: str) -> str:
    """What a revision of an owner is called."""
    return f"{owner[:MAX_PREFIX]}-{hash_}"


def in_order(revisions: Iterable[ControllerRevision]) -> list[ControllerRevision]:
    """Oldest first: by number, and where two have one number by age and name."""
    return sorted(revisions, key=lambda r: (r.revision, str(r.metadata.creation_timestamp or ""), r.name))


def next_number(revisions: Iterable[ControllerRevision]) -> int:
    """The number of a revision that becomes the newest."""
    return max((item.revision for item in revisions), default=0) + 1


def find(revisions: Sequence[ControllerRevision], data: dict[str, Any]) -> ControllerRevision | None:
    """The newest revision that holds this."""
    newest_first = in_order(revisions)[::-1]
    if newest_first and newest_first[0].data == data:  # As nearly always: no need to sort and print ten templates.
        return newest_first[0]
    wanted = canonical(data)
    return next((item for item in newest_first if canonical(item.data) == wanted), None)


def template_of(revision: ControllerRevision) -> RawTemplate:
    """The template that a revision keeps."""
    template = (revision.data.get("spec") or {}).get("template") or {}
    return RawTemplate({key: value for key, value in template.items() if key != "$patch"})


def superfluous(
    revisions: Sequence[ControllerRevision], *, live: Collection[str], limit: int
) -> list[ControllerRevision]:
    """The oldest that go, so that `limit` are left of those that nothing lives from (`live` are names that count)."""
    history = [item for item in in_order(revisions) if item.name not in live]
    return history[: max(len(history) - max(limit, 0), 0)]
