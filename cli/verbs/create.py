"""`k8slite create -f`: create the objects of manifests."""

from __future__ import annotations

import click

from k8slite.errors import ApiError

from ..api import Api
from ..failure import Failure
from ..manifests import read
from ..options import connects, files
from .apply import label, place


@click.command()
@files
@connects
def create(api: Api, *, filenames: tuple[str, ...]) -> None:
    """Create the objects of manifests; one that exists is an error."""
    refused = []
    for manifest in read(filenames):
        try:
            made = api.call("POST", place(api, manifest), body=manifest.object)
        except ApiError as error:
            refused.append(f"{manifest.place}: {error.message}")
            continue
        click.echo(f"{label(api, manifest).rpartition('/')[0]}/{made['metadata']['name']} created")
    if refused:
        raise Failure("\n".join(refused))
