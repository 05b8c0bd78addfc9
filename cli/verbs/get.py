"""`k8slite get`: objects as the server's table, or whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from k8slite.catalogue import Resource

from ..api import TABLE, Api
from ..failure import Failure, Refusals
from ..options import connects, selector
from ..printers import columns, whole
from ..targets import Target, named, parse
from .watch import watch as follow

Found = tuple[Resource, dict[str, Any]]


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
@click.option("--ignore-not-found", is_flag=True, help="An absent object is no error.")
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
    ignore_not_found: bool,
) -> None:
    """Show objects: `get pods`, `get deploy/front -o yaml`, `get all`."""
    query = {"labelSelector": selector, "fieldSelector": field_selector}
    query = {key: value for key, value in query.items() if value}
    targets = parse(api, what, selector=selector or field_selector)
    if all_namespaces and any(target.names for target in targets):
        raise Failure("a resource cannot be retrieved by name across all namespaces")
    reading = _Reading(api, query, all_namespaces, Refusals(ignored=("NotFound",) if ignore_not_found else ()))
    style = Style(wide=output == "wide", labels=show_labels, headers=not no_headers, namespaces=all_namespaces)
    if watch:
        _watch(reading, targets, output, style)
    elif output in ("json", "yaml", "name"):
        _print_whole(reading.objects(targets), targets, output)
    else:
        _print_tables(reading, targets, style)
    reading.refusals.finish()


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read, and what was refused of it."""

    api: Api
    query: dict[str, str]
    everywhere: bool
    refusals: Refusals

    def path(self, target: Target, name: str = "") -> str:
        return self.api.path(target.resource, name, everywhere=self.everywhere)

    def objects(self, targets: Sequence[Target]) -> list[Found]:
        """Every object, whole."""
        found: list[Found] = []
        for target in targets:
            kind = {"apiVersion": target.resource.api_version, "kind": target.resource.kind}
            for name in target.names:
                with self.refusals.noted():
                    found.append((target.resource, self.api.call("GET", self.path(target, name))))
            if not target.names:
                listing = self.api.call("GET", self.path(target), query=self.query)
                found += [(target.resource, kind | item) for item in listing["items"]]
        return found

    def table(self, target: Target) -> dict[str, Any]:
        """One table of all the target's objects; without columns if every name was refused."""
        query = self.query | {"includeObject": "Metadata"}
        if not target.names:
            answer: dict[str, Any] = self.api.call("GET", self.path(target), query=query, accept=TABLE)
            return answer
        table: dict[str, Any] = {"columnDefinitions": [], "rows": []}
        for name in target.names:
            with self.refusals.noted():
                one = self.api.call("GET", self.path(target, name), query=query, accept=TABLE)
                table = one | {"rows": [*table["rows"], *(one.get("rows") or ())]}
        return table


def _print_whole(found: list[Found], targets: Sequence[Target], output: str) -> None:
    if output == "name":
        for resource, item in found:
            click.echo(named(resource, item["metadata"]["name"]))
        return
    single = len(targets) == 1 and len(targets[0].names) == 1
    if single and not found:
        return
    documents = [item for _, item in found]
    listing = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": documents}
    click.echo((whole.as_json if output == "json" else whole.as_yaml)(documents[0] if single else listing))


def _print_tables(reading: _Reading, targets: Sequence[Target], style: Style) -> None:
    shown = 0
    for target in targets:
        text = style.render(reading.table(target), prefix=target.resource if len(targets) > 1 else None)
        if text:
            click.echo(("\n" if shown else "") + text)
            shown += 1
    if not shown and not any(target.names for target in targets):
        everywhere = reading.everywhere or not any(target.resource.namespaced for target in targets)
        scope = "" if everywhere else f" in {reading.api.namespace} namespace"
        click.echo(f"No resources found{scope}.", err=True)


@dataclass(slots=True)
class Style:
    """Which columns of a server's table are shown, and how. Rows rendered later line up with earlier ones."""

    wide: bool
    labels: bool
    headers: bool
    namespaces: bool
    _table: columns.Table = field(default_factory=columns.Table)

    def render(self, table: dict[str, Any], *, prefix: Resource | None = None, more: bool = False) -> str:
        """The whole table as text, empty without rows; `more` are further rows of the same table.

        `prefix` puts the type before the name, as `get all` does.
        """
        definitions = table["columnDefinitions"]
        rows = [self._row(row, definitions, prefix) for row in table.get("rows") or []]
        if not rows:
            return ""
        if not more:
            self._table = columns.Table()
        return self._table.render(self._header(definitions) if self.headers and not more else [], rows)

    def _header(self, definitions: list[dict[str, Any]]) -> list[str]:
        names = [c["name"].upper() for c in definitions if self.wide or c.get("priority", 0) == 0]
        return (["NAMESPACE"] if self.namespaces else []) + names + (["LABELS"] if self.labels else [])

    def _row(self, row: dict[str, Any], definitions: list[dict[str, Any]], prefix: Resource | None) -> list[str]:
        cells = [
            "<none>" if cell is None or cell == "" else str(cell)
            for cell, definition in zip(row["cells"], definitions, strict=True)
            if self.wide or definition.get("priority", 0) == 0
        ]
        metadata = row.get("object", {}).get("metadata", {})
        if prefix is not None:
            cells[0] = named(prefix, cells[0])
        if self.labels:
            labels = metadata.get("labels") or {}
            cells.append(",".join(f"{k}={v}" for k, v in sorted(labels.items())) or "<none>")
        return ([metadata.get("namespace", "")] if self.namespaces else []) + cells


def _watch(reading: _Reading, targets: Sequence[Target], output: str, style: Style) -> None:
    if len(targets) != 1 or len(targets[0].names) > 1:
        raise Failure("--watch takes one resource type, or one object")
    target = targets[0]
    query = reading.query | ({"fieldSelector": f"metadata.name={target.names[0]}"} if target.names else {})
    path = reading.api.path(target.resource, everywhere=reading.everywhere)
    if output in ("table", "wide"):
        for text in _rendered(follow(reading.api, path, query | {"includeObject": "Metadata"}, accept=TABLE), style):
            click.echo(text)
        return
    for index, found in enumerate(follow(reading.api, path, query)):
        kind = {"apiVersion": target.resource.api_version, "kind": target.resource.kind}
        if output == "yaml" and index:
            click.echo("---")
        _print_whole([(target.resource, kind | found)], [Target(target.resource, ("one",))], output)


def _rendered(tables: Iterator[dict[str, Any]], style: Style) -> Iterator[str]:
    """Each table's rows as text; the header comes with the first."""
    more = False
    definitions: list[dict[str, Any]] = []
    for table in tables:
        definitions = table.get("columnDefinitions") or definitions
        if text := style.render(table | {"columnDefinitions": definitions}, more=more):
            more = True
            yield text
