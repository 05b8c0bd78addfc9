"""The way to kubelets: where each listens, and one pool of verified connections with our client certificate."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from k8slite.config import ApiServerConfig
from k8slite.errors import ApiError, internal, not_found, service_unavailable

from ..lookup import Lookup

if TYPE_CHECKING:
    import aiohttp

_PORT = 10250
_CONNECT = 5.0
"""Seconds to reach a kubelet."""
_ADDRESSES = ("InternalIP", "ExternalIP", "Hostname")


class Kubelets:
    """Connections to kubelets; what they need is imported and read when the first is made."""

    def __init__(self, config: ApiServerConfig, *, lookup: Lookup) -> None:
        self._config = config
        self._lookup = lookup
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def address(self, node: str) -> str:
        """`host:port` of a node's kubelet. Raises ApiError 404 or 500."""
        host, port = self.place(node)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def place(self, node: str) -> tuple[str, int]:
        """Host and port of a node's kubelet. Raises ApiError 404 or 500."""
        document = self._lookup("", "nodes", "", node)
        if document is None:
            raise not_found("nodes", node)
        status = document.get("status") or {}
        known = {item["type"]: item["address"] for item in reversed(status.get("addresses") or [])}
        host = next((known[kind] for kind in _ADDRESSES if kind in known), "")
        if not host:
            raise internal(f'no preferred addresses found for node "{node}"')
        port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or _PORT
        return host, port

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
    def session(self) -> aiohttp.ClientSession:
        """The pool for plain requests, without a limit on how long an answer takes."""
        if self._session is None:
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=None)
            connector = aiohttp.TCPConnector(limit=0, ssl=self.tls)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def unreachable(node: str, error: BaseException) -> ApiError:
    """The 500 for a kubelet that does not answer."""
    return internal(f'error dialing backend: kubelet of node "{node}": {error or type(error).__name__}')
