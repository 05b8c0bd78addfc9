"""Which coroutine serves a request: the verbs of the registry, generic subresources, and the table of handlers.

Source: Kubernetes' apiserver, endpoints/installer.go, as data.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from k8slite.catalogue import Subresource
from k8slite.errors import method_not_allowed, no_such_path, wrong_method

from .calls import Call, Handler, Outcome, Subresources
from .registry import GroupPlural, Registry
from .verbs import applying, deleting, patching, reading, scale, writing

Verb = Callable[[Registry, Call], Awaitable[Outcome]]


async def _patch(registry: Registry, call: Call) -> Outcome:
    verb = applying.apply if call.content_type == applying.YAML else patching.patch
    return await verb(registry, call)


VERBS: dict[str, Verb] = {
    "get": reading.get,
    "list": reading.list_objects,
    "watch": reading.watch_objects,
    "create": writing.create,
    "update": writing.update,
    "patch": _patch,
    "delete": deleting.delete,
    "deletecollection": deleting.delete_collection,
}
DEPRECATED = {
    ("", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ("", "componentstatuses"): "v1 ComponentStatus is deprecated in v1.19+",
}
"""(group, plural) → what whoever uses it is told."""
_ANYTHING = "proxy"
"""The subresource below which every method and path is another server's business."""
_SAME_KIND: dict[str, Verb] = {"get": reading.read_object, "update": writing.update, "patch": _patch}


class Dispatch:
    """Serves the resource API. Handlers of subresources may be added at any time."""

    def __init__(self, registry: Registry, subresources: Subresources) -> None:
        self.registry = registry
        self.subresources = subresources
        self.computed: dict[GroupPlural, Handler] = {}
        """Resources that nobody stores: who answers every verb of them. Each refuses what its row does not have."""

    async def __call__(self, call: Call) -> Outcome:
        """Serve a request that was authorized. Raises ApiError."""
        info, resource = call.info, call.resource
        if info.namespace and not resource.namespaced and not _is_namespace(call):
            # It was authorized as an object of that namespace, which it is not (CVE-2019-11247).
            raise no_such_path()
        if info.subresource and (info.verb == "watch" or not info.name):
            # `/watch/` before the path makes any GET a `watch`, also one below a proxy, which would be passed on.
            raise no_such_path()
        if info.subresource or (not info.name and self.subresources):
            handler = self.subresources.get((info.group, info.plural, info.subresource))
            if handler is not None and (info.subresource or info.verb == "create"):
                if info.subresource not in ("", _ANYTHING):
                    _check(call)
                return await handler(call)
        if info.subresource:
            return await self._subresource(call)
        if text := resource.deprecation or DEPRECATED.get((resource.group, resource.plural)):
            call.warnings.append(text)
        if (info.verb == "create") == bool(info.name) and info.verb in ("create", "update", "patch"):
            raise wrong_method()
        verb = VERBS.get(info.verb)
        if verb is None:
            raise method_not_allowed(resource.plural, info.verb, group=resource.group)
        if resource.namespaced and not info.namespace and (info.name or info.verb == "create"):
            if info.name:
                raise no_such_path()
            raise method_not_allowed(resource.plural, info.verb, group=resource.group)
        if (answer := self.computed.get((info.group, info.plural))) is not None:
            return await answer(call)
        return await verb(self.registry, call)

    async def _subresource(self, call: Call) -> Outcome:
        info, resource = call.info, call.resource
        row = _check(call)
        if row.kind == "Scale":
            return await scale.scale(self.registry, call)
        verb = _SAME_KIND.get(info.verb)
        if row.kind != resource.kind or verb is None:
            raise no_such_path()
        return await verb(self.registry, call)


def _is_namespace(call: Call) -> bool:
    """Whether a request is for a Namespace itself: only there the path of what is no namespace's has one."""
    info = call.info
    return not info.group and info.plural == "namespaces" and info.name == info.namespace


def _check(call: Call) -> Subresource:
    """The row of the subresource that is asked for. Raises ApiError 404 or 405.

    What somebody may do with one verb must not be had by another: the request was authorized for its own.
    """
    info, resource = call.info, call.resource
    row = resource.subresource(info.subresource)
    if row is None or not info.name or info.rest:
        raise no_such_path()
    if info.verb not in row.verbs:
        raise method_not_allowed(f"{resource.plural}/{row.name}", info.verb, group=resource.group)
    return row
