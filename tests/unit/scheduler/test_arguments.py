"""What plugins refuse of their arguments, in Kubernetes' words."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.scheduler.plugins import REGISTRY

from .builders import handle

Document = dict[str, Any]
RATIO = "RequestedToCapacityRatio"


def strategy(**fields: Any) -> Document:
    return {"scoringStrategy": fields}


def ratio(*points: tuple[int, int]) -> Document:
    shape = [{"utilization": utilization, "score": score} for utilization, score in points]
    return strategy(type=RATIO, requestedToCapacityRatio={"shape": shape})


def required(*terms: Document) -> Document:
    return {"addedAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


TERMS = "addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
SHAPE = "scoringStrategy.requestedToCapacityRatio.shape"


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        pytest.param(
            "NodeResourcesFit",
            strategy(type="Emptiest"),
            'scoringStrategy.type: Unsupported value: "Emptiest": supported values: '
            '"LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"',
            id="unknown strategy",
        ),
        pytest.param(
            "NodeResourcesFit",
            strategy(resources=[{"name": "cpu"}]),
            'scoringStrategy.type: Unsupported value: "": supported values: '
            '"LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"',
            id="no strategy",
        ),
        pytest.param(
            "NodeResourcesFit",
            strategy(type="MostAllocated", resources=[{"name": "cpu"}, {"name": "memory", "weight": 101}]),
            "scoringStrategy.resources[1].weight: Invalid value: 101: "
            "resource weight of memory not in valid range (0, 100]",
            id="weight",
        ),
        pytest.param(
            "NodeResourcesFit",
            strategy(type="LeastAllocated", requestedToCapacityRatio={"shape": []}),
            "scoringStrategy.requestedToCapacityRatio: Forbidden: "
            "must be nil when type is not RequestedToCapacityRatio",
            id="a line nobody uses",
        ),
        pytest.param(
            "NodeResourcesFit",
            strategy(type=RATIO),
            "scoringStrategy.requestedToCapacityRatio: Required value: "
            "must be specified when type is RequestedToCapacityRatio",
            id="no line",
        ),
        pytest.param(
            "NodeResourcesFit", ratio(), f"{SHAPE}: Required value: at least one point must be specified", id="no point"
        ),
        pytest.param(
            "NodeResourcesFit",
            ratio((50, 1), (50, 2)),
            f"{SHAPE}[1].utilization: Invalid value: 50: values must be sorted in increasing order",
            id="order",
        ),
        pytest.param(
            "NodeResourcesFit",
            ratio((-1, 11)),
            f"[{SHAPE}[0].utilization: Invalid value: -1: not in valid range [0, 100], "
            f"{SHAPE}[0].score: Invalid value: 11: not in valid range [0, 10]]",
            id="several at once",
        ),
        pytest.param(
            "NodeResourcesFit",
            {"ignoredResourceGroups": ["example.com/gpu"]},
            "ignoredResourceGroups[0]: Invalid value: \"example.com/gpu\": resource group name can't contain '/'",
            id="a group is no resource",
        ),
        pytest.param(
            "NodeResourcesFit",
            {"ignoredResources": [""]},
            '[ignoredResources[0]: Invalid value: "": name part must be non-empty, '
            "ignoredResources[0]: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or "
            "'.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', "
            "regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')]",
            id="no name",
        ),
        pytest.param(
            "NodeResourcesFit",
            {"scoringStrategi": {}},
            'strict decoding error: unknown field "scoringStrategi"',
            id="unknown field",
        ),
        pytest.param(
            "NodeResourcesFit",
            strategy(type="MostAllocated", resources=[{"name": "cpu", "wait": 1}]),
            'strict decoding error: unknown field "scoringStrategy.resources[0].wait"',
            id="unknown field within",
        ),
        pytest.param(
            "NodeResourcesFit",
            {"ignoredResources": "cpu"},
            "json: cannot unmarshal string into Go struct field NodeResourcesFitArgs.ignoredResources of type slice",
            id="type",
        ),
        pytest.param(
            "NodeResourcesFit",
            strategy(type="MostAllocated", resources=[{"name": "cpu", "weight": "1"}]),
            "json: cannot unmarshal string into Go struct field "
            "NodeResourcesFitArgs.scoringStrategy.resources.weight of type int64",
            id="type within",
        ),
        pytest.param(
            "NodeResourcesBalancedAllocation",
            {"resources": [{"name": "cpu", "weight": 1}, {"name": "cpu", "weight": 2}]},
            '[resources[1].name: Duplicate value: "cpu", resources[1].weight: Invalid value: 2: must be 1]',
            id="balance",
        ),
        pytest.param(
            "NodeAffinity",
            required({"matchExpressions": [{"key": "zone", "operator": "Inn", "values": ["a"]}]}),
            f'{TERMS}[0].matchExpressions[0].operator: Unsupported value: "Inn": supported values: '
            '"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"',
            id="operator",
        ),
        pytest.param(
            "NodeAffinity",
            required({}, {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a", "b"]}]}),
            f'{TERMS}[1].matchFields[0].values: Invalid value: ["a","b"]: must have one element',
            id="names",
        ),
        pytest.param(
            "NodeAffinity",
            required({"matchExpressions": [{"key": "zone", "operator": "In"}]}),
            f"{TERMS}[0].matchExpressions[0].values: Invalid value: []: "
            "for 'in', 'notin' operators, values set can't be empty",
            id="no values",
        ),
        pytest.param(
            "NodeAffinity",
            required({"matchExpressions": [{"key": "size", "operator": "Gt", "values": ["big"]}]}),
            f'{TERMS}[0].matchExpressions[0].values[0]: Invalid value: "big": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
            id="no number",
        ),
        pytest.param(
            "NodeAffinity",
            required({"matchExpressions": [{"key": "size", "operator": "Exists", "values": ["x y"]}]}),
            f'[{TERMS}[0].matchExpressions[0].values: Invalid value: ["x y"]: '
            "values set must be empty for exists and does not exist, "
            f'{TERMS}[0].matchExpressions[0].values[0][size]: Invalid value: "x y": a valid label must be an empty '
            "string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')]",
            id="values that are too many, and bad",
        ),
    ],
)
def test_refused(name: str, args: Document, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        REGISTRY[name](handle(), args)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("NodeAffinity", {}),
        ("NodeAffinity", {"addedAffinity": None}),
        ("NodeAffinity", required({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]})),
        ("NodeResourcesFit", {"scoringStrategy": None, "ignoredResources": None}),
        ("NodeResourcesFit", ratio((0, 10), (100, 0))),
        ("NodeResourcesBalancedAllocation", {"resources": [{"name": "cpu"}, {"name": "example.com/gpu", "weight": 1}]}),
    ],
)
def test_accepted(name: str, args: Document) -> None:
    assert REGISTRY[name](handle(), args).name == name
