"""DELETE and deletecollection: what becomes of an object that is asked to go.

`plan` is pure. An object goes at once, or is marked and waits: for its grace period (a pod's kubelet), for finalizers,
or for its dependents (`foregroundDeletion`, `orphan`: the garbage collector's).

Source: Kubernetes' apiserver, registry/rest/delete.go and registry/generic/registry/store.go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from k8slite.clock import timestamp
from k8slite.errors import ApiError, conflict

from ..admission.base import Admission
from ..calls import Answer, Call
from ..conversions import ConversionFailed
from ..documents import Document
from ..registry import Registry, Removal, Served, require_verb
from ..strategies.base import Context, Strategy
from ..watching.objects import Entry
from ..wire import options as query
from ..wire.negotiation import json_body
from ..wire.options import Options, Propagation
from .reading import listing, show_listing
from .representations import single

_ORPHAN = "orphan"
_FOREGROUND = "foregroundDeletion"


@dataclass(frozen=True, slots=True)
class Deletion:
    """A plan: `remove` the object, or keep `object` (equal to the old one if it only waits on)."""

    object: Document
    remove: bool


def plan(obj: Document, *, options: Options, strategy: Strategy, now: datetime) -> Deletion:
    """Decide; `obj` may be changed."""
    metadata = obj["metadata"]
    _set_propagation(metadata, options.propagation, strategy)
    requested = options.grace_period
    if requested is not None and requested < 0:
        requested = 1  # there is no way to ask for more haste than now
    if metadata.get("deletionTimestamp"):
        if requested is not None:
            _shorten(metadata, requested)
    else:
        grace = max(0, strategy.graceful(obj, requested))
        if not grace and strategy.removable(obj):
            return Deletion(obj, True)
        metadata["deletionTimestamp"] = timestamp(now + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
        if metadata.get("generation"):
            metadata["generation"] += 1
        strategy.begin_deletion(obj)
    done = not metadata.get("deletionGracePeriodSeconds") and strategy.removable(obj)
    return Deletion(obj, done)


def _set_propagation(metadata: Document, asked: Propagation, strategy: Strategy) -> None:
    """Foreground and orphan deletion are finalizers; a later DELETE may change its mind.

    Who says nothing leaves what was decided before, and else gets what is usual for the kind.
    """
    given = metadata.get("finalizers") or ()
    finalizers = [name for name in given if name not in (_ORPHAN, _FOREGROUND)]
    if strategy.propagation == "":
        return
    if not asked and len(finalizers) == len(given):
        asked = strategy.propagation
    match asked:
        case "Orphan":
            finalizers.append(_ORPHAN)
        case "Foreground":
            finalizers.append(_FOREGROUND)
        case "Background":
            pass
        case _:
            return
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)


def _shorten(metadata: Document, grace: int) -> None:
    before = metadata.get("deletionGracePeriodSeconds") or 0
    if grace >= before:
        return
    due = datetime.strptime(metadata["deletionTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    metadata["deletionTimestamp"] = timestamp(due - timedelta(seconds=before - grace))
    metadata["deletionGracePeriodSeconds"] = grace


def check_preconditions(served: Served, metadata: Document, options: Options) -> None:
    """Refuse to act on another object than the one meant. Raises ApiError 409."""
    for wanted, field, words in (
        (options.precondition_uid, "uid", "UID"),
        (options.precondition_resource_version, "resourceVersion", "ResourceVersion"),
    ):
        found = metadata.get(field) or ""
        if wanted and wanted != found:
            since = "deleted and then recreated" if field == "uid" else "modified"
            detail = (
                f"the {words} in the precondition ({wanted}) does not match the {words} in record ({found}). "
                f"The object might have been {since}"
            )
            raise conflict(served.resource.plural, metadata["name"], detail, group=served.resource.group)


def read_options(registry: Registry, call: Call) -> Options:
    """DELETE's options from the query and the body. Raises ApiError."""
    if not call.body:
        return call.options
    body = json_body(call.body, call.content_type)
    decoded = registry.schemas.decode(body, group="", version="v1", kind="DeleteOptions", strictness="Ignore")
    return query.with_delete_body(call.options, decoded.object)


