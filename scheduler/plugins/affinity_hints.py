"""What may let a pod fit that other pods kept from a node: who came, who went, and which nodes and namespaces changed.

Source: the queueing hints of Kubernetes' InterPodAffinity plugin; those who went are asked here, too, whether they were
the last company that kept the first pod of a kind from founding its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from k8slite.kinds.base import Object

from ..affinity import PodTerm
from ..change import Change, Event
from ..namespaces import Namespaces
from ..view import Node, Pod, affinity_of

_NODES = Change.NODE_ADDED | Change.NODE_LABELS | Change.NODE_REMOVED
_PODS = Change.POD_REMOVED | Change.PEERS


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod that fits nowhere, its own strict terms, and those of pods on nodes that are `against` it."""

    pod: Pod
    required: tuple[PodTerm, ...]
    forbidden: tuple[PodTerm, ...]
    against: tuple[PodTerm, ...]


def may_help(waiting: Waiting, event: Event, namespaces: Namespaces) -> bool:
    """Whether the pod might fit after the event."""
    if event.change & Change.NAMESPACE:
        return _namespace_helps(waiting, event.old, event.new)
    if event.change & _NODES and _node_helps(waiting, _labels(event.old), _labels(event.new)):
        return True
    return bool(event.change & _PODS) and _pod_helps(waiting, event, namespaces)


def _labels(node: Object | None) -> Mapping[str, str] | None:
    return node.metadata.labels if isinstance(node, Node) else None


def _node_helps(waiting: Waiting, old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> bool:
    needed = [term.key for term in waiting.required]
    if old is None and new is not None:
        # Another node is another chance; it is beside somebody only if it has a label that company is sought by.
        return not needed or any(key in new for key in needed)
    before, after = old or {}, new or {}
    keys = (*needed, *(term.key for term in (*waiting.forbidden, *waiting.against)))
    return any(before.get(key) != after.get(key) for key in keys)


def _pod_helps(waiting: Waiting, event: Event, namespaces: Namespaces) -> bool:
    old = event.old if isinstance(event.old, Pod) else None
    new = event.new if isinstance(event.new, Pod) else None
    if old is None and new is None:
        return True
    came, went = _is_company(waiting, new, namespaces), _is_company(waiting, old, namespaces)
    if event.change & Change.POD_REMOVED or old is None:
        # It came, went or moved: where it is, and where it was, is another story.
        return came or (went and _founds(waiting, namespaces)) or _left(waiting, old, namespaces)
    if came and not went:
        return True
    if went and not came and _founds(waiting, namespaces):
        return True
    return any(_selects(term, old, namespaces) and not _selects(term, new, namespaces) for term in waiting.forbidden)


def _is_company(waiting: Waiting, pod: Pod | None, namespaces: Namespaces) -> bool:
    return pod is not None and bool(waiting.required) and _all(waiting.required, pod, namespaces)


def _founds(waiting: Waiting, namespaces: Namespaces) -> bool:
    """Whether the pod may go anywhere if nobody else is what it asks for."""
    return _all(waiting.required, waiting.pod, namespaces)


def _left(waiting: Waiting, old: Pod | None, namespaces: Namespaces) -> bool:
    """Whether a pod was in the way, by the terms of the one or of the other."""
    if old is None:
        return False
    if any(_selects(term, old, namespaces) for term in waiting.forbidden):
        return True
    affinity = affinity_of(old)
    return affinity is not None and any(_selects(term, waiting.pod, namespaces) for term in affinity.forbidden)


def _namespace_helps(waiting: Waiting, old: Object | None, new: Object | None) -> bool:
    """Selectors of namespaces that now say otherwise of this one; terms against the pod are about its own."""
    known = new or old
    if known is None:
        return True
    if known.name == waiting.pod.namespace:
        return True

    def selected(term: PodTerm, namespace: Object | None) -> bool:
        return namespace is not None and all(each.matches(namespace.metadata.labels) for each in term.spaces or ())

    own = (term for term in (*waiting.required, *waiting.forbidden) if term.spaces)
    return any(selected(term, old) != selected(term, new) for term in own)


def _all(terms: Iterable[PodTerm], pod: Pod, namespaces: Namespaces) -> bool:
    return all(_selects(term, pod, namespaces) for term in terms)


def _selects(term: PodTerm, pod: Pod | None, namespaces: Namespaces) -> bool:
    return pod is not None and term.selects(pod.namespace, pod.metadata.labels, namespaces)
