"""Pods beside pods that they need or like, and away from those that they do not; in both directions, for a pod that is
on a node already may not want the newcomer.

Beside means on nodes with the same value of a label. Whom the newcomer's own terms select is counted by row
(`peers.py`); what the pods on nodes say is kept by distinct term (`standing.py`). Both are asked anew at each decision,
for what holds for a node depends on what is on others.

Source: Kubernetes documentation, "Inter-pod affinity and anti-affinity"; the InterPodAffinity plugin of Kubernetes for
the score and for what two or more terms mean together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from k8slite.errors import invalid_value

from ..arguments import Part, read, refuse
from ..change import Change, Event
from ..columns import Columns
from ..configuration.values import Flag, Int32
from ..framework import MAX_SCORE, Args, Handle, Scores
from ..groups import Kind
from ..labels import ABSENT, Mask
from ..namespaces import Namespaces
from ..places import Places
from ..shape import Shape
from ..standing import Rule, Standing, StandingTerms
from ..view import NAMESPACES, Namespace, Pod, affinity_of
from ..wanted import Wanted, WantedGroups
from .affinity_hints import Waiting, may_help

ALONE = "node(s) didn't match pod affinity rules"
CROWDED = "node(s) didn't match pod anti-affinity rules"
UNWELCOME = "node(s) didn't satisfy existing pods anti-affinity rules"


@dataclass(frozen=True, slots=True)
class _Met:
    """The standing terms that are about pods of a namespace with these labels; true as long as the versions are."""

    namespace: str
    labels: Mapping[str, str]
    versions: tuple[int, int]
    forbidding: list[Standing]
    judging: list[tuple[int, Standing]]


class InterPodAffinity:
    """Filters by required terms, scores by preferred ones."""

    name = "InterPodAffinity"
    cures = (
        Change.NODE_ADDED
        | Change.NODE_LABELS
        | Change.NODE_REMOVED
        | Change.POD_REMOVED
        | Change.PEERS
        | Change.NAMESPACE
    )
    weight = 2

    def __init__(
        self, columns: Columns, namespaces: Namespaces, *, hard_weight: int = 1, only_own_terms: bool = False
    ) -> None:
        """`hard_weight` is what required terms of placed pods count in scores.

        `only_own_terms` leaves pods alone that prefer nothing themselves.
        """
        self._standing = columns.of(StandingTerms)
        self._namespaces = namespaces
        self._hard_weight = hard_weight
        self._only_own_terms = only_own_terms
        self._wanted = WantedGroups(namespaces)
        self._last: _Met | None = None

    def concerns_pod(self, pod: Pod) -> bool:
        """Whether the pod must be beside or away from others, or others away from it."""
        affinity = affinity_of(pod)
        if affinity is not None and (affinity.required or affinity.forbidden):
            return True
        return bool(self._standing.strict) and bool(self._met(pod).forbidding)

    def filter_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Nodes that suit the pod's required terms, and those of the pods that are there."""
        mask = np.ones(rows.size, dtype=np.bool_)
        for _, suits in self._verdicts(pod, columns, rows):
            mask &= suits
        return mask

    def explain_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """The first of the three reasons for each node."""
        reasons: Counter[str] = Counter()
        undecided = np.ones(rows.size, dtype=np.bool_)
        for reason, suits in self._verdicts(pod, columns, rows):
            if number := int(np.count_nonzero(undecided & ~suits)):
                reasons[reason] = number
            undecided &= suits
        return reasons

    def alike(self, pod: Pod) -> Hashable:
        """Whom terms can select, and what its own terms say."""
        return pod.namespace, frozenset(pod.metadata.labels.items()), affinity_of(pod)

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Nodes without the company that the pod needs: nobody who leaves will bring it."""
        affinity = affinity_of(pod)
        if affinity is None or not affinity.required:
            return np.zeros(rows.size, dtype=np.bool_)
        return ~self._in_company(pod, self._wanted.of(affinity), Places(columns, rows))

    def concerned(self, pod: Pod, shape: Shape) -> bool:
        """Whether the pod prefers company or solitude, or pods that are there do."""
        affinity = affinity_of(pod)
        if affinity is not None and affinity.preferred:
            return True
        return not self._only_own_terms and bool(self._standing.mild) and bool(self._met(pod).judging)

    def compare(self, pod: Pod, shape: Shape, columns: Columns, feasible: Mask) -> Scores:
        """The weights of all terms that are met, between the least and the most of the feasible nodes."""
        places = Places(columns)
        totals: dict[str, Scores] = {}
        if affinity := affinity_of(pod):
            for weight, key, group in self._wanted.of(affinity).liked:
                totals[key] = totals.get(key, 0) + weight * places.of_group(key, group)
        for weight, standing in self._met(pod).judging:
            key = standing.term.key
            totals[key] = totals.get(key, 0) + weight * places.of_term(standing)
        raw = np.zeros(columns.capacity)
        for key, sums in totals.items():
            raw += sums.take(columns.labels.codes(key))
        return stretched(raw, feasible)

    def helps(self, pod: Pod, shape: Shape, event: Event, columns: Columns) -> bool:
        """Whether a pod, a node or a namespace is now one that the terms in the pod's way are about, or no more."""
        affinity = affinity_of(pod)
        required, forbidden = (affinity.required, affinity.forbidden) if affinity else ((), ())
        against = tuple(standing.term for standing in self._met(pod).forbidding)
        return may_help(Waiting(pod, required, forbidden, against), event, self._namespaces)

    def _verdicts(self, pod: Pod, columns: Columns, rows: npt.NDArray[np.intp]) -> Iterator[tuple[str, Mask]]:
        """Which of the rows suit, by the reason why others do not, in the order in which reasons are given."""
        places = Places(columns, rows)
        if affinity := affinity_of(pod):
            wanted = self._wanted.of(affinity)
            if wanted.beside is not None:
                yield ALONE, self._in_company(pod, wanted, places)
            if wanted.away:
                yield CROWDED, ~places.shared((key, places.of_group(key, group)) for key, group in wanted.away)
        if forbidding := self._met(pod).forbidding:
            yield UNWELCOME, ~places.shared((standing.term.key, places.of_term(standing)) for standing in forbidding)

    def _in_company(self, pod: Pod, wanted: Wanted, places: Places) -> Mask:
        """Rows with all labels, and one of the pods asked for at each; the first of its kind needs the labels only."""
        assert wanted.beside is not None
        sums = {key: places.of_group(key, wanted.beside) for key in wanted.keys}
        if not any(found.any() for found in sums.values()):
            if not wanted.beside.selects(Kind(pod.namespace, frozenset()), pod.metadata.labels):
                return places.none()
            for found in sums.values():
                found.fill(1)
                found[ABSENT] = 0
        suits = ~places.none()
        for key, found in sums.items():
            suits &= (found > 0).take(places.codes(key))
        return suits

    def _met(self, pod: Pod) -> _Met:
        """The standing terms about the pod: several questions in a row are about the same one, or one like it."""
        versions = self._standing.version, self._namespaces.version
        last, namespace, labels = self._last, pod.metadata.namespace, pod.metadata.labels
        if last is None or last.versions != versions or last.labels != labels or last.namespace != namespace:
            judging = self._standing.judging(pod, self._namespaces)
            weighed = [(self._hard_weight if s.rule is Rule.REQUIRED else s.weight, s) for s in judging]
            last = self._last = _Met(
                namespace,
                labels,
                versions,
                self._standing.forbidding(pod, self._namespaces),
                [(weight, standing) for weight, standing in weighed if weight],
            )
        return last


