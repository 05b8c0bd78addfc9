"""What a pod says of other pods: beside which it must run, beside which it must not, and how much it would like either.

Thousands of pods say the same. `PodRules` is what the API has, read once for all pods whose text is the same, so that a
pod holds no more than a reference; `PodAffinity` is what that means for a pod of some namespace.

The keys of labels to be shared with others, or not (`matchLabelKeys`, `mismatchLabelKeys`), are not looked at: the API
server has written what they mean into the label selector.

Source: Kubernetes documentation, "Assigning Pods to Nodes"; the v1.PodAffinityTerm type for what is selected where.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any

import orjson
from pydantic import PlainSerializer, PlainValidator

from k8slite.remembering import Recent
from k8slite.selectors import Requirement, from_object

from .namespaces import Namespaces

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

#: Texts remembered, and the longest of them that is.
REMEMBERED, LONGEST = 2048, 4096


@dataclass(frozen=True, slots=True)
class PodTerm:
    """The pods in some namespaces that meet all requirements, and the node label that tells places apart.

    The namespaces are the named ones and those that `spaces` selects, which is all for no requirement and none for
    None. Requirements of None select no pod, none of them every pod.
    """

    key: str
    requirements: tuple[Requirement, ...] | None
    namespaces: frozenset[str] = frozenset()
    spaces: tuple[Requirement, ...] | None = None

    def of(self, namespace: str) -> PodTerm:
        """The term as a pod of this namespace means it."""
        return self if self.namespaces or self.spaces is not None else replace(self, namespaces=frozenset({namespace}))

    def where(self, namespaces: Namespaces) -> frozenset[str] | None:
        """The namespaces as they are now; None for all."""
        match self.spaces:
            case None:
                return self.namespaces
            case ():
                return None
            case spaces:
                return self.namespaces | namespaces.selected(spaces)

    def selects(self, namespace: str, labels: Mapping[str, str], namespaces: Namespaces) -> bool:
        """Whether the term is about a pod of a namespace with these labels."""
        if self.requirements is None or not all(requirement.matches(labels) for requirement in self.requirements):
            return False
        if namespace in self.namespaces or self.spaces == ():
            return True
        if self.spaces is None:
            return False
        about = namespaces.labels_of(namespace)
        return all(requirement.matches(about) for requirement in self.spaces)


@dataclass(frozen=True, slots=True)
class PodAffinity:
    """All that a pod says of others. Preferred terms have their weight; it is negative for pods to keep away from."""

    required: tuple[PodTerm, ...]
    forbidden: tuple[PodTerm, ...]
    preferred: tuple[tuple[int, PodTerm], ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work the hash out once: it is asked for each time that a pod comes or goes."""
        object.__setattr__(self, "_hash", hash((self.required, self.forbidden, self.preferred)))

    def __hash__(self) -> int:
        return self._hash


class PodRules:
    """`v1.PodAffinity` or `v1.PodAntiAffinity`; the same object for the same text, while it is remembered."""

    __slots__ = ("preferred", "required", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        found = orjson.loads(text)
        self.required = tuple(map(_term, found.get(_REQUIRED) or ()))
        self.preferred = tuple((item["weight"], _term(item["podAffinityTerm"])) for item in found.get(_PREFERRED) or ())

    @classmethod
    def read(cls, value: Any) -> PodRules:
        """The rules of a decoded document. Raises ValueError for what is none."""
        if isinstance(value, PodRules):
            return value
        text = orjson.dumps(value)
        known = _KNOWN.get(text)
        if known is None:
            try:
                known = cls(text)
            except (AttributeError, KeyError, TypeError) as error:
                raise ValueError(f"no rules about pods: {error}") from None
            if len(text) <= LONGEST:
                _KNOWN.keep(text, known)
        return known

    def to_wire(self) -> Any:
        """The document that it was read from."""
        return orjson.loads(self.text)


_KNOWN: Recent[bytes, PodRules] = Recent(REMEMBERED)
PodRulesField = Annotated[PodRules, PlainValidator(PodRules.read), PlainSerializer(PodRules.to_wire)]


def _term(found: Mapping[str, Any]) -> PodTerm:
    pods, spaces = from_object(found.get("labelSelector")), from_object(found.get("namespaceSelector"))
    return PodTerm(
        found["topologyKey"],
        None if pods is None else pods.requirements,
        frozenset(found.get("namespaces") or ()),
        None if spaces is None else spaces.requirements,
    )


@lru_cache(maxsize=4096)
def affinity_from(liked: PodRules | None, disliked: PodRules | None, *, namespace: str) -> PodAffinity | None:
    """What rules mean for the pods of a namespace; None if they say nothing."""
    required = tuple(term.of(namespace) for term in liked.required) if liked else ()
    forbidden = tuple(term.of(namespace) for term in disliked.required) if disliked else ()
    preferred = [(weight, term.of(namespace)) for weight, term in liked.preferred] if liked else []
    preferred += [(-weight, term.of(namespace)) for weight, term in disliked.preferred] if disliked else []
    return PodAffinity(required, forbidden, tuple(preferred)) if required or forbidden or preferred else None
