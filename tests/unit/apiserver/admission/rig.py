"""Plugins without a server: objects in dictionaries, and admissions of what a test names."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from k8slite import catalogue
from k8slite.apiserver.admission.base import Admission, Operation, Plugin
from k8slite.apiserver.admission.chain import Chain
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.strategies.base import Context

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALICE = User("alice", groups=("system:authenticated",))
Document = dict[str, Any]


@dataclass
class Entry:
    """One object, as the watch cache has it."""

    document: Document
    revision: int = 1

    @property
    def key(self) -> str:
        metadata = self.document["metadata"]
        return f"{metadata.get('namespace', '')}/{metadata['name']}"

    @property
    def labels(self) -> Mapping[str, str]:
        return self.document["metadata"].get("labels") or {}


@dataclass
class Rows:
    """The objects of one resource."""

    entries: list[Entry] = field(default_factory=list)
    changed: int = 0

    def add(self, *documents: Document) -> None:
        self.entries += [Entry(document) for document in documents]
        self.changed += 1

    def get(self, namespace: str, name: str) -> Entry | None:
        return next((entry for entry in self.select(namespace=namespace) if entry.key.endswith(f"/{name}")), None)

    def select(self, *, namespace: str = "", fields: object = None) -> Sequence[Entry]:
        return [e for e in self.entries if not namespace or e.document["metadata"].get("namespace") == namespace]


class Objects:
    """All objects."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Rows] = {}

    def resource(self, group: str, plural: str) -> Rows:
        return self.rows.setdefault((group, plural), Rows())


async def consistent() -> None:
    """Nothing lags here."""


def admission(
    plural: str,
    new: Document | None,
    *,
    old: Document | None = None,
    group: str = "",
    version: str = "v1",
    subresource: str = "",
    operation: Operation | None = None,
    user: User = ALICE,
    dry_run: bool = False,
) -> Admission:
    """A write: an update if there is an old object."""
    resource = catalogue.builtin().by_path(group, version, plural)
    assert resource is not None
    metadata = (new or old or {}).get("metadata") or {}
    namespace = metadata.get("namespace", "ns") if resource.namespaced else ""
    context = Context(user=user, now=NOW, namespace=namespace, dry_run=dry_run, lookup=lambda *_: None, warnings=[])
    operation = operation or ("UPDATE" if old is not None else "CREATE")
    name = metadata.get("name", "")
    return Admission(operation, resource, subresource, namespace, name, new, old, context)


async def admit(plugin: Plugin, written: Admission) -> Document:
    """What the plugin alone makes of a write. Raises ApiError."""
    chain = Chain([plugin])
    await chain.mutate(written)
    await chain.validate(written)
    assert written.object is not None
    return written.object


def pod(*containers: Document, metadata: Document | None = None, **spec: Any) -> Document:
    """A pod; its containers are called c0, c1 … unless they say otherwise."""
    named = [{"name": f"c{index}", "image": "i", **one} for index, one in enumerate(containers or ({},))]
    return {"metadata": {"name": "p", "namespace": "ns", **(metadata or {})}, "spec": {"containers": named, **spec}}


def resources(requests: Document | None = None, limits: Document | None = None) -> Document:
    """A container that asks for something."""
    asked = {"requests": requests or {}, "limits": limits or {}}
    return {"resources": {member: dict(values) for member, values in asked.items() if values}}


def changed(document: Document, **spec: Any) -> Document:
    """A copy with other members in its spec."""
    new = copy.deepcopy(document)
    new["spec"].update(spec)
    return new
