"""Pods with scheduling gates wait until the last gate is removed."""

from __future__ import annotations

from ..change import Change
from ..view import Pod


class SchedulingGates:
    """Admits pods without gates."""

    name = "SchedulingGates"
    cures = Change.NOTHING
    """Nothing but a change of the pod itself, at which it is asked again anyway."""

    def admits(self, pod: Pod) -> bool:
        """Whether no gate is left."""
        return not pod.spec.scheduling_gates
