"""Objects as webhooks and policies want to see them, and what becomes of what they made of them.

Rules name a version; the object of a request is in another as a rule (`Admission`). What comes back was not read by
the schema yet and may say anything: it is checked and defaulted as a client's own document is. What only the system
sets in metadata stays as it was.

Source: Kubernetes' apiserver, admission/conversion.go and registry/rest (BeforeCreate, BeforeUpdate).
"""

from __future__ import annotations

from k8slite.errors import ApiError, bad_request
from k8slite.schema import Decoded

from .. import documents
from ..registry import Registry
from ..strategies.base import Document
from .base import Admission
from .matching import Match

_SYSTEM = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)
_OTHER_NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"


def _api_version(match: Match) -> str:
    group, version, _ = match.kind
    return f"{group}/{version}" if group else version


class Unreadable(ApiError):
    """What came back is no object of its kind."""


async def present(registry: Registry, document: Document | None, match: Match) -> Document | None:
    """An object of a request as that kind: the object itself if it is so already. Not to be changed.

    Raises ApiError for a conversion that fails.
    """
    if document is None or not _is_resource(match) or document.get("apiVersion") == _api_version(match):
        return document
    served = registry.find(*match.resource.key)
    copied = documents.copy(document)
    if served.converter is not None:
        return (await served.converter.convert([copied], served.hub))[0]
    return served.to_served(copied)


def _is_resource(match: Match) -> bool:
    """Whether the kind is the resource's own: others (Scale, Eviction, PodExecOptions) have one version only."""
    row = match.resource
    return match.kind == (row.group, row.version, row.kind)


async def take_back(registry: Registry, admission: Admission, document: Document, match: Match) -> None:
    """Make a changed object, in the version in which it was presented, the object of the request.

    The request's dictionary stays the same, and so does that of its metadata; `document` may be changed. Raises
    Unreadable for what the schema refuses, ApiError 400 for another namespace.
    """
    before = admission.object
    if before is None:
        raise ValueError("a request without an object has none to change")
    read = _read(registry, document, match)
    changed = read.object
    if _is_resource(match):
        changed = await _to_hub(registry, admission, changed, match)
        registry.find(*admission.resource.key).strategy.default(changed)
    metadata = before.get("metadata")
    if metadata is not None:
        after = dict(changed.get("metadata") or {})
        _keep_system(after, metadata)
        metadata.clear()
        metadata.update(after)
        changed["metadata"] = metadata
    before.clear()
    before.update(changed)
    admission.causes[:] = read.causes


def _read(registry: Registry, document: Document, match: Match) -> Decoded:
    group, version, kind = match.kind
    if kind.endswith("Options") and registry.schemas.type_of(group, version, kind) is None:
        return Decoded(document, [])  # of a connection: a query, which has no schema
    try:
        return registry.schemas.check(document, group=group, version=version, kind=kind, strictness="Ignore")
    except ApiError as error:
        raise Unreadable(error.code, error.reason, error.message, details=error.details) from error


async def _to_hub(registry: Registry, admission: Admission, document: Document, match: Match) -> Document:
    if match.resource.key == admission.resource.key:
        return document
    served = registry.find(*match.resource.key)
    if served.converter is not None:
        return (await served.converter.convert([document], admission.resource))[0]
    return served.to_hub(document)


def _keep_system(after: Document, before: Document) -> None:
    """Put back what neither clients nor webhooks set. Raises ApiError 400 for another namespace."""
    for name in _SYSTEM:
        if name in before:
            after[name] = before[name]
        else:
            after.pop(name, None)
    if "namespace" in before and after.setdefault("namespace", before["namespace"]) != before["namespace"]:
        raise bad_request(_OTHER_NAMESPACE)
