"""What simulated nodes answer where kubelets answer: that nothing runs, and what it uses.

The API server dials this for logs, exec, attach, port forwarding and usage. Nothing here is secret and nothing can be
done, so nobody has to say who he is.

All nodes answer at one port, so usage is asked for below the node's name; an annotation of the Node says so to those
who read metrics. A request that comes through the API server's node proxy is known by where it says it came from.
"""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from k8slite import sockets
from k8slite.config import SimulatorConfig
from k8slite.pki import Authority

from ..measuring.model import NodeUsage
from ..server import usage
from . import node_objects
from .facts import Pod

Find = Callable[[str, str], Pod | None]
Measure = Callable[[str], NodeUsage | None]
_PROXIED = re.compile(r"/api/v1/nodes/(?:https?:)?([^/:]+)(?::\d*)?/proxy/")
_VERBS = {"exec": "nothing can be executed in it", "attach": "there is nothing to attach to"}


def application(find: Find, measure: Measure) -> web.Application:
    """The routes. `find` gives a pod by namespace and name, `measure` what a node uses."""
    app = web.Application()

    def told(request: web.Request) -> str:
        """Which container is simulated. Raises HTTPNotFound for one that is not there."""
        at = request.match_info
        pod = find(at["namespace"], at["pod"])
        if pod is None:
            raise web.HTTPNotFound(text=f'pod "{at["pod"]}" not found')
        name = at.get("container", "")
        models = (*pod.spec.init_containers, *pod.spec.containers, *pod.spec.ephemeral_containers)
        if name and name not in {one.name for one in models}:
            raise web.HTTPNotFound(text=f'container "{name}" not found in pod "{pod.name}"')
        return (
            f"pod {pod.key} is simulated: no process runs in its container {name}"
            if name
            else (f"pod {pod.key} is simulated: no process runs in it")
        )

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def logs(request: web.Request) -> web.Response:
        return web.Response(text=f"({told(request)}, so there are no logs)\n")

    async def session(request: web.Request) -> web.Response:
        verb = request.path.split("/", 2)[1]
        return web.Response(status=400, text=f"{told(request)}, so {_VERBS[verb]}")

    async def forward(request: web.Request) -> web.Response:
        return web.Response(status=400, text=f"{told(request)}, so there are no ports to forward to")

    def measured(request: web.Request) -> NodeUsage:
        proxied = _PROXIED.match(request.headers.get("x-forwarded-uri", ""))
        name = request.match_info.get("node") or (proxied[1] if proxied else "")
        if not name:
            raise web.HTTPBadRequest(text=f"ask below a node's name: {node_objects.resource_path('NAME')}")
        found = measure(name)
        if found is None:
            raise web.HTTPNotFound(text=f'node "{name}" is not played here')
        return found

    async def resource(request: web.Request) -> web.Response:
        return usage.resource_page(measured(request))

    async def stats(request: web.Request) -> web.Response:
        return usage.summary_page(request, measured(request))

    app.router.add_get("/healthz", healthz)
    for base in ("", node_objects.METRICS_BASE.format("{node}")):
        app.router.add_get(f"{base}/metrics/resource", resource)
        app.router.add_get(f"{base}/stats/summary", stats)
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    for verb in _VERBS:
        app.router.add_route("*", f"/{verb}/{{namespace}}/{{pod}}/{{container}}", session)
    app.router.add_route("*", "/portForward/{namespace}/{pod}", forward)
    return app


@asynccontextmanager
async def serving(config: SimulatorConfig, app: web.Application) -> AsyncIterator[int]:
    """Serve until the block ends; the port. Raises OSError if it is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.SockSite(runner, sockets.bind(config.bind_address, config.port), ssl_context=_tls(config))
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _tls(config: SimulatorConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if config.cert_file is not None:
        context.load_cert_chain(config.cert_file, config.key_file)
        return context
    with tempfile.TemporaryDirectory(prefix="k8slite-") as directory:
        pair = Authority.ensure(Path(directory)).issue_server(
            "simulator", common_name="simulator", hosts=[config.node_ip]
        )
        context.load_cert_chain(pair.cert_file, pair.key_file)
    return context
