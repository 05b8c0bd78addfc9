"""How long a kubelet may use a Secret or ConfigMap before it asks again: longer, the more nodes ask.

Source: kube-controller-manager's ttl-controller.
"""

from __future__ import annotations

ANNOTATION = "node.alpha.kubernetes.io/ttl"
_STEPS = ((0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, None, 300))
"""From, to so many nodes: so many seconds. Steps overlap, so that a cluster at a border does not go to and fro."""


def step(before: int, nodes: int) -> int:
    """The step for so many nodes, coming from the step before; 0 is the first."""
    while (most := _STEPS[before][1]) is not None and nodes > most:
        before += 1
    while nodes < _STEPS[before][0]:
        before -= 1
    return before


def seconds(step: int) -> int:
    """What is annotated at a step."""
    return _STEPS[step][2]


def right(annotations: dict[str, str], *, wanted: int) -> bool:
    """Whether a node says that."""
    try:
        return int(annotations.get(ANNOTATION, "")) == wanted
    except ValueError:
        return False
