"""The labels of all namespaces, as far as selectors of namespaces go by them."""

from __future__ import annotations

from collections.abc import Mapping

from k8slite.kinds.base import Object
from k8slite.selectors import Requirement


class Namespaces:
    """Follows an informer of namespaces. `version` is another whenever a selector may select others than before."""

    def __init__(self) -> None:
        self.version = 0
        self._labels: dict[str, Mapping[str, str]] = {}
        self._selected: dict[tuple[Requirement, ...], frozenset[str]] = {}

    def on_namespace(self, old: Object | None, new: Object | None) -> bool:
        """A namespace came, changed or is gone; whether that matters to selectors."""
        if new is not None:
            if self._labels.get(new.name) == new.metadata.labels:
                return False
            self._labels[new.name] = new.metadata.labels
        elif old is None or self._labels.pop(old.name, None) is None:
            return False
        self._selected.clear()
        self.version += 1
        return True

    def labels_of(self, name: str) -> Mapping[str, str]:
        """The labels of a namespace; none if it is not known."""
        return self._labels.get(name, {})

    def selected(self, requirements: tuple[Requirement, ...]) -> frozenset[str]:
        """The namespaces that meet all requirements."""
        found = self._selected.get(requirements)
        if found is None:
            if len(self._selected) >= 1024:
                self._selected.clear()
            found = self._selected[requirements] = frozenset(
                name for name, labels in self._labels.items() if all(each.matches(labels) for each in requirements)
            )
        return found
