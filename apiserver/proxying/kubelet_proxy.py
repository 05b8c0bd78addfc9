"""The subresources that other machines answer: logs, exec, attach and proxy, as rows for the table of handlers.

The pipeline has authorized the request by its verb. A WebSocket begins with a GET; that someone may *get* a pod's exec
must not be enough to run commands, so these need the verb `create` as a POST does. The same holds for what changes the
protocol below a node's `proxy`, where the kubelet's own exec is: stricter than Kubernetes, whose `get` is enough there.

Source: Kubernetes' registry/core/pod/rest/subresources.go.
"""

from __future__ import annotations

from k8slite.errors import not_found

from ..authz.base import Attributes
from ..authz.chain import Chain
from ..calls import Call, Handler, Outcome, Subresources
from ..lookup import Objects, lookup_in
from ..registry import Registry
from ..strategies.base import Document
from . import connecting, joining, streams
from .http import HttpProxy
from .kubelets import Kubelets
from .logs import logs, to_websocket


def handlers(kubelets: Kubelets, *, registry: Registry, objects: Objects, authorizer: Chain) -> Subresources:
    """The rows: (group, plural, subresource) → handler."""
    lookup = lookup_in(objects)
    proxy = HttpProxy(kubelets, objects=objects)

    def pod(call: Call) -> Document:
        found = lookup("", "pods", call.info.namespace, call.info.name)
        if found is None:
            raise not_found("pods", call.info.name)
        return found

    async def read_logs(call: Call) -> Outcome:
        if call.scope["type"] != "websocket":
            return await logs(call, pod(call), kubelets=kubelets)
        await to_websocket(call, pod(call), kubelets=kubelets)
        return None

    def stream(action: str) -> Handler:
        async def handle(call: Call) -> Outcome:
            await _require_create(call, authorizer)
            await connecting.admit(registry, call)
            await streams.serve(call, pod(call), kubelets=kubelets, action=action)
            return None

        return handle

    async def pass_on(call: Call) -> Outcome:
        if call.info.plural == "nodes" and joining.wanted(call):
            await _require_create(call, authorizer)
        await connecting.admit(registry, call)
        await proxy.serve(call)
        return None

    return {
        ("", "pods", "log"): read_logs,
        ("", "pods", "exec"): stream("exec"),
        ("", "pods", "attach"): stream("attach"),
        ("", "pods", "portforward"): stream("portForward"),
        ("", "pods", "proxy"): pass_on,
        ("", "services", "proxy"): pass_on,
        ("", "nodes", "proxy"): pass_on,
    }


async def _require_create(call: Call, authorizer: Chain) -> None:
    info = call.info
    if info.verb == "create":
        return
    attributes = Attributes(
        call.user,
        "create",
        group=info.group,
        version=info.version,
        resource=info.plural,
        subresource=info.subresource,
        namespace=info.namespace,
        name=info.name,
    )
    await authorizer.require(attributes)
