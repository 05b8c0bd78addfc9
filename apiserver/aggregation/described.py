"""What another server says of itself, cut to one group version and put among our own documents. Pure.

Discovery comes aggregated, or as a list of resources from servers that know no better. OpenAPI 2 is one document of
everything: paths of the group version and the definitions that they need are taken; a definition of ours with the
same name and another content stays, and the other's is renamed.

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
    """One version's entry in an APIGroupDiscoveryList, None if it has none."""
    for item in discovery.get("items") or ():
        if (item.get("metadata") or {}).get("name") == group:
            for each in item.get("versions") or ():
                if each.get("version") == version:
                    return {**each, "freshness": "Current"}
    return None


def version_of(resources: Mapping[str, Any], group: str, version: str) -> Document:
    """The same entry, made from an APIResourceList."""
    rows: dict[str, Document] = {}
    for each in resources.get("resources") or ():
        name, _, subresource = each["name"].partition("/")
        kind = {
            "group": each.get("group") or group,
            "version": each.get("version") or version,
            "kind": each.get("kind") or "",
        }
        if subresource:
            row = {"subresource": subresource, "responseKind": kind, "verbs": each.get("verbs") or []}
            if name in rows:
                rows[name].setdefault("subresources", []).append(row)
            continue
        rows[name] = {
            "resource": name,
            "responseKind": kind,
            "scope": "Namespaced" if each.get("namespaced") else "Cluster",
            "singularResource": each.get("singularName") or "",
            "verbs": each.get("verbs") or [],
        }
        for field in ("shortNames", "categories"):
            if each.get(field):
                rows[name][field] = each[field]
    return {"version": version, "resources": list(rows.values()), "freshness": "Current"}


def stale(entry: Document | None, version: str) -> Document:
    """The entry of a server that does not answer: what it said last, marked."""
    return {**(entry or {"version": version}), "freshness": "Stale"}


def part_of_v2(document: Mapping[str, Any], path: str) -> Document:
    """The paths below a group version's path, and the definitions that they need."""
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
