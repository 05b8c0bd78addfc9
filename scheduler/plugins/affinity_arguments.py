"""The arguments of NodeAffinity: node affinity that every pod of a profile has besides its own.

Source: Kubernetes reference, "kube-scheduler Configuration (v1)"; component-helpers, nodeaffinity, for what is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from k8slite import labels
from k8slite.errors import Cause, invalid_value, not_supported
from k8slite.kinds.core import NodeAffinity

from ..arguments import Part, read, refuse
from ..configuration.values import Int32, Text
from ..framework import Args

_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_FIELD_OPERATORS = ("In", "NotIn")


class NodeSelectorRequirement(Part):
    """A condition on a node's label or field."""

    key: Text = ""
    operator: Text = ""
    values: list[Text] = []


class NodeSelectorTerm(Part):
    """Conditions that must all hold."""

    match_expressions: list[NodeSelectorRequirement] = []
    match_fields: list[NodeSelectorRequirement] = []


class NodeSelector(Part):
    """Terms of which one must hold."""

    node_selector_terms: list[NodeSelectorTerm] = []


class PreferredSchedulingTerm(Part):
    """A weighted wish; without a weight it says nothing."""

    weight: Int32 = 0
    preference: NodeSelectorTerm = NodeSelectorTerm()


class AddedAffinity(Part):
    """Which nodes pods need and like."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: list[PreferredSchedulingTerm] = []


class NodeAffinityArgs(Part):
    """What NodeAffinity is told."""

    added_affinity: AddedAffinity = AddedAffinity()


def affinity_arguments(args: Args) -> NodeAffinity:
    """Read NodeAffinityArgs. Raises BadArguments."""
    found = read(NodeAffinityArgs, args).added_affinity
    refuse(_affinity(found, "addedAffinity"))
    return NodeAffinity.model_validate(found.to_wire())


def _affinity(affinity: AddedAffinity, field: str) -> Iterator[Cause]:
    required = affinity.required_during_scheduling_ignored_during_execution
    if required is not None:
        path = f"{field}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        for index, term in enumerate(required.node_selector_terms):
            yield from _term(term, f"{path}[{index}]")
    for index, wish in enumerate(affinity.preferred_during_scheduling_ignored_during_execution):
        if wish.weight:
            yield from _term(wish.preference, f"{field}.preferredDuringSchedulingIgnoredDuringExecution[{index}]")


def _term(term: NodeSelectorTerm, field: str) -> Iterator[Cause]:
    for index, requirement in enumerate(term.match_expressions):
        path = f"{field}.matchExpressions[{index}]"
        if requirement.operator not in _OPERATORS:
            yield not_supported(f"{path}.operator", requirement.operator, _OPERATORS, in_order=True)
        else:
            yield from _expression(requirement, path)
    for index, requirement in enumerate(term.match_fields):
        path = f"{field}.matchFields[{index}]"
        if requirement.operator not in _FIELD_OPERATORS:
            yield not_supported(f"{path}.operator", requirement.operator, _FIELD_OPERATORS, in_order=True)
        elif len(requirement.values) != 1:
            yield invalid_value(f"{path}.values", requirement.values, "must have one element")


def _expression(requirement: NodeSelectorRequirement, field: str) -> Iterator[Cause]:
    if problems := labels.key_problems(requirement.key):
        yield invalid_value(f"{field}.key", requirement.key, "; ".join(problems))
    values = requirement.values
    match requirement.operator:
        case "In" | "NotIn" if not values:
            yield invalid_value(f"{field}.values", values, "for 'in', 'notin' operators, values set can't be empty")
        case "Exists" | "DoesNotExist" if values:
            yield invalid_value(f"{field}.values", values, "values set must be empty for exists and does not exist")
        case "Gt" | "Lt" if len(values) != 1:
            yield invalid_value(f"{field}.values", values, "for 'Gt', 'Lt' operators, exactly one value is required")
        case "Gt" | "Lt" if not _is_number(values[0]):
            problem = "for 'Gt', 'Lt' operators, the value must be an integer"
            yield invalid_value(f"{field}.values[0]", values[0], problem)
    yield from _values(values, requirement.key, f"{field}.values")


def _values(values: Sequence[str], key: str, field: str) -> Iterator[Cause]:
    for index, value in enumerate(values):
        if problems := labels.value_problems(value):
            yield invalid_value(f"{field}[{index}][{key}]", value, "; ".join(problems))


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[0-9]{1,62}", text)) and -(1 << 63) <= int(text) < 1 << 63
