"""`k8slite logs`: what containers print."""

from __future__ import annotations

import math
import sys

import click

from ..api import Api
from ..options import connects, duration
from . import pods


@click.command()
@click.argument("what")
@click.option("-c", "--container", default="", help="The container; default: the first.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new output.")
@click.option("-p", "--previous", is_flag=True, help="Of the container before its last restart.")
@click.option("--tail", type=int, default=-1, help="The last lines; -1: all.")
@click.option("--since", type=duration, default="0", help="Only what is newer, as 30s or 5m.")
@click.option("--timestamps", is_flag=True, help="Each line with its time.")
@connects
def logs(
    api: Api, *, what: str, container: str, follow: bool, previous: bool, tail: int, since: float, timestamps: bool
) -> None:
    """Show the output of a pod's container: `logs web`, `logs -f deployment/front`."""
    pod = pods.find(api, what)
    query = {"container": pods.container(pod, container)}
    for name, value in (("follow", follow), ("previous", previous), ("timestamps", timestamps)):
        if value:
            query[name] = "true"
    if tail >= 0:
        query["tailLines"] = str(tail)
    if since:
        query["sinceSeconds"] = str(max(1, math.ceil(since)))
    path = api.path(api.resource("pods"), pod["metadata"]["name"], subresource="log")
    for chunk in api.lines(path, query=query):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
