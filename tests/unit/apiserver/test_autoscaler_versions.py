"""autoscaling/v1 and v2 are one: nothing is lost on the way, and annotations are as Kubernetes writes them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.autoscaler_versions import BEHAVIOR, CONDITIONS, CURRENT, METRICS, to_v1, to_v2

SELECTOR = {"matchLabels": {"a": "b"}}
ABOUT = {"kind": "Service", "name": "front", "apiVersion": "v1"}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}


def source(kind: str, member: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, member: fields}


AVERAGE, VALUE = {"type": "AverageValue", "averageValue": "5"}, {"type": "Value", "value": "7"}
FORMS = [
    (
        source("Resource", "resource", name="memory", target=AVERAGE),
        source("Resource", "resource", name="memory", targetAverageValue="5"),
    ),
    (
        source("ContainerResource", "containerResource", name="cpu", container="c", target=CPU["resource"]["target"]),
        source("ContainerResource", "containerResource", name="cpu", container="c", targetAverageUtilization=50),
    ),
    (
        source("Pods", "pods", metric={"name": "hits", "selector": SELECTOR}, target=AVERAGE),
        source("Pods", "pods", metricName="hits", selector=SELECTOR, targetAverageValue="5"),
    ),
    (
        source("Object", "object", metric={"name": "hits"}, describedObject=ABOUT, target=VALUE),
        source("Object", "object", metricName="hits", target=ABOUT, targetValue="7"),
    ),
    (
        source("Object", "object", metric={"name": "hits"}, describedObject=ABOUT, target=AVERAGE),
        source("Object", "object", metricName="hits", target=ABOUT, targetValue="0", averageValue="5"),
    ),
    (
        source("External", "external", metric={"name": "queue", "selector": SELECTOR}, target=VALUE),
        source("External", "external", metricName="queue", metricSelector=SELECTOR, targetValue="7"),
    ),
    (
        source("External", "external", metric={"name": "queue"}, target=AVERAGE),
        source("External", "external", metricName="queue", targetAverageValue="5"),
    ),
]


@pytest.mark.parametrize(("new", "old"), FORMS)
def test_metrics_in_the_annotation_are_flat(new: dict[str, Any], old: dict[str, Any]) -> None:
    document = {"metadata": {}, "spec": {"metrics": [copy.deepcopy(new)]}}
    to_v1(document)
    assert json.loads(document["metadata"]["annotations"][METRICS]) == [old]
    to_v2(document)
    assert document["spec"]["metrics"] == [new] and not document["metadata"]["annotations"]


def test_behaviour_has_the_names_of_gos_fields() -> None:
    rules = {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}], "selectPolicy": "Max", "tolerance": "50m"}
    document = {"metadata": {}, "spec": {"behavior": {"scaleUp": rules}}}
    to_v1(document)
    assert json.loads(document["metadata"]["annotations"][BEHAVIOR]) == {
        "ScaleUp": {
            "Policies": [{"Type": "Pods", "Value": 4, "PeriodSeconds": 15}],
            "SelectPolicy": "Max",
            "Tolerance": "50m",
        }
    }
    to_v2(document)
    assert document["spec"]["behavior"] == {"scaleUp": rules}
    theirs = '{"scaleDown": {"StabilizationWindowSeconds": null, "selectpolicy": "Min"}, "ScaleUp": null}'
    document = {"metadata": {"annotations": {BEHAVIOR: theirs}}, "spec": {}}
    to_v2(document)
    assert document["spec"]["behavior"] == {"scaleDown": {"selectPolicy": "Min"}}


def test_status_keeps_what_v1_has_no_field_for() -> None:
    current = {"averageUtilization": 60, "averageValue": "600m"}
    condition = {"type": "AbleToScale", "status": "True"}
    status = {
        "currentMetrics": [source("Resource", "resource", name="cpu", current=current)],
        "conditions": [condition],
    }
    document = {"metadata": {}, "spec": {"metrics": [copy.deepcopy(CPU)]}, "status": copy.deepcopy(status)}
    to_v1(document)
    assert document["spec"] == {"targetCPUUtilizationPercentage": 50}
    counts = {"currentReplicas": 0, "desiredReplicas": 0}
    assert document["status"] == {"currentCPUUtilizationPercentage": 60, **counts}
    annotations = document["metadata"]["annotations"]
    flat = source("Resource", "resource", name="cpu", currentAverageUtilization=60, currentAverageValue="600m")
    assert json.loads(annotations[CURRENT]) == [flat]
    assert json.loads(annotations[CONDITIONS]) == [condition]
    to_v2(document)
    assert document["status"] == {**status, **counts}


@pytest.mark.parametrize("text", ["", "{", "null", "7", "[1]", '{"a": 1}', '[{"type": "Resource", "resource": 3}]'])
def test_annotations_that_cannot_be_read_break_nothing(text: str) -> None:
    annotations = dict.fromkeys((METRICS, CURRENT, CONDITIONS, BEHAVIOR), text) | {"kept": "x"}
    document = {"metadata": {"annotations": annotations}, "spec": {"targetCPUUtilizationPercentage": 5}, "status": {}}
    to_v2(document)
    assert document["metadata"]["annotations"] == {"kept": "x"}
    assert document["spec"]["metrics"][0]["resource"]["name"] == "cpu"


@given(st.lists(st.sampled_from([CPU, *(new for new, _ in FORMS)]), unique_by=lambda one: json.dumps(one)))
def test_there_and_back(metrics: list[dict[str, Any]]) -> None:
    """Only the percentage of cpu comes to stand first."""
    document = {"metadata": {}, "spec": {"maxReplicas": 3, "metrics": copy.deepcopy(metrics)}}
    to_v1(document)
    to_v2(document)
    first = [one for one in metrics if one == CPU]
    assert document["spec"].get("metrics", []) == first + [one for one in metrics if one != CPU]
