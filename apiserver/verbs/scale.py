"""The scale subresource: replicas of any kind through one small object.

Where a kind keeps its replicas and its selector is a row of data; custom resources add rows.

Source: Kubernetes API reference, "Scale" (autoscaling/v1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from k8slite.errors import bad_request, invalid, invalid_value
from k8slite.schema import Decoded

from .. import documents
from ..calls import Answer, Call
from ..documents import Document
from ..registry import Registry, Served
from ..wire.negotiation import json_body
from .writing import change_object, patch_function


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Dotted paths into the object. `selector` leads to a label selector, a plain map of labels, or its text."""

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = "spec.selector"


DEFAULT_PATHS = ScalePaths()
PATHS: dict[tuple[str, str], ScalePaths] = {}
"""(group, plural) → paths, for resources that keep them elsewhere than Deployments do."""


def scale_of(document: Document, paths: ScalePaths) -> Document:
    """The Scale of an object."""
    meta = document["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Document = {"replicas": _at(document, paths.status_replicas) or 0}
    if text := selector_text(_at(document, paths.selector)):
        status["selector"] = text
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
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
    paths = PATHS.get((served.stored.group, served.stored.plural), DEFAULT_PATHS)
    if call.info.verb == "get":
        record = await registry.read(served, call.info.namespace, call.info.name)
        return Answer(orjson.dumps(scale_of(documents.decode(record.value), paths)))
    strictness = cast(Literal["Ignore", "Warn", "Strict"], call.options.field_validation)
    apply = None
    if call.info.verb == "patch":
        facts = registry.schemas.type_of("autoscaling", "v1", "Scale")
        apply = patch_function(call, facts)

    def make(old: Document) -> Decoded:
        current = scale_of(old, paths)
        if apply is not None:
            wanted = registry.schemas.check(
                apply(current), group="autoscaling", version="v1", kind="Scale", strictness=strictness
            )
        else:
            wanted = registry.schemas.decode(
                json_body(call.body, call.content_type),
                group="autoscaling",
                version="v1",
                kind="Scale",
                strictness=strictness,
            )
        return _scaled(served, old, wanted, paths)

    value = await change_object(registry, served, call, make)
    return Answer(orjson.dumps(scale_of(documents.decode(value), paths)))


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
    parent[last] = replicas
    return Decoded(document, wanted.warnings)


def _at(document: Document, path: str) -> Any:
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value