def stretched(raw: Scores, feasible: Mask) -> Scores:
    """Whole numbers as scores: the least of the feasible rows gets 0, the most 100; all 0 if they are the same."""
    found = raw.compress(feasible)
    least, most = (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)
    if least == most:
        return np.zeros_like(raw)
    scores: Scores = raw - least
    scores /= most - least
    scores *= MAX_SCORE
    return np.floor(scores, out=scores)


class InterPodAffinityArgs(Part):
    """What InterPodAffinity is told."""

    hard_pod_affinity_weight: Int32 = 1
    ignore_preferred_terms_of_existing_pods: Flag = False


def inter_pod_affinity(handle: Handle, args: Args) -> InterPodAffinity:
    """The plugin with its arguments. Raises BadArguments."""
    found = read(InterPodAffinityArgs, args)
    weight = found.hard_pod_affinity_weight
    if not 0 <= weight <= 100:
        refuse([invalid_value("hardPodAffinityWeight", weight, "not in valid range [0, 100]")])
    namespaces = Namespaces()

    def on_namespace(old: Namespace | None, new: Namespace | None) -> None:
        if namespaces.on_namespace(old, new):
            handle.changed(Event(Change.NAMESPACE, old=old, new=new))

    handle.informers.of(NAMESPACES).add_handler(on_namespace)
    only_own_terms = found.ignore_preferred_terms_of_existing_pods
    return InterPodAffinity(handle.columns, namespaces, hard_weight=weight, only_own_terms=only_own_terms)
