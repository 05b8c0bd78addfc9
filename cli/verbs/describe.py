"""`k8slite describe`: one object, or several, told to people, with their events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from ..api import Api
from ..failure import Failure, Refusals
from ..options import connects, selector
from ..printers import columns
from ..printers.describe import describe as tell
from ..targets import parse


@click.command()
@click.argument("what", nargs=-1, required=True)
@selector
@connects
def describe(api: Api, *, what: tuple[str, ...], selector: str) -> None:
    """Tell everything about objects: `describe pod web`, `describe deploy -l app=web`."""
    shown, refusals = 0, Refusals()
    for target in parse(api, what, selector=selector):
        names = target.names
        if not names:
            query = {"labelSelector": selector} if selector else {}
            names = tuple(
                item["metadata"]["name"] for item in api.call("GET", api.path(target.resource), query=query)["items"]
            )
        for name in names:
            with refusals.noted():
                document = api.call("GET", api.path(target.resource, name))
                text = tell(document, _events(api, document), now=datetime.now(UTC))
                click.echo(("\n\n" if shown else "") + columns.visible(text))
            shown += 1
    if not shown:
        raise Failure("no resources found")
    refusals.finish()


def _events(api: Api, document: dict[str, Any]) -> list[dict[str, Any]]:
    """The events about an object."""
    namespace = document["metadata"].get("namespace") or "default"
    query = {"fieldSelector": f"involvedObject.uid={document['metadata']['uid']}"}
    items: list[dict[str, Any]] = api.call("GET", f"/api/v1/namespaces/{namespace}/events", query=query)["items"]
    return items
