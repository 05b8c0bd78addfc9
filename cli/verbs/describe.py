"""`k8slite describe`: one object, or several, told to people, with their events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from ..api import Api
from ..failure import Failure
from ..options import connects, selector
from ..printers.describe import describe as tell
from ..targets import parse


@click.command()
@click.argument("what", nargs=-1, required=True)
@selector
@connects
def describe(api: Api, *, what: tuple[str, ...], selector: str) -> None:
    """Tell everything about objects: `describe pod web`, `describe deploy -l app=web`."""
    texts = []
    for target in parse(api, what):
        query = {"labelSelector": selector} if selector else {}
        paths = [api.path(target.resource, name) for name in target.names]
        if not paths:
            items = api.call("GET", api.path(target.resource), query=query)["items"]
            paths = [api.path(target.resource, item["metadata"]["name"]) for item in items]
        texts += [
            tell(document := api.call("GET", path), _events(api, document), now=datetime.now(UTC)) for path in paths
        ]
    if not texts:
        raise Failure("no resources found")
    click.echo("\n\n\n".join(texts))


def _events(api: Api, document: dict[str, Any]) -> list[dict[str, Any]]:
    """The events about an object."""
    namespace = document["metadata"].get("namespace") or "default"
    query = {"fieldSelector": f"involvedObject.uid={document['metadata']['uid']}"}
    items: list[dict[str, Any]] = api.call("GET", f"/api/v1/namespaces/{namespace}/events", query=query)["items"]
    return items
