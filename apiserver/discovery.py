"""Discovery: which groups, versions and resources there are, as documents under `/api` and `/apis`.

Each document is a pure function of the catalogue, made when first asked for and kept until the catalogue changes. It
carries an ETag, so that a client that has it already is answered with 304.

Source: Kubernetes documentation, "API concepts: discovery"; kinds of meta.k8s.io/v1 and apidiscovery.k8s.io/v2.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson

from k8slite.catalogue import Catalogue, Resource, Subresource
from k8slite.remembering import remembered

Document = dict[str, Any]
AggregatedVersion = Literal["v2", "v2beta1"]
_AGGREGATED = "apidiscovery.k8s.io"
AGGREGATED_TYPES = ",".join(
    f"application/json;g={_AGGREGATED};v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")
)
"""What a client of aggregated discovery accepts."""
_STORED_VERBS = frozenset({"list", "watch"})


@dataclass(frozen=True, slots=True)
class DiscoveryAnswer:
    """A whole answer. `etag` goes out as it is, in quotes; a 304 has no body. Answers vary by Accept."""

    status: int
    content_type: str
    etag: str
    body: bytes


class AnswerCache:
    """Answers that are made once and kept while `generation` stands still.

    An answer that is made in a thread meanwhile is kept with those of the generation that it was begun in.
    """

    def __init__(self, generation: Callable[[], int]) -> None:
        self._generation = generation
        self._kept: tuple[int, dict[str, DiscoveryAnswer]] = (-1, {})

    def answer(self, key: str, if_none_match: str, make: Callable[[], tuple[str, Document | bytes]]) -> DiscoveryAnswer:
        """The answer under that key, made if need be; 304 if the client's ETag still holds."""
        generation = self._generation()
        kept = self._kept
        if generation != kept[0]:
            kept = self._kept = (generation, {})
        found = kept[1].get(key)
        if found is None:
            content_type, document = make()
            body = document if isinstance(document, bytes) else orjson.dumps(document)
            etag = '"' + hashlib.sha256(content_type.encode() + body).hexdigest().upper() + '"'
            found = kept[1][key] = DiscoveryAnswer(200, content_type, etag, body)
        if found.etag in if_none_match:
            return DiscoveryAnswer(304, found.content_type, found.etag, b"")
        return found


class Others(Protocol):
    """What other servers serve behind this one's address."""

    @property
    def generation(self) -> int:
        """Rises whenever anything of it differs."""
        ...

    def groups(self, local: dict[str, list[str]]) -> dict[str, list[str]]:
        """Our groups with their versions, and among them those of other servers."""
        ...

    def entry(self, group: str, version: str) -> Document | None:
        """The entry of aggregated discovery for a version that another server serves, None for one of ours."""
        ...


class Alone:
    """There are no other servers."""

    generation = 0

    def groups(self, local: dict[str, list[str]]) -> dict[str, list[str]]:
        """Our groups."""
        return local

    def entry(self, group: str, version: str) -> Document | None:
        """Everything is ours."""
        return None


class Discovery:
    """Answers every discovery path from the catalogue. `server_address` is what `/api` tells clients, `host:port`."""

    def __init__(self, catalogue: Catalogue, *, server_address: str = "", others: Others | None = None) -> None:
        self._catalogue = catalogue
        self._server_address = server_address
        self._others = others = others or Alone()
        self._cache = AnswerCache(lambda: catalogue.generation + others.generation)

    def answer(self, path: str, accept: str, if_none_match: str) -> DiscoveryAnswer | None:
        """The document at a path; None if there is none. A trailing slash does not matter."""
        path = path.rstrip("/")
        parts = path.split("/")[1:]
        if parts in (["api"], ["apis"]) and (version := aggregated_version(accept)):
            core = parts == ["api"]
            content_type = f"application/json;g={_AGGREGATED};v={version};as=APIGroupDiscoveryList"
            return self._cache.answer(
                f"{path} {version}",
                if_none_match,
                lambda: (content_type, aggregated(self._catalogue, version=version, core=core, others=self._others)),
            )
        make = self._maker(parts)
        if make is None:
            return None
        return self._cache.answer(path, if_none_match, lambda: ("application/json", make()))

    def is_long(self, path: str) -> bool:
        """All of them are short."""
        return False

    def _maker(self, parts: list[str]) -> Callable[[], Document] | None:
        groups = self._others.groups(self._catalogue.groups())
        match parts:
            case ["api"]:
                return lambda: api_versions(groups.get("", []), self._server_address)
            case ["apis"]:
                return lambda: group_list({name: versions for name, versions in groups.items() if name})
            case ["apis", group] if group and group in groups:
                return lambda: {"kind": "APIGroup", "apiVersion": "v1", **group_facts(group, groups[group])}
            case ["api", version] if version in groups.get("", []):
                return lambda: resource_list(self._catalogue, "", version)
            case ["apis", group, version] if group and version in groups.get(group, []):
                return lambda: resource_list(self._catalogue, group, version)
        return None


