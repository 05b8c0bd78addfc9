"""Admission of connections: exec, attach, port forwarding and proxy pass the plugins as CONNECT does.

The object is what the query asks for (PodExecOptions and its like). What plugins change in it is what is done.

Source: Kubernetes' apiserver, endpoints/handlers/rest.go (ConnectResource); core/v1 PodExecOptions and its like.
"""

from __future__ import annotations

from dataclasses import replace

from k8slite.errors import bad_request

from .. import documents
from ..admission.base import Admission
from ..admission.matching import kind_of
from ..calls import Call
from ..registry import Registry
from ..strategies.base import Document
from . import target

_PROXY = "proxy"


async def admit(registry: Registry, call: Call) -> None:
    """Let the plugins change and refuse a connection. Raises ApiError."""
    if "dryRun" in call.options.query:
        raise bad_request("dryRun is not supported")
    info = call.info
    kind = kind_of(call.resource, info.subresource)
    asked = options_of(call, kind[2])
    wanted = documents.copy(asked)
    admission = Admission(
        operation="CONNECT",
        resource=call.resource,
        subresource=info.subresource,
        namespace=info.namespace,
        name=info.name,
        object=wanted,
        old=None,
        context=registry.context(call),
        options=call.options,
        kind=kind,
    )
    await registry.admission.mutate(admission)
    await registry.admission.validate(admission)
    if wanted != asked:
        _take(call, wanted)


def options_of(call: Call, kind: str) -> Document:
    """What a request for a connection asks for, as an object of its kind."""
    info, query = call.info, call.options.query
    found: Document = {"kind": kind, "apiVersion": "v1"}
    if info.subresource == _PROXY:
        path = "/" + info.rest if info.rest else ""
        path += "/" if info.path.endswith("/") and not path.endswith("/") else ""
        return found | ({"path": path} if path else {})
    if info.subresource == "portforward":
        texts = [text for values in query.get("ports", ()) for text in values.split(",")]
        ports = [int(text) for text in texts if text.isascii() and text.isdigit()]  # the kubelet refuses others
        return found | ({"ports": ports} if ports else {})
    found |= {name: True for name in target.STREAMS if target.boolean(query, name)}
    if container := target.first(query, "container"):
        found["container"] = container
    if info.subresource == "exec" and (command := list(query.get("command", ()))):
        found["command"] = command
    return found


def _take(call: Call, options: Document) -> None:
    """Make changed options those of the request."""
    info = call.info
    if info.subresource == _PROXY:
        rest = str(options.get("path") or "").lstrip("/")
        before = info.path.rstrip("/").removesuffix(info.rest.rstrip("/")).rstrip("/")
        call.info = replace(info, rest=rest.rstrip("/"), path=f"{before}/{rest}")
        return
    query = {name: ["true"] for name in target.STREAMS if options.get(name)}
    if options.get("container"):
        query["container"] = [str(options["container"])]
    query["command"] = [str(word) for word in options.get("command") or ()]
    query["ports"] = [str(port) for port in options.get("ports") or ()]
    call.options = replace(call.options, query={name: values for name, values in query.items() if values})
