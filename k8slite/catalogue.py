"""Every resource of the API: one row each, from the data file `catalogue.tsv`.

Discovery, routing, RBAC names, tables and the CLI's short names all read this table; a kind that is not in it does not
exist, and a custom resource is a row added at run time.

The file's order means something: groups stand in the order in which Kubernetes prefers them, and a bare word such as
`events` finds the first. Versions of a group are ordered by their names: stable before beta before alpha, later first.

Source: Kubernetes API reference v1.37 (names, scopes, verbs) and its API group priorities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_VERSION = re.compile(r"^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$")
_SUBRESOURCE = re.compile(
    r"^(?P<name>\w+)(?:<(?:(?P<group>[\w.-]+)/)?(?P<version>\w+) (?P<kind>\w+)>)?\[(?P<verbs>[\w,]+)\]$"
)


@dataclass(frozen=True, slots=True)
class Subresource:
    """A path below an object, with the kind it speaks."""

    name: str
    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource in one version.

    `storage` is the (group, version, plural) under which its objects are stored: its own, unless another served version
    is the stored one. Objects of a resource stored elsewhere are converted on the way in and out.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...]
    verbs: tuple[str, ...]
    categories: tuple[str, ...]
    subresources: tuple[Subresource, ...]
    storage: tuple[str, str, str] = ("", "", "")
    list_kind: str = ""
    """The kind of its lists."""
    deprecation: str = ""
    """What users of this version are told, empty if it is not deprecated."""
    untold: tuple[str, ...] = ()
    """Verbs that discovery keeps quiet about: those that bring new content to what is about to go."""

    def __post_init__(self) -> None:
        if self.storage == ("", "", ""):
            object.__setattr__(self, "storage", self.key)
        if not self.list_kind:
            object.__setattr__(self, "list_kind", f"{self.kind}List")

    @property
    def key(self) -> tuple[str, str, str]:
        """(group, version, plural): what tells it from every other resource."""
        return (self.group, self.version, self.plural)

    @property
    def api_version(self) -> str:
        """`v1`, or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`pods`, or `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def path(self) -> str:
        """Where its group and version are served: `/api/v1`, or `/apis/apps/v1`."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def stored_as_itself(self) -> bool:
        """Whether stored documents already are of this version."""
        return self.storage == self.key

    def subresource(self, name: str) -> Subresource | None:
        """The subresource of that name."""
        return next((s for s in self.subresources if s.name == name), None)


class Catalogue:
    """The rows that are served, indexed by path and by kind.

    `generation` rises with each change, so that what was derived from the rows knows when it is stale.
    """

    def __init__(self, rows: tuple[Resource, ...] = ()) -> None:
        self.generation = 0
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str, str], Resource] = {}
        for row in rows:
            self.add(row)

    def by_path(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource behind a URL."""
        return self._by_path.get((group, version, plural))

    def by_kind(self, group: str, version: str, kind: str) -> Resource | None:
        """The resource of an object."""
        return self._by_kind.get((group, version, kind))

    def __iter__(self) -> Iterator[Resource]:
        return iter(tuple(self._by_path.values()))

    def __len__(self) -> int:
        return len(self._by_path)

    def add(self, resource: Resource) -> None:
        """Serve a resource; one of the same path is replaced."""
        self._by_path[resource.key] = resource
        self._by_kind[(resource.group, resource.version, resource.kind)] = resource
        self.generation += 1

    def remove(self, resource: Resource) -> None:
        """Serve it no longer; nothing happens if it was not served."""
        if self._by_path.pop(resource.key, None) is not None:
            self._by_kind.pop((resource.group, resource.version, resource.kind), None)
            self.generation += 1

    def groups(self) -> dict[str, list[str]]:
        """Each group's versions, the preferred one first; groups in order of preference."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._by_path:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        for versions in found.values():
            versions.sort(key=version_rank)
        return found

    def preferred_version(self, group: str) -> str | None:
        """The version that clients are told to use."""
        return min((version for known, version, _ in self._by_path if known == group), key=version_rank, default=None)

    def stored(self, resource: Resource) -> Resource:
        """The resource whose version its objects are stored in; itself as a rule."""
        return self._by_path.get(resource.storage, resource)

    def of(self, group: str, version: str) -> list[Resource]:
        """The resources of one group and version."""
        return [r for r in self._by_path.values() if r.group == group and r.version == version]

    def category(self, name: str) -> list[Resource]:
        """The resources of a category such as `all`, each in its preferred version."""
        return [r for r in self._by_path.values() if name in r.categories and self._is_preferred(r)]

    def resolve(self, word: str) -> Resource | None:
        """What a user means by `pods`, `pod`, `po`, `Pod`, `deployments.apps` or `deployments.v1.apps`."""
        name, _, rest = word.partition(".")
        version, _, group = rest.partition(".")
        lowered = name.lower()
        for resource in self._by_path.values():
            if lowered not in (resource.plural, resource.singular, *resource.short_names, resource.kind.lower()):
                continue
            if not rest:
                if self._is_preferred(resource):
                    return resource
            elif (rest == resource.group and self._is_preferred(resource)) or (version, group) == resource.key[1::-1]:
                return resource
        return None

    def _is_preferred(self, resource: Resource) -> bool:
        """Whether no version of its group that ranks before has the same resource."""
        same = (key[1] for key in self._by_path if (key[0], key[2]) == (resource.group, resource.plural))
        return min(same, key=version_rank) == resource.version


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Sorts versions as Kubernetes does: v2, v1, v2beta1, v1beta2, v1alpha1, then other names by the alphabet."""
    found = _VERSION.fullmatch(version)
    if not found:
        return (3, 0, 0, version)
    major, stage, minor = found.groups()
    return ({None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0), "")


def builtin() -> Catalogue:
    """The built-in resources that are served by default (GA, and what Kubernetes v1.37 turns on)."""
    return Catalogue(_builtin_rows())


@cache
def _builtin_rows() -> tuple[Resource, ...]:
    text = resources.files("k8slite").joinpath("catalogue.tsv").read_text(encoding="utf-8")
    return tuple(_row(line) for line in text.splitlines()[1:])


def _row(line: str) -> Resource:
    group, version, plural, kind, scope, short_names, verbs, subresources, categories, stored_as = line.split("\t")
    group = _group(group)
    own_verbs = ALL_VERBS if verbs == "all" else _listed(verbs)
    stored_group, stored_version, stored_plural = (group, version, plural) if stored_as == "-" else stored_as.split("/")
    return Resource(
        group=group,
        version=version,
        plural=plural,
        singular=kind.lower(),
        kind=kind,
        namespaced=scope == "namespace",
        short_names=_listed(short_names),
        verbs=own_verbs,
        categories=_listed(categories),
        subresources=tuple(
            _subresource(text, group, version, kind)
            for text in (subresources.split(";") if subresources != "-" else ())
        ),
        storage=(_group(stored_group), stored_version, stored_plural),
    )


def _subresource(text: str, group: str, version: str, kind: str) -> Subresource:
    found = _SUBRESOURCE.match(text)
    if found is None:
        raise ValueError(f"catalogue.tsv: cannot read the subresource {text!r}")
    verbs = tuple(found["verbs"].split(","))
    if found["kind"]:
        return Subresource(found["name"], found["group"] or "", found["version"], found["kind"], verbs)
    return Subresource(found["name"], group, version, kind, verbs)


def _group(text: str) -> str:
    return "" if text == "core" else text


def _listed(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))
