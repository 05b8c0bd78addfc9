"""Pods with scheduling gates wait until the last gate is removed."""

from __future__ import annotations

from ..view import Pod


class SchedulingGates:
    """Admits pods without gates."""

    name = "SchedulingGates"

    def admits(self, pod: Pod) -> bool:
        """Whether no gate is left."""
        return not pod.spec.scheduling_gates
