"""One extender: which pods concern it, and how it is asked.

Source: kube-scheduler's HTTP extender for paths, time limits, TLS and the words of failures.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from k8slite.config import ConfigError

from ..blame import Complaint
from ..view import Container, Pod

if TYPE_CHECKING:  # the models of the whole configuration take memory
    from ..configuration.model import Extender as Settings
    from ..configuration.model import ExtenderTLSConfig

#: Seconds that a call may take unless configured.
TIMEOUT = 5.0


class ExtenderError(Complaint):
    """An extender cannot be asked, or says that something is wrong."""


class Extender:
    """An HTTP server. Raises ConfigError for certificates that cannot be read."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.url_prefix
        self.filter_verb = settings.filter_verb
        self.prioritize_verb = settings.prioritize_verb
        self.bind_verb = settings.bind_verb
        self.preempt_verb = settings.preempt_verb
        self.weight = settings.weight
        self.ignorable = settings.ignorable
        self.knows_nodes = settings.node_cache_capable
        """Whether names of nodes are enough for it."""
        self._managed = frozenset(resource.name for resource in settings.managed_resources)
        self._timeout = aiohttp.ClientTimeout(total=settings.http_timeout or TIMEOUT)
        self._ssl = _ssl(settings)
        self._server_name = settings.tls_config.server_name if settings.tls_config else ""
        self._session: aiohttp.ClientSession | None = None

    @property
    def wants_nodes(self) -> bool:
        """Whether it is asked about nodes and must see them whole."""
        return not self.knows_nodes and bool(self.filter_verb or self.prioritize_verb)

    def concerns(self, pod: Pod) -> bool:
        """Whether the pod asks for a resource that the extender manages; any pod, if it manages none."""
        return not self._managed or self._manages(pod.spec.containers) or self._manages(pod.spec.init_containers)

    def _manages(self, containers: Iterable[Container]) -> bool:
        managed = self._managed
        return any(
            not managed.isdisjoint(container.resources.requests) or not managed.isdisjoint(container.resources.limits)
            for container in containers
        )

    async def ask(self, verb: str, body: bytes) -> Any:
        """The decoded answer. Raises ExtenderError."""
        url = f"{self.url.rstrip('/')}/{verb}"
        try:
            async with self._pool().post(
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                server_hostname=self._server_name or None,
            ) as response:
                answer = await response.read()
        except TimeoutError:
            raise ExtenderError(f'Post "{url}": context deadline exceeded') from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ExtenderError(f'Post "{url}": {error}') from error
        if response.status != 200:
            raise ExtenderError(f"failed {verb} with extender at URL {url}, code {response.status}")
        try:
            return orjson.loads(answer)
        except orjson.JSONDecodeError as error:
            raise ExtenderError(f"{url}: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._ssl)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self._session


def _ssl(settings: Settings) -> ssl.SSLContext | bool:
    """How a server is verified; True is the system's authorities."""
    tls = settings.tls_config
    authority = tls is not None and bool(tls.ca_data or tls.ca_file)
    insecure = (tls is not None and tls.insecure) or (settings.enable_https and not authority)
    if insecure and authority:
        raise ConfigError("specifying a root certificates file with the insecure flag is not allowed")
    if tls is None and not insecure:
        return True
    try:
        context = ssl.create_default_context()
        if tls is not None and authority:
            data = tls.ca_data.decode() if tls.ca_data else Path(tls.ca_file).read_text()
            context = ssl.create_default_context(cadata=data)
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls is not None and (tls.cert_data or tls.cert_file):
            _present(context, tls)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise ConfigError(str(error)) from error
    return context


def _present(context: ssl.SSLContext, tls: ExtenderTLSConfig) -> None:
    """Show a certificate to the server; Python reads it from files only."""
    with tempfile.TemporaryDirectory(prefix="k8slite-") as directory:
        files = []
        for name, data, file in (("crt", tls.cert_data, tls.cert_file), ("key", tls.key_data, tls.key_file)):
            path = Path(directory) / name
            if data:
                path.touch(mode=0o600)
                path.write_bytes(data)
            files.append(path if data else Path(file))
        context.load_cert_chain(files[0], files[1])
