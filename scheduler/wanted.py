"""The groups of pods that a pod's own terms are about, as namespaces are labelled now."""

from __future__ import annotations

from dataclasses import dataclass

from k8slite.remembering import Recent

from .affinity import PodAffinity, PodTerm
from .groups import NOBODY, Group
from .namespaces import Namespaces

#: Affinities whose groups are remembered.
REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """The groups that a pod's own terms are about.

    One and the same pod must be what all required terms ask for: `beside` is their common group, None without any.
    """

    version: int
    beside: Group | None
    keys: tuple[str, ...]
    away: tuple[tuple[str, Group], ...]
    liked: tuple[tuple[int, str, Group], ...]


class WantedGroups:
    """The groups of each affinity, worked out once while namespaces stay as they are."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._known: Recent[PodAffinity, Wanted] = Recent(REMEMBERED)

    def of(self, affinity: PodAffinity) -> Wanted:
        """The groups of an affinity."""
        wanted = self._known.get(affinity)
        if wanted is None or wanted.version != self._namespaces.version:
            required = [self._group(term) for term in affinity.required]
            wanted = Wanted(
                self._namespaces.version,
                _common(required) if required else None,
                tuple(dict.fromkeys(term.key for term in affinity.required)),
                tuple((term.key, self._group(term)) for term in affinity.forbidden),
                tuple((weight, term.key, self._group(term)) for weight, term in affinity.preferred),
            )
            self._known.keep(affinity, wanted)
        return wanted

    def _group(self, term: PodTerm) -> Group:
        if term.requirements is None:
            return NOBODY
        return Group(term.where(self._namespaces), term.requirements, leaving=True)


def _common(groups: list[Group]) -> Group:
    """Those who are in all groups."""
    named = [group.namespaces for group in groups if group.namespaces is not None]
    requirements = dict.fromkeys(requirement for group in groups for requirement in group.requirements)
    return Group(frozenset.intersection(*named) if named else None, tuple(requirements), leaving=True)
