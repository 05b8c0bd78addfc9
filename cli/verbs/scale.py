"""`k8slite scale`: how many replicas."""

from __future__ import annotations

from typing import Any

import click

from ..api import Api
from ..failure import Failure
from ..options import connects
from ..targets import named, one


@click.command()
@click.argument("what", nargs=-1, required=True)
@click.option("--replicas", type=click.IntRange(min=0), required=True, help="How many.")
@click.option("--current-replicas", type=int, default=-1, help="Only if there are that many now.")
@connects
def scale(api: Api, *, what: tuple[str, ...], replicas: int, current_replicas: int) -> None:
    """Set the number of replicas: `scale deployment/front --replicas 5`."""
    resource, name = one(api, what)
    path = api.path(resource, name, subresource="scale")
    body: dict[str, Any] = {"spec": {"replicas": replicas}}
    if current_replicas >= 0:
        found = api.call("GET", path)
        if (current := found["spec"].get("replicas", 0)) != current_replicas:
            raise Failure(f"expected {current_replicas} replicas, found {current}")
        body["metadata"] = {"resourceVersion": found["metadata"]["resourceVersion"]}
    api.call("PATCH", path, body=body, content_type="application/merge-patch+json")
    click.echo(f"{named(resource, name)} scaled")
