from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.defaults import apps as defaults
from k8slite.apiserver.strategies.apps import STRATEGIES
from k8slite.apiserver.validation import apps as rules
from k8slite.testing.causes import GONE, Expected, assert_causes, changed

SPEC = {
    "selector": {"matchLabels": {"app": "web"}},
    "template": {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "busybox"}]},
    },
}
KINDS: dict[str, tuple[Any, Any]] = {
    "deployment": (defaults.deployment, rules.deployment),
    "replicaset": (defaults.replicaset, rules.replicaset),
    "statefulset": (defaults.statefulset, rules.statefulset),
    "daemonset": (defaults.daemonset, rules.daemonset),
}
UNMATCHED = ("invalid", "spec.template.metadata.labels", "`selector` does not match template `labels`")
ROLLING = "spec.strategy.rollingUpdate"
DAEMON_ROLLING = "spec.updateStrategy.rollingUpdate"


def made(kind: str, change: dict[str, Any]) -> dict[str, Any]:
    obj = {"metadata": {"name": "web"}, "spec": changed({"spec": SPEC}, change)["spec"]}
    default, _ = KINDS[kind]
    default(obj)
    return obj


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, [], id="good"),
        pytest.param({"spec.selector": GONE}, [("required", "spec.selector", ""), UNMATCHED], id="no selector"),
        pytest.param({"spec.template": GONE}, [("required", "spec.template", "")], id="no template"),
        pytest.param({"spec.template.metadata.labels": {"app": "db"}}, [UNMATCHED], id="selector matches not"),
        pytest.param(
            {"spec.template.metadata.labels": GONE},
            [("invalid", "spec.template.metadata.labels", "Invalid value: null: `selector` does not match")],
            id="no labels",
        ),
        pytest.param(
            {"spec.selector": {}}, [("invalid", "spec.selector", "empty selector is invalid for")], id="empty selector"
        ),
        pytest.param(
            {"spec.template.spec.restartPolicy": "Never"},
            [("unsupported", "spec.template.spec.restartPolicy", 'supported values: "Always"')],
            id="restart policy",
        ),
        pytest.param(
            {"spec.template.spec.activeDeadlineSeconds": 5},
            [("forbidden", "spec.template.spec.activeDeadlineSeconds", "is not Supported")],
            id="deadline",
        ),
        pytest.param(
            {"spec.minReadySeconds": -1},
            [("invalid", "spec.minReadySeconds", "must be greater than or equal to 0")],
            id="ready seconds",
        ),
    ],
)
def test_every_workload(kind: str, change: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(KINDS[kind][1](made(kind, change)), expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            {ROLLING: {"maxSurge": 0, "maxUnavailable": "0%"}},
            [("invalid", f"{ROLLING}.maxUnavailable", 'Invalid value: "0%": may not be 0 when `maxSurge` is 0')],
            id="nothing may move",
        ),
        pytest.param(
            {ROLLING: {"maxUnavailable": "101%", "maxSurge": "200%"}},
            [("invalid", f"{ROLLING}.maxUnavailable", "must not be greater than 100%")],
            id="more than all",
        ),
        pytest.param(
            {ROLLING: {"maxUnavailable": "some", "maxSurge": -1}},
            [
                ("invalid", f"{ROLLING}.maxUnavailable", "a valid percent string must be a numeric string"),
                ("invalid", f"{ROLLING}.maxSurge", "must be greater than or equal to 0"),
            ],
            id="no numbers",
        ),
        pytest.param(
            {"spec.strategy": {"type": "Recreate", "rollingUpdate": {}}},
            [("forbidden", ROLLING, "may not be specified when strategy `type` is 'Recreate'")],
            id="recreate rolls",
        ),
        pytest.param(
            {"spec.strategy": {"type": "Never"}},
            [("unsupported", "spec.strategy.type", 'Unsupported value: "Never"')],
            id="unknown strategy",
        ),
        pytest.param(
            {"spec.replicas": -1, "spec.minReadySeconds": 600},
            [
                ("invalid", "spec.replicas", "Invalid value: -1"),
                ("invalid", "spec.progressDeadlineSeconds", "must be greater than minReadySeconds"),
            ],
            id="all at once",
        ),
    ],
)
def test_deployment(change: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(rules.deployment(made("deployment", change)), expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            {"spec.podManagementPolicy": "Any"},
            [("invalid", "spec.podManagementPolicy", "must be 'OrderedReady' or 'Parallel'")],
            id="pod management",
        ),
        pytest.param(
            {"spec.updateStrategy": {"type": "Any"}},
            [("invalid", "spec.updateStrategy", "must be 'RollingUpdate' or 'OnDelete'")],
            id="update strategy",
        ),
        pytest.param(
            {"spec.updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}},
            [("invalid", DAEMON_ROLLING, "only allowed for updateStrategy 'RollingUpdate'")],
            id="on delete rolls",
        ),
        pytest.param(
            {DAEMON_ROLLING: {"partition": -1, "maxUnavailable": 0}},
            [
                ("invalid", f"{DAEMON_ROLLING}.partition", "must be greater than or equal to 0"),
                ("invalid", f"{DAEMON_ROLLING}.maxUnavailable", "cannot be 0"),
            ],
            id="partition",
        ),
        pytest.param(
            {"spec.persistentVolumeClaimRetentionPolicy": {"whenScaled": "Keep"}},
            [("unsupported", "spec.persistentVolumeClaimRetentionPolicy.whenScaled", '"Delete", "Retain"')],
            id="retention",
        ),
        pytest.param({"spec.ordinals": {"start": -1}}, [("invalid", "spec.ordinals.start", "")], id="ordinals"),
    ],
)
def test_statefulset(change: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(rules.statefulset(made("statefulset", change)), expected)


@pytest.mark.parametrize(
    ("rolling", "expected"),
    [
        ({"maxUnavailable": 0, "maxSurge": "10%"}, []),
        ({}, []),
        (
            {"maxSurge": 1},
            [("invalid", f"{DAEMON_ROLLING}.maxSurge", "may not be set when maxUnavailable is non-zero")],
        ),
        ({"maxUnavailable": 0}, [("required", f"{DAEMON_ROLLING}.maxUnavailable", "cannot be 0 when maxSurge is 0")]),
        ({"maxUnavailable": "110%"}, [("invalid", f"{DAEMON_ROLLING}.maxUnavailable", "not be greater than 100%")]),
    ],
)
def test_daemonset(rolling: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(rules.daemonset(made("daemonset", {DAEMON_ROLLING: rolling})), expected)


@pytest.mark.parametrize("rule", [rules.deployment_update, rules.replicaset_update, rules.daemonset_update])
def test_selector_is_for_ever(rule: Any) -> None:
    old = made("replicaset", {})
    new = changed(old, {"spec.selector.matchLabels": {"app": "db"}})
    assert_causes(rule(new, old), [("invalid", "spec.selector", "field is immutable")])


def test_claims_of_a_new_statefulset_are_judged_as_claims() -> None:
    templates = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}, {"spec": {}}]
    assert_causes(
        rules.statefulset_create(made("statefulset", {"spec.volumeClaimTemplates": templates})),
        [
            ("required", "spec.volumeClaimTemplates[0].spec.resources[storage]", "Required value"),
            ("required", "spec.volumeClaimTemplates[1].spec.accessModes", "at least 1 access mode is required"),
            ("required", "spec.volumeClaimTemplates[1].spec.resources[storage]", "Required value"),
        ],
    )


