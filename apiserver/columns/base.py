"""What a column is, and the words that many columns share.

A column is a name and a pure function of a document and the time. Wide columns (`priority` 1) are always sent; kubectl
shows them with `-o wide`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from k8slite.durations import since

Document = dict[str, Any]
Cell = str | int | float | bool | None
Read = Callable[[Document, datetime], Cell]
NONE = "<none>"
UNSET = "<unset>"
UNKNOWN = "<unknown>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `type` and `format` are OpenAPI's words."""

    name: str
    read: Read
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""

    def definition(self) -> Document:
        """The column's definition in a Table."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


def at(document: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path; `default` where the way ends early or holds null."""
    for name in path.split("."):
        if not isinstance(document, dict):
            return default
        document = document.get(name)
        if document is None:
            return default
    return document


def text(name: str, path: str, *, default: str = "", wide: bool = False) -> Column:
    """A column that shows a string as it is; `default` stands for an empty one."""
    return Column(name, lambda document, _: at(document, path, "") or default, priority=int(wide))


def integer(name: str, path: str, *, default: int = 0, type: str = "integer") -> Column:
    """A column that shows a number. Some are declared as strings."""
    return Column(name, lambda document, _: at(document, path, default), type=type)


def count(name: str, *paths: str, type: str = "string") -> Column:
    """A column that counts the members of lists or maps."""
    return Column(name, lambda document, _: sum(len(at(document, path, ())) for path in paths), type=type)


def age(name: str, path: str, *, default: str = UNKNOWN) -> Column:
    """A column that says how long ago a moment was."""
    return Column(name, lambda document, now: since(at(document, path), now) if at(document, path) else default)


def computed(name: str, read: Callable[[Document], Cell], *, wide: bool = False, type: str = "string") -> Column:
    """A column whose cells do not depend on the time."""
    return Column(name, lambda document, _: read(document), type=type, priority=int(wide))


NAME = Column("Name", lambda document, _: at(document, "metadata.name", ""), format="name")
AGE = age("Age", "metadata.creationTimestamp")
CREATED_AT = Column("Created At", lambda document, _: at(document, "metadata.creationTimestamp", ""), type="date")


def labels(values: Mapping[str, str] | None) -> str:
    """A label map as text."""
    return ",".join(f"{key}={value}" for key, value in sorted((values or {}).items())) or NONE


def selector(value: Document | None) -> str:
    """A LabelSelector as text: `<none>` for one that selects everything."""
    if value is None:
        return NONE
    parts = {key: f"{key}={wanted}" for key, wanted in (value.get("matchLabels") or {}).items()}
    terms = sorted(parts.items())
    for expression in value.get("matchExpressions") or ():
        key, operator = expression.get("key", ""), expression.get("operator")
        listed = ",".join(sorted(expression.get("values") or ()))
        word = {
            "In": f"{key} in ({listed})",
            "NotIn": f"{key} notin ({listed})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }.get(operator, UNKNOWN)
        terms.append((key, word))
    return ",".join(word for _, word in sorted(terms, key=lambda term: term[0])) or NONE


def some(items: Iterable[str], *, limit: int = 3, empty: str = NONE) -> str:
    """The first few of a list, and how many more there are."""
    listed = list(items)
    if not listed:
        return empty
    shown = ",".join(listed[:limit])
    return f"{shown} + {len(listed) - limit} more..." if len(listed) > limit else shown


def flag(value: bool | None, *, unset: str = UNSET) -> str:
    """A boolean that may be left out, as text."""
    return unset if value is None else ("True" if value else "False")


def condition(document: Document, name: str) -> Document | None:
    """The status condition of a type."""
    return next((each for each in at(document, "status.conditions", ()) if each.get("type") == name), None)


def is_true(document: Document, name: str) -> bool:
    """Whether a status condition holds."""
    return (condition(document, name) or {}).get("status") == "True"


def container_columns(template: str, selector_path: str = "") -> tuple[Column, ...]:
    """The wide columns of everything that makes pods: containers, images and, with a path, the selector."""

    def names(document: Document) -> str:
        return ",".join(each.get("name", "") for each in at(document, f"{template}.spec.containers", ()))

    def images(document: Document) -> str:
        return ",".join(each.get("image", "") for each in at(document, f"{template}.spec.containers", ()))

    columns = (computed("Containers", names, wide=True), computed("Images", images, wide=True))
    if not selector_path:
        return columns
    return (*columns, computed("Selector", lambda document: selector(at(document, selector_path)), wide=True))
