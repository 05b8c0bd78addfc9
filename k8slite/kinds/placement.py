"""Where a pod may run: tolerations, taints, affinity."""

from __future__ import annotations

from datetime import datetime

from .base import Model


class Toleration(Model):
    """A taint that the pod puts up with."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class NodeSelectorRequirement(Model):
    """A condition on a node's label or field."""

    key: str
    operator: str
    values: list[str] = []


class NodeSelectorTerm(Model):
    """Conditions that must all hold."""

    match_expressions: list[NodeSelectorRequirement] = []
    match_fields: list[NodeSelectorRequirement] = []


class NodeSelector(Model):
    """Terms of which one must hold."""

    node_selector_terms: list[NodeSelectorTerm] = []


class PreferredSchedulingTerm(Model):
    """A weighted wish."""

    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(Model):
    """Which nodes a pod needs and likes."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: list[PreferredSchedulingTerm] = []


class Affinity(Model):
    """Affinities that k8slite reads."""

    node_affinity: NodeAffinity | None = None


class Taint(Model):
    """What keeps pods off a node."""

    key: str
    value: str = ""
    effect: str
    time_added: datetime | None = None
