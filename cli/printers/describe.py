"""An object told to people: names first, then spec and status as indented words, conditions and events as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from k8slite.durations import human_duration

from . import columns

HIDDEN = {"managedFields", "resourceVersion", "uid", "generation", "selfLink"}
WIDTH = 24
#: Fields whose keys are the user's own words.
MAPS = {
    "Labels",
    "Match Labels",
    "Annotations",
    "Data",
    "Node Selector",
    "Limits",
    "Requests",
    "Capacity",
    "Allocatable",
}


def describe(document: Mapping[str, Any], events: Sequence[Mapping[str, Any]], *, now: datetime) -> str:
    """The whole text."""
    metadata = document["metadata"]
    lines = [_line("Name", metadata["name"])]
    if namespace := metadata.get("namespace"):
        lines.append(_line("Namespace", namespace))
    lines.append(_line("Created", metadata.get("creationTimestamp", "")))
    lines += _mapping("Labels", metadata.get("labels"))
    lines += _mapping("Annotations", _shown(metadata.get("annotations")))
    if owner := next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None):
        lines.append(_line("Controlled By", f"{owner['kind']}/{owner['name']}"))
    if deletion := metadata.get("deletionTimestamp"):
        lines.append(_line("Status", f"Terminating (since {deletion})"))
    for section, value in document.items():
        if section not in ("apiVersion", "kind", "metadata"):
            lines += _value(_title(section), _hidden(document, section, value), indent=0)
    return "\n".join([*lines, *_events(events, now)])


def _shown(annotations: Mapping[str, str] | None) -> dict[str, str]:
    return {k: v for k, v in (annotations or {}).items() if not k.endswith("last-applied-configuration")}


def _hidden(document: Mapping[str, Any], section: str, value: Any) -> Any:
    """A Secret's data is told by its size."""
    if document.get("kind") == "Secret" and section == "data" and isinstance(value, dict):
        from base64 import b64decode

        return {key: f"{len(b64decode(text))} bytes" for key, text in value.items()}
    return value


def _title(name: str) -> str:
    words = "".join(f" {c}" if c.isupper() and not name[max(0, i - 1)].isupper() else c for i, c in enumerate(name))
    return words[:1].upper() + words[1:]


def _line(label: str, value: Any, indent: int = 0) -> str:
    return f"{'  ' * indent}{label + ':':{max(1, WIDTH - 2 * indent)}} {value}".rstrip()


def _mapping(label: str, pairs: Mapping[str, str] | None) -> Iterator[str]:
    items = [f"{key}={value}" for key, value in sorted((pairs or {}).items())] or ["<none>"]
    yield _line(label, items[0])
    for item in items[1:]:
        yield " " * (WIDTH + 1) + item


def _value(label: str, value: Any, *, indent: int) -> Iterator[str]:
    match value:
        case dict() if value:
            yield f"{'  ' * indent}{label}:"
            for key, inner in value.items():
                yield from _value(key if label in MAPS else _title(key), inner, indent=indent + 1)
        case list() if label == "Conditions" and value:
            yield f"{'  ' * indent}{label}:"
            rows = [[c.get("type", ""), c.get("status", ""), c.get("reason", ""), c.get("message", "")] for c in value]
            table = columns.render(["Type", "Status", "Reason", "Message"], rows, colour=False)
            yield from (f"{'  ' * (indent + 1)}{line}" for line in table.splitlines())
        case list() if value and all(isinstance(item, dict) for item in value):
            yield f"{'  ' * indent}{label}:"
            for item in value:
                yield from _item(item, indent=indent + 1)
        case list():
            yield _line(label, ", ".join(map(str, value)) or "<none>", indent)
        case str() if "\n" in value:
            yield f"{'  ' * indent}{label}:"
            yield from (f"{'  ' * (indent + 1)}{line}" for line in value.splitlines())
        case bool():
            yield _line(label, "true" if value else "false", indent)
        case dict() | None:
            yield _line(label, "<none>", indent)
        case _:
            yield _line(label, value, indent)


def _item(item: Mapping[str, Any], *, indent: int) -> Iterator[str]:
    """One of a list of objects: under its name, or behind a dash."""
    if isinstance(name := item.get("name"), str):
        rest = {key: value for key, value in item.items() if key != "name"}
        yield from _value(name, rest, indent=indent)
        return
    inner = [line for key, value in item.items() for line in _value(_title(key), value, indent=indent + 1)]
    yield f"{'  ' * indent}- {inner[0].strip()}" if inner else f"{'  ' * indent}-"
    yield from inner[1:]


def _events(events: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    if not events:
        return [_line("Events", "<none>")]
    ordered = sorted(events, key=lambda event: event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])
    rows = [
        [
            e.get("type", ""),
            e.get("reason", ""),
            _age(e, now),
            (e.get("source") or {}).get("component", ""),
            e.get("message", ""),
        ]
        for e in ordered
    ]
    table = columns.render(["Type", "Reason", "Age", "From", "Message"], rows, colour=False)
    return ["Events:", *(f"  {line}" for line in table.splitlines())]


def _age(event: Mapping[str, Any], now: datetime) -> str:
    text = event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
    age = human_duration(now - datetime.fromisoformat(text))
    return f"{age} (x{event['count']})" if event.get("count", 1) > 1 else age