async def delete(registry: Registry, call: Call) -> Answer:
    """DELETE one object: the object that is still there, or a Status."""
    require_verb(call.resource, "delete")
    served = registry.find(*call.resource.key)
    options = read_options(registry, call)
    _warn(served, call, options)
    value, removed, metadata = await remove(registry, served, call, call.info.name, options)
    if not removed or served.strategy.returns_deleted:
        # A client that said so in the old way, orphanDependents=false, learns that its dependents are not gone yet.
        code = 202 if not removed and options.orphan_dependents is False else 200
        if call.accept.form == "object":
            return Answer(await served.served_bytes(value, 0), code)
        return replace(await single(served, call, value, registry.clock.now()), code=code)
    details: dict[str, Any] = {"name": call.info.name}
    if served.resource.group:
        details["group"] = served.resource.group
    details["kind"] = served.resource.plural
    details["uid"] = metadata["uid"]
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return Answer(orjson.dumps(status))


def _warn(served: Served, call: Call, options: Options) -> None:
    if not options.propagation and served.strategy.propagation_warning:
        call.warnings.append(served.strategy.propagation_warning)


async def remove(
    registry: Registry, served: Served, call: Call, name: str, options: Options, *, admitted: bool = False
) -> tuple[bytes, bool, Document]:
    """Carry out one deletion: the last or the marked state, whether the object is gone, and its metadata.

    `admitted` says that admission let it pass in another form (an eviction) and is not asked again.
    What cannot be converted (the webhook is down) is judged as it is stored: all that counts is in its metadata.
    """
    try:
        return await _remove(registry, served, call, name, options, admitted=admitted)
    except ConversionFailed:
        at_rest = registry.at_rest(served.stored.group, served.stored.plural)
        return await _remove(registry, at_rest, call, name, options, requested=served, admitted=admitted)


async def _remove(
    registry: Registry,
    served: Served,
    call: Call,
    name: str,
    options: Options,
    *,
    admitted: bool,
    requested: Served | None = None,
) -> tuple[bytes, bool, Document]:
    context = registry.context(call)
    namespace = call.info.namespace if served.resource.namespaced else ""
    seen: Document = {}

    async def decide(obj: Document, revision: int) -> Document | Removal:
        seen.clear()
        seen.update(obj)
        check_preconditions(served, obj["metadata"], options)
        if not admitted:
            await _admit(registry, requested or served, call, options, old=obj, context=context)
        planned = plan(obj, options=options, strategy=served.strategy, now=context.now)
        return Removal(planned.object) if planned.remove else planned.object

    value, removed = await registry.change(served, namespace, name, decide, dry_run=options.dry_run)
    if removed and not options.dry_run:
        await served.strategy.after_delete(seen, context)
    return value, removed, seen["metadata"]


async def _admit(
    registry: Registry, served: Served, call: Call, options: Options, *, old: Document, context: Context
) -> None:
    admission = Admission(
        operation="DELETE",
        resource=served.hub,
        subresource="",
        namespace=old["metadata"].get("namespace") or "",
        name=old["metadata"]["name"],
        object=None,
        old=old,
        context=context,
        options=options,
        requested=served.resource,
    )
    await registry.admission.mutate(admission)
    await registry.admission.validate(admission)


async def delete_collection(registry: Registry, call: Call) -> Answer:
    """DELETE everything that matches, or a page of it: the list of what was there."""
    require_verb(call.resource, "deletecollection")
    served = registry.find(*call.resource.key)
    options = read_options(registry, call)
    _warn(served, call, options)
    found, info = await listing(registry, served, call), call.info
    deleted = []
    for entry in found.entries:
        call.info = replace(info, namespace=entry.namespace)
        try:
            value, _, _ = await remove(registry, served, call, entry.name, options)
        except ApiError as error:
            if error.reason != "NotFound":
                raise
            deleted.append(entry)
        else:
            deleted.append(Entry(entry.key, value, entry.revision))
    call.info = info
    return await show_listing(registry, served, call, replace(found, entries=deleted))
