"""The way to kubelets: where each listens, and one pool of verified connections with our client certificate."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from k8slite.config import ApiServerConfig
from k8slite.errors import ApiError, internal, not_found, service_unavailable
from k8slite.sockets import keep_alive

from ..lookup import Lookup
from ..strategies.base import Document

if TYPE_CHECKING:
    import aiohttp

_PORT = 10250
_CONNECT = 5.0
"""Seconds to reach a kubelet."""
_HEADER_LIMIT = 64 * 1024
_ADDRESSES = ("InternalIP", "ExternalIP", "Hostname")


class Kubelets:
    """Connections to kubelets; what they need is imported and read when the first is made."""

    def __init__(self, config: ApiServerConfig, *, lookup: Lookup) -> None:
        self._config = config
        self._lookup = lookup
        self._session: aiohttp.ClientSession | None = None
        self._workloads: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    async def close(self) -> None:
        """Close the connections."""
        for session in (self._session, self._workloads):
            if session is not None:
                await session.close()
        self._session = self._workloads = None

    def address(self, node: str) -> str:
        """`host:port` of a node's kubelet. Raises ApiError 404 or 500."""
        host, port = self.place(node)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def place(self, node: str) -> tuple[str, int]:
        """Host and port of a node's kubelet. Raises ApiError 404 or 500."""
        document = self._lookup("", "nodes", "", node)
        if document is None:
            raise not_found("nodes", node)
        return self.place_of(node, document)

    @staticmethod
    def place_of(node: str, document: Document) -> tuple[str, int]:
        """The same for a Node that is at hand. Raises ApiError 500."""
        status = document.get("status") or {}
        known = {item["type"]: item["address"] for item in reversed(status.get("addresses") or [])}
        host = next((known[kind] for kind in _ADDRESSES if kind in known), "")
        if not host:
            raise internal(f'no preferred addresses found for node "{node}"')
        port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or _PORT
        return host, port

    @property
    def on_loopback(self) -> bool:
        """Whether the whole cluster lives on this machine's loopback, kubelets too."""
        try:
            return ipaddress.ip_address(self._config.advertise_address).is_loopback
        except ValueError:
            return False

    @staticmethod
    def path(*parts: str, query: list[tuple[str, str]] | None = None) -> str:
        """A kubelet's path of these parts, each quoted, with parameters."""
        path = "/" + "/".join(quote(part, safe="") for part in parts)
        return f"{path}?{urlencode(query)}" if query else path

    @property
    def tls(self) -> ssl.SSLContext:
        """Our certificate, and the CA that kubelets' certificates must come from. Raises ApiError 503."""
        if self._tls is None:
            paths: list[Path | None] = [
                self._config.kubelet_ca_file,
                self._config.kubelet_client_cert_file,
                self._config.kubelet_client_key_file,
            ]
            authority, certificate, key = paths
            if authority is None or certificate is None or key is None:
                raise service_unavailable("the API server has no certificate to reach kubelets with")
            self._tls = ssl.create_default_context(cafile=str(authority))
            self._tls.load_cert_chain(certificate, key)
        return self._tls

    @property
    def unverified(self) -> ssl.SSLContext:
        """TLS for pods and services: nobody vouches for their certificates, and ours is not shown to them."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    @property
    def session(self) -> aiohttp.ClientSession:
        """The pool for plain requests to kubelets, without a limit on how long an answer takes."""
        if self._session is None:
            self._session = _pool(self.tls)
        return self._session

    @property
    def workloads(self) -> aiohttp.ClientSession:
        """The same for pods and services."""
        if self._workloads is None:
            self._workloads = _pool(self.unverified)
        return self._workloads


def _pool(context: ssl.SSLContext) -> aiohttp.ClientSession:
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context, socket_factory=_socket),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=None),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=_HEADER_LIMIT,
        max_field_size=_HEADER_LIMIT,
    )


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A log may be silent for hours: without this nobody would learn that its node is gone."""
    made = socket.socket(*address[:3])
    keep_alive(made)
    return made


def unreachable(node: str, error: BaseException) -> ApiError:
    """The 500 for a kubelet that does not answer."""
    return internal(f'error dialing backend: kubelet of node "{node}": {error or type(error).__name__}')
