"""`k8slite get`: objects as the server's table, or whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click
import orjson
import yaml

from k8slite.catalogue import Resource

from ..api import TABLE, Api
from ..failure import Failure
from ..options import connects, selector
from ..printers import columns
from ..targets import Target, parse


@click.command()
@click.argument("what", nargs=-1, required=True)
@click.option("-A", "--all-namespaces", is_flag=True, help="In every namespace.")
@selector
@click.option("--field-selector", default="", help="Fields, as status.phase=Running.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "json", "yaml", "name"]),
    default="table",
    help="table, wide, json, yaml or name.",
)
@click.option("-w", "--watch", is_flag=True, help="Go on with changes.")
@click.option("--show-labels", is_flag=True, help="A last column with the labels.")
@click.option("--no-headers", is_flag=True, help="Rows only.")
@connects
def get(
    api: Api,
    *,
    what: tuple[str, ...],
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    output: str,
    watch: bool,
    show_labels: bool,
    no_headers: bool,
) -> None:
    """Show objects: `get pods`, `get deploy/front -o yaml`, `get all`."""
    query = {"labelSelector": selector, "fieldSelector": field_selector}
    query = {key: value for key, value in query.items() if value}
    targets = parse(api, what)
    if output in ("json", "yaml", "name"):
        _print_whole(list(_objects(api, targets, query, everywhere=all_namespaces)), targets, output)
        return
    style = _Style(wide=output == "wide", labels=show_labels, headers=not no_headers, namespaces=all_namespaces)
    if watch:
        _watch(api, targets, query, style)
        return
    shown = 0
    for target in targets:
        for table in _tables(api, target, query, everywhere=all_namespaces):
            text = style.render(table, prefix=target.resource if len(targets) > 1 else None)
            if text:
                click.echo(("\n" if shown else "") + text)
                shown += 1
    if not shown:
        scope = "" if all_namespaces or not targets[0].resource.namespaced else f" in {api.namespace} namespace"
        click.echo(f"No resources found{scope}", err=True)


def _objects(
    api: Api, targets: Sequence[Target], query: dict[str, str], *, everywhere: bool
) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for target in targets:
        for name in target.names:
            yield target.resource, api.call("GET", api.path(target.resource, name))
        if not target.names:
            listing = api.call("GET", api.path(target.resource, all_namespaces=everywhere), query=query)
            for item in listing["items"]:
                yield target.resource, {"apiVersion": target.resource.api_version, "kind": target.resource.kind} | item


def _print_whole(found: list[tuple[Resource, dict[str, Any]]], targets: Sequence[Target], output: str) -> None:
    if output == "name":
        for resource, item in found:
            group = f".{resource.group}" if resource.group else ""
            click.echo(f"{resource.singular}{group}/{item['metadata']['name']}")
        return
    single = len(targets) == 1 and len(targets[0].names) == 1
    whole = found[0][1] if single else {"apiVersion": "v1", "kind": "List", "items": [item for _, item in found]}
    text = json.dumps(whole, indent=2) if output == "json" else yaml.safe_dump(whole, sort_keys=False)
    click.echo(text.rstrip())


def _tables(api: Api, target: Target, query: dict[str, str], *, everywhere: bool) -> Iterator[dict[str, Any]]:
    query = query | {"includeObject": "Metadata"}
    for name in target.names:
        yield api.call("GET", api.path(target.resource, name), query=query, accept=TABLE)
    if not target.names:
        yield api.call("GET", api.path(target.resource, all_namespaces=everywhere), query=query, accept=TABLE)


class _Style:
    """Which columns of a server's table are shown, and how."""

    def __init__(self, *, wide: bool, labels: bool, headers: bool, namespaces: bool) -> None:
        self._wide, self._labels, self._headers, self._namespaces = wide, labels, headers, namespaces

    def header(self, table: dict[str, Any]) -> list[str]:
        """The names of the shown columns."""
        names = [c["name"].upper() for c in table["columnDefinitions"] if self._wide or c.get("priority", 0) == 0]
        return (["NAMESPACE"] if self._namespaces else []) + names + (["LABELS"] if self._labels else [])

    def rows(self, table: dict[str, Any], prefix: Resource | None = None) -> list[list[str]]:
        """The shown cells of every row; `prefix` puts the type before the name, as `get all` does."""
        return [self._row(row, table["columnDefinitions"], prefix) for row in table.get("rows") or []]

    def _row(self, row: dict[str, Any], definitions: list[dict[str, Any]], prefix: Resource | None) -> list[str]:
        cells = [
            "<none>" if cell is None or cell == "" else str(cell)
            for cell, definition in zip(row["cells"], definitions, strict=True)
            if self._wide or definition.get("priority", 0) == 0
        ]
        metadata = row.get("object", {}).get("metadata", {})
        if prefix is not None:
            group = f".{prefix.group}" if prefix.group else ""
            cells[0] = f"{prefix.singular}{group}/{cells[0]}"
        if self._labels:
            labels = metadata.get("labels") or {}
            cells.append(",".join(f"{k}={v}" for k, v in sorted(labels.items())) or "<none>")
        return ([metadata.get("namespace", "")] if self._namespaces else []) + cells

    def render(self, table: dict[str, Any], prefix: Resource | None = None) -> str:
        """The whole table as text; empty without rows."""
        rows = self.rows(table, prefix)
        return columns.render(self.header(table) if self._headers else [], rows) if rows else ""


def _watch(api: Api, targets: Sequence[Target], query: dict[str, str], style: _Style) -> None:
    if len(targets) != 1 or len(targets[0].names) > 1:
        raise Failure("--watch takes one resource type, or one object")
    target = targets[0]
    if target.names:
        query = query | {"fieldSelector": f"metadata.name={target.names[0]}"}
    table = api.call("GET", api.path(target.resource), query=query | {"includeObject": "Metadata"}, accept=TABLE)
    if text := style.render(table):
        click.echo(text)
    revision = table["metadata"].get("resourceVersion", "")
    query = query | {"watch": "true", "resourceVersion": revision, "includeObject": "Metadata"}
    for event in events(api.lines(api.path(target.resource), query=query, accept=TABLE)):
        if event["type"] == "ERROR":
            raise Failure(str(event["object"].get("message")))
        change = event["object"]
        change["columnDefinitions"] = change.get("columnDefinitions") or table["columnDefinitions"]
        click.echo(columns.render([], style.rows(change)))


def events(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON documents of a watch, one a line."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (orjson.loads(line) for line in lines if line)