@pytest.mark.parametrize(
    ("claims", "volumes", "expected"),
    [
        pytest.param(["data"], [], [], id="a claim is a volume"),
        pytest.param(["data"], [{"name": "data", "emptyDir": {}}], [], id="a claim hides a volume"),
        pytest.param([], [{"name": "data", "emptyDir": {}}], [], id="a volume"),
        pytest.param(["logs"], [], [("missing", "spec.template.spec.containers[0].volumeMounts[0].name", "data")]),
        pytest.param(["data", "DATA"], [], [("invalid", "spec.template.spec.volumes[1].name", '"DATA"')], id="no name"),
    ],
)
def test_claims_of_a_statefulset_are_mounted(
    claims: list[str], volumes: list[dict[str, Any]], expected: list[Expected]
) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    obj = made(
        "statefulset",
        {
            "spec.volumeClaimTemplates": [{"metadata": {"name": name}, "spec": claim} for name in claims],
            "spec.template.spec.volumes": volumes,
            "spec.template.spec.containers.0.volumeMounts": [{"name": "data", "mountPath": "/data"}],
        },
    )
    assert_causes(rules.statefulset(obj), [])
    assert_causes(rules.statefulset_create(obj), expected)
    assert_causes(rules.statefulset_update(obj, {**made("statefulset", {}), "spec": {**obj["spec"]}}), [])


def test_a_wrong_template_of_a_statefulset_is_refused_only_when_it_is_new() -> None:
    good = made("statefulset", {})
    bad = changed(good, {"spec.template.spec.containers": []})
    wrong = [("required", "spec.template.spec.containers", "Required value")]
    assert_causes(rules.statefulset_update(bad, good), wrong)
    assert_causes(rules.statefulset_update(changed(bad, {"spec.replicas": 3}), bad), [])


def test_statefulset_changes() -> None:
    old = made("statefulset", {"spec.serviceName": "web"})
    free = changed(old, {"spec.replicas": 3, "spec.ordinals": {"start": 1}, "spec.minReadySeconds": 1})
    assert rules.statefulset_update(free, old) == []
    new = changed(old, {"spec.serviceName": "db", "spec.podManagementPolicy": "Parallel"})
    words = (
        "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
        "forbidden"
    )
    assert_causes(rules.statefulset_update(new, old), [("forbidden", "spec", words)])


def test_status_holds_together() -> None:
    old = made("deployment", {})
    new = {**old, "status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": 3, "unavailableReplicas": -1}}
    assert_causes(
        rules.deployment_update(new, old),
        [
            ("invalid", "status.unavailableReplicas", "must be greater than or equal to 0"),
            ("invalid", "status.readyReplicas", "cannot be greater than status.replicas"),
            ("invalid", "status.availableReplicas", "cannot be greater than status.replicas"),
            ("invalid", "status.availableReplicas", "cannot be greater than status.readyReplicas"),
        ],
    )


def test_revision_keeps_its_data() -> None:
    old = {"metadata": {}, "data": {"a": 1}, "revision": 1}
    assert rules.revision(old) == []
    assert_causes(rules.revision({"revision": -1}), [("required", "data", "mandatory"), ("invalid", "revision", "")])
    assert rules.revision_update({**old, "revision": 2}, old) == []
    assert_causes(rules.revision_update({**old, "data": {}}, old), [("invalid", "data", "field is immutable")])


@pytest.mark.parametrize(("kind", "warned"), [("deployments", True), ("replicasets", True), ("daemonsets", False)])
def test_a_name_that_no_host_can_have_is_warned_of_where_kubernetes_does(kind: str, warned: bool) -> None:
    obj = {**made("deployment", {}), "metadata": {"name": "web.v1"}}
    found = STRATEGIES["apps", kind].warn(obj, None)
    assert [warning[:45] for warning in found] == ["metadata.name: this is used in Pod names and "] * warned
