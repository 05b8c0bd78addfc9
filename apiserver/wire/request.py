"""What a request asks for, read from its method and path alone.

Pure: nothing here knows the catalogue. A path below `/api/<version>` or `/apis/<group>/<version>` becomes a
`RequestInfo` with its verb; any other path is a non-resource request.

Source: Kubernetes' apiserver, endpoints/request (RequestInfoFactory).
"""

from __future__ import annotations

from dataclasses import dataclass

from k8slite.remembering import remembered

from .options import Options

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COLLECTION_VERBS = {"get": "list", "delete": "deletecollection"}
_LONG_RUNNING = frozenset({"watch", "exec", "attach", "log", "portforward", "proxy"})
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """One request. `plural` is empty outside the resource API (discovery, health …), then only `verb` and `path` count.

    `rest` is what follows the subresource (`proxy/<rest>`). `namespace` is also set for a Namespace object itself, as
    rules in that namespace may speak of it.
    """

    method: str
    path: str
    verb: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    long_running: bool = False
    """Whether the answer goes on as long as the client likes."""

    @property
    def is_resource(self) -> bool:
        """Whether the request is for the resource API."""
        return bool(self.plural)


def parse(method: str, path: str, options: Options) -> RequestInfo:
    """Read a path. Never fails: what is no resource path becomes a non-resource request."""
    return _parse(path, method, options.watch)


@remembered(4096)  # clients ask for the same few collections, leases and objects again and again
def _parse(path: str, method: str, watch: bool) -> RequestInfo:
    verb = _VERBS.get(method, method.lower())
    parts = path.split("/")
    if parts[-1] == "":
        parts.pop()
    # parts[0] is the empty string before the first slash.
    if len(parts) > 3 and parts[1] == "api":
        group, version, rest = "", parts[2], parts[3:]
    elif len(parts) > 4 and parts[1] == "apis":
        group, version, rest = parts[2], parts[3], parts[4:]
    else:
        return RequestInfo(method, path, method.lower())
    if rest[0] == "watch" and len(rest) > 1 and verb == "get":
        rest, verb = rest[1:], "watch"
    elif rest[0] == "proxy" and len(rest) > 1:
        return RequestInfo(method, path, method.lower())
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    plural = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if not name:
        verb = "watch" if watch and verb == "get" else _COLLECTION_VERBS.get(verb, verb)
    below = "/".join(rest[3:])
    long = verb in _LONG_RUNNING or subresource in _LONG_RUNNING
    return RequestInfo(method, path, verb, group, version, namespace, plural, name, subresource, below, long)
