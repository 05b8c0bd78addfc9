"""JSONPath, and the cells that printer columns make of what it finds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from k8slite.apiserver.custom.columns import columns_of
from k8slite.apiserver.custom.jsonpath import PathError, compile_path, selectable

DOCUMENT = {
    "metadata": {"name": "one", "creationTimestamp": "2024-01-01T00:00:00Z", "annotations": {"a.b/c": "dotted"}},
    "spec": {
        "n": 3,
        "f": 1.5,
        "yes": True,
        "list": ["a", "b", "c"],
        "ports": [{"name": "x", "port": 1}, {"name": "y", "port": 2}],
    },
    "status": {"conditions": [{"type": "A", "status": "no"}, {"type": "B", "status": "yes"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.n", [3]),
        ("$.spec.n", [3]),
        (".spec.missing.deeper", []),
        (".spec.n.deeper", []),
        (".spec.list[0]", ["a"]),
        (".spec.list[-1]", ["c"]),
        (".spec.list[9]", []),
        (".spec.list[0:2]", ["a", "b"]),
        (".spec.list[*]", ["a", "b", "c"]),
        (".spec.ports[*].name", ["x", "y"]),
        (".spec['n']", [3]),
        ('.metadata.annotations["a.b/c"]', ["dotted"]),
        (r".metadata.annotations.a\.b/c", ["dotted"]),
        ('.status.conditions[?(@.type=="B")].status', ["yes"]),
        (".status.conditions[?(@.type=='C')].status", []),
        (".spec.ports[?(@.port>1)].name", ["y"]),
        (".spec.ports[?(@.nothing)].name", []),
        (".spec.ports[?( @.port )].name", ["x", "y"]),
        ("..port", [1, 2]),
    ],
)
def test_a_path_finds_what_it_leads_to(path: str, found: list[Any]) -> None:
    assert compile_path(path)(DOCUMENT) == found


_WIDE = f".a[?({' ' * 20_000})]"


@pytest.mark.parametrize("path", [".a[", ".a[?(", "a b", ".a[?(@.x==nonsense)]", ".a[?(@.x==)]", ".a[x y]", _WIDE])
def test_a_path_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(PathError):
        compile_path(path)


@pytest.mark.parametrize(
    ("kind", "path", "cell"),
    [
        ("string", ".metadata.name", "one"),
        ("string", ".spec.n", "3"),
        ("string", ".spec.f", "1.5"),
        ("string", ".spec.yes", "true"),
        ("string", ".spec.list", '["a","b","c"]'),
        ("string", ".spec.missing", None),
        ("integer", ".spec.n", 3),
        ("integer", ".spec.f", 1),
        ("integer", ".metadata.name", None),
        ("number", ".spec.n", 3.0),
        ("boolean", ".spec.yes", True),
        ("boolean", ".spec.n", None),
        ("date", ".metadata.creationTimestamp", "24h"),
        ("date", ".metadata.name", "<invalid>"),
        ("date", ".spec.n", None),
    ],
)
def test_a_cell_has_the_type_of_its_column(kind: str, path: str, cell: object) -> None:
    _, column = columns_of([{"name": "X", "type": kind, "jsonPath": path}])
    assert column.read(DOCUMENT, datetime(2024, 1, 2, tzinfo=UTC)) == cell


def test_without_columns_the_age_is_shown() -> None:
    assert [column.name for column in columns_of([])] == ["Name", "Age"]
    assert [column.name for column in columns_of([{"name": "X", "type": "string", "jsonPath": ".x"}])] == ["Name", "X"]


def test_a_selectable_field_is_text() -> None:
    assert [selectable(path)(DOCUMENT) for path in (".spec.n", ".spec.yes", ".metadata.name", ".spec.no")] == [
        "3",
        "true",
        "one",
        "",
    ]
