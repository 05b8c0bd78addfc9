"""`proxy` below nodes, pods and services: plain HTTP requests passed on, and their answers passed back.

A name may carry a scheme and a port: `https:web:8443`. Pods and services are reached by address, and only by addresses
that can be a pod's: a pod that claims the machine's own loopback or link-local addresses is no way into the machine.
The client's credentials stay here.

Source: Kubernetes' registry/core/{node,pod,service} (ResourceLocation); apimachinery, util/proxy.
"""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from k8slite.errors import bad_request, not_found, service_unavailable

from ..calls import Call
from ..lookup import Objects, lookup_in
from ..strategies.base import Document
from .kubelets import Kubelets

if TYPE_CHECKING:
    import aiohttp

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "host", "content-length"}
)
_PRIVATE = frozenset({"authorization", "cookie"})
_SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Place:
    """A parsed name: `scheme` is empty unless given."""

    scheme: str
    name: str
    port: str


def parse(text: str) -> Place:
    """Read `name`, `name:port` or `scheme:name:port`. Raises ApiError 400."""
    parts = text.split(":")
    match parts:
        case [name]:
            return Place("", name, "")
        case [name, port]:
            return Place("", name, port)
        case ["http" | "https" | "" as scheme, name, port]:
            return Place(scheme, name, port)
    raise bad_request(f'invalid proxy request "{text}"')


class HttpProxy:
    """Passes requests on."""

    def __init__(self, kubelets: Kubelets, *, objects: Objects) -> None:
        self._kubelets = kubelets
        self._objects = objects
        self._lookup = lookup_in(objects)

    async def serve(self, call: Call) -> None:
        """Answer on the connection itself. Raises ApiError before the answer begins."""
        import aiohttp
        import yarl

        if call.scope["type"] == "websocket" or any(name == b"upgrade" for name, _ in call.scope["headers"]):
            raise bad_request("proxying an upgraded connection is not supported")
        base = self._base(call)
        path = quote(call.info.rest, safe="/:@!$&'()*+,;=~-._")
        if call.info.path.endswith("/") and not path.endswith("/"):
            path += "/"
        query = call.scope["query_string"].decode("latin-1")
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in call.scope["headers"]
            if _passes(name.decode("latin-1"))
        ]
        url = yarl.URL(f"{base}/{path.lstrip('/')}" + (f"?{query}" if query else ""), encoded=True)
        try:
            response = await self._kubelets.session.request(
                call.info.method, url, headers=headers, data=call.body or None, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise service_unavailable(f"error trying to reach service: {error or type(error).__name__}") from error
        async with response:
            await _pass_back(call, response)

    def _base(self, call: Call) -> str:
        place = parse(call.info.name)
        if call.info.plural == "nodes":
            return f"https://{self._kubelets.address(place.name)}"
        find = self._pod if call.info.plural == "pods" else self._service
        host, port = find(call.info.namespace, place)
        address = ipaddress.ip_address(host)
        if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
            raise bad_request(f"address not allowed: {host}")
        shown = f"[{host}]" if address.version == 6 else host
        return f"{place.scheme or 'http'}://{shown}:{port}"

    def _pod(self, namespace: str, place: Place) -> tuple[str, int]:
        pod = self._lookup("", "pods", namespace, place.name)
        if pod is None:
            raise not_found("pods", place.name)
        host = (pod.get("status") or {}).get("podIP") or ""
        if not host:
            raise service_unavailable(f'pod "{place.name}" has no address yet')
        ports = [port for item in pod["spec"].get("containers") or () for port in item.get("ports") or ()]
        return host, _port(place, ports, field="containerPort", default=80)

    def _service(self, namespace: str, place: Place) -> tuple[str, int]:
        service = self._lookup("", "services", namespace, place.name)
        if service is None:
            raise not_found("services", place.name)
        ports = service["spec"].get("ports") or []
        if not place.port and len(ports) == 1:
            chosen = ports[0]
        else:
            chosen = next((p for p in ports if place.port in (p.get("name"), str(p["port"]))), None)
        if chosen is None:
            raise service_unavailable(f'no service port "{place.port}" found for service "{place.name}"')
        found = [
            (address, port["port"])
            for document in self._slices(namespace, place.name)
            for port in document.get("ports") or ()
            if (port.get("name") or "") == (chosen.get("name") or "")
            for endpoint in document.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready", True)
            for address in endpoint["addresses"]
        ]
        if not found:
            raise service_unavailable(f'no endpoints available for service "{place.name}"')
        return random.choice(found)

    def _slices(self, namespace: str, service: str) -> list[Document]:
        rows = self._objects.resource("discovery.k8s.io", "endpointslices")
        documents = [entry.document for entry in rows.select(namespace=namespace)]
        return [item for item in documents if (item["metadata"].get("labels") or {}).get(_SERVICE_LABEL) == service]


def _port(place: Place, ports: list[dict[str, Any]], *, field: str, default: int) -> int:
    if not place.port:
        return int(ports[0][field]) if ports else default
    if place.port.isdecimal():
        return int(place.port)
    named = next((port for port in ports if port.get("name") == place.port), None)
    if named is None:
        raise bad_request(f'no port "{place.port}" in pod "{place.name}"')
    return int(named[field])


def _passes(name: str) -> bool:
    return name not in _HOP_BY_HOP and name not in _PRIVATE and not name.startswith("impersonate-")


async def _pass_back(call: Call, response: aiohttp.ClientResponse) -> None:
    import aiohttp

    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers.items()
        if name.lower() not in _HOP_BY_HOP - {"content-length"}
    ]
    await call.send({"type": "http.response.start", "status": response.status, "headers": headers})
    try:
        async for piece in response.content.iter_any():
            await call.send({"type": "http.response.body", "body": piece, "more_body": True})
    except aiohttp.ClientError:
        pass  # cut off there, cut off here: the length tells the client
    await call.send({"type": "http.response.body", "body": b"", "more_body": False})
