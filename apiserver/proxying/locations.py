"""Where `proxy` below a node, a pod or a service leads.

A name may carry a scheme and a port: `https:web:8443`. Pods and services are reached by address, and only by addresses
that can be a pod's: a pod that claims the machine's own loopback or link-local addresses is no way into the machine,
nor is an EndpointSlice that somebody wrote by hand. A kubelet that calls itself by a name is looked up once: what was
judged is what is dialled.

Source: Kubernetes' registry/core/{node,pod,service} (ResourceLocation); util/proxy (IsProxyableIP).
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from dataclasses import dataclass

from k8slite.errors import bad_request, not_found, service_unavailable

from ..calls import Call
from ..lookup import Objects, lookup_in
from ..strategies.base import Document
from .kubelets import Kubelets

_SERVICE_LABEL = "kubernetes.io/service-name"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Name:
    """A parsed name: `scheme` and `port` are empty unless given."""

    scheme: str
    name: str
    port: str


@dataclass(frozen=True, slots=True)
class Location:
    """A server. `kubelet`: it is shown our certificate and must show one of the cluster's; others need show none.

    `server_name` is what its certificate is for, if not the host.
    """

    scheme: str
    host: str
    port: int
    kubelet: bool = False
    server_name: str = ""

    @property
    def base(self) -> str:
        """The URL without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse(text: str, *, what: str) -> Name:
    """Read `name`, `name:port` or `scheme:name:port`. Raises ApiError 400."""
    match text.split(":"):
        case [name] if name:
            return Name("", name, "")
        case [name, port] if name:
            return Name("", name, port)
        case ["http" | "https" | "" as scheme, name, port] if name:
            return Name(scheme, name, port)
    raise bad_request(f'invalid {what} request "{text}"')


class Locations:
    """Finds them in the watch cache."""

    def __init__(self, kubelets: Kubelets, *, objects: Objects) -> None:
        self._kubelets = kubelets
        self._objects = objects
        self._lookup = lookup_in(objects)

    async def of(self, call: Call) -> Location:
        """Where a request goes. Raises ApiError."""
        info = call.info
        match info.plural:
            case "nodes":
                return await self._node(parse(info.name, what="node"))
            case "pods":
                return self._pod(info.namespace, parse(info.name, what="pod"))
            case _:
                return self._service(info.namespace, parse(info.name, what="service"), info.name)

    async def _node(self, place: Name) -> Location:
        host, port = self._kubelets.place(place.name)
        address = await _address(host)
        named = "" if address == host else host
        if place.port in ("", str(port)):
            _allowed(address, loopback=self._kubelets.on_loopback)
            return Location("https", address, port, kubelet=True, server_name=named)
        scheme = place.scheme or "http"
        return Location(scheme, _allowed(address), _number(place.port), server_name=named)

    def _pod(self, namespace: str, place: Name) -> Location:
        pod = self._lookup("", "pods", namespace, place.name)
        if pod is None:
            raise not_found("pods", place.name)
        host = _allowed((pod.get("status") or {}).get("podIP") or "")
        scheme = place.scheme or "http"
        ports = [port for item in pod["spec"].get("containers") or () for port in item.get("ports") or ()]
        if not place.port:
            return Location(scheme, host, int(ports[0]["containerPort"]) if ports else _DEFAULT_PORTS[scheme])
        named = next((port["containerPort"] for port in ports if port.get("name") == place.port), place.port)
        return Location(scheme, host, _number(str(named)))

    def _service(self, namespace: str, place: Name, asked: str) -> Location:
        service = self._lookup("", "services", namespace, place.name)
        if service is None:
            raise not_found("services", place.name)
        wanted = place.port
        if wanted.isdecimal():
            found = [port for port in service["spec"].get("ports") or () if port["port"] == int(wanted)]
            if not found:
                raise service_unavailable(f'no service port {wanted} found for service "{place.name}"')
            wanted = found[0].get("name") or ""
        endpoints = [
            (address, port["port"])
            for document in self._slices(namespace, place.name)
            for port in document.get("ports") or ()
            if (port.get("name") or "") == wanted and port.get("port")
            for endpoint in document.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready", True)
            for address in endpoint["addresses"]
            if self._is_pods(namespace, endpoint, address)
        ]
        if not endpoints:
            raise service_unavailable(f'no endpoints available for service "{asked}"')
        host, port = random.choice(endpoints)
        return Location(place.scheme or "http", _allowed(host), port)

    def _slices(self, namespace: str, service: str) -> list[Document]:
        rows = self._objects.resource("discovery.k8s.io", "endpointslices")
        documents = [entry.document for entry in rows.select(namespace=namespace)]
        return [item for item in documents if (item["metadata"].get("labels") or {}).get(_SERVICE_LABEL) == service]

    def _is_pods(self, namespace: str, endpoint: Document, address: str) -> bool:
        reference = endpoint.get("targetRef") or {}
        if reference.get("kind") != "Pod" or reference.get("namespace", namespace) != namespace:
            return False
        pod = self._lookup("", "pods", namespace, reference.get("name") or "")
        status = (pod or {}).get("status") or {}
        return address in {status.get("podIP"), *(item["ip"] for item in status.get("podIPs") or ())}


async def _address(host: str) -> str:
    """An address for a host. Raises ApiError 400 for a name that leads nowhere."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise bad_request("address not allowed") from None
    return str(found[0][4][0])


def _allowed(host: str, *, loopback: bool = False) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise bad_request("address not allowed") from None
    # `::ffff:127.0.0.1` leads where `127.0.0.1` does.
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback and loopback:
        return host
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise bad_request("address not allowed")
    return host


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise bad_request(f'invalid port "{text}"')
    return int(text)
