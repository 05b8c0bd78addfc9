"""exec, attach and port forwarding: the client's connection joined to one to the kubelet.

The kubelet speaks every protocol that Kubernetes' clients do (WebSocket and SPDY, in all versions), so nothing is
translated here.

Source: Kubernetes' registry/core/pod/rest/subresources.go; enhancement 4006, "Transition from SPDY to WebSockets".
"""

from __future__ import annotations

from k8slite.errors import bad_request

from ..calls import Call
from ..strategies.base import Document
from . import target
from .joining import Place, Unreachable, join, wanted
from .kubelets import Kubelets, unreachable

_PASSED = (b"sec-websocket-", b"x-stream-protocol-version", b"user-agent", b"origin")


async def serve(call: Call, pod: Document, *, kubelets: Kubelets, action: str) -> None:
    """Serve `exec`, `attach` or `portForward` on the connection itself. Raises ApiError before it is joined."""
    query, metadata = call.options.query, pod["metadata"]
    if action == "portForward":
        path = [metadata["namespace"], metadata["name"]]
        passed = target.forward_query(pod, query)
    else:
        path = [metadata["namespace"], metadata["name"], target.container(pod, query)]
        passed = target.exec_query(pod, query, command=action == "exec")
    if not wanted(call):
        raise bad_request("Upgrade request required")
    node = target.node(pod)
    host, port = kubelets.place(node)
    place = Place(host, port, kubelets.path(action, *path, query=passed).encode(), kubelets.tls)
    headers = [(name, value) for name, value in call.scope["headers"] if name.startswith(_PASSED)]
    try:
        refused = await join(call, place, headers)
    except Unreachable as error:
        raise unreachable(node, error) from error
    if refused is not None:
        raise target.refusal(refused.status, refused.body)
