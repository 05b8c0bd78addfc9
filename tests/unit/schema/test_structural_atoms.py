"""How custom resources merge, by what their schemas say."""

from __future__ import annotations

import pytest

from k8slite.schema.atoms import ANY, Atom
from k8slite.schema.structural_atoms import structural_atom

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "port": {"x-kubernetes-int-or-string": True},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "args": {"type": "array", "items": {"type": "string"}},
                "rules": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port", "name"],
                    "items": {
                        "type": "object",
                        "properties": {"port": {"type": "integer", "default": 80}, "name": {"type": "string"}},
                    },
                },
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"inner": {"type": "object", "properties": {"a": {"type": "string"}}}},
                },
                "template": {"type": "object", "x-kubernetes-embedded-resource": True},
            },
        }
    },
}


def at(*path: str) -> Atom:
    atom = structural_atom(SCHEMA)
    for name in path:
        atom = atom.at(name)
    return atom


@pytest.mark.parametrize(
    ("path", "form", "merging"),
    [
        ("spec", "map", "granular"),
        ("spec size", "scalar", "atomic"),
        ("spec port", "any", "granular"),
        ("spec tags", "list", "set"),
        ("spec args", "list", "atomic"),
        ("spec rules", "list", "keyed"),
        ("spec whole", "map", "atomic"),
        ("spec labels", "map", "granular"),
        ("spec labels anything", "scalar", "atomic"),
        ("spec free anything", "any", "granular"),
        ("spec template metadata labels", "map", "granular"),
        ("metadata finalizers", "list", "set"),
        ("metadata ownerReferences", "list", "keyed"),
    ],
)
def test_marks_say_how_a_place_merges(path: str, form: str, merging: str) -> None:
    atom = at(*path.split())
    assert (atom.form, atom.merging) == (form, merging)


def test_keys_of_a_list_are_sorted_and_know_their_defaults() -> None:
    rules = at("spec", "rules")
    assert rules.keys == ("name", "port")
    assert rules.defaults == {"port": 80}


def test_a_map_that_names_its_fields_knows_no_others() -> None:
    assert at("spec").element is None
    assert at("spec", "free").element is ANY
    assert at("spec", "free", "inner").element is ANY, "preserved unknown fields are preserved further down too"


def test_a_version_without_a_schema_takes_everything() -> None:
    atom = structural_atom(None)
    assert atom.at("spec") is ANY
    assert atom.at("metadata").at("labels").form == "map"
