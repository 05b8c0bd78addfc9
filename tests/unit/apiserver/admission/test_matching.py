"""Which rules and selectors are about which requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from k8slite.apiserver.admission.base import Admission
from k8slite.apiserver.admission.matching import (
    EXEMPT,
    Target,
    compile_rules,
    compile_selectors,
    find_match,
    matches_rule,
    target_of,
)
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.strategies.base import Context
from k8slite.catalogue import builtin
from k8slite.errors import ApiError

CATALOGUE = builtin()
PODS = Target("", "v1", "pods", "", "CREATE", namespaced=True, name="web")
EXEC = replace(PODS, subresource="exec", operation="CONNECT")
STATUS = Target("apps", "v1", "deployments", "status", "UPDATE", namespaced=True, name="web")
NODES = Target("", "v1", "nodes", "", "UPDATE", namespaced=False, name="node-a")
NAMESPACES = Target("", "v1", "namespaces", "", "DELETE", namespaced=False, name="team")


def a_rule(**changes: Any) -> dict[str, Any]:
    """Pods of the core group on creation, but for what is said."""
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    return {**rule, **changes}


EVERYTHING = a_rule(operations=["*"], apiGroups=["*"], apiVersions=["*"], resources=["*/*"])


@pytest.mark.parametrize(
    ("rule", "target", "expected"),
    [
        (a_rule(), PODS, True),
        (a_rule(operations=["UPDATE", "CREATE"]), PODS, True),
        (a_rule(operations=["UPDATE"]), PODS, False),
        (a_rule(operations=["*"]), PODS, True),
        (a_rule(operations=["*"]), EXEC, False),
        (a_rule(apiGroups=["apps"]), PODS, False),
        (a_rule(apiGroups=["*"]), PODS, True),
        (a_rule(apiVersions=["v2"]), PODS, False),
        (a_rule(apiVersions=["*"]), PODS, True),
        (a_rule(resources=["*"]), PODS, True),
        (a_rule(resources=["*"], operations=["*"]), EXEC, False),
        (a_rule(resources=["pods/*"]), PODS, True),
        (a_rule(resources=["pods/*"], operations=["CONNECT"]), EXEC, True),
        (a_rule(resources=["*/exec"], operations=["CONNECT"]), EXEC, True),
        (a_rule(resources=["pods/exec"], operations=["CONNECT"]), EXEC, True),
        (a_rule(resources=["pods/attach"], operations=["CONNECT"]), EXEC, False),
        (a_rule(resources=["*/status"], apiGroups=["*"], operations=["*"]), STATUS, True),
        (a_rule(resources=["*/scale"], apiGroups=["*"], operations=["*"]), STATUS, False),
        (a_rule(resources=["deployments"], apiGroups=["apps"], operations=["*"]), STATUS, False),
        (EVERYTHING, EXEC, True),
        (EVERYTHING, STATUS, True),
        (EVERYTHING, NODES, True),
        ({**EVERYTHING, "scope": "*"}, NODES, True),
        ({**EVERYTHING, "scope": "Cluster"}, NODES, True),
        ({**EVERYTHING, "scope": "Namespaced"}, NODES, False),
        ({**EVERYTHING, "scope": "Cluster"}, PODS, False),
        ({**EVERYTHING, "scope": "Namespaced"}, PODS, True),
        ({**EVERYTHING, "scope": "Cluster"}, NAMESPACES, True),
        ({**EVERYTHING, "scope": "Namespaced"}, NAMESPACES, False),
        (a_rule(resourceNames=["web", "db"]), PODS, True),
        (a_rule(resourceNames=["db"]), PODS, False),
        (a_rule(resourceNames=[]), PODS, True),
        (a_rule(resourceNames=["web"]), replace(PODS, name=""), False),
    ],
)
def test_rules_name_operations_resources_and_scopes(rule: dict[str, Any], target: Target, expected: bool) -> None:
    assert matches_rule(compile_rules([rule])[0], target) is expected


HPA_V1 = Target("autoscaling", "v1", "horizontalpodautoscalers", "", "UPDATE", namespaced=True)
HPA_V2 = replace(HPA_V1, version="v2")
CORE_EVENT = Target("", "v1", "events", "", "CREATE", namespaced=True)
SCALE = Target("apps", "v1", "deployments", "scale", "UPDATE", namespaced=True)


def rule_of(target: Target, **changes: Any) -> dict[str, Any]:
    """A rule about every operation on a resource."""
    path = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
    rule = a_rule(operations=["*"], apiGroups=[target.group], apiVersions=[target.version], resources=[path])
    return {**rule, **changes}


@pytest.mark.parametrize(
    ("rules", "target", "policy", "resource", "kind"),
    [
        ([rule_of(HPA_V1)], HPA_V1, "Exact", HPA_V1, ("autoscaling", "v1", "HorizontalPodAutoscaler")),
        ([rule_of(HPA_V1)], HPA_V2, "Exact", None, None),
        ([rule_of(HPA_V1)], HPA_V2, None, None, None),
        ([rule_of(HPA_V1)], HPA_V2, "Equivalent", HPA_V1, ("autoscaling", "v1", "HorizontalPodAutoscaler")),
        ([rule_of(HPA_V1), rule_of(HPA_V2)], HPA_V2, "Equivalent", HPA_V2,
         ("autoscaling", "v2", "HorizontalPodAutoscaler")),
        ([rule_of(CORE_EVENT, apiGroups=["events.k8s.io"])], CORE_EVENT, "Equivalent",
         replace(CORE_EVENT, group="events.k8s.io"), ("events.k8s.io", "v1", "Event")),
        ([rule_of(CORE_EVENT, apiGroups=["events.k8s.io"])], CORE_EVENT, "Exact", None, None),
        ([rule_of(SCALE)], SCALE, "Equivalent", SCALE, ("autoscaling", "v1", "Scale")),
        ([rule_of(SCALE, apiGroups=["extensions"])], SCALE, "Equivalent", None, None),
        ([rule_of(HPA_V1, resources=["horizontalpodautoscalers/status"])], HPA_V2, "Equivalent", None, None),
        ([], HPA_V2, "Equivalent", None, None),
    ],
)  # fmt: skip
def test_objects_are_presented_in_the_version_of_the_rule(
    rules: list[dict[str, Any]], target: Target, policy: str | None, resource: Target | None, kind: Any
) -> None:
    found = find_match(compile_rules(rules), target, match_policy=policy, catalogue=CATALOGUE)
    if resource is None:
        assert found is None
    else:
        assert found is not None
        assert found.resource.key == (resource.group, resource.version, resource.plural)
        assert found.kind == kind


def test_an_object_of_another_kind_keeps_it() -> None:
    eviction = replace(PODS, subresource="eviction")
    found = find_match(
        compile_rules([rule_of(eviction)]),
        eviction,
        match_policy="Exact",
        catalogue=CATALOGUE,
        kind=("policy", "v1", "Eviction"),
    )
    assert found is not None
    assert found.kind == ("policy", "v1", "Eviction")


def an_admission(
    plural: str = "pods", *, new: dict[str, str] | None = None, old: dict[str, str] | None = None, **changes: Any
) -> Admission:
    """A write of an object that has `new` labels and had `old` ones."""
    resource = CATALOGUE.by_path("", "v1", plural)
    assert resource is not None
    user = User("somebody", groups=())
    context = Context(
        user, datetime(2026, 1, 1, tzinfo=UTC), "", dry_run=False, lookup=lambda *_: None, warnings=[], annotations={}
    )

    def document(labels: dict[str, str] | None) -> dict[str, Any] | None:
        return None if labels is None else {"metadata": {"name": "it", "labels": labels}}

    operation = "CREATE" if old is None else "DELETE" if new is None else "UPDATE"
    fields: dict[str, Any] = {
        "operation": operation,
        "resource": resource,
        "subresource": "",
        "namespace": "team" if resource.namespaced else "",
        "name": "it",
        "object": document(new),
        "old": document(old),
        "context": context,
    }
    return Admission(**{**fields, **changes})


ON = {"webhooks": "on"}
NAMESPACE = {"namespaceSelector": {"matchLabels": ON}}
OBJECT = {"objectSelector": {"matchLabels": ON}}
UNMARKED = {"objectSelector": {"matchExpressions": [{"key": "webhooks", "operator": "DoesNotExist"}]}}


@pytest.mark.parametrize(
    ("selectors", "admission", "labels", "expected"),
    [
        ({}, an_admission(new={}), {}, True),
        ({"namespaceSelector": {}, "objectSelector": {}}, an_admission(new={}), {}, True),
        (NAMESPACE, an_admission(new={}), ON, True),
        (NAMESPACE, an_admission(new=ON), {}, False),
        (NAMESPACE, an_admission("nodes", new={}), {}, True),
        (NAMESPACE, an_admission("namespaces", new=ON), {}, True),
        (NAMESPACE, an_admission("namespaces", new={}, old=ON), ON, False),
        (NAMESPACE, an_admission("namespaces", new=ON, old={}), {}, True),
        (NAMESPACE, an_admission("namespaces", old=ON), ON, True),
        (NAMESPACE, an_admission("namespaces", new=ON, old={}, subresource="status"), {}, False),
        (OBJECT, an_admission(new=ON), {}, True),
        (OBJECT, an_admission(new={}), ON, False),
        (OBJECT, an_admission(new={}, old=ON), {}, True),
        (OBJECT, an_admission(new=ON, old={}), {}, True),
        (OBJECT, an_admission(old=ON), {}, True),
        (OBJECT, an_admission(new={}, old={}), {}, False),
        (OBJECT, an_admission(operation="CONNECT", object={"stdin": True}), {}, False),
        (UNMARKED, an_admission(operation="CONNECT", object={"stdin": True}), {}, False),
        (UNMARKED, an_admission(new={}), {}, True),
        (UNMARKED, an_admission(new=ON), {}, False),
        ({**OBJECT, **NAMESPACE}, an_admission(new=ON), ON, True),
        ({**OBJECT, **NAMESPACE}, an_admission(new=ON), {}, False),
    ],
)
def test_selectors_look_at_namespaces_and_objects(
    selectors: dict[str, Any], admission: Admission, labels: dict[str, str], expected: bool
) -> None:
    assert compile_selectors(selectors).match(admission, lambda name: labels) is expected


def test_a_namespace_that_is_not_there_is_not_found() -> None:
    with pytest.raises(ApiError, match='namespaces "team" not found'):
        compile_selectors(NAMESPACE).match(an_admission(new={}), lambda name: None)


def test_the_target_is_what_the_client_asked_for() -> None:
    stored = CATALOGUE.by_path("autoscaling", "v2", "horizontalpodautoscalers")
    asked = CATALOGUE.by_path("autoscaling", "v1", "horizontalpodautoscalers")
    assert stored is not None
    target = target_of(an_admission(new={}, resource=stored, requested=asked))
    assert (target.group, target.version, target.namespaced) == ("autoscaling", "v1", True)


def test_what_is_exempt_exists() -> None:
    served = {(row.group, row.plural) for row in CATALOGUE}
    assert served >= EXEMPT
