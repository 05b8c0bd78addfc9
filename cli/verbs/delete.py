"""`k8slite delete`: by name, by label, by manifest; waits until the objects are gone."""

from __future__ import annotations

import time
from dataclasses import dataclass

import click

from k8slite.catalogue import Resource
from k8slite.errors import ApiError

from ..api import Api
from ..failure import Failure, Refusals
from ..manifests import read
from ..options import connects, duration, files, selector
from ..targets import parse
from .placing import place


@dataclass(frozen=True, slots=True)
class Doomed:
    """An object to delete: the words for people, and its path."""

    words: str
    path: str


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
@click.option("--timeout", type=duration, default="0", help="Wait no longer, as 30s or 5m; 0: as long as it takes.")
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
    timeout: float,
) -> None:
    """Delete objects: `delete pod web`, `delete -f app.yaml`, `delete pods -l app=web`."""
    if filenames and (what or selector or everything):
        raise Failure("name objects by file or on the command line, not both")
    doomed = _by_manifest(api, filenames) if filenames else _by_name(api, what, selector, everything=everything)
    options: dict[str, object] = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": cascade.capitalize(),
    }
    if force or grace_period >= 0:
        options["gracePeriodSeconds"] = 0 if force else grace_period
    refusals = Refusals(ignored=("NotFound",) if ignore_not_found else ())
    deleted: list[tuple[Doomed, str]] = []
    for each in doomed:
        with refusals.noted():
            answer = api.call("DELETE", each.path, body=options)
            click.echo(f"{each.words} deleted")
            uid = answer.get("metadata", {}).get("uid") or (answer.get("details") or {}).get("uid", "")
            deleted.append((each, uid))
    if not doomed:
        click.echo("No resources found.", err=True)
    deadline = time.monotonic() + timeout if timeout else None
    for each, uid in deleted if wait else ():
        _wait_gone(api, each, uid, deadline)
    refusals.finish()


def _by_manifest(api: Api, filenames: tuple[str, ...]) -> list[Doomed]:
    """In the reverse of the files' order: what came last leans on what came first."""
    places = [place(api, manifest, named=True) for manifest in read(filenames)]
    return [Doomed(_words(at.resource, at.name), at.path) for at in reversed(places)]


def _by_name(api: Api, what: tuple[str, ...], selector: str, *, everything: bool) -> list[Doomed]:
    doomed = []
    for target in parse(api, what, selector=selector):
        names = list(target.names)
        if names and everything:
            raise Failure("name objects, or say --all, not both")
        if not names:
            if not (selector or everything):
                raise Failure("resource(s) were provided, but no name, label selector, or --all flag specified")
            query = {"labelSelector": selector} if selector else {}
            items = api.call("GET", api.path(target.resource), query=query)["items"]
            names = [item["metadata"]["name"] for item in items]
        doomed += [Doomed(_words(target.resource, name), api.path(target.resource, name)) for name in names]
    return doomed


def _words(resource: Resource, name: str) -> str:
    return f'{resource.singular}{"." + resource.group if resource.group else ""} "{name}"'


def _wait_gone(api: Api, doomed: Doomed, uid: str, deadline: float | None) -> None:
    while True:
        try:
            found = api.call("GET", doomed.path)
        except ApiError as error:
            if error.reason == "NotFound":
                return
            raise
        if uid and found["metadata"]["uid"] != uid:
            return
        if deadline is not None and time.monotonic() > deadline:
            kept = ", ".join(found["metadata"].get("finalizers") or ())
            raise Failure(f"{doomed.words} is not gone in time{f'; its finalizers are {kept}' if kept else ''}")
        time.sleep(0.2)
