"""`k8slite apply`: make the objects of manifests so, keeping what others set.

The last applied manifest is kept in kubectl's own annotation and in its very form, so that both tools can take turns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from k8slite.errors import ApiError
from k8slite.schema import builtin_facts

from ..api import Api
from ..failure import Refusals
from ..manifests import Manifest, read
from ..options import connects, files
from ..targets import named
from .placing import Place, place
from .threeway import patch

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"


@click.command()
@files
@connects
def apply(api: Api, *, filenames: tuple[str, ...]) -> None:
    """Create or change the objects of manifests."""
    apply_all(api, read(filenames), report=True)


def apply_all(api: Api, manifests: list[Manifest], *, report: bool = False) -> None:
    """Apply each manifest in order. A refused one is reported with its place, and the others still go."""
    refusals = Refusals()
    for manifest in manifests:
        with refusals.noted(manifest.place):
            at = place(api, manifest, named=True)
            outcome = apply_one(api, manifest.object, at)
            if report:
                click.echo(f"{named(at.resource, at.name)} {outcome}")
    refusals.finish()


def apply_one(api: Api, document: Mapping[str, Any], at: Place) -> str:
    """Apply one manifest: `created`, `configured` or `unchanged`. Raises ApiError."""
    wanted = annotated(document, namespace=at.namespace)
    try:
        live = api.call("GET", at.path)
    except ApiError as error:
        if error.reason != "NotFound":
            raise
        api.call("POST", at.collection, body=wanted)
        return "created"
    facts = builtin_facts().by_kind(at.resource.group, at.resource.version, at.resource.kind)
    change = patch(live, wanted, _last_applied(live), facts)
    if not change:
        return "unchanged"
    api.call("PATCH", at.path, body=change, content_type=STRATEGIC if facts else MERGE)
    return "configured"


def _last_applied(live: Mapping[str, Any]) -> dict[str, Any]:
    """What was applied last; nothing if the annotation is not there or not readable."""
    try:
        previous = json.loads((live["metadata"].get("annotations") or {}).get(LAST_APPLIED, "{}"))
    except ValueError:
        return {}
    return previous if isinstance(previous, dict) else {}


def annotated(document: Mapping[str, Any], *, namespace: str) -> dict[str, Any]:
    """The manifest with itself in the annotation, in the form that kubectl writes: Go's JSON, which escapes HTML."""
    metadata = ({"namespace": namespace} if namespace else {}) | document["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    applied = {**document, "metadata": {**metadata, "annotations": annotations}}
    text = json.dumps(applied, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return {**document, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: text}}}
