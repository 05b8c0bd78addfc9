"""The scheduler's own port: why recent pods are where they are, and its metrics, to administrators only.

    /decisions                       the recent decisions, a summary of each, the latest first
    /decisions/<namespace>/<pod>     the last decision about a pod: what filters removed and why, and the best scores
    /metrics, /healthz

Decisions name nodes and pods of all namespaces, so that a certificate of the cluster's CA is not enough: it must be of
`system:masters`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from k8slite import metrics, sockets
from k8slite.config import ConfigError, SchedulerConfig

from .decisions import Decisions

_GROUP = ("organizationName", "system:masters")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _authorized(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path == "/healthz":
        return await handler(request)
    certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
    if _GROUP not in [pair for part in (certificate or {}).get("subject", ()) for pair in part]:
        return web.Response(status=403, text="Forbidden\n")
    return await handler(request)


def application(decisions: Decisions) -> web.Application:
    """The routes."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def show_metrics(_: web.Request) -> web.Response:
        body, media_type = metrics.render()
        return web.Response(body=body, headers={"Content-Type": media_type})

    async def recent(_: web.Request) -> web.Response:
        return web.json_response({"items": [record.summary() for record in decisions.recent()]})

    async def one(request: web.Request) -> web.Response:
        record = decisions.of(request.match_info["namespace"], request.match_info["pod"])
        if record is None:
            return web.Response(status=404, text="no decision about this pod is remembered\n")
        return web.json_response(record.told())

    app = web.Application(middlewares=[_authorized])
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/decisions", recent)
    app.router.add_get("/decisions/{namespace}/{pod}", one)
    return app


@asynccontextmanager
async def serving(config: SchedulerConfig, decisions: Decisions) -> AsyncIterator[int]:
    """Serve until the block ends; the port.

    Raises OSError if it is taken or a file cannot be read, ConfigError if there are no certificates.
    """
    if config.cert_file is None or config.key_file is None or config.client_ca_file is None:
        raise ConfigError("port: certFile, keyFile and clientCaFile are needed too")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=config.client_ca_file)
    context.load_cert_chain(config.cert_file, config.key_file)
    context.verify_mode = ssl.CERT_REQUIRED
    runner = web.AppRunner(application(decisions), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.SockSite(runner, sockets.bind(config.bind_address, config.port), ssl_context=context)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
