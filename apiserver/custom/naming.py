"""Who has which names: within a group, a name belongs to the definition that had it accepted first.

Source: Kubernetes' apiextensions-apiserver, controller/status/naming_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Naming:
    """What becomes of the names that a definition asks for. `reason` is empty if it gets them all."""

    accepted: Document
    reason: str = ""
    message: str = ""


def decide(document: Document, others: Iterable[Document]) -> Naming:
    """Give a definition the names that no other of its group has; `others` are the names accepted of those."""
    wanted = requested(document)
    had: Document = (document.get("status") or {}).get("acceptedNames") or {}
    resources: set[str] = set()
    kinds: set[str] = set()
    for names in others:
        resources.update(filter(None, (names.get("plural"), names.get("singular"), *(names.get("shortNames") or ()))))
        kinds.update(filter(None, (names.get("kind"), names.get("listKind"))))
    accepted = {name: value for name, value in had.items() if name != "categories"}
    reason = message = ""
    for name, taken, conflict in (
        ("plural", resources, "PluralConflict"),
        ("singular", resources, "SingularConflict"),
        ("shortNames", resources, "ShortNamesConflict"),
        ("kind", kinds, "KindConflict"),
        ("listKind", kinds, "ListKindConflict"),
    ):
        value = wanted.get(name)
        mine = had.get(name) or ()
        asked = [each for each in value or () if each not in mine] if name == "shortNames" else [value]
        clashes = [each for each in asked if each in taken and each != had.get(name)]
        if clashes:
            problems = [f'"{each}" is already in use' for each in clashes]
            reason = conflict
            message = problems[0] if len(problems) == 1 else "[" + ", ".join(problems) + "]"
        elif value:
            accepted[name] = value
        else:
            accepted.pop(name, None)
    if wanted.get("categories"):
        accepted["categories"] = wanted["categories"]
    return Naming({name: accepted[name] for name in _ORDER if name in accepted}, reason, message)


_ORDER = ("plural", "singular", "shortNames", "kind", "listKind", "categories")


def requested(document: Document) -> Document:
    """The names that a definition asks for, with those that follow from others."""
    names: Document = document["spec"]["names"]
    wanted = {name: names[name] for name in _ORDER if names.get(name)}
    wanted.setdefault("singular", names["kind"].lower())
    wanted.setdefault("listKind", names["kind"] + "List")
    return wanted
