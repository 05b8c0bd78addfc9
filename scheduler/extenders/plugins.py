"""The answers of extenders as plugins of every profile, so that a decision takes them like any other's.

`Opinions` holds what was answered about pods that are being decided. Where there is none, these plugins say nothing:
a decision without an opinion finds the nodes that extenders are then asked about.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..columns import Columns
from ..framework import Scores
from ..labels import Mask
from ..profile import ANYTHING, Profile
from ..shape import Shape
from ..view import Pod
from . import wire
from .consultation import Opinion
from .extender import Extender, ExtenderError

log = logging.getLogger(__name__)

NAME = "Extender"


class Opinions:
    """What extenders said of pods, by UID, while a decision is made."""

    def __init__(self) -> None:
        self._held: dict[str, Opinion] = {}

    @contextmanager
    def held(self, pod: Pod, opinion: Opinion) -> Iterator[None]:
        """Within the block, decisions about the pod know of it."""
        self._held[pod.uid] = opinion
        try:
            yield
        finally:
            del self._held[pod.uid]

    def of(self, pod: Pod) -> Opinion | None:
        """What is held of a pod."""
        return self._held.get(pod.uid)


class ExtenderFilter:
    """Filters by what extenders allow. It is no matter of pods on nodes, so preemption is not told of it."""

    name = NAME
    cures = ANYTHING

    def __init__(self, opinions: Opinions) -> None:
        self._opinions = opinions

    def concerns_pod(self, pod: Pod) -> bool:
        """Whether extenders were asked."""
        return self._opinions.of(pod) is not None

    def filter_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """The nodes that were allowed; one that came since was not asked about."""
        opinion = self._opinions.of(pod)
        allowed = opinion.allowed if opinion else frozenset[str]()
        found = (columns.names[row] in allowed for row in rows.tolist())
        return np.fromiter(found, dtype=np.bool_, count=rows.size)

    def explain_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """The extenders' reasons."""
        opinion = self._opinions.of(pod)
        reasons = opinion.reasons if opinion else {}
        return Counter(reason for row in rows.tolist() if (reason := reasons.get(columns.names[row])))


class ExtenderScore:
    """Adds what extenders gave, weighted already."""

    name = NAME
    weight = 1

    def __init__(self, opinions: Opinions) -> None:
        self._opinions = opinions

    def concerned(self, pod: Pod, shape: Shape) -> bool:
        """Whether an extender gave scores."""
        opinion = self._opinions.of(pod)
        return opinion is not None and bool(opinion.scores)

    def compare(self, pod: Pod, shape: Shape, columns: Columns, feasible: Mask) -> Scores:
        """The sums by row."""
        found = np.zeros(columns.capacity)
        opinion = self._opinions.of(pod)
        for name, score in (opinion.scores if opinion else {}).items():
            row = columns.rows.get(name)
            if row is not None:
                found[row] = score
        return found


class ExtenderBinder:
    """Leaves binding to the extender that binds, if there is one for the pod."""

    name = NAME

    def __init__(self, extenders: Sequence[Extender]) -> None:
        self._extenders = [extender for extender in extenders if extender.bind_verb]

    async def bind(self, pod: Pod, node: str) -> bool:
        """Whether an extender bound the pod. Raises ExtenderError."""
        for extender in self._extenders:
            if not extender.concerns(pod):
                continue
            body = wire.binding(name=pod.name, namespace=pod.namespace, uid=pod.uid, node=node)
            try:
                wire.raise_error(await extender.ask(extender.bind_verb, body))
            except ExtenderError as error:
                if extender.ignorable:
                    log.info("extender %s is left out of binding, as it may be: %s", extender.url, error)
                    continue
                raise
            return True
        return False


def extended(profile: Profile, extenders: Sequence[Extender], opinions: Opinions) -> Profile:
    """The profile with the extenders' say."""
    return replace(
        profile,
        pod_filter=(*profile.pod_filter, ExtenderFilter(opinions)),
        compare=(*profile.compare, ExtenderScore(opinions)),
        bind=(ExtenderBinder(extenders), *profile.bind),
        cures={**profile.cures, NAME: ANYTHING},
    )
