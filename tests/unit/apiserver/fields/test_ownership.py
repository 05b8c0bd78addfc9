"""Who owns what after updates and applies, and who is in whose way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given

from k8slite.apiserver.fields import scale_entries
from k8slite.apiserver.fields.conflicts import conflict_error
from k8slite.apiserver.fields.entries import Entry, claimed
from k8slite.apiserver.fields.last_applied import ANNOTATION, applied_before, keep_up_to_date
from k8slite.apiserver.fields.ownership import Conflicts, View, Writer, apply, first_entries, update
from k8slite.apiserver.fields.reconcile import reconcile
from k8slite.apiserver.fields.resets import owned_through
from k8slite.apiserver.fields.sets import intersection
from k8slite.apiserver.fields.typed import applied
from k8slite.schema.structural_atoms import structural_atom

from .widgets import ATOM, DOCUMENTS, document

Document = dict[str, Any]
VERSION = "example.com/v1"


def writer(manager: str, *, minute: int = 0, version: str = VERSION, subresource: str = "", **more: Any) -> Writer:
    owned = owned_through(subresource, has_status=True, keeps_labels=True, keeps_metadata=False)
    now = f"2026-01-01T00:{minute:02}:00Z"
    return Writer(manager, version, ATOM, now, owned, subresource, **more)


async def _convert(given: Document, version: str) -> View | None:
    """Two versions that differ in nothing but their name; others do not exist."""
    return (given, ATOM) if version in (VERSION, "example.com/v2") else None


def applies(
    live: Document, wanted: Document, entries: list[Entry], who: Writer, *, force: bool = False
) -> tuple[Document, list[Entry]]:
    return asyncio.run(apply(live, wanted, entries, writer=who, convert=_convert, force=force))


def updates(live: Document, new: Document, entries: list[Entry], who: Writer) -> list[Entry]:
    return asyncio.run(update(live, new, entries, writer=who, convert=_convert))


def owners(entries: list[Entry]) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"].get("f:spec") for entry in entries}


def conflicts(live: Document, wanted: Document, entries: list[Entry], who: Writer) -> list[str]:
    with pytest.raises(Conflicts) as refused:
        applies(live, wanted, entries, who)
    details = conflict_error(refused.value.conflicts).details
    assert details is not None
    return [f"{cause['message']}: {cause['field']}" for cause in details["causes"]]


def test_an_update_takes_what_it_changes() -> None:
    first = document({"size": 1, "args": ["a"]})
    entries = first_entries(first, writer("a"))
    assert owners(entries) == {"a": {".": {}, "f:size": {}, "f:args": {}}}
    second = document({"size": 2, "args": ["a"]})
    entries = updates(first, second, entries, writer("b", minute=1))
    assert owners(entries) == {"a": {".": {}, "f:args": {}}, "b": {"f:size": {}}}
    assert [entry["time"][14:16] for entry in entries] == ["00", "01"]


def test_the_system_s_part_belongs_to_nobody() -> None:
    entries = first_entries(document({"size": 1}, uid="u", generation=1, labels={"a": "b"}), writer("a"))
    assert entries[0]["fieldsV1"]["f:metadata"] == {"f:labels": {".": {}, "f:a": {}}}


def test_nothing_changes_if_nothing_changes() -> None:
    one = document({"size": 1})
    entries = first_entries(one, writer("a"))
    assert updates(one, one, entries, writer("b", minute=1)) is entries
    assert updates(one, one, [], writer("b")) == [], "what was reset is not tracked"


def test_a_status_is_owned_through_its_endpoint_alone() -> None:
    one = document({"size": 1})
    entries = first_entries({**one, "status": {"a": "b"}}, writer("a"))
    assert "f:status" not in entries[0]["fieldsV1"]
    two = {**document({"size": 2}), "status": {"a": "b"}}
    after = updates(one, two, entries, writer("s", subresource="status"))
    assert [(entry["manager"], entry.get("subresource")) for entry in after] == [("a", None), ("s", "status")]
    assert set(after[1]["fieldsV1"]) == {"f:status"} and after[0] is entries[0]


def test_an_apply_is_refused_where_others_own() -> None:
    one = document({"size": 1, "labels": {"x": "1"}})
    entries = first_entries(one, writer("a"))
    wanted = document({"size": 2, "labels": {"x": "2", "y": "3"}})
    assert conflicts(one, wanted, entries, writer("b")) == [
        'conflict with "a" using example.com/v1: .spec.size',
        'conflict with "a" using example.com/v1: .spec.labels.x',
    ]
    new, after = applies(one, wanted, entries, writer("b"), force=True)
    assert new["spec"] == {"size": 2, "labels": {"x": "2", "y": "3"}}
    assert owners(after)["b"] == {"f:size": {}, "f:labels": {"f:x": {}, "f:y": {}}}
    assert "f:size" not in owners(after)["a"]


def test_equal_values_are_owned_together() -> None:
    new, entries = applies({}, document({"size": 1}), [], writer("a"))
    new, entries = applies(new, document({"size": 1}), entries, writer("b"))
    assert owners(entries) == {"a": {"f:size": {}}, "b": {"f:size": {}}}
    new, entries = applies(new, document({"args": ["x"]}), entries, writer("a"))
    assert new["spec"] == {"size": 1, "args": ["x"]}, "b still wants it"
    new, entries = applies(new, document({"tags": ["t"]}), entries, writer("b"))
    assert new["spec"] == {"args": ["x"], "tags": ["t"]}


def test_what_is_no_longer_applied_goes_with_what_is_in_it() -> None:
    rules = [{"port": 80, "note": "mine"}, {"port": 443}]
    new, entries = applies({}, document({"rules": rules, "labels": {"x": "1"}}), [], writer("a"))
    new, entries = applies(new, document({"rules": rules[1:]}), entries, writer("a"))
    assert new["spec"] == {"rules": [{"port": 443}]}
    new, entries = applies(new, document({"size": 1}), entries, writer("a"))
    assert new["spec"] == {"size": 1}


def test_an_element_that_somebody_else_has_a_part_in_stays() -> None:
    new, entries = applies({}, document({"rules": [{"port": 80, "args": ["a"]}]}), [], writer("a"))
    new, entries = applies(new, document({"rules": [{"port": 80, "note": "theirs"}]}), entries, writer("b"))
    new, entries = applies(new, document({"size": 1}), entries, writer("a"))
    assert new["spec"] == {"size": 1, "rules": [{"port": 80, "note": "theirs"}]}


def test_several_conflicts_are_listed_by_manager() -> None:
    one = document({"size": 1, "args": ["a"]})
    entries = first_entries(one, writer("a"))
    _, entries = applies(one, document({"args": ["a"]}), entries, writer("c"))
    with pytest.raises(Conflicts) as refused:
        applies(one, document({"size": 9, "args": ["z"]}), entries, writer("d"))
    assert conflict_error(refused.value.conflicts).message == (
        "Apply failed with 3 conflicts: "
        'conflicts with "a" using example.com/v1:\n- .spec.args\n- .spec.size\nconflicts with "c":\n- .spec.args'
    )


def test_objects_from_before_belong_to_before_first_apply() -> None:
    live = document({"size": 1})
    assert conflicts(live, document({"size": 2}), [], writer("a")) == [
        'conflict with "before-first-apply" using example.com/v1: .spec.size'
    ]


def test_entries_of_lost_versions_are_dropped_and_others_converted() -> None:
    one, two = document({"size": 1}), document({"size": 2})
    old = [{**entry, "apiVersion": "example.com/v0"} for entry in first_entries(one, writer("gone"))]
    other = first_entries(one, writer("kept", version="example.com/v2"))
    assert owners(updates(one, two, old + other, writer("b"))) == {"kept": {}, "b": {"f:size": {}}}


def test_no_more_than_ten_updaters_are_kept_apart() -> None:
    live = document({"labels": {"k0": "v"}})
    entries = first_entries(live, writer("m00"))
    for number in range(1, 13):
        new = document({"labels": {**live["spec"]["labels"], f"k{number}": "v"}})
        entries = updates(live, new, entries, writer(f"m{number:02}", minute=number))
        live = new
    names = [entry["manager"] for entry in entries]
    assert len(names) == 10 and names[0] == "ancient-changes"
    assert set(owners(entries)["ancient-changes"]["f:labels"]) == {".", "f:k0", "f:k1", "f:k2", "f:k3"}
    assert entries[0]["time"] == "2026-01-01T00:03:00Z"


def test_what_clients_say_about_entries() -> None:
    live = first_entries(document({"size": 1}), writer("a"))
    other = [{**live[0], "manager": "b"}]
    assert claimed(None, live) is live and claimed([dict(live[0])], live) is live
    assert claimed([], live) == [] and claimed([{}], live) == []
    assert claimed(other, live) == other
    for broken in ({"operation": "Steal"}, {"fieldsV1": {"?": {}}}, {"fieldsType": "FieldsV2"}, {"apiVersion": ""}):
        assert claimed([{**live[0], **broken}], live) is live
    assert claimed([{"manager": "x"}], live) is live and claimed(["x"], live) is live


def test_parts_of_what_became_atomic_are_owned_as_a_whole() -> None:
    labels = {"type": "object", "x-kubernetes-map-type": "atomic"}
    spec = {"type": "object", "properties": {"labels": labels, "size": {"type": "integer"}}}
    atom = structural_atom({"type": "object", "properties": {"spec": spec}})
    fields = {"f:spec": {"f:labels": {"f:x": {}}, "f:size": {}}}
    assert reconcile(fields, atom) == {"f:spec": {"f:labels": {}, "f:size": {}}}
    assert reconcile(fields, ATOM) is fields


def test_replicas_change_hands_by_the_scale() -> None:
    path = ("f:spec", "f:size")
    entries = first_entries(document({"size": 1, "args": ["a"]}), writer("a"))
    scale = scale_entries.of_scale(entries, path)
    assert [(entry["apiVersion"], entry["fieldsV1"]) for entry in scale] == [("autoscaling/v1", scale_entries.REPLICAS)]
    taken = [{**scale[0], "manager": "hpa", "subresource": "scale", "time": "2026-01-01T00:09:00Z"}]
    after = scale_entries.of_object(entries, taken, path, api_version=VERSION)
    assert owners(after) == {"a": {".": {}, "f:args": {}}, "hpa": {"f:size": {}}}
    assert (after[1]["apiVersion"], after[1]["subresource"]) == (VERSION, "scale")
    assert scale_entries.of_object(entries, scale, path, api_version=VERSION) == entries


def test_the_annotation_of_client_side_apply_says_what_is_kubectl_s_own() -> None:
    live = document({"size": 1, "args": ["changed"]})
    live["metadata"]["annotations"] = {
        ANNOTATION: '{"apiVersion":"example.com/v1","kind":"Widget","spec":{"size":1,"args":["a"]}}'
    }
    own = applied_before(live, ATOM)
    assert own is not None and own["f:spec"] == {"f:size": {}}
    renewed = keep_up_to_date(live, document({"size": 2}))
    assert renewed["metadata"]["annotations"][ANNOTATION] == (
        '{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"size":2}}\n'
    )
    assert applied_before(document({}), ATOM) is None and keep_up_to_date(document({}), {}) == document({})


@given(DOCUMENTS, DOCUMENTS)
def test_applying_twice_changes_nothing(live: Document, wanted: Document) -> None:
    entries = first_entries(live, writer("a"))
    new, entries = applies(live, wanted, entries, writer("b", minute=1), force=True)
    again, after = applies(new, wanted, entries, writer("b", minute=2), force=True)
    assert (again, after) == (new, entries)


@given(DOCUMENTS, DOCUMENTS)
def test_one_applier_has_what_it_applied_last_and_nothing_else(first: Document, second: Document) -> None:
    new, entries = applies({}, first, [], writer("a"))
    new, entries = applies(new, second, entries, writer("a", minute=1))
    alone, _ = applies({}, second, [], writer("a"))
    assert applied(new, ATOM) == applied(alone, ATOM)


@given(DOCUMENTS, DOCUMENTS)
def test_appliers_of_different_fields_commute(first: Document, second: Document) -> None:
    spec = {name: value for name, value in second["spec"].items() if name not in first["spec"]}
    second = document(spec)
    one, some = applies({}, first, [], writer("a"))
    one, some = applies(one, second, some, writer("b"))
    two, others = applies({}, second, [], writer("b"))
    two, others = applies(two, first, others, writer("a"))
    assert (one, some) == (two, others)


@given(DOCUMENTS, DOCUMENTS)
def test_after_an_update_nobody_else_owns_what_changed(live: Document, new: Document) -> None:
    entries = first_entries(live, writer("a"))
    after = updates(live, new, entries, writer("b"))
    sets = {entry["manager"]: entry["fieldsV1"] for entry in after}
    assert not intersection(sets.get("a", {}), sets.get("b", {}))
