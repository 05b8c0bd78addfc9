"""What each endpoint of an object may change: the object itself, its status, and the narrower subresources.

A row per endpoint, a pure function each: it puts back, from the old object, everything that is not its business. The
empty group and plural stand for all kinds.

Source: Kubernetes' strategies (prepareForUpdate of status, ephemeralcontainers, resize, finalize, approval).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k8slite.catalogue import Resource
from k8slite.errors import ApiError, Cause, invalid, invalid_value

from ..strategies.base import Context, Strategy
from ..validation import resizing

Document = dict[str, Any]
_STANDARD = ("kubernetes", "orphan", "foregroundDeletion")
_NO_FINALIZER = "name is neither a standard finalizer name nor is it fully qualified"
Prepare = Callable[[Strategy, Resource, Document, Document, Context], None]


def _object(strategy: Strategy, resource: Resource, new: Document, old: Document, context: Context) -> None:
    if resource.subresource("status") is not None:
        _restore(new, old, "status")
    strategy.prepare_update(new, old, context)


def _status(strategy: Strategy, resource: Resource, new: Document, old: Document, context: Context) -> None:
    _keep_only(new, old, "status")
    if strategy.status_keeps_metadata:
        new["metadata"] = dict(old["metadata"])
    meta = new["metadata"]
    if strategy.status_keeps_labels:
        _restore(meta, old["metadata"], "labels")
    _restore(meta, old["metadata"], "ownerReferences")
    strategy.prepare_status_update(new, old, context)


def _finalize(strategy: Strategy, resource: Resource, new: Document, old: Document, context: Context) -> None:
    finalizers = (new.get("spec") or {}).get("finalizers")
    unknown = [
        invalid_value(f"spec.finalizers[{index}]", name, _NO_FINALIZER)
        for index, name in enumerate(finalizers or ())
        if "/" not in name and name not in _STANDARD
    ]
    if unknown:
        raise _refused(resource, old, unknown)
    _keep_only(new, old, "metadata")
    new["spec"] = {k: v for k, v in (old.get("spec") or {}).items() if k != "finalizers"}
    if finalizers:
        new["spec"]["finalizers"] = finalizers


def _ephemeral_containers(
    strategy: Strategy, resource: Resource, new: Document, old: Document, context: Context
) -> None:
    wanted = (new.get("spec") or {}).get("ephemeralContainers")
    _keep_only(new, old, "metadata")
    _keep_metadata(new["metadata"], old["metadata"])
    new["spec"] = {name: value for name, value in old["spec"].items() if name != "ephemeralContainers"}
    if wanted:
        new["spec"]["ephemeralContainers"] = wanted


def _resize(strategy: Strategy, resource: Resource, new: Document, old: Document, context: Context) -> None:
    wanted = new.get("spec") or {}
    if causes := resizing.order(wanted, old["spec"]):
        raise _refused(resource, old, causes)
    _keep_only(new, old, "metadata")
    _keep_metadata(new["metadata"], old["metadata"])
    new["spec"] = resizing.resized(old["spec"], wanted)


def _refused(resource: Resource, old: Document, causes: list[Cause]) -> ApiError:
    return invalid(resource.kind, old["metadata"]["name"], causes, group=resource.group)


def _keep_metadata(new: Document, old: Document) -> None:
    """Put all metadata back but what the write itself is known by."""
    kept: Document = {name: new[name] for name in ("resourceVersion", "managedFields") if name in new}
    new.clear()
    new.update(old)
    new.update(kept)


def _approval(strategy: Strategy, resource: Resource, new: Document, old: Document, context: Context) -> None:
    conditions = (new.get("status") or {}).get("conditions")
    _keep_only(new, old, "metadata")
    new["status"] = {name: value for name, value in (old.get("status") or {}).items() if name != "conditions"}
    if conditions:
        new["status"]["conditions"] = conditions
    strategy.prepare_approval(new, old, context)


def _keep_only(new: Document, old: Document, member: str) -> None:
    """Put every member but `member` and the metadata back."""
    for name in [name for name in new if name not in (member, "metadata")]:
        del new[name]
    for name, value in old.items():
        if name not in (member, "metadata"):
            new[name] = value


def _restore(new: Document, old: Document, member: str) -> None:
    if member in old:
        new[member] = old[member]
    else:
        new.pop(member, None)


STATUS_ENDPOINTS = ("approval", "status")
"""Subresources whose writes change the status and nothing of the spec."""

UPDATES: dict[tuple[str, str, str], Prepare] = {
    ("", "", ""): _object,
    ("", "", "status"): _status,
    ("", "", "scale"): _object,
    ("", "namespaces", "finalize"): _finalize,
    ("", "pods", "ephemeralcontainers"): _ephemeral_containers,
    ("", "pods", "resize"): _resize,
    ("certificates.k8s.io", "certificatesigningrequests", "approval"): _approval,
}
"""(group, plural, subresource) → what a write there may change."""
