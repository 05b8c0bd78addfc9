"""`k8slite create -f`: create the objects of manifests."""

from __future__ import annotations

import click

from ..api import Api
from ..failure import Refusals
from ..manifests import read
from ..options import connects, files
from ..targets import named
from .placing import place


@click.command()
@files
@connects
def create(api: Api, *, filenames: tuple[str, ...]) -> None:
    """Create the objects of manifests; one that exists is an error."""
    refusals = Refusals()
    for manifest in read(filenames):
        with refusals.noted(manifest.place):
            at = place(api, manifest, named=False)
            made = api.call("POST", at.collection, body=manifest.object)
            click.echo(f"{named(at.resource, made['metadata']['name'])} created")
    refusals.finish()
