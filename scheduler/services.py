"""Which Services select a pod: pods behind one Service are replicas of each other, also without an owner."""

from __future__ import annotations

from collections.abc import Mapping

from k8slite.selectors import Requirement

from .view import Pod, Service


class Services:
    """The selectors of all Services, by their first label, so that a pod is compared only with likely ones."""

    def __init__(self) -> None:
        self._with: dict[tuple[str, str, str], dict[str, Mapping[str, str]]] = {}

    def on_service(self, old: Service | None, new: Service | None) -> None:
        """A Service changed."""
        if old is not None and old.spec.selector:
            pair = _first(old)
            del self._with[pair][old.name]
            if not self._with[pair]:
                del self._with[pair]
        if new is not None and new.spec.selector:
            self._with.setdefault(_first(new), {})[new.name] = new.spec.selector

    def selecting(self, pod: Pod) -> tuple[Requirement, ...]:
        """What the selectors of all Services that select the pod ask for together; empty if none selects it."""
        labels = pod.metadata.labels
        wanted: dict[str, str] = {}
        for key, value in labels.items():
            for selector in self._with.get((pod.namespace, key, value), {}).values():
                if selector.items() <= labels.items():
                    wanted |= selector
        return tuple(Requirement(key, "In", frozenset({value})) for key, value in sorted(wanted.items()))


def _first(service: Service) -> tuple[str, str, str]:
    key, value = min(service.spec.selector.items())
    return service.namespace, key, value
