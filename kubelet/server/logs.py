"""`/containerLogs/{namespace}/{pod}/{container}`: a container's log as a plain stream."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from aiohttp import web

from k8slite.clock import Clock

from ..runtime.base import ContainerRuntime, LogOptions
from .lookup import Containers, LookupFault


def options(request: web.Request, *, now: datetime) -> tuple[LogOptions, int | None]:
    """The options of a request, and its limit in bytes. Raises LookupFault for what is no number or time."""
    query = request.query
    try:
        since = 0.0
        if query.get("sinceSeconds"):
            since = now.timestamp() - int(query["sinceSeconds"])
        elif query.get("sinceTime"):
            since = datetime.fromisoformat(query["sinceTime"]).timestamp()
        tail = int(query["tailLines"]) if query.get("tailLines") else -1
        limit = int(query["limitBytes"]) if query.get("limitBytes") else None
    except ValueError as error:
        raise LookupFault(400, str(error)) from error
    stream = query.get("stream", "All")
    chosen = LogOptions(
        follow=query.get("follow", "") in ("1", "true"),
        tail=tail,
        since=since,
        timestamps=query.get("timestamps", "") in ("1", "true"),
        stdout=stream in ("", "All", "Stdout"),
        stderr=stream in ("", "All", "Stderr"),
    )
    return chosen, limit


def handler(
    containers: Containers, runtime: ContainerRuntime, clock: Clock
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The route's handler."""

    async def serve(request: web.Request) -> web.StreamResponse:
        chosen, limit = options(request, now=clock.now())
        previous = request.query.get("previous", "") in ("1", "true")
        container = await containers.find(request, previous=previous)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        stream: Any = runtime.logs(container.id, chosen)
        # A client that leaves cancels this handler, also while the container is silent.
        async with contextlib.aclosing(stream):
            async for output in stream:
                data = output.data if limit is None else output.data[:limit]
                await response.write(data)
                if limit is not None:
                    limit -= len(data)
                    if limit <= 0:
                        break
        return response

    return serve
