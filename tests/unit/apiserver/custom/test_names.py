"""Definitions: who gets which names, what the status says, what users of old versions are told."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.custom import naming
from k8slite.apiserver.custom.conditions import status_of
from k8slite.apiserver.custom.definition import condition, read

NOW = "2024-01-01T00:00:00Z"


def definition(plural: str = "foos", *, accepted: dict[str, Any] | None = None, **names: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"plural": plural, "kind": "Foo", **names},
            "versions": [{"name": "v1", "served": True, "storage": True}],
        },
    }
    if accepted is not None:
        document["status"] = {"acceptedNames": accepted}
    return document


def test_names_that_nobody_has_are_given() -> None:
    assert naming.decide(definition(shortNames=["f"], categories=["all"]), []) == naming.Naming(
        {
            "plural": "foos",
            "singular": "foo",
            "shortNames": ["f"],
            "kind": "Foo",
            "listKind": "FooList",
            "categories": ["all"],
        }
    )


@pytest.mark.parametrize(
    ("taken", "reason", "message"),
    [
        ({"plural": "foos"}, "PluralConflict", '"foos" is already in use'),
        ({"singular": "foo"}, "SingularConflict", '"foo" is already in use'),
        ({"shortNames": ["foos", "x"]}, "PluralConflict", '"foos" is already in use'),
        ({"plural": "f"}, "ShortNamesConflict", '"f" is already in use'),
        ({"plural": "f", "singular": "g"}, "ShortNamesConflict", '["f" is already in use, "g" is already in use]'),
        ({"kind": "Foo"}, "KindConflict", '"Foo" is already in use'),
        ({"kind": "Foo", "listKind": "FooList"}, "ListKindConflict", '"FooList" is already in use'),
        ({"categories": ["all"], "kind": "foo"}, "", ""),
    ],
)
def test_a_name_that_another_has_is_refused(taken: dict[str, Any], reason: str, message: str) -> None:
    decided = naming.decide(definition(shortNames=["f", "g"]), [taken])
    assert (decided.reason, decided.message) == (reason, message)


def test_names_once_accepted_stay_when_new_ones_are_taken() -> None:
    mine = {"plural": "foos", "singular": "foo", "shortNames": ["f"], "kind": "Foo", "listKind": "FooList"}
    changed = definition(accepted=mine, shortNames=["f", "x"], singular="other")
    decided = naming.decide(changed, [{"plural": "x"}])
    assert decided.accepted == {**mine, "singular": "other"}
    assert decided.reason == "ShortNamesConflict"


def test_a_status_that_is_right_is_left_alone() -> None:
    document = definition()
    document["status"] = status_of(document, [], now=NOW)
    assert status_of(document, [], now="2025-01-01T00:00:00Z") == document["status"]
    assert condition(document, "Established") == {
        "type": "Established",
        "status": "True",
        "lastTransitionTime": NOW,
        "reason": "InitialNamesAccepted",
        "message": "the initial names have been accepted",
    }


def test_who_was_established_stays_so_when_names_clash_later() -> None:
    document = definition()
    document["status"] = status_of(document, [], now=NOW)
    document["spec"]["names"]["shortNames"] = ["x"]
    document["status"] = status_of(document, [{"plural": "x"}], now=NOW)
    assert condition(document, "NamesAccepted")["status"] == "False"  # type: ignore[index]
    assert condition(document, "Established")["status"] == "True"  # type: ignore[index]


@pytest.mark.parametrize(
    ("group", "note", "expected"),
    [
        ("example.com", "", None),
        ("apps.k8s.io", "", ("False", "MissingAnnotation")),
        ("k8s.io", "unapproved, a trial", ("False", "UnapprovedAnnotation")),
        ("x.kubernetes.io", "https://example.com/1", ("True", "ApprovedAnnotation")),
        ("x.kubernetes.io", "because", ("False", "InvalidAnnotation")),
    ],
)
def test_groups_of_the_community_are_protected(group: str, note: str, expected: tuple[str, str] | None) -> None:
    document = definition()
    document["spec"]["group"] = group
    document["metadata"]["annotations"] = {"api-approved.kubernetes.io": note} if note else {}
    told = condition({"status": status_of(document, [], now=NOW)}, "KubernetesAPIApprovalPolicyConformant")
    assert (told and (told["status"], told["reason"])) == expected


def test_users_of_a_deprecated_version_hear_of_a_better_one() -> None:
    document = definition()
    document["spec"]["versions"] = [
        {"name": "v1alpha1", "served": True, "deprecated": True},
        {"name": "v1beta1", "served": True, "deprecated": True, "deprecationWarning": "mine"},
        {"name": "v1", "served": True, "storage": True},
        {"name": "v2", "served": False},
    ]
    versions = read(document, naming.requested(document)).versions
    assert [version.warning for version in versions] == [
        "example.com/v1alpha1 Foo is deprecated; use example.com/v1 Foo",
        "mine",
        "",
        "",
    ]
