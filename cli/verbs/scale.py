"""`k8slite scale`: how many replicas."""

from __future__ import annotations

import click

from ..api import Api
from ..failure import Failure
from ..options import connects
from ..targets import one


@click.command()
@click.argument("what", nargs=-1, required=True)
@click.option("--replicas", type=click.IntRange(min=0), required=True, help="How many.")
@click.option("--current-replicas", type=int, default=-1, help="Only if there are that many now.")
@connects
def scale(api: Api, *, what: tuple[str, ...], replicas: int, current_replicas: int) -> None:
    """Set the number of replicas: `scale deployment/front --replicas 5`."""
    resource, name = one(api, what)
    path = api.path(resource, name, subresource="scale")
    current = api.call("GET", path)["spec"].get("replicas", 0)
    if current_replicas >= 0 and current != current_replicas:
        raise Failure(f"expected {current_replicas} replicas, found {current}")
    api.call("PATCH", path, body={"spec": {"replicas": replicas}}, content_type="application/merge-patch+json")
    click.echo(f"{resource.singular}{'.' + resource.group if resource.group else ''}/{name} scaled")
