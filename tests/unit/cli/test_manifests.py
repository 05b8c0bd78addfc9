"""Manifests: what is read, and what is said of what cannot be."""

from __future__ import annotations

import pytest

from k8slite.cli.failure import Failure
from k8slite.cli.manifests import read_text

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"


def test_documents_carry_their_line() -> None:
    found = read_text(f"{POD}---\n# nothing here\n---\n{POD}", source="app.yaml")
    assert [manifest.place for manifest in found] == ["app.yaml:1", "app.yaml:7"]


def test_lists_are_taken_apart() -> None:
    found = read_text(
        '{"apiVersion": "v1", "kind": "List", "items": ['
        + ",".join(['{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}'] * 2)
        + "]}",
        source="x.json",
    )
    assert [manifest.object["kind"] for manifest in found] == ["Pod", "Pod"]


def test_timestamps_stay_text() -> None:
    found = read_text(POD + "data: {when: 2026-01-01}\n", source="x")
    assert found[0].object["data"] == {"when": "2026-01-01"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "x.yaml:2:1: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\na: 2\n", "x.yaml:2:1: key 'a' stands twice"),
        ("just text\n", "x.yaml:1: expected an object with apiVersion and kind, not str"),
        ("---\nkind: Pod\n", "x.yaml:2: apiVersion not set"),
        ("apiVersion: v1\nkind: Pod\n", "x.yaml:1: Pod has no metadata.name"),
        ("a: \t- b\n", "x.yaml:1:4: found character '\\t' that cannot start any token"),
    ],
)
def test_a_bad_manifest_is_named_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(Failure) as caught:
        read_text(text, source="x.yaml")
    assert caught.value.message == message
