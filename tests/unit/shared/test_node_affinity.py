"""Which nodes a term selects, and which taints a toleration covers."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.kinds.placement import NodeSelectorTerm, Toleration
from k8slite.node_affinity import term_of
from k8slite.tolerations import covers


def label(operator: str, *values: str, key: str = "disk") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("term", "labels", "selected"),
    [
        ({}, {}, False),
        ({"matchExpressions": [], "matchFields": []}, {"disk": "ssd"}, False),
        (label("In", "ssd", "nvme"), {"disk": "nvme"}, True),
        (label("In", "ssd"), {}, False),
        (label("NotIn", "ssd"), {}, True),
        (label("NotIn", "ssd"), {"disk": "ssd"}, False),
        (label("Exists"), {"disk": ""}, True),
        (label("DoesNotExist"), {"disk": ""}, False),
        (label("Gt", "3"), {"disk": "4"}, True),
        (label("Gt", "3"), {"disk": "many"}, False),
        (label("Lt", "3"), {"disk": "4"}, False),
        ({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}, {}, True),
        ({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}]}, {}, False),
        ({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]} | label("Exists"), {}, False),
    ],
)
def test_a_term_selects_nodes(term: dict[str, Any], labels: dict[str, str], selected: bool) -> None:
    assert term_of(NodeSelectorTerm.model_validate(term)).matches(labels, name="n1") is selected


@pytest.mark.parametrize(
    ("toleration", "covered"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "cpu", "operator": "Exists"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "value": "4"}, True),
        ({"key": "gpu", "operator": "", "value": "4"}, True),
        ({"key": "gpu", "value": "5"}, False),
        ({"value": "4"}, True),
        ({"key": "gpu", "operator": "Lt", "value": "5"}, True),
        ({"key": "gpu", "operator": "Gt", "value": "5"}, False),
        ({"key": "gpu", "operator": "Gt", "value": "03"}, False),
        ({"key": "gpu", "operator": "Nonsense", "value": "4"}, False),
    ],
)
def test_a_toleration_covers_a_taint(toleration: dict[str, str], covered: bool) -> None:
    read = Toleration.model_validate(toleration)
    assert covers(read, key="gpu", value="4", effect="NoSchedule") is covered
