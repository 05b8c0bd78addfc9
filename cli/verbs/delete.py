"""`k8slite delete`: by name, by label, by manifest; waits until the objects are gone."""

from __future__ import annotations

import time

import click

from k8slite.catalogue import Resource
from k8slite.errors import ApiError

from ..api import Api
from ..failure import Failure
from ..manifests import read
from ..options import connects, files, selector
from ..targets import parse
from .apply import label, place

Doomed = tuple[str, str]
"""What is deleted: its label for people, its path."""


@click.command()
@click.argument("what", nargs=-1)
@files
@selector
@click.option("--all", "everything", is_flag=True, help="Every object of the type in the namespace.")
@click.option(
    "--grace-period", type=int, default=-1, help="Seconds between the request and the kill; -1: the object's."
)
@click.option("--force", is_flag=True, help="Do not wait for a confirmation of the node.")
@click.option(
    "--cascade",
    type=click.Choice(["background", "foreground", "orphan"]),
    default="background",
    help="What becomes of owned objects: background, foreground, orphan.",
)
@click.option("--ignore-not-found", is_flag=True, help="An absent object is no error.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when the objects are gone.")
@connects
def delete(
    api: Api,
    *,
    what: tuple[str, ...],
    filenames: tuple[str, ...],
    selector: str,
    everything: bool,
    grace_period: int,
    force: bool,
    cascade: str,
    ignore_not_found: bool,
    wait: bool,
) -> None:
    """Delete objects: `delete pod web`, `delete -f app.yaml`, `delete pods -l app=web`."""
    doomed = _by_manifest(api, filenames) if filenames else _by_name(api, what, selector, everything=everything)
    options: dict[str, object] = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": cascade.capitalize(),
    }
    if force or grace_period >= 0:
        options["gracePeriodSeconds"] = 0 if force else grace_period
    gone_for: list[tuple[str, str]] = []
    for name, path in doomed:
        try:
            answer = api.call("DELETE", path, body=options)
        except ApiError as error:
            if error.reason == "NotFound" and ignore_not_found:
                continue
            raise
        click.echo(f"{name} deleted")
        uid = answer.get("metadata", {}).get("uid") or answer.get("details", {}).get("uid", "")
        gone_for.append((path, uid))
    if wait:
        for path, uid in gone_for:
            _wait_gone(api, path, uid)


def _by_manifest(api: Api, filenames: tuple[str, ...]) -> list[Doomed]:
    manifests = read(filenames)
    return [(label(api, m), f"{place(api, m)}/{m.object['metadata']['name']}") for m in reversed(manifests)]


def _by_name(api: Api, what: tuple[str, ...], selector: str, *, everything: bool) -> list[Doomed]:
    doomed = []
    for target in parse(api, what):
        names = list(target.names)
        if not names:
            if not (selector or everything):
                raise Failure("resource(s) were provided, but no name, label selector, or --all flag specified")
            query = {"labelSelector": selector} if selector else {}
            items = api.call("GET", api.path(target.resource), query=query)["items"]
            names = [item["metadata"]["name"] for item in items]
        doomed += [(_label(target.resource, name), api.path(target.resource, name)) for name in names]
    return doomed


def _label(resource: Resource, name: str) -> str:
    return f'{resource.singular}{"." + resource.group if resource.group else ""} "{name}"'


def _wait_gone(api: Api, path: str, uid: str) -> None:
    while True:
        try:
            found = api.call("GET", path)
        except ApiError as error:
            if error.reason == "NotFound":
                return
            raise
        if uid and found["metadata"]["uid"] != uid:
            return
        time.sleep(0.2)
