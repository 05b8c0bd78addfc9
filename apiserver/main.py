"""The API server as a program."""

from __future__ import annotations

from k8slite.config import ApiServerConfig

from .app import ApiServer
from .server import bind, serve_app


async def serve(config: ApiServerConfig) -> None:
    """Serve until cancelled. Raises OSError for an address that is taken, StoreUnavailable for a broken store."""
    sockets = bind(config.bind_addresses, config.port)
    app = ApiServer(config)
    app.port = sockets[0].getsockname()[1]
    await serve_app(app, config=config, sockets=sockets, drain=app.drain)
