"""The way to servers that extend this one: webhooks and aggregated API servers.

A `Target` names one: a Service (and the port and path there) or a URL, and what its certificate must be good for. A
Service is looked up in the watch cache at each call and stands for its ready endpoints, never for its ClusterIP, so
that extensions work wherever the API server runs; its certificate is for `<name>.<namespace>.svc`.

All calls share one pool of connections. Only connections made under the same trust are used again.

Source: Kubernetes' apiserver, util/proxy (ResolveEndpoint) and util/webhook (client configuration).
"""

from __future__ import annotations

import base64
import binascii
import os
import random
import socket
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k8slite.errors import ApiError, internal, service_unavailable

from .lookup import Objects, lookup_in
from .strategies.base import Document

if TYPE_CHECKING:
    import aiohttp

_CONNECT = 10.0
"""Seconds to reach a backend."""
_CONTEXTS = 64
"""So many kinds of trust are kept ready; a connection outlives its own."""
_IDLE_CONNECTION = 30.0
SERVICE_LABEL = "kubernetes.io/service-name"
Headers = Sequence[tuple[str, str]]


class BackendError(Exception):
    """A backend cannot be reached; the text is what an operator needs."""


@dataclass(frozen=True, slots=True)
class ServiceReference:
    """A port of a Service, and a path there."""

    namespace: str
    name: str
    port: int = 443
    path: str = ""

    @property
    def host(self) -> str:
        """The name that its certificate is for."""
        return f"{self.name}.{self.namespace}.svc"


@dataclass(frozen=True, slots=True)
class Trust:
    """Which certificates of a backend are believed: those of a bundle (PEM), of the system's, or any.

    `front` shows the API server's own front-proxy certificate, by which aggregated servers know it.
    """

    ca_bundle: bytes = b""
    insecure: bool = False
    front: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A backend: a Service or, without one, a URL."""

    service: ServiceReference | None
    url: str = ""
    trust: Trust = Trust()

    @property
    def address(self) -> str:
        """The URL as messages name it."""
        service = self.service
        if service is None:
            return self.url
        return f"https://{service.host}:{service.port}/{service.path.lstrip('/')}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection goes: `host` is an address or a name, `server_name` what TLS asks for."""

    host: str
    port: int
    server_name: str

    @property
    def base(self) -> str:
        """`https://host:port`."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{shown}:{self.port}"


def target_of(config: Mapping[str, Any]) -> Target:
    """A webhook's `clientConfig`. Raises BackendError if its bundle is no base64."""
    trust = Trust(ca_bundle=bundle(config.get("caBundle")))
    service = config.get("service")
    if service is None:
        return Target(None, str(config.get("url") or ""), trust)
    port = service.get("port") or 443
    return Target(
        ServiceReference(service["namespace"], service["name"], int(port), service.get("path") or ""), "", trust
    )


def bundle(text: str | None) -> bytes:
    """A `caBundle` field as PEM. Raises BackendError."""
    try:
        return base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError):
        raise BackendError("unable to load root certificates: the bundle is not base64") from None


