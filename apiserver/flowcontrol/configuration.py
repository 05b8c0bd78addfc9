"""The objects of flow control as they are now, read into values: levels by name, schemas in their order. Pure.

Without its mandatory objects the server behaves as if they were there. A schema whose level is missing has no part.

Source: Kubernetes' apiserver, util/flowcontrol/apf_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import matching, objects
from .allocation import Shares
from .levels import Config

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that classification and limits come from."""

    levels: Mapping[str, Config]
    schemas: tuple[matching.Schema, ...]


def read(levels: Iterable[Document], schemas: Iterable[Document]) -> Configuration:
    """The configuration that these objects make."""
    known = {level.name: level for level in map(_level, levels)}
    for document in objects.PRIORITY_LEVELS:
        if (name := document["metadata"]["name"]) in objects.MANDATORY and name not in known:
            known[name] = _level(document)
    found = {schema.name: schema for schema in map(matching.read, schemas) if schema.level in known}
    for document in objects.FLOW_SCHEMAS:
        if (name := document["metadata"]["name"]) in objects.MANDATORY and name not in found:
            found[name] = matching.read(document)
    return Configuration(known, matching.ordered(found.values()))


def _level(document: Document) -> Config:
    metadata, spec = document["metadata"], document.get("spec") or {}
    name, uid = metadata["name"], metadata.get("uid") or ""
    if spec.get("type") == "Exempt":
        exempt = spec.get("exempt") or {}
        return Config(name, uid, _shares(exempt, exempt=True))
    limited = spec.get("limited") or {}
    queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
    return Config(
        name,
        uid,
        _shares(limited),
        queues=queuing.get("queues") or 0,
        hand=queuing.get("handSize") or 0,
        length=queuing.get("queueLengthLimit") or 0,
    )


def _shares(spec: Document, *, exempt: bool = False) -> Shares:
    return Shares(
        shares=spec.get("nominalConcurrencyShares") or 0,
        lendable=spec.get("lendablePercent") or 0,
        borrowing=spec.get("borrowingLimitPercent"),
        exempt=exempt,
    )
