"""Server-side apply: a PATCH whose body is the configuration that its manager wants.

The configuration is merged into the live object, or becomes a new one. Who owns what stands in `fields/`.

Source: Kubernetes documentation, "Server-Side Apply"; apiserver, endpoints/handlers/patch.go (applyPatcher).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import ApiError, bad_request, conflict
from k8slite.schema import Decoded

from ..calls import Answer, Call
from ..documents import Document
from ..fields import last_applied, ownership
from ..fields.conflicts import conflict_error
from ..fields.entries import Entry
from ..fields.merge import violations
from ..fields.ownership import Conflicts, Convert, Writer
from ..fields.sets import has
from ..registry import Registry, Served, require_verb
from ..wire.negotiation import load_either
from ..wire.options import check_manager
from . import managing, metadata
from .managing import Current, Wanted
from .writing import answer, change_object, create_object

YAML = "application/apply-patch+yaml"
_SOON_GONE = 4


async def apply(registry: Registry, call: Call) -> Answer:
    """PATCH an object, or one of its subresources of the same kind, by what its manager wants."""
    served = registry.find(*call.resource.key)
    if not call.info.subresource:
        require_verb(call.resource, "patch")
    check_manager(call.options, "PatchOptions", apply=True)
    resource, info = served.resource, call.info
    who = managing.writer(registry, served, call)
    configuration = read_configuration(call, who, resource.kind)
    convert = managing.converter(registry, served)

    async def make(current: Current) -> Wanted:
        merged, entries = await merge(
            current.object, configuration, current.entries, writer=who, convert=convert, force=call.options.force
        )
        return Wanted(_decoded(registry, served, call, merged), entries)

    for _ in range(_SOON_GONE):
        try:
            return await answer(registry, served, call, await change_object(registry, served, call, make), 200)
        except ApiError as error:
            if error.reason != "NotFound" or info.subresource:
                raise
        try:
            value = await _create(registry, served, call, await make(Current({}, [])), configuration)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        else:
            return await answer(registry, served, call, value, 201)
    raise conflict(resource.plural, info.name, group=resource.group)


async def _create(registry: Registry, served: Served, call: Call, wanted: Wanted, configuration: Document) -> bytes:
    await call.permit("create")
    resource, name = served.resource, call.info.name
    meta = configuration.get("metadata") or {}
    if uid := meta.get("uid"):
        detail = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(resource.plural, name, detail, group=resource.group)
    if meta.get("resourceVersion"):
        raise conflict(resource.plural, name, group=resource.group)
    return await create_object(registry, served, call, wanted.decoded, entries=wanted.entries)


async def merge(
    live: Document,
    configuration: Document,
    entries: list[Entry],
    *,
    writer: Writer,
    convert: Convert,
    force: bool,
) -> tuple[Document, list[Entry]]:
    """The object and its entries after an apply. Raises ApiError 409 with every conflict."""
    try:
        merged, after = await ownership.apply(live, configuration, entries, writer=writer, convert=convert, force=force)
    except Conflicts as refused:
        allowed = last_applied.applied_before(live, writer.atom) if writer.manager == last_applied.MANAGER else None
        if allowed is None:
            raise conflict_error(refused.conflicts) from refused
        left = [each for each in refused.conflicts if not has(allowed, each.path)]
        if left:
            raise conflict_error(left) from refused
        merged, after = await ownership.apply(live, configuration, entries, writer=writer, convert=convert, force=True)
    if writer.manager == last_applied.MANAGER:
        merged = last_applied.keep_up_to_date(merged, configuration)
    return merged, after


def read_configuration(call: Call, writer: Writer, kind: str) -> Document:
    """The body of an apply, which must be of that kind in the writer's version. Raises ApiError 400."""
    try:
        configuration, found = load_either(call.body)
    except ApiError as error:
        raise bad_request(f"error decoding YAML: {error.message}") from error
    if not isinstance(configuration, dict):
        raise bad_request(
            "error decoding YAML: error unmarshaling JSON: json: cannot unmarshal "
            f"{_json_type(configuration)} into Go value of type map[string]interface {{}}"
        )
    repeated = call.repeated or found
    given = _kind_text(str(configuration.get("apiVersion") or ""), str(configuration.get("kind") or ""))
    expected = _kind_text(writer.api_version, kind)
    if given != expected:
        raise bad_request(f"invalid object type: {given}")
    if call.options.field_validation != "Ignore" and repeated:
        text = "error converting YAML to JSON: yaml: unmarshal errors:\n" + "\n".join(f"  {line}" for line in repeated)
        if call.options.field_validation == "Strict":
            raise bad_request(f"error strict decoding YAML: {text}")
        call.warnings.append(" ".join(text.split()))
    _check(configuration, writer, call.info.namespace, expected)
    document: Document = configuration
    return document


def _json_type(value: Any) -> str:
    names = {str: "string", bool: "bool", list: "array", int: "number", float: "number"}
    return names.get(type(value), "null")


def _kind_text(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    return f"{group}/{version}, Kind={kind}"


def _check(configuration: Document, writer: Writer, namespace: str, kind: str) -> None:
    meta = configuration.get("metadata")
    if isinstance(meta, dict) and meta.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    if found := violations(configuration, writer.atom):
        name = (meta.get("name") or "") if isinstance(meta, dict) else ""
        raise bad_request(f"failed to create typed patch object ({namespace}/{name}; {kind}): {found}")


def _decoded(registry: Registry, served: Served, call: Call, merged: Document) -> Decoded:
    resource = served.resource
    decoded = registry.schemas.check(
        merged, group=resource.group, version=resource.version, kind=resource.kind, strictness="Ignore"
    )
    metadata.check_place(decoded.object["metadata"], resource, call.info)
    return decoded