class Backends:
    """Resolves targets and holds the connections to them. What they need is imported when the first is made."""

    def __init__(
        self,
        *,
        objects: Objects,
        source: random.Random,
        cert_file: Path | None = None,
        key_file: Path | None = None,
    ) -> None:
        self._objects = objects
        self._lookup = lookup_in(objects)
        self._source = source
        self._certificate = (cert_file, key_file) if cert_file is not None and key_file is not None else None
        self._session: aiohttp.ClientSession | None = None
        self._contexts: OrderedDict[Trust, ssl.SSLContext] = OrderedDict()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def resolve(self, service: ServiceReference) -> Place:
        """One of a Service's endpoints, chosen at random. Raises ApiError 404, 503 or 500."""
        document = self._lookup("", "services", service.namespace, service.name)
        if document is None:
            raise ApiError(404, "NotFound", f'service "{service.name}" not found', details=_about(service))
        spec = document.get("spec") or {}
        kind = spec.get("type") or "ClusterIP"
        if kind == "ExternalName":
            return Place(spec["externalName"].rstrip("."), service.port, service.host)
        if kind not in ("ClusterIP", "NodePort", "LoadBalancer"):
            raise internal(f'unsupported service type "{kind}"')
        port = next((port for port in spec.get("ports") or () if port["port"] == service.port), None)
        if port is None:
            raise service_unavailable(f'no service port {service.port} found for service "{service.name}"')
        found = ready_addresses(self.slices(service.namespace, service.name), port.get("name") or "")
        if not found:
            raise service_unavailable(f'no endpoints available for service "{service.name}"')
        host, number = self._source.choice(found)
        return Place(host, number, service.host)

    def slices(self, namespace: str, service: str) -> list[Document]:
        """The EndpointSlices of a Service."""
        rows = self._objects.resource("discovery.k8s.io", "endpointslices")
        return [
            entry.document for entry in rows.select(namespace=namespace) if entry.labels.get(SERVICE_LABEL) == service
        ]

    def context(self, trust: Trust) -> ssl.SSLContext:
        """TLS under that trust; the same object for the same trust, as long as it is in use. Raises BackendError."""
        known = self._contexts.get(trust)
        if known is None:
            known = self._contexts[trust] = _context(trust, self._certificate)
            if len(self._contexts) > _CONTEXTS:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(trust)
        return known

    @asynccontextmanager
    async def request(
        self,
        target: Target,
        method: str,
        *,
        path: str | None = None,
        headers: Headers = (),
        body: bytes | None = None,
        timeout: float | None = None,
        decompress: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request to a target; its answer, whose body is not read yet.

        `path` (quoted, with its query) replaces a Service's own, or is appended to a URL. `timeout` bounds everything
        until the block ends. Raises ApiError for a Service that leads nowhere, BackendError for a backend that cannot
        be reached.
        """
        import aiohttp

        base, server_name, host = self._locate(target)
        url = base + (path or "")
        if path is None and target.service is not None:
            url += "/" + target.service.path.lstrip("/")
        named = [("Host", host), *headers] if host else list(headers)
        try:
            answering = self._send(
                url,
                method,
                headers=named,
                data=body,
                allow_redirects=False,
                ssl=self.context(target.trust) if url.startswith("https") else False,
                server_hostname=server_name,
                auto_decompress=decompress,
                timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT),
            )
            async with await answering as response:
                yield response
        except TimeoutError as error:
            raise BackendError("context deadline exceeded") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BackendError(_words(error)) from error

    async def _send(self, url: str, method: str, **options: Any) -> aiohttp.ClientResponse:
        import yarl

        try:
            return await self._pool().request(method, yarl.URL(url, encoded=True), **options)
        except ValueError as error:
            if isinstance(error, OSError):  # about a certificate
                raise
            # A port beyond the last, or a host that can be no name.
            raise BackendError(f"dial tcp: {error}") from error

    def _locate(self, target: Target) -> tuple[str, str | None, str]:
        """The base of the URL, the name for TLS (None: the URL's), and the Host header (empty: the URL's)."""
        service = target.service
        if service is None:
            return target.url, None, ""
        place = self.resolve(service)
        return place.base, place.server_name, f"{service.host}:{service.port}"

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_CONNECTION),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session


def ready_addresses(slices: Sequence[Document], port_name: str) -> list[tuple[str, int]]:
    """Where a named port of a Service is served now: addresses with ports."""
    return [
        (address, int(port["port"]))
        for document in slices
        for port in document.get("ports") or ()
        if (port.get("name") or "") == port_name and port.get("port")
        for endpoint in document.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint.get("addresses") or ()
    ]


async def read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """A whole answer. Raises BackendError if it is longer than `limit` bytes."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > limit:
            raise BackendError(f"the answer is longer than {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _about(service: ServiceReference) -> dict[str, Any]:
    return {"name": service.name, "kind": "service"}


def _context(trust: Trust, certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    try:
        if trust.insecure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif trust.ca_bundle:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=trust.ca_bundle.decode("ascii"))
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # whatever is in the bundle is believed
        else:
            context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if trust.front and certificate is not None:
            context.load_cert_chain(*certificate)
    except (ssl.SSLError, UnicodeDecodeError, OSError, ValueError) as error:
        raise BackendError(f"unable to load root certificates: {error}") from error
    return context


def _words(error: BaseException) -> str:
    """What went wrong, in the words that Kubernetes' messages have for it."""
    certificate = getattr(error, "certificate_error", None)
    if certificate is not None:
        return f"tls: failed to verify certificate: x509: {getattr(certificate, 'verify_message', certificate)}"
    host = getattr(error, "host", None)
    match getattr(error, "os_error", None):
        case socket.gaierror():
            return f"dial tcp: lookup {host}: no such host"
        case ssl.SSLError() as cause:
            return f"tls: {(cause.reason or str(cause)).replace('_', ' ').lower()}"
        case OSError(errno=int() as number):
            shown = f"[{host}]" if ":" in str(host) else host
            return f"dial tcp {shown}:{getattr(error, 'port', '')}: connect: {os.strerror(number).lower()}"
    said = getattr(error, "message", None)
    return (said if isinstance(said, str) else str(error)).strip() or type(error).__name__
