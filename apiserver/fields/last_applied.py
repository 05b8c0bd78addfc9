"""Objects of client-side apply, when kubectl goes over to server-side apply.

Client-side apply keeps what it applied in an annotation. What that says and the object still has is kubectl's own: it
is no conflict. While the annotation is there, it is kept up to date, so that users may go back.

Source: apimachinery, util/managedfields/internal (lastappliedmanager.go, lastappliedupdater.go).
"""

from __future__ import annotations

from typing import Any

import orjson

from k8slite.schema.atoms import Atom

from .merge import violations
from .sets import FieldSet, difference
from .typed import Document, applied, compare

MANAGER = "kubectl"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
_LARGEST = 256 << 10


def applied_before(live: Document, atom: Atom) -> FieldSet | None:
    """What client-side apply owns of an object; None if it never applied it, or in another version."""
    text = _annotations(live).get(ANNOTATION)
    if not text:
        return None
    try:
        last: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(last, dict) or last.get("apiVersion") != live.get("apiVersion") or violations(last, atom):
        return None
    differs = compare(last, live, atom)
    return difference(difference(applied(last, atom), differs.changed), differs.removed)


def keep_up_to_date(document: Document, configuration: Document) -> Document:
    """The object with the configuration in its annotation, if it has one."""
    if not _annotations(document).get(ANNOTATION):
        return document
    meta = configuration.get("metadata") or {}
    if "annotations" in meta:
        meta = {**meta, "annotations": {k: v for k, v in (meta["annotations"] or {}).items() if k != ANNOTATION}}
    text = orjson.dumps({**configuration, "metadata": meta}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    annotations = {**_annotations(document), ANNOTATION: text}
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _LARGEST:
        del annotations[ANNOTATION]
    return {**document, "metadata": {**document["metadata"], "annotations": annotations}}


def _annotations(document: Document) -> dict[str, str]:
    return (document.get("metadata") or {}).get("annotations") or {}
