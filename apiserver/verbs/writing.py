"""POST and PUT, and the way into the store that every PATCH takes too.

The order of a write, for every kind: decode, default, system metadata, ownership of fields, mutating admission, the
strategy's preparation, validation (metadata, schema, strategy: all causes together), validating admission, store. A
PATCH is a PUT whose object is made from the current one.

Source: Kubernetes' apiserver, endpoints/handlers/{create,update,patch}.go, registry/rest/{create,update}.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from k8slite.catalogue import Resource
from k8slite.clock import timestamp
from k8slite.errors import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    invalid,
    invalid_value,
    no_unique_name,
    service_unavailable,
)
from k8slite.schema import Decoded, Strictness

from .. import documents
from ..admission.base import Admission
from ..calls import Answer, Call
from ..documents import Document
from ..fields.entries import Entry
from ..registry import Registry, Removal, Served, overtaken, require_verb
from ..storage.base import KeyExists, Overtaken, StoreUnavailable
from ..strategies.base import Context, Finish
from ..validation import metadata as metadata_rules
from ..wire.negotiation import json_body
from ..wire.options import check_manager
from . import managing, metadata
from .managing import Current, Wanted
from .representations import single
from .updates import STATUS_ENDPOINTS, UPDATES

_NAME_ATTEMPTS = 8
Make = Callable[[Current], Awaitable[Wanted]]
"""What a request makes of an object; it may be asked again for a newer state."""


async def create(registry: Registry, call: Call) -> Answer:
    """POST an object to its collection."""
    require_verb(call.resource, "create")
    check_manager(call.options, "CreateOptions")
    served = registry.find(*call.resource.key)
    decoded = decode(registry, call, served.resource)
    if not _is_any(decoded.object["metadata"].get("resourceVersion") or ""):
        raise bad_request("resourceVersion should not be set on objects to be created")
    value = await create_object(registry, served, call, decoded)
    return await answer(registry, served, call, value, 201)


async def create_object(
    registry: Registry, served: Served, call: Call, decoded: Decoded, *, entries: list[Entry] | None = None
) -> bytes:
    """Bring a new object into the store: its document there. Without `entries`, all of it is its maker's.

    Raises ApiError.
    """
    context, strategy = registry.context(call), served.strategy
    obj = served.to_hub(decoded.object)
    meta = obj["metadata"]
    metadata.check_namespace(meta, served.resource, call.info.namespace)
    strategy.default(obj)
    if entries is None:
        _warn(context, metadata.without_repeated_owners(meta))
        given = meta.pop("managedFields", None)
        entries = await managing.entries_of_new(registry, served, call, obj, given)
    uid = metadata.new_uid(registry.source)
    metadata.fill_create(meta, now=timestamp(context.now), uid=uid, has_generation=strategy.has_generation)
    if entries:
        meta["managedFields"] = entries
    admission = _admission(served, call, "CREATE", "", context, obj=obj, old=None, causes=decoded.causes)
    await registry.admission.mutate(admission)
    managing.check_admitted(obj, entries, context.warnings)
    _warn(context, metadata.without_repeated_owners(meta, admitted=True))
    base = meta.get("generateName") or ""
    generated = not meta.get("name") and bool(base)
    if generated:
        meta["name"] = metadata.generate_name(base, registry.source)
    strategy.prepare_create(obj, context)
    finish = await strategy.begin(obj, None, context)
    try:
        _validate(served, obj, decoded.causes)
        _warn(context, strategy.warn(obj, None))
        admission.name = meta["name"]
        await registry.admission.validate(admission)
        value = await _store_new(registry, served, obj, generated=generated, context=context)
    except ApiError as error:
        if finish is not None and _was_not_written(error):
            await finish(False)
        raise
    if finish is not None:
        await finish(True)
    return value


async def _store_new(registry: Registry, served: Served, obj: Document, *, generated: bool, context: Context) -> bytes:
    """Store an object that is complete, under other names while a `generated` one is taken. Raises ApiError 409."""
    meta, resource = obj["metadata"], served.resource
    for attempt in range(_NAME_ATTEMPTS if generated else 1):
        if attempt:
            meta["name"] = metadata.generate_name(meta["generateName"], registry.source)
        key = served.key(meta.get("namespace") or "", meta["name"])
        value = documents.encode_to_fit(await served.into_store(obj), served.stored)
        if context.dry_run:
            if await registry.latest(served, key) is None:
                return documents.unstamped(value)
            continue
        try:
            return (await registry.store.create(key, value, unless=context.unless)).value
        except KeyExists:
            continue
        except Overtaken:
            raise overtaken() from None
        except StoreUnavailable as error:
            raise service_unavailable(f"the store is not available: {error}") from error
    if meta.get("generateName"):
        raise no_unique_name(resource.plural, meta["name"], group=resource.group)
    there = await registry.latest(served, key)
    deleting = there is not None and "deletionTimestamp" in documents.decode(there.value)["metadata"]
    raise already_exists(resource.plural, meta["name"], group=resource.group, deleting=deleting)


async def update(registry: Registry, call: Call) -> Answer:
    """PUT an object, or one of its subresources of the same kind."""
    served = registry.find(*call.resource.key)
    if not call.info.subresource:
        require_verb(call.resource, "update")
    check_manager(call.options, "UpdateOptions")
    body = _json(call)
    decoded = decode(registry, call, served.resource)
    metadata.check_place(decoded.object["metadata"], served.resource, call.info)
    creates = served.strategy.create_on_update and not call.info.subresource
    creates = creates and _is_any(decoded.object["metadata"].get("resourceVersion") or "")
    fresh = [decoded]

    async def make(current: Current) -> Wanted:
        # A decision may be made again on a newer state: each time from a fresh object.
        wanted = fresh.pop() if fresh else _decode_body(registry, served.resource, body, "Ignore")
        metadata.check_place(wanted.object["metadata"], served.resource, call.info)
        return Wanted(wanted)

    if creates:
        try:
            value = await change_object(registry, served, call, make)
        except ApiError as error:
            if error.reason != "NotFound":
                raise
            await call.permit("create")
            value = await create_object(registry, served, call, (await make(Current({}, []))).decoded)
            return await answer(registry, served, call, value, 201)
        return await answer(registry, served, call, value, 200)
    return await answer(registry, served, call, await change_object(registry, served, call, make), 200)


async def change_object(registry: Registry, served: Served, call: Call, make: Make) -> bytes:
    """The read-modify-write of PUT and PATCH; `make` gets the current object and returns the wanted one."""
    context, strategy, info = registry.context(call), served.strategy, call.info
    place = (served.stored.group, served.stored.plural, info.subresource)
    prepare = UPDATES[place] if place in UPDATES else UPDATES["", "", info.subresource]
    begun: list[Finish] = []
    last: Document = {}

    async def decide(stored: Document, revision: int) -> Document | Removal:
        wanted = await make(managing.current(served, stored))
        decoded, entries = wanted.decoded, wanted.entries
        _warn(context, decoded.warnings)
        new = served.to_hub(decoded.object)
        _check_conflict(served, new["metadata"], stored["metadata"], subresource=info.subresource)
        if call.info.verb == "update":
            _warn(context, metadata.without_repeated_owners(new["metadata"]))
        given = new["metadata"].pop("managedFields", None)
        metadata.fill_update(new["metadata"], stored["metadata"])
        strategy.default(new)
        if entries is None:
            entries = await managing.entries_of_change(registry, served, call, new=new, live=stored, given=given)
        if entries:
            new["metadata"]["managedFields"] = entries
        admission = wanted.admission
        if admission is None:
            admission = _admission(
                served, call, "UPDATE", info.subresource, context, obj=new, old=stored, causes=decoded.causes
            )
            await registry.admission.mutate(admission)
        entries = managing.check_admitted(new, entries, context.warnings)
        _warn(context, metadata.without_repeated_owners(new["metadata"], admitted=True))
        prepare(strategy, served.resource, new, stored, context)
        last.clear()
        last.update(stored)
        if not info.subresource:
            await _end(begun, written=False)  # of a decision on an older state
            if (finish := await strategy.begin(new, stored, context)) is not None:
                begun.append(finish)
        managing.settle(new, stored, entries)
        return await _checked(registry, served, new, stored, decoded, admission)

    try:
        value, removed = await registry.change(
            served, info.namespace, info.name, decide, dry_run=context.dry_run, unless=context.unless
        )
    except ApiError as error:
        if _was_not_written(error):
            await _end(begun, written=False)
        raise
    await _end(begun, written=not removed)  # an object that is gone has no use for what it took with its last change
    if removed and not context.dry_run:
        await strategy.after_delete(last, context)
    return value


def _was_not_written(error: ApiError) -> bool:
    """Whether a write certainly did not happen: a store that went away may have taken it, as after a cancellation."""
    return not isinstance(error.__cause__, StoreUnavailable)


async def _end(begun: list[Finish], *, written: bool) -> None:
    while begun:
        await begun.pop()(written)


async def _checked(
    registry: Registry, served: Served, new: Document, old: Document, decoded: Decoded, admission: Admission
) -> Document | Removal:
    strategy, meta, causes = served.strategy, new["metadata"], decoded.causes
    if admission.subresource in STATUS_ENDPOINTS:
        # Everything else of the body was thrown away, whatever it lacked.
        causes = [cause for cause in causes if cause.field.startswith("status")]
    elif strategy.has_generation and strategy.generation_source(new) != strategy.generation_source(old):
        meta["generation"] = (old["metadata"].get("generation") or 0) + 1
    _validate(served, new, causes, old=old, subresource=admission.subresource)
    if not admission.subresource:
        _warn(admission.context, strategy.warn(new, old))
    await registry.admission.validate(admission)
    if meta.get("deletionTimestamp") and not meta.get("deletionGracePeriodSeconds") and strategy.removable(new):
        return Removal(new)
    return new


def _check_conflict(served: Served, new: Document, old: Document, *, subresource: str) -> None:
    """Refuse a write to another state, or another object, than the one that was read. Raises ApiError."""
    resource, name = served.resource, old["name"]
    if (uid := new.get("uid")) and uid != old["uid"]:
        detail = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['uid']}"
        raise conflict(resource.plural, name, detail, group=resource.group)
    revision = new.get("resourceVersion") or ""
    if not _is_any(revision) and revision != old["resourceVersion"]:
        if not revision.isdigit():
            cause = invalid_value("metadata.resourceVersion", revision, "must be an unsigned integer")
            raise invalid(resource.kind, name, [cause], group=resource.group)
        raise conflict(resource.plural, name, group=resource.group)
    if _is_any(revision) and not served.strategy.unconditional_update and subresource != "scale":
        cause = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
        raise invalid(resource.kind, name, [cause], group=resource.group)


def _is_any(revision: str) -> bool:
    """Whether a writer means whatever revision there is."""
    return revision in ("", "0")


def _warn(context: Context, warnings: list[str]) -> None:
    """Each warning once, though a decision may be made again on a newer state."""
    if warnings:
        context.warnings[:] = dict.fromkeys([*context.warnings, *warnings])


def _validate(
    served: Served, obj: Document, causes: list[Any], *, old: Document | None = None, subresource: str = ""
) -> None:
    strategy, meta = served.strategy, obj["metadata"]
    if old is not None and "generateName" in meta and meta["generateName"] == old["metadata"].get("generateName"):
        checked = {key: value for key, value in meta.items() if key != "generateName"}
    else:
        checked = meta
    found = metadata_rules.validate(checked, namespaced=served.resource.namespaced, name_rule=strategy.name_rule)
    if old is not None:
        found += metadata_rules.validate_update(meta, old["metadata"])
    if old is not None and subresource:
        found += strategy.validate_subresource(subresource, obj, old)
    else:
        rules = strategy.validate(obj) if old is None else strategy.validate_again(obj, old)
        found += _unsaid(rules, found)
        found += strategy.validate_create(obj) if old is None else strategy.validate_update(obj, old)
    # The kind's own words say more than the schema's "Required value".
    found += _unsaid(causes, found)
    if found:
        name = meta.get("name") or meta.get("generateName") or ""
        raise invalid(served.resource.kind, name, found, group=served.resource.group)


def _unsaid(causes: list[Cause], said: list[Cause]) -> list[Cause]:
    """Those of fields about which nothing was said yet."""
    if not causes or not said:
        return causes
    known = {cause.field for cause in said}
    return [cause for cause in causes if cause.field not in known]


def decode(registry: Registry, call: Call, resource: Resource) -> Decoded:
    """The body as an object of the resource; its warnings go to the client. Raises ApiError."""
    strictness = cast(Strictness, call.options.field_validation)
    body = _json(call)
    noticed: list[str] = []
    if call.repeated and strictness != "Ignore":
        noticed.append("\n  ".join(["yaml: unmarshal errors:", *call.repeated]))
    decoded = _decode_body(registry, resource, body, strictness, noticed)
    call.metadata = decoded.object.get("metadata")
    if decoded.warnings:
        call.warnings.extend(" ".join(warning.split()) for warning in decoded.warnings)
    return decoded


def _json(call: Call) -> bytes:
    return json_body(call.body, call.content_type)


def _decode_body(
    registry: Registry, resource: Resource, body: bytes, strictness: Strictness, noticed: Sequence[str] = ()
) -> Decoded:
    return registry.schemas.decode(
        body,
        group=resource.group,
        version=resource.version,
        kind=resource.kind,
        strictness=strictness,
        noticed=noticed,
    )


def _admission(
    served: Served,
    call: Call,
    operation: Literal["CREATE", "UPDATE"],
    subresource: str,
    context: Context,
    *,
    obj: Document,
    old: Document | None,
    causes: list[Cause],
) -> Admission:
    meta = obj["metadata"]
    return Admission(
        operation=operation,
        resource=served.hub,
        subresource=subresource,
        namespace=meta.get("namespace") or "",
        name=meta.get("name") or "",
        object=obj,
        old=old,
        context=context,
        options=call.options,
        requested=served.resource,
        causes=causes,
    )


async def answer(registry: Registry, served: Served, call: Call, value: bytes, code: int) -> Answer:
    """What a client hears of an object that it wrote."""
    if call.accept.form == "object" and not served.converts:  # written just now: as today's schema has it
        return Answer(value, code)
    return replace(await single(served, call, value, registry.clock.now()), code=code)
