"""`/metrics/resource` and `/stats/summary`: what the node and its pods use."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from ..measuring import exposition, summary
from ..measuring.model import NodeUsage
from ..runtime.base import RuntimeFault

log = logging.getLogger(__name__)
Measure = Callable[[], Awaitable[NodeUsage]]
_TRUE = ("1", "t", "true")


def resource_page(node: NodeUsage | None) -> web.Response:
    """The page for Prometheus; None is what could not be measured."""
    return web.Response(body=exposition.page(node), headers={"Content-Type": exposition.MEDIA})


def summary_page(request: web.Request, node: NodeUsage) -> web.Response:
    """The document, by what the query asks for."""
    only = request.query.get("only_cpu_and_memory", "").lower() in _TRUE
    body = orjson.dumps(summary.document(node, only_cpu_and_memory=only))
    return web.Response(body=body, content_type="application/json")


def add_routes(app: web.Application, measure: Measure) -> None:
    """The routes of a node that is measured."""

    async def resource(_: web.Request) -> web.Response:
        try:
            return resource_page(await measure())
        except (RuntimeFault, OSError) as error:
            log.warning("usage cannot be measured: %s", error)
            return resource_page(None)

    async def stats(request: web.Request) -> web.Response:
        return summary_page(request, await measure())

    app.router.add_get("/metrics/resource", resource)
    for path in ("/stats", "/stats/", "/stats/summary"):
        app.router.add_get(path, stats)
