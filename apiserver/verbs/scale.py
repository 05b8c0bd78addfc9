"""The scale subresource: replicas of any kind through one small object.

Where a kind keeps its replicas and its selector is said by its strategy.

Source: Kubernetes API reference, "Scale" (autoscaling/v1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import orjson

from k8slite.errors import bad_request, internal, invalid, invalid_value
from k8slite.schema import Decoded, Strictness

from .. import documents
from ..admission.base import Admission
from ..calls import Answer, Call
from ..documents import Document
from ..fields import ownership, scale_entries
from ..fields.ownership import View
from ..fields.sets import only
from ..registry import Registry, Served
from ..strategies.base import ScalePaths
from ..wire.negotiation import json_body
from ..wire.options import check_manager
from . import applying, managing
from .managing import Current, Wanted
from .patching import patcher
from .writing import Make, change_object

_GROUP, _VERSION, _KIND = "autoscaling", "v1", "Scale"

DEFAULT_PATHS = ScalePaths()


def scale_of(document: Document, paths: ScalePaths) -> Document:
    """The Scale of an object."""
    meta = document["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Document = {"replicas": _at(document, paths.status_replicas) or 0}
    selector = _at(document, paths.selector) if paths.selector else None
    if (isinstance(selector, str) or not paths.exact) and (text := selector_text(selector)):
        status["selector"] = text
    return {
        "kind": _KIND,
        "apiVersion": f"{_GROUP}/{_VERSION}",
        "metadata": {name: meta[name] for name in kept if name in meta},
        "spec": {"replicas": _at(document, paths.spec_replicas) or 0},
        "status": status,
    }


def selector_text(selector: Any) -> str:
    """A label selector as it is written in a query."""
    if not isinstance(selector, dict):
        return str(selector or "")
    labels = selector.get("matchLabels")
    expressions = selector.get("matchExpressions") or ()
    if labels is None and not expressions:
        labels = {key: value for key, value in selector.items() if isinstance(value, str)}
    parts = [(key, f"{key}={value}") for key, value in (labels or {}).items()]
    for item in expressions:
        key, values = item["key"], ",".join(sorted(item.get("values") or ()))
        match item["operator"]:
            case "In":
                parts.append((key, f"{key} in ({values})"))
            case "NotIn":
                parts.append((key, f"{key} notin ({values})"))
            case "Exists":
                parts.append((key, key))
            case _:
                parts.append((key, f"!{key}"))
    return ",".join(text for _, text in sorted(parts))


async def scale(registry: Registry, call: Call) -> Answer:
    """GET, PUT and PATCH of an object's scale."""
    served = registry.find(*call.resource.key)
    paths = served.strategy.scale_paths or DEFAULT_PATHS
    if call.info.verb == "get":
        record = await registry.read(served, call.info.namespace, call.info.name)
        document = (await served.present([documents.decode(record.value)]))[0]
        if paths.exact and _at(document, paths.spec_replicas) is None:
            raise internal(f'the spec replicas field ".{paths.spec_replicas}" does not exist')
        return Answer(orjson.dumps(scale_of(document, paths)))
    value = await change_object(registry, served, call, _maker(registry, served, call, paths))
    return Answer(orjson.dumps(scale_of((await served.present([documents.decode(value)]))[0], paths)))


def _maker(registry: Registry, served: Served, call: Call, paths: ScalePaths) -> Make:
    """What a PUT, a PATCH or an apply makes of an object. Raises ApiError."""
    applies = call.info.verb == "patch" and call.content_type == applying.YAML
    check_manager(call.options, "PatchOptions" if call.info.verb == "patch" else "UpdateOptions", apply=applies)
    who = replace(
        managing.writer(registry, served, call),
        api_version=f"{_GROUP}/{_VERSION}",
        atom=registry.schemas.atom_of(_GROUP, _VERSION, _KIND),
        owned=lambda fields: only(fields, scale_entries.REPLICAS),
        evolving=False,
    )

    async def convert(document: Document, api_version: str) -> View | None:
        return document, who.atom

    if applies:
        configuration = applying.read_configuration(call, who, _KIND)
    else:
        read = _reader(registry, call)

    async def make(current: Current) -> Wanted:
        live = scale_of(current.object, paths)
        entries = scale_entries.of_scale(current.entries, paths.steps)
        if applies:
            merged, entries = await applying.merge(
                live, configuration, entries, writer=who, convert=convert, force=call.options.force
            )
            wanted = registry.schemas.check(merged, group=_GROUP, version=_VERSION, kind=_KIND, strictness="Ignore")
        else:
            wanted = read(live)
            entries = await ownership.update(live, wanted.object, entries, writer=who, convert=convert)
        admission = _admission(registry, served, call, new=wanted.object, old=live)
        await registry.admission.mutate(admission)
        changed = _scaled(served, current.object, wanted, paths)
        after = scale_entries.of_object(current.entries, entries, paths.steps, api_version=served.resource.api_version)
        return Wanted(changed, after, admission)

    return make


def _admission(registry: Registry, served: Served, call: Call, *, new: Document, old: Document) -> Admission:
    """The write as plugins see it: of a Scale, not of what is scaled."""
    return Admission(
        operation="UPDATE",
        resource=served.hub,
        subresource="scale",
        namespace=call.info.namespace,
        name=call.info.name,
        object=new,
        old=old,
        context=registry.context(call),
        options=call.options,
        requested=served.resource,
        kind=(_GROUP, _VERSION, _KIND),
    )


def _reader(registry: Registry, call: Call) -> Callable[[Document], Decoded]:
    """What a PUT or a PATCH makes of a scale."""
    if call.info.verb == "patch":
        return patcher(registry, call, _GROUP, _VERSION, _KIND)
    strictness = cast(Strictness, call.options.field_validation)
    body = json_body(call.body, call.content_type)
    return lambda live: registry.schemas.decode(body, group=_GROUP, version=_VERSION, kind=_KIND, strictness=strictness)


def _scaled(served: Served, old: Document, wanted: Decoded, paths: ScalePaths) -> Decoded:
    meta, name = wanted.object["metadata"], old["metadata"]["name"]
    if meta.get("name") != name:
        raise bad_request(f"the name of the object ({meta.get('name')}) does not match the name on the URL ({name})")
    replicas = (wanted.object.get("spec") or {}).get("replicas") or 0
    if replicas < 0:
        cause = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("Scale", name, [cause], group="autoscaling")
    document = documents.decode(orjson.dumps(old))
    for field in ("resourceVersion", "uid"):
        if meta.get(field):
            document["metadata"][field] = meta[field]
        elif field == "resourceVersion":
            document["metadata"].pop(field)
    parent = document
    *path, last = paths.spec_replicas.split(".")
    for part in path:
        parent = parent.setdefault(part, {})
        if not isinstance(parent, dict):
            raise bad_request(f"value cannot be set because .{paths.spec_replicas} leads through something else")
    parent[last] = replicas
    return Decoded(document, wanted.warnings)


def _at(document: Document, path: str) -> Any:
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value