@remembered(256)
def aggregated_version(accept: str) -> AggregatedVersion | None:
    """The first version of aggregated discovery that a client accepts before anything else that can be given."""
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        options = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        if media not in ("application/json", "application/*", "*/*"):
            continue
        if options.get("as") == "APIGroupDiscoveryList" and options.get("g") == _AGGREGATED:
            if options.get("v") == "v2":
                return "v2"
            if options.get("v") == "v2beta1":
                return "v2beta1"
        elif "as" not in options:
            return None
    return None


def api_versions(versions: list[str], server_address: str) -> Document:
    """`/api`."""
    return {
        "kind": "APIVersions",
        "versions": versions,
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    }


def group_list(groups: dict[str, list[str]]) -> Document:
    """`/apis`."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [group_facts(name, versions) for name, versions in groups.items()],
    }


def group_facts(group: str, versions: list[str]) -> Document:
    """One group as `/apis` lists it."""
    listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def resource_list(catalogue: Catalogue, group: str, version: str) -> Document:
    """`/api/v1` and `/apis/<group>/<version>`: resources and, as rows of their own, their subresources."""
    rows: list[Document] = []
    for resource in sorted(catalogue.of(group, version), key=lambda each: each.plural):
        rows.append(_resource_row(resource))
        rows.extend(
            _subresource_row(resource, each) for each in sorted(resource.subresources, key=lambda each: each.name)
        )
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": rows}


def _resource_row(resource: Resource) -> Document:
    row: Document = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _told(resource),
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    if resource.categories:
        row["categories"] = list(resource.categories)
    if _STORED_VERBS & set(resource.verbs):
        row["storageVersionHash"] = _storage_version_hash(resource)
    return row


def _told(resource: Resource) -> list[str]:
    return sorted(set(resource.verbs) - set(resource.untold))


def _subresource_row(resource: Resource, subresource: Subresource) -> Document:
    row: Document = {
        "name": f"{resource.plural}/{subresource.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
    }
    if (subresource.group, subresource.version) != (resource.group, resource.version):
        row.update(group=subresource.group, version=subresource.version)
    return {**row, "kind": subresource.kind, "verbs": sorted(subresource.verbs)}


def _storage_version_hash(resource: Resource) -> str:
    """Tells clients when a resource's stored form changes; the same text that Kubernetes gives."""
    group, version, _ = resource.storage
    digest = hashlib.sha256(f"{group}/{version}/{resource.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def aggregated(
    catalogue: Catalogue, *, version: AggregatedVersion, core: bool, others: Others | None = None
) -> Document:
    """Everything at once: `/api` has the core group, `/apis` all the others."""
    others = others or Alone()
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"{_AGGREGATED}/{version}",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
                "versions": [others.entry(group, served) or _version(catalogue, group, served) for served in versions],
            }
            for group, versions in others.groups(catalogue.groups()).items()
            if (group == "") is core
        ],
    }


def _version(catalogue: Catalogue, group: str, version: str) -> Document:
    resources = sorted(catalogue.of(group, version), key=lambda each: each.plural)
    return {
        "version": version,
        "resources": [_aggregated_row(each) for each in resources],
        "freshness": "Current",
    }


def _aggregated_row(resource: Resource) -> Document:
    row: Document = {
        "resource": resource.plural,
        "responseKind": _kind(resource),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": _told(resource),
    }
    if resource.short_names:
        row["shortNames"] = list(resource.short_names)
    if resource.categories:
        row["categories"] = list(resource.categories)
    if resource.subresources:
        row["subresources"] = [
            {"subresource": each.name, "responseKind": _kind(each), "verbs": sorted(each.verbs)}
            for each in sorted(resource.subresources, key=lambda each: each.name)
        ]
    return row


def _kind(subject: Resource | Subresource) -> Document:
    return {"group": subject.group, "version": subject.version, "kind": subject.kind}
