"""What a document owns, and how two documents differ."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from k8slite.apiserver.fields.merge import merge, violations
from k8slite.apiserver.fields.remove import remove, with_named
from k8slite.apiserver.fields.sets import contains, difference, intersection, union
from k8slite.apiserver.fields.typed import applied, compare, created
from k8slite.schema import Schemas

from .widgets import ATOM, DOCUMENTS, document

SCHEMAS = Schemas()


def test_a_new_pod_is_owned_as_in_kubernetes() -> None:
    pod = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "containers": [{"name": "main", "image": "web:1", "resources": {}, "ports": [{"containerPort": 80}]}],
            "securityContext": {},
        },
    }
    assert created(pod, SCHEMAS.atom_of("", "v1", "Pod")) == {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {
            "f:containers": {
                'k:{"name":"main"}': {
                    ".": {},
                    "f:name": {},
                    "f:image": {},
                    "f:resources": {},
                    "f:ports": {".": {}, 'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                }
            },
            "f:securityContext": {},
        },
    }


def test_an_applied_service_owns_what_it_mentions() -> None:
    service = {
        "metadata": {"labels": {"app": "web"}, "finalizers": ["example.com/x"], "annotations": {}},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }
    assert applied(service, SCHEMAS.atom_of("", "v1", "Service")) == {
        "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {'v:"example.com/x"': {}}, "f:annotations": {}},
        "f:spec": {"f:selector": {}, "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}},
    }


def test_repeated_elements_are_owned_as_one() -> None:
    rules = [{"port": 80, "note": "a"}, {"port": 80, "note": "b"}]
    assert created(document({"rules": rules}), ATOM)["f:spec"]["f:rules"] == {
        ".": {},
        'k:{"port":80,"protocol":"TCP"}': {},
    }


def test_a_change_of_an_atomic_list_is_one_change() -> None:
    found = compare(document({"args": ["a"], "size": 1}), document({"args": ["a", "b"], "size": 1}), ATOM)
    assert found.changed == {"f:spec": {"f:args": {}}} and not found.removed


def test_a_scalar_that_becomes_a_map_loses_and_gains() -> None:
    old, new = document({"free": {"m": {"x": "1"}}}), document({"free": {"m": "text"}})
    there, back = compare(old, new, ATOM), compare(new, old, ATOM)
    assert there.changed == {"f:spec": {"f:free": {"f:m": {}}}}
    assert there.removed == {"f:spec": {"f:free": {"f:m": {"f:x": {}}}}}
    assert back.changed == {"f:spec": {"f:free": {"f:m": {".": {}, "f:x": {}}}}}


@given(DOCUMENTS, DOCUMENTS)
def test_differences_are_opposite(first: dict[str, Any], second: dict[str, Any]) -> None:
    there, back = compare(first, second, ATOM), compare(second, first, ATOM)
    modified = intersection(there.changed, back.changed)
    assert difference(there.changed, modified) == back.removed
    assert difference(back.changed, modified) == there.removed
    assert compare(first, first, ATOM) == ({}, {})


@given(DOCUMENTS, DOCUMENTS)
def test_merging_keeps_what_is_applied_and_takes_nothing_away(live: dict[str, Any], wanted: dict[str, Any]) -> None:
    merged = merge(live, wanted, ATOM)
    assert contains(applied(merged, ATOM), applied(wanted, ATOM))
    assert contains(applied(merged, ATOM), applied(live, ATOM))
    assert not compare(live, merged, ATOM).removed
    assert merge(merged, wanted, ATOM) == merged
    assert not intersection(compare(wanted, merged, ATOM).changed, applied(wanted, ATOM))


@given(DOCUMENTS, DOCUMENTS)
def test_removing_removes_just_that(first: dict[str, Any], second: dict[str, Any]) -> None:
    merged = merge(first, second, ATOM)
    fields = with_named(applied(second, ATOM), ATOM)
    left = remove(merged, fields, ATOM)
    assert not intersection(applied(left, ATOM), applied(second, ATOM))
    assert remove(merged, {}, ATOM) == merged
    assert not compare(merged, left, ATOM).changed


@given(DOCUMENTS, DOCUMENTS)
def test_what_changed_is_what_one_has_and_the_other_has_not(first: dict[str, Any], second: dict[str, Any]) -> None:
    differs = compare(first, second, ATOM)
    assert contains(union(applied(first, ATOM), differs.changed), applied(second, ATOM))


def test_order_follows_the_configuration_only_where_it_says_so() -> None:
    def tags(live: str, wanted: str) -> str:
        merged = merge(document({"tags": list(live)}), document({"tags": list(wanted)}), ATOM)
        return "".join(merged["spec"]["tags"])

    assert tags("abc", "b") == "abc"
    assert tags("abc", "ca") == "bca"
    assert tags("abc", "d") == "abcd"
    assert tags("ab", "xbya") == "xbya"
    assert tags("abcde", "exb") == "acdexb"


def test_null_clears_scalars_but_no_granular_containers() -> None:
    merged = merge(document({"size": 1, "labels": {"x": "y"}}), document({"size": None, "labels": None}), ATOM)
    assert merged["spec"] == {"size": None, "labels": {"x": "y"}}


def test_what_cannot_merge_is_told_in_kubernetes_words() -> None:
    assert violations(document({"sise": 1}), ATOM) == ".spec.sise: field not declared in schema"
    assert violations(document({"rules": [{"note": "x", "protocol": "TCP"}]}), ATOM) == ""
    twice = violations(document({"rules": [{"port": 80}, {"port": 80, "protocol": "TCP"}], "tags": [None]}), ATOM)
    assert twice.splitlines() == [
        "errors:",
        '  .spec.rules: duplicate entries for key [port=80,protocol="TCP"]',
        "  .spec.tags: element 0: associative list without keys has an element that's an explicit null",
    ]
    assert violations({"metadata": {"ownerReferences": [{"name": "x"}]}}, ATOM) == (
        ".metadata.ownerReferences: element 0: associative list with keys has an element that omits all key fields "
        '["uid"] (and doesn\'t have default values for any key fields)'
    )
    assert violations({"spec": {"args": "x"}}, ATOM).startswith(".spec.args: expected list, got ")
