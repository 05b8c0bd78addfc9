"""`k8slite apply`: make the objects of manifests so, keeping what others set.

A three-way comparison: the last applied manifest (kept in kubectl's own annotation, so that both tools can take turns),
the manifest, and the live object. What left the manifest is removed, what differs is set, the rest stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from k8slite.errors import ApiError

from ..api import Api
from ..failure import Failure
from ..manifests import Manifest, read
from ..options import connects, files

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MERGE = "application/merge-patch+json"
_SAME: Any = object()


@click.command()
@files
@connects
def apply(api: Api, *, filenames: tuple[str, ...]) -> None:
    """Create or change the objects of manifests."""
    apply_all(api, read(filenames), report=True)


def apply_all(api: Api, manifests: list[Manifest], *, report: bool = False) -> None:
    """Apply each manifest in order. A refused one is reported with its place, and the others still go."""
    refused: list[str] = []
    for manifest in manifests:
        try:
            outcome = apply_one(api, manifest)
        except ApiError as error:
            refused.append(f"{manifest.place}: {error.message}")
            continue
        if report:
            click.echo(f"{label(api, manifest)} {outcome}")
    if refused:
        raise Failure("\n".join(refused))


def label(api: Api, manifest: Manifest) -> str:
    """`deployment.apps/front`, as kubectl names objects."""
    resource = api.resource(_word(manifest.object))
    group = f".{resource.group}" if resource.group else ""
    return f"{resource.singular}{group}/{manifest.object['metadata'].get('name', '')}"


def _word(document: Mapping[str, Any]) -> str:
    group, _, version = document["apiVersion"].rpartition("/")
    return f"{document['kind']}.{version}.{group}" if group else f"{document['kind']}.{version}"


def place(api: Api, manifest: Manifest) -> str:
    """The URL path of the manifest's collection. Raises Failure for an unknown kind."""
    document = manifest.object
    group, _, version = document["apiVersion"].rpartition("/")
    resource = api.catalogue().by_kind(group, version, document["kind"])
    if resource is None:
        kind = f'no matches for kind "{document["kind"]}" in version "{document["apiVersion"]}"'
        raise Failure(f"{manifest.place}: {kind}")
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    namespace = document["metadata"].get("namespace") or api.namespace
    return f"{root}/namespaces/{namespace}/{resource.plural}" if resource.namespaced else f"{root}/{resource.plural}"


def apply_one(api: Api, manifest: Manifest) -> str:
    """Apply one manifest: `created`, `configured` or `unchanged`. Raises ApiError."""
    collection = place(api, manifest)
    wanted = _annotated(manifest.object, namespace=api.namespace if "/namespaces/" in collection else "")
    path = f"{collection}/{manifest.object['metadata'].get('name', '')}"
    try:
        live = api.call("GET", path)
    except ApiError as error:
        if error.reason != "NotFound":
            raise
        api.call("POST", collection, body=wanted)
        return "created"
    previous = json.loads(live["metadata"].get("annotations", {}).get(LAST_APPLIED, "{}"))
    patch = three_way(live, wanted, previous)
    if patch is _SAME or _only_bookkeeping(patch):
        return "unchanged"
    api.call("PATCH", path, body=patch, content_type=MERGE)
    return "configured"


def _annotated(document: Mapping[str, Any], *, namespace: str) -> dict[str, Any]:
    metadata = ({"namespace": namespace} if namespace else {}) | document["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    applied = {**document, "metadata": {**metadata, "annotations": annotations}}
    text = json.dumps(applied, separators=(",", ":"), sort_keys=True) + "\n"
    return {**document, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: text}}}


def three_way(live: Any, wanted: Any, previous: Any) -> Any:
    """The merge patch (RFC 7386) that leads from `live` to `wanted`; `_SAME` if nothing differs.

    Members that `previous` had and `wanted` has not are removed; members that only `live` has are left alone. A list is
    replaced as a whole, and only if some wanted item differs from the live one at its place.
    """
    if not isinstance(wanted, dict) or not isinstance(live, dict):
        return _SAME if _covers(live, wanted) else wanted
    previous = previous if isinstance(previous, dict) else {}
    patch: dict[str, Any] = {key: None for key in previous if key not in wanted and key in live}
    for key, value in wanted.items():
        if value is None:
            continue
        change = three_way(live[key], value, previous.get(key)) if key in live else value
        if change is not _SAME:
            patch[key] = change
    return patch or _SAME


def _covers(live: Any, wanted: Any) -> bool:
    """Whether the live value has all that is wanted; the server may have added defaults."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return all(value is None or (key in live and _covers(live[key], value)) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(live, list):
        return len(wanted) == len(live) and all(_covers(a, b) for a, b in zip(live, wanted, strict=True))
    return bool(live == wanted)


def _only_bookkeeping(patch: Any) -> bool:
    """Whether a patch touches only what the server writes otherwise (a Secret's stringData stays, being write-only)."""
    return (
        isinstance(patch, dict)
        and set(patch) == {"metadata"}
        and set(patch["metadata"]) == {"annotations"}
        and set(patch["metadata"]["annotations"]) == {LAST_APPLIED}
    )
