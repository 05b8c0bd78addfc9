"""Routes and TLS of the kubelet's server; who may use them is a matter of `access.py`."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from k8slite import metrics, sockets
from k8slite.clock import Clock
from k8slite.config import KubeletConfig
from k8slite.doorway import Doorway

from ..runtime.base import ContainerRuntime, NoSuchContainer, RuntimeFault
from ..workers import Workers
from . import logs, portforward, sessions, usage
from .access import Access
from .guests import Guests
from .lookup import Containers, LookupFault

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_IDLE = 75.0
"""Seconds that a connection may ask nothing: anybody can open some. The API server's leave before by themselves."""
_MOST = 1024
"""Connections; each may take a quarter of a megabyte."""
_GUESTS = web.AppKey("guests", Guests)


@web.middleware
async def _explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except LookupFault as fault:
        return web.Response(status=fault.status, text=str(fault))
    except NoSuchContainer as fault:
        return web.Response(status=404, text=str(fault))
    except RuntimeFault as fault:
        return web.Response(status=500, text=str(fault))


def application(
    *,
    workers: Workers,
    runtime: ContainerRuntime,
    clock: Clock,
    connect: portforward.Connect,
    access: Access,
    measure: usage.Measure,
) -> web.Application:
    """The routes. `connect` reaches a port inside a pod's network namespace, `measure` tells what the node uses."""
    containers = Containers(workers, runtime)
    app = web.Application(middlewares=[access.middleware, _explained])
    app[_GUESTS] = access.guests

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def pods(_: web.Request) -> web.Response:
        items = [pod.to_wire() for pod in workers.pods()]
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def show_metrics(_: web.Request) -> web.Response:
        body, media_type = metrics.render()
        return web.Response(body=body, headers={"Content-Type": media_type})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/pods", pods)
    app.router.add_get("/metrics", show_metrics)
    usage.add_routes(app, measure)
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs.handler(containers, runtime, clock))
    for verb, make in (("exec", sessions.exec_handler), ("attach", sessions.attach_handler)):
        for method in ("GET", "POST"):
            app.router.add_route(method, f"/{verb}/{{namespace}}/{{pod}}/{{container}}", make(containers, runtime))
    for method in ("GET", "POST"):
        app.router.add_route(method, "/portForward/{namespace}/{pod}", portforward.handler(containers, connect))
    return app


def tls(config: KubeletConfig) -> ssl.SSLContext:
    """Server TLS that asks for a certificate of the cluster's CA; who shows none must have a token."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(config.client_ca_file))
    context.load_cert_chain(config.cert_file, config.key_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@asynccontextmanager
async def serving(config: KubeletConfig, app: web.Application) -> AsyncIterator[int]:
    """Serve until the block ends; the port. Raises OSError if it is taken."""
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True, keepalive_timeout=_IDLE
    )
    await runner.setup()
    try:
        server = runner.server
        assert server is not None  # it was set up
        with sockets.bind(config.bind_address, config.port) as listening:
            door = Doorway(
                [listening],
                context=tls(config),
                make=server,
                taken=lambda: len(server.connections),
                guests=lambda: app[_GUESTS].among(server.connections),
                most=_MOST,
            )
            door.open()
            try:
                yield int(listening.getsockname()[1])
            finally:
                door.close()
                await door.empty(within=0.0)
    finally:
        await runner.cleanup()
