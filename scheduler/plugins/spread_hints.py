"""What may let a pod fit that its own constraints kept from every node: pods of its groups, and the nodes they are on.

Source: the queueing hints of Kubernetes' PodTopologySpread plugin; here a pod on its way out is gone for the counts,
and a node also counts otherwise when labels change that the pod chooses its nodes by.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..change import Change, Event
from ..groups import Group
from ..peers import kind_of
from ..view import Node, Pod

_NODES = Change.NODE_ADDED | Change.NODE_LABELS | Change.NODE_TAINTS | Change.NODE_REMOVED
_PODS = Change.POD_REMOVED | Change.PEERS

Asked = Sequence[tuple[str, Group]]
"""Label and group of each hard constraint."""


def may_help(asked: Asked, event: Event) -> bool:
    """Whether the pod might fit after the event."""
    if event.change & _NODES and _node_helps(asked, event):
        return True
    return bool(event.change & _PODS) and _pod_helps(asked, event)


def _node_helps(asked: Asked, event: Event) -> bool:
    old, new = event.old, event.new
    before, after = _complete(asked, old), _complete(asked, new)
    if before != after:
        return True
    if not (isinstance(old, Node) and isinstance(new, Node) and after):
        return False
    return old.metadata.labels != new.metadata.labels or old.spec.taints != new.spec.taints


def _complete(asked: Asked, node: object) -> bool:
    """Whether the node has all labels, so that its pods count."""
    return isinstance(node, Node) and all(key in node.metadata.labels for key, _ in asked)


def _pod_helps(asked: Asked, event: Event) -> bool:
    old = event.old if isinstance(event.old, Pod) else None
    new = event.new if isinstance(event.new, Pod) else None
    if old is None and new is None:
        return True
    moved = bool(event.change & Change.POD_REMOVED)
    return any(_is_of(group, new) != _is_of(group, old) or (moved and _is_of(group, old)) for _, group in asked)


def _is_of(group: Group, pod: Pod | None) -> bool:
    if pod is None:
        return False
    kind = kind_of(pod)
    return group.selects(kind, dict(kind.labels))
