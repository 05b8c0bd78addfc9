"""Which operations a resource has, said in neither dialect: paths, verbs, parameters, bodies and answers.

Source: Kubernetes documentation, "API concepts" (verbs, query parameters) and "OpenAPI".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from k8slite.catalogue import Resource, Subresource

Method = Literal["get", "post", "put", "patch", "delete"]

#: Query parameters by name, with their types.
PARAMETERS = {
    "allowWatchBookmarks": "boolean",
    "continue": "string",
    "dryRun": "string",
    "fieldManager": "string",
    "fieldSelector": "string",
    "fieldValidation": "string",
    "force": "boolean",
    "gracePeriodSeconds": "integer",
    "labelSelector": "string",
    "limit": "integer",
    "orphanDependents": "boolean",
    "propagationPolicy": "string",
    "resourceVersion": "string",
    "resourceVersionMatch": "string",
    "sendInitialEvents": "boolean",
    "timeoutSeconds": "integer",
    "watch": "boolean",
}
_LIST = (
    *("allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion"),
    *("resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch"),
)
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_DELETE = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_DELETE_COLLECTION = (*_DELETE, *(name for name in _LIST if name not in ("allowWatchBookmarks", "watch")))


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `body` and `answer` say what travels; `kind` is the (group, version, kind) spoken of."""

    method: Method
    action: str
    name: str
    kind: tuple[str, str, str]
    query: tuple[str, ...] = ()
    body: Literal["", "object", "patch", "DeleteOptions"] = ""
    answer: Literal["object", "list", "Status", "text"] = "object"


def operations(resource: Resource) -> Iterator[tuple[str, Operation]]:
    """Every path of a resource with each of its operations."""
    kind = (resource.group, resource.version, resource.kind)
    namespaced = "Namespaced" if resource.namespaced else ""
    root = resource.path + ("/namespaces/{namespace}" if resource.namespaced else "")
    collection, single = f"{root}/{resource.plural}", f"{root}/{resource.plural}/{{name}}"
    subject = f"{namespaced}{resource.kind}"
    for verb in resource.verbs:
        match verb:
            case "list":
                yield collection, Operation("get", "list", f"list{subject}", kind, _LIST, answer="list")
                if resource.namespaced:
                    everywhere = f"list{resource.kind}ForAllNamespaces"
                    path = f"{resource.path}/{resource.plural}"
                    yield path, Operation("get", "list", everywhere, kind, _LIST, answer="list")
            case "deletecollection":
                yield (
                    collection,
                    Operation(
                        *("delete", "deletecollection", f"deleteCollection{subject}", kind, _DELETE_COLLECTION),
                        body="DeleteOptions",
                        answer="Status",
                    ),
                )
            case "create":
                yield collection, Operation("post", "post", f"create{subject}", kind, _WRITE, body="object")
            case "delete":
                delete = Operation(
                    "delete", "delete", f"delete{subject}", kind, _DELETE, body="DeleteOptions", answer="Status"
                )
                yield single, delete
            case "get" | "update" | "patch":
                yield single, _on_object(verb, subject, kind)
    for each in sorted(resource.subresources, key=lambda each: each.name):
        yield from ((f"{single}/{each.name}", operation) for operation in _of_subresource(each, subject))


def _on_object(verb: str, subject: str, kind: tuple[str, str, str]) -> Operation:
    if verb == "get":
        return Operation("get", "get", f"read{subject}", kind)
    if verb == "update":
        return Operation("put", "put", f"replace{subject}", kind, _WRITE, body="object")
    return Operation("patch", "patch", f"patch{subject}", kind, (*_WRITE, "force"), body="patch")


def _of_subresource(subresource: Subresource, subject: str) -> Iterator[Operation]:
    kind = (subresource.group, subresource.version, subresource.kind)
    name = subject + subresource.name[:1].upper() + subresource.name[1:]
    if subresource.kind.endswith("Options"):  # a connection, not an object
        methods: dict[str, Method] = {"create": "post", "get": "get"}
        for verb in subresource.verbs:
            if verb in methods:
                method = methods[verb]
                yield Operation(method, "connect", f"connect{method.title()}{name}", kind, answer="text")
        return
    for verb in subresource.verbs:
        if verb == "create":
            yield Operation("post", "post", f"create{name}", kind, _WRITE, body="object")
        elif verb in ("get", "update", "patch"):
            text = verb == "get" and subresource.name == "log"
            yield Operation("get", "get", f"read{name}", kind, answer="text") if text else _on_object(verb, name, kind)
