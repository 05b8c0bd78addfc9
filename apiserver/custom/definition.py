"""What a CustomResourceDefinition says, read once into values.

Source: Kubernetes API reference, CustomResourceDefinition (apiextensions.k8s.io/v1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from k8slite.catalogue import ALL_VERBS, Resource, Subresource, version_rank

Document = dict[str, Any]
GROUP, PLURAL = "apiextensions.k8s.io", "customresourcedefinitions"
_SUBMITTING = ("create", "patch", "update")
_SUBRESOURCE_VERBS = ("get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Version:
    """One version: its schema as the document has it, and what is served in it."""

    name: str
    served: bool
    storage: bool
    schema: Mapping[str, Any]
    status: bool
    scale: Mapping[str, str] | None
    columns: tuple[Mapping[str, Any], ...]
    selectable: tuple[str, ...]
    warning: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A custom resource: its names are the accepted ones."""

    name: str
    uid: str
    group: str
    namespaced: bool
    names: Mapping[str, Any]
    versions: tuple[Version, ...]
    conversion: Mapping[str, Any]
    terminating: bool

    @property
    def plural(self) -> str:
        """Its plural."""
        return str(self.names["plural"])

    @property
    def stored(self) -> Version:
        """The version that is stored."""
        return next(version for version in self.versions if version.storage)

    def resource(self, version: Version) -> Resource:
        """A version's row in the catalogue."""
        kind = str(self.names["kind"])
        subresources = []
        if version.status:
            subresources.append(Subresource("status", self.group, version.name, kind, _SUBRESOURCE_VERBS))
        if version.scale is not None:
            subresources.append(Subresource("scale", "autoscaling", "v1", "Scale", _SUBRESOURCE_VERBS))
        return Resource(
            group=self.group,
            version=version.name,
            plural=self.plural,
            singular=str(self.names.get("singular") or kind.lower()),
            kind=kind,
            namespaced=self.namespaced,
            short_names=tuple(self.names.get("shortNames") or ()),
            verbs=ALL_VERBS,
            categories=tuple(self.names.get("categories") or ()),
            subresources=tuple(subresources),
            storage=(self.group, self.stored.name, self.plural),
            list_kind=str(self.names.get("listKind") or f"{kind}List"),
            deprecation=version.warning,
            untold=_SUBMITTING if self.terminating else (),
        )


def read(document: Document, names: Mapping[str, Any]) -> Definition:
    """The definition in a document, with these names."""
    spec = document["spec"]
    return Definition(
        name=document["metadata"]["name"],
        uid=document["metadata"].get("uid") or "",
        group=spec["group"],
        namespaced=spec.get("scope") == "Namespaced",
        names=names,
        versions=tuple(_version(each, spec) for each in spec["versions"]),
        conversion=spec.get("conversion") or {"strategy": "None"},
        terminating=bool(document["metadata"].get("deletionTimestamp")) or is_true(document, "Terminating"),
    )


def condition(document: Document, name: str) -> Document | None:
    """The condition of a type; None if there is none."""
    conditions = (document.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == name), None)


def is_true(document: Document, name: str) -> bool:
    """Whether a condition holds."""
    return (condition(document, name) or {}).get("status") == "True"


def _version(raw: Document, spec: Document) -> Version:
    subresources = raw.get("subresources") or {}
    return Version(
        name=raw["name"],
        served=bool(raw.get("served")),
        storage=bool(raw.get("storage")),
        schema=(raw.get("schema") or {}).get("openAPIV3Schema") or {"x-kubernetes-preserve-unknown-fields": True},
        status=subresources.get("status") is not None,
        scale=subresources.get("scale"),
        columns=tuple(raw.get("additionalPrinterColumns") or ()),
        selectable=tuple(each["jsonPath"] for each in raw.get("selectableFields") or ()),
        warning=_warning(raw, spec),
    )


def _warning(raw: Document, spec: Document) -> str:
    """What users of a deprecated version are told: the definition's own words, or these."""
    if not raw.get("deprecated"):
        return ""
    if raw.get("deprecationWarning") is not None:
        return str(raw["deprecationWarning"])
    kind, group = spec["names"]["kind"], spec["group"]
    better = [
        each["name"]
        for each in spec["versions"]
        if each.get("served") and not each.get("deprecated") and version_rank(each["name"]) < version_rank(raw["name"])
    ]
    text = f"{group}/{raw['name']} {kind} is deprecated"
    return f"{text}; use {group}/{min(better, key=version_rank)} {kind}" if better else text
