"""Templates and revisions: which ReplicaSet stands for which template, and what it is called.

Templates are compared as raw documents, without the label that tells a Deployment's ReplicaSets apart. The hash only
has to be a good name: a ReplicaSet is found by comparing, never by its hash.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from k8slite.kinds.apps import Deployment, ReplicaSet
from k8slite.kinds.template import RawTemplate

from ..children import encode_safely

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"

NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED,
        MAXIMUM,
        "deprecated.deployment.rollback.to",
    }
)
"""Annotations that a Deployment and its ReplicaSets have each for themselves."""

MOST_HISTORY = 2000
"""Characters of revision history that a ReplicaSet keeps; the oldest go first."""


def canonical(template: RawTemplate) -> bytes:
    """The template as comparable bytes: sorted, without nulls, empty metadata and the hash label."""
    metadata = {key: value for key, value in (template.document.get("metadata") or {}).items() if value}
    labels = {key: value for key, value in (metadata.pop("labels", None) or {}).items() if key != HASH_LABEL}
    return orjson.dumps(
        _without_nulls({"metadata": metadata, "labels": labels, "spec": template.spec}), option=orjson.OPT_SORT_KEYS
    )


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nulls(item) for key, item in value.items() if item is not None}
        case list():
            return [_without_nulls(item) for item in value]
        case _:
            return value


def template_hash(template: RawTemplate, *, collisions: int) -> str:
    """A short name for a template; the number of collisions so far makes it another one."""
    number = 0x811C9DC5
    for byte in canonical(template) + (str(collisions).encode() if collisions else b""):
        number = ((number ^ byte) * 0x01000193) & 0xFFFFFFFF
    return encode_safely(str(number))


def labelled(template: RawTemplate, hash_: str) -> dict[str, Any]:
    """A copy of the template document with the hash label."""
    document = copy.deepcopy(template.document)
    metadata = document.setdefault("metadata", {})
    metadata["labels"] = dict(metadata.get("labels") or {}) | {HASH_LABEL: hash_}
    return document


def unlabelled(template: RawTemplate) -> dict[str, Any]:
    """A copy of the template document without the hash label."""
    document = copy.deepcopy(template.document)
    metadata = document.setdefault("metadata", {})
    metadata["labels"] = {key: value for key, value in template.labels.items() if key != HASH_LABEL}
    return document


def find_new(deployment: Deployment, replicasets: Iterable[ReplicaSet]) -> ReplicaSet | None:
    """The oldest ReplicaSet whose template is the Deployment's."""
    wanted = canonical(deployment.spec.template)
    return next((rs for rs in by_age(replicasets) if canonical(rs.spec.template) == wanted), None)


def by_age(replicasets: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    """Oldest first."""
    return sorted(replicasets, key=lambda rs: (str(rs.metadata.creation_timestamp or ""), rs.name))


def revision(annotations: Mapping[str, str]) -> int:
    """The revision that an object carries; 0 if none."""
    text = annotations.get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def number(annotations: Mapping[str, str], name: str) -> int | None:
    """A replica count kept in an annotation."""
    text = annotations.get(name, "")
    return int(text) if text.isdecimal() else None


def inherited(deployment: Deployment) -> dict[str, str]:
    """The Deployment's annotations that its ReplicaSets carry too."""
    return {key: value for key, value in deployment.metadata.annotations.items() if key not in NOT_COPIED}


def revision_annotations(current: Mapping[str, str], new_revision: int) -> dict[str, str]:
    """What to set on a ReplicaSet that becomes revision `new_revision`: the number, and the one it had as history.

    A revision that is no number is somebody else's, and stays.
    """
    old = revision(current)
    if old >= new_revision or (REVISION in current and not current[REVISION].isdecimal()):
        return {}
    changes = {REVISION: str(new_revision)}
    if old:
        history = [part for part in current.get(REVISION_HISTORY, "").split(",") if part]
        while history and len(",".join([*history, str(old)])) > MOST_HISTORY:
            del history[0]
        changes[REVISION_HISTORY] = ",".join([*history, str(old)])
    return changes
