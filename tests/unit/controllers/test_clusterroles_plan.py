from __future__ import annotations

from typing import Any

from k8slite.controllers.clusterroles.plan import aggregates, plan
from k8slite.kinds.rbac import PolicyRule, Role

READ = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
WRITE = {"verbs": ["create"], "apiGroups": [""], "resources": ["pods"]}


def role(name: str, *rules: dict[str, Any], selects: str = "", **labels: str) -> Role:
    document: dict[str, Any] = {"metadata": {"name": name, "labels": labels}, "rules": list(rules)}
    if selects:
        document["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {selects: "true"}}]}
    return Role.model_validate(document)


def planned(subject: Role, *others: Role) -> list[PolicyRule] | None:
    return plan(subject, [subject, *others])


def test_the_rules_of_all_that_match_each_once() -> None:
    whole = role("whole", selects="in")
    found = planned(
        whole, role("b", READ, WRITE, **{"in": "true"}), role("a", READ, **{"in": "true"}), role("c", WRITE)
    )
    assert found == [PolicyRule.model_validate(READ), PolicyRule.model_validate(WRITE)]


def test_what_is_right_is_left_alone_in_whatever_order() -> None:
    part = role("part", READ, WRITE, **{"in": "true"})
    swapped = {**READ, "verbs": ["list", "get"]}
    assert planned(role("whole", WRITE, swapped, selects="in"), part) is None
    assert planned(role("plain", WRITE), part) is None


def test_a_role_that_loses_its_label_takes_its_rules_along() -> None:
    assert planned(role("whole", READ, selects="in"), role("part", READ)) == []


def test_a_role_does_not_gather_itself() -> None:
    assert planned(role("whole", READ, selects="in", **{"in": "true"})) == []
    assert aggregates(role("whole", selects="in"))
    assert not aggregates(role("plain"))
