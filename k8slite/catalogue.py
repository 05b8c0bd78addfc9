"""Every resource of the API: one row each, from the data file `catalogue.tsv`.

Discovery, routing, RBAC names, tables and the CLI's short names all read this table; a kind that is not in it does not
exist, and a custom resource is a row added at run time.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    """One resource in one version."""

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

    @property
    def api_version(self) -> str:
        """`v1`, or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`pods`, or `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def subresource(self, name: str) -> Subresource | None:
        """The subresource of that name."""
        return next((s for s in self.subresources if s.name == name), None)


class Catalogue:
    """The rows that are served, indexed by path and by kind."""

    def by_path(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource behind a URL."""
        raise NotImplementedError

    def by_kind(self, group: str, version: str, kind: str) -> Resource | None:
        """The resource of an object."""
        raise NotImplementedError

    def __iter__(self) -> object:
        raise NotImplementedError


def builtin() -> Catalogue:
    """The built-in resources that are served by default (GA, and what Kubernetes v1.37 turns on)."""
    raise NotImplementedError
