"""Whole OpenAPI documents, version 2 (one for everything) and version 3 (one for each group and version)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from k8slite.catalogue import Catalogue, Resource
from k8slite.schema.facts import FactsTable

from .custom import CustomSchemas, list_schema, object_schema
from .definitions import META, PATCH, Schema, Version, definition_name, definitions, reference, unknown_kind
from .operations import PARAMETERS, Operation, operations

_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
#: The verbs that names of operations start with; a longer one stands before the one that it starts with.
_VERBS = ("connectGet", "connectPost", "create", "deleteCollection", "delete", "list", "patch", "read", "replace")
_ALWAYS = (PATCH, f"{META}.Status", f"{META}.DeleteOptions", f"{META}.WatchEvent")


def version_3(
    catalogue: Catalogue, facts: FactsTable, group: str, version: str, *, custom: CustomSchemas | None = None
) -> Schema:
    """The OpenAPI 3 document of one group and version."""
    rows = catalogue.of(group, version)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": facts.version},
        "paths": _paths(rows, facts, "v3", _operation_3),
        "components": {"schemas": _definitions(rows, facts, "v3", custom)},
    }


def version_2(catalogue: Catalogue, facts: FactsTable, custom: CustomSchemas | None = None) -> Schema:
    """The OpenAPI 2 document of everything that is served."""
    rows = list(catalogue)
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": facts.version},
        "paths": _paths(rows, facts, "v2", _operation_2),
        "definitions": _definitions(rows, facts, "v2", custom),
    }


def _definitions(
    rows: Iterable[Resource], facts: FactsTable, version: Version, custom: CustomSchemas | None
) -> dict[str, Schema]:
    roots = set(_ALWAYS)
    others: dict[str, Schema] = {}
    for row in rows:
        published = custom.get(row.group, row.version, row.kind) if custom is not None else None
        name = definition_name(facts, row.group, row.version, row.kind)
        if published is not None:
            others[name] = object_schema(row, published, version)
            list_name = definition_name(facts, row.group, row.version, row.list_kind)
            others[list_name] = list_schema(row, name, row.list_kind, version)
            roots |= {f"{META}.ObjectMeta", f"{META}.ListMeta"}
        else:
            for kind in (row.kind, row.list_kind):
                name = definition_name(facts, row.group, row.version, kind)
                roots.add(name)
                if facts.by_kind(row.group, row.version, kind) is None:
                    others[name] = unknown_kind(row, kind)
        for each in row.subresources:
            if known := facts.by_kind(each.group, each.version, each.kind):
                roots.add(known.name)
    return {**definitions(roots, facts, version), **others}


_Render = Callable[[Operation, str, str, Sequence[str]], Schema]


def _paths(rows: Iterable[Resource], facts: FactsTable, version: Version, render: _Render) -> dict[str, Schema]:
    paths: dict[str, Schema] = {}
    for row in rows:
        group, _, _ = row.group.removesuffix(".k8s.io").partition("/")
        words = [word for part in (group or "core").split(".") for word in part.split("-")]
        title = "".join(word[:1].upper() + word[1:] for word in words) + row.version.title()
        for path, operation in operations(row):
            item = paths.setdefault(path, {"parameters": _path_parameters(path, version)})
            name = definition_name(facts, *operation.kind)
            list_name = definition_name(facts, row.group, row.version, row.list_kind)
            item[operation.method] = {
                "operationId": _operation_id(operation.name, title),
                "tags": [f"{title[:1].lower()}{title[1 : -len(row.version)]}_{row.version}"],
                **render(operation, name, list_name, _patches(facts, operation)),
                "x-kubernetes-action": operation.action,
                "x-kubernetes-group-version-kind": dict(zip(("group", "version", "kind"), operation.kind, strict=True)),
            }
    return dict(sorted(paths.items()))


def _patches(facts: FactsTable, operation: Operation) -> Sequence[str]:
    """The forms of patches: a custom resource has no merge keys, so it takes no strategic merge."""
    if facts.by_kind(*operation.kind) is not None:
        return _PATCH_TYPES
    return [media for media in _PATCH_TYPES if "strategic" not in media]


def _operation_id(name: str, title: str) -> str:
    """`listNamespacedPod` as Kubernetes spells it: `listCoreV1NamespacedPod`."""
    verb = next(verb for verb in _VERBS if name.startswith(verb))
    rest = name[len(verb) :]
    return f"delete{title}Collection{rest}" if verb == "deleteCollection" else f"{verb}{title}{rest}"


def _path_parameters(path: str, version: Version) -> list[Schema]:
    parameters = [
        {"name": name, "in": "path", "required": True, "uniqueItems": True, **_typed("string", version)}
        for name in ("name", "namespace")
        if f"{{{name}}}" in path
    ]
    return [*parameters, {"name": "pretty", "in": "query", "uniqueItems": True, **_typed("string", version)}]


def _query(operation: Operation, version: Version) -> list[Schema]:
    return [
        {"name": name, "in": "query", "uniqueItems": True, **_typed(PARAMETERS[name], version)}
        for name in operation.query
    ]


def _typed(name: str, version: Version) -> Schema:
    schema: Schema = {"type": name}
    if version == "v2":
        return schema
    return {"schema": {**schema, "uniqueItems": True}}


def _body(operation: Operation, name: str) -> str:
    return {"object": name, "patch": PATCH, "DeleteOptions": f"{META}.DeleteOptions"}.get(operation.body, "")


def _answer(operation: Operation, name: str, list_name: str) -> str:
    return {"object": name, "list": list_name, "Status": f"{META}.Status"}.get(operation.answer, "")


def _codes(operation: Operation) -> dict[str, str]:
    codes = {"200": "OK", "401": "Unauthorized"}
    if operation.method in ("post", "put", "patch"):
        codes["201"] = "Created"
    if operation.method in ("post", "delete"):
        codes["202"] = "Accepted"
    return dict(sorted(codes.items()))


def _operation_3(operation: Operation, name: str, list_name: str, patches: Sequence[str]) -> Schema:
    rendered: Schema = {}
    if query := _query(operation, "v3"):
        rendered["parameters"] = query
    if body := _body(operation, name):
        types = patches if operation.body == "patch" else ("*/*",)
        rendered["requestBody"] = {
            "content": {media: {"schema": reference(body, "v3")} for media in types},
            **({"required": True} if operation.body != "DeleteOptions" else {}),
        }
    answer = _answer(operation, name, list_name)
    schema: Any = reference(answer, "v3") if answer else {"type": "string"}
    media_types = ("application/json", "application/yaml") if answer else ("*/*",)
    rendered["responses"] = {
        code: {"description": text}
        if code == "401"
        else {"description": text, "content": {media: {"schema": schema} for media in media_types}}
        for code, text in _codes(operation).items()
    }
    return rendered


def _operation_2(operation: Operation, name: str, list_name: str, patches: Sequence[str]) -> Schema:
    parameters = _query(operation, "v2")
    if body := _body(operation, name):
        parameters.insert(
            0,
            {
                "name": "body",
                "in": "body",
                **({"required": True} if operation.body != "DeleteOptions" else {}),
                "schema": reference(body, "v2"),
            },
        )
    answer = _answer(operation, name, list_name)
    schema: Any = reference(answer, "v2") if answer else {"type": "string"}
    return {
        "consumes": list(patches) if operation.body == "patch" else ["*/*"],
        "produces": ["application/json", "application/yaml"] if answer else ["*/*"],
        "schemes": ["https"],
        "parameters": parameters,
        "responses": {
            code: {"description": text} if code == "401" else {"description": text, "schema": schema}
            for code, text in _codes(operation).items()
        },
    }
