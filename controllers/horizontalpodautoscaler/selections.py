"""Which pods each autoscaler's workload has, kept in step as pods come and go, and who else has them.

Looking through all pods of a namespace for each autoscaler every two seconds would be most of the work.

Source: pkg/controller/util/selectors (BiMultimap), which upstream asks the same of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from k8slite.kinds.base import split_key
from k8slite.selectors import LabelSelector

from ..pods import Pod


@dataclass(slots=True)
class _Selection:
    selector: LabelSelector
    pods: set[str] = field(default_factory=set)


class Selections:
    """By the key of each autoscaler: the keys of the pods that its selector selects."""

    def __init__(self) -> None:
        self._selections: dict[str, dict[str, _Selection]] = defaultdict(dict)
        """By namespace and autoscaler."""
        self._holders: dict[str, set[str]] = defaultdict(set)
        """By pod: the autoscalers that select it."""

    def knows(self, autoscaler: str, selector: LabelSelector) -> bool:
        """Whether the autoscaler has been registered with that selector."""
        found = self._selections[split_key(autoscaler)[0]].get(autoscaler)
        return found is not None and found.selector == selector

    def register(self, autoscaler: str, selector: LabelSelector, pods: Iterable[Pod]) -> None:
        """An autoscaler has this selector from now on. `pods` are all of its namespace."""
        self.forget(autoscaler)
        selection = self._selections[split_key(autoscaler)[0]][autoscaler] = _Selection(selector)
        for pod in pods:
            if selector.matches(pod.metadata.labels):
                selection.pods.add(pod.key)
                self._holders[pod.key].add(autoscaler)

    def forget(self, autoscaler: str) -> None:
        """The autoscaler is gone."""
        namespace = split_key(autoscaler)[0]
        selection = self._selections[namespace].pop(autoscaler, None)
        for pod in selection.pods if selection is not None else ():
            self._release(pod, autoscaler)
        if not self._selections[namespace]:
            del self._selections[namespace]

    def pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """A pod came, went, or has other labels."""
        pod = new or old
        assert pod is not None  # an informer tells of something
        selections = self._selections.get(pod.namespace)
        if not selections or (old is not None and new is not None and old.metadata.labels == new.metadata.labels):
            return
        for autoscaler, selection in selections.items():
            if new is not None and selection.selector.matches(new.metadata.labels):
                selection.pods.add(pod.key)
                self._holders[pod.key].add(autoscaler)
            elif pod.key in selection.pods:
                selection.pods.discard(pod.key)
                self._release(pod.key, autoscaler)

    def _release(self, pod: str, autoscaler: str) -> None:
        holders = self._holders[pod]
        holders.discard(autoscaler)
        if not holders:
            del self._holders[pod]

    def pods(self, autoscaler: str) -> Sequence[str]:
        """The keys of its pods, in order."""
        found = self._selections[split_key(autoscaler)[0]].get(autoscaler)
        return sorted(found.pods) if found is not None else []

    def holders(self, pods: Iterable[str]) -> Sequence[str]:
        """The autoscalers that select any of these pods, in order."""
        return sorted({autoscaler for pod in pods for autoscaler in self._holders.get(pod, ())})

    def held(self, namespace: str) -> int:
        """How many pods the autoscalers of a namespace have together; 0 if there are not several."""
        selections = self._selections.get(namespace, {})
        return sum(len(one.pods) for one in selections.values()) if len(selections) > 1 else 0
