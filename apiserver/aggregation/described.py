"""What another server says of itself, cut to one group version and put among our own documents. Pure.

Discovery comes aggregated, or as a list of resources from servers that know no better. OpenAPI 2 is one document of
everything: paths of the group version and the definitions that they need are taken; a definition of ours with the
same name and another content stays, and the other's is renamed.

Nothing is believed of these documents but their being JSON.

Source: Kubernetes' apiserver, endpoints/discovery/aggregated; kube-openapi, pkg/aggregator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Document = dict[str, Any]
_DEFINITIONS = "#/definitions/"
_PARAMETERS = "#/parameters/"
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_LISTS = ("tags", "produces", "consumes", "parameters", "schemes")


def version_in(discovery: Mapping[str, Any], group: str, version: str) -> Document | None:
    """One version's entry in an APIGroupDiscoveryList, None if it has none. Of foreign fields nothing is taken over."""
    for item in _objects(discovery.get("items")):
        if _object(item.get("metadata")).get("name") == group:
            for each in _objects(item.get("versions")):
                if each.get("version") == version:
                    rows = [_row(row) for row in _objects(each.get("resources"))]
                    return {"version": version, "resources": rows, "freshness": "Current"}
    return None


def _row(given: Mapping[str, Any]) -> Document:
    row: Document = {
        "resource": _text(given.get("resource")),
        "responseKind": _kind(given.get("responseKind")),
        "scope": _text(given.get("scope")),
        "singularResource": _text(given.get("singularResource")),
        "verbs": _texts(given.get("verbs")),
    }
    for field in ("shortNames", "categories"):
        if texts := _texts(given.get(field)):
            row[field] = texts
    subresources: list[Document] = []
    for each in _objects(given.get("subresources")):
        subresource: Document = {"subresource": _text(each.get("subresource"))}
        subresource["responseKind"] = _kind(each.get("responseKind"))
        if accepted := [_kind(kind) for kind in _objects(each.get("acceptedTypes"))]:
            subresource["acceptedTypes"] = accepted
        subresources.append({**subresource, "verbs": _texts(each.get("verbs"))})
    return {**row, "subresources": subresources} if subresources else row


def version_of(resources: Mapping[str, Any], group: str, version: str) -> Document:
    """The same entry, made from an APIResourceList."""
    rows: dict[str, Document] = {}
    for each in _objects(resources.get("resources")):
        name, _, subresource = _text(each.get("name")).partition("/")
        kind = {
            "group": _text(each.get("group")) or group,
            "version": _text(each.get("version")) or version,
            "kind": _text(each.get("kind")),
        }
        if subresource:
            row = {"subresource": subresource, "responseKind": kind, "verbs": _texts(each.get("verbs"))}
            if name in rows:
                rows[name].setdefault("subresources", []).append(row)
            continue
        rows[name] = {
            "resource": name,
            "responseKind": kind,
            "scope": "Namespaced" if each.get("namespaced") else "Cluster",
            "singularResource": _text(each.get("singularName")),
            "verbs": _texts(each.get("verbs")),
        }
        for field in ("shortNames", "categories"):
            if texts := _texts(each.get(field)):
                rows[name][field] = texts
    return {"version": version, "resources": list(rows.values()), "freshness": "Current"}


def _kind(given: object) -> Document:
    kind = _object(given)
    return {field: _text(kind.get(field)) for field in ("group", "version", "kind")}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def stale(entry: Document | None, version: str) -> Document:
    """The entry of a server that does not answer: what it said last, marked."""
    return {**(entry or {"version": version}), "freshness": "Stale"}


def line_of_v3(index: Mapping[str, Any], path: str) -> Document | None:
    """A group version's line in an index of OpenAPI 3, None if it has none. It leads nowhere but to its document."""
    line = _object(index.get("paths")).get(path.lstrip("/"))
    if not isinstance(line, dict):
        return None
    address, _, query = _text(line.get("serverRelativeURL")).partition("?")
    return {"serverRelativeURL": f"/openapi/v3{path}" + (f"?{query}" if query and address else "")}


def part_of_v2(document: Mapping[str, Any], path: str) -> Document:
    """The paths below a group version's path, and the definitions that they need.

    Raises AttributeError, TypeError, ValueError or RecursionError for what is no such document.
    """
    paths = {
        name: _complete(item, document)
        for name, item in (document.get("paths") or {}).items()
        if name.rstrip("/") == path or name.startswith(f"{path}/")
    }
    known: Mapping[str, Any] = document.get("definitions") or {}
    needed: dict[str, Any] = {}
    waiting = list(_references(paths))
    while waiting:
        name = waiting.pop()
        if name in known and name not in needed:
            needed[name] = known[name]
            waiting.extend(_references(known[name]))
    return {"paths": paths, "definitions": needed}


def merge_v2(ours: Document, theirs: Mapping[str, Any]) -> Document:
    """Our document with the part of another one; a path of ours stays."""
    definitions: Document = dict(ours["definitions"])
    names: dict[str, str] = {}
    for name, definition in theirs["definitions"].items():
        chosen, number = name, 1
        while chosen in definitions and definitions[chosen] != definition:
            number += 1
            chosen = f"{name}_v{number}"
        names[name] = chosen
        definitions[chosen] = definition
    renamed = {name: chosen for name, chosen in names.items() if name != chosen}
    for chosen in names.values() if renamed else ():
        if chosen not in ours["definitions"]:
            definitions[chosen] = _renamed(definitions[chosen], renamed)
    paths = {**_renamed(theirs["paths"], renamed), **ours["paths"]}
    return {**ours, "paths": dict(sorted(paths.items())), "definitions": definitions}


def _complete(item: Mapping[str, Any], document: Mapping[str, Any]) -> Document:
    """A path with all that may be left out, so that it reads as ours do."""
    shared: Mapping[str, Any] = document.get("parameters") or {}

    def parameters(listed: list[Document]) -> list[Document]:
        resolved = (shared.get(str(each.get("$ref", "")).removeprefix(_PARAMETERS), each) for each in listed)
        return [each for each in resolved if "in" in each]

    complete = dict(item)
    complete["parameters"] = parameters(item.get("parameters") or [])
    for method in _METHODS:
        if method in item:
            operation: Document = {"operationId": "", "responses": {}, **item[method]}
            for field in _LISTS:
                operation[field] = operation.get(field) or []
            operation["parameters"] = parameters(operation["parameters"])
            complete[method] = operation
    return complete


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_DEFINITIONS):
            yield reference.removeprefix(_DEFINITIONS)
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if not names:
        return value
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    if not isinstance(value, Mapping):
        return value
    result = {key: _renamed(each, names) for key, each in value.items()}
    reference = result.get("$ref")
    if isinstance(reference, str):
        name = reference.removeprefix(_DEFINITIONS)
        result["$ref"] = _DEFINITIONS + names.get(name, name) if reference.startswith(_DEFINITIONS) else reference
    return result
