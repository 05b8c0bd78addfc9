"""HTTPS servers in the test's own process that play an extension: a webhook, an aggregated API server."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from ..pki import Authority

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Extension:
    """A server on loopback; `bundle` is the PEM of who signed its certificate."""

    port: int
    bundle: bytes


@asynccontextmanager
async def extension(
    handler: Handler, *, directory: Path, hosts: list[str], client_ca: Path | None = None
) -> AsyncIterator[Extension]:
    """Serve every request by one handler. With a client CA, clients must show a certificate of it."""
    authority = Authority.ensure(directory, name="extension-ca")
    pair = authority.issue_server("extension", common_name="extension", hosts=hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    if client_ca is not None:
        context.load_verify_locations(cafile=client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    runner = web.ServerRunner(web.Server(handler, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield Extension(runner.addresses[0][1], authority.certificate_pem)
    finally:
        await runner.cleanup()
