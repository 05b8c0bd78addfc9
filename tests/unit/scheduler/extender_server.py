"""A real HTTP server that plays an extender, and notes what it is asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from k8slite.scheduler.configuration.model import Extender as Settings
from k8slite.scheduler.extenders.extender import Extender

Answer = Callable[[dict[str, Any]], Any]
"""From a question to its answer; a number is a status without one, an awaitable is waited for."""


@dataclass
class Server:
    url: str = ""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Verb and question, in order."""

    def extender(self, **settings: Any) -> Extender:
        """An extender that is this server; the names of settings are the file's."""
        return Extender(Settings.model_validate({"urlPrefix": self.url, "nodeCacheCapable": True} | settings))

    def questions(self, verb: str) -> list[dict[str, Any]]:
        return [question for asked, question in self.asked if asked == verb]


@asynccontextmanager
async def extender_server(
    answers: Mapping[str, Answer], *, context: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Serve `answers` by verb."""
    server = Server()

    async def handle(request: web.Request) -> web.StreamResponse:
        verb = request.match_info["verb"]
        question = await request.json()
        server.asked.append((verb, question))
        answer = answers[verb](question)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.json_response(answer)

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/extender/{verb}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"{'https' if context else 'http'}://127.0.0.1:{port}/extender"
    try:
        yield server
    finally:
        await runner.cleanup()
