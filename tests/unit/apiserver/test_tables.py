"""Tables of every kind, compared with golden files: one document of each kind in, the printed row out.

`K8SLITE_UPDATE_GOLDEN=1 pytest tests/unit/apiserver/test_tables.py` rewrites the rows; look at the difference.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from k8slite.apiserver.tables import table
from k8slite.catalogue import builtin
from k8slite.schema import Schemas

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
GOLDEN = Path(__file__).parents[2] / "golden" / "tables"
CATALOGUE = builtin()


class _Plain(yaml.SafeDumper):
    """Writes repeated parts out, so that files read well."""

    def ignore_aliases(self, data):
        return True


def golden_files():
    return sorted(GOLDEN.glob("*.yaml"))


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.stem)
def test_rows_as_kubectl_prints_them(path):
    case = yaml.safe_load(path.read_text())
    resource = CATALOGUE.resolve(case["resource"])
    assert resource is not None
    for document in case["objects"]:
        document.setdefault("metadata", {}).setdefault("creationTimestamp", "2026-01-01T11:00:00Z")
        Schemas().check(
            document, group=resource.group, version=resource.version, kind=resource.kind, strictness="Strict"
        )
    made = table(resource, case["objects"], now=NOW, list_metadata={})
    header = [column["name"] + ("*" if column["priority"] else "") for column in made["columnDefinitions"]]
    printed = [" | ".join(header), *(" | ".join(str(cell) for cell in row["cells"]) for row in made["rows"])]
    if os.environ.get("K8SLITE_UPDATE_GOLDEN"):
        case["table"] = printed
        path.write_text(yaml.dump(case, Dumper=_Plain, sort_keys=False, width=200))
    assert printed == case["table"]


def test_every_kind_has_a_table_even_for_an_empty_object():
    for resource in CATALOGUE:
        made = table(resource, [{"metadata": {"name": "x"}}], now=NOW, list_metadata={})
        assert len(made["rows"][0]["cells"]) == len(made["columnDefinitions"]), resource


def test_kinds_without_columns_show_name_and_age():
    resource = CATALOGUE.resolve("deviceclasses")
    assert resource is not None
    made = table(
        resource,
        [{"metadata": {"name": "x", "creationTimestamp": "2026-01-01T11:59:00Z"}}],
        now=NOW,
        list_metadata={"resourceVersion": "7"},
    )
    assert made["metadata"] == {"resourceVersion": "7"}
    assert [column["name"] for column in made["columnDefinitions"]] == ["Name", "Age"]
    assert made["rows"][0]["cells"] == ["x", "60s"]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_what_comes_with_a_row(version):
    resource = CATALOGUE.resolve("configmaps")
    assert resource is not None
    document = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}, "data": {"a": "b"}}

    def shown(include):
        made = table(resource, [document], now=NOW, include_object=include, list_metadata={}, version=version)
        assert made["apiVersion"] == f"meta.k8s.io/{version}"
        return made["rows"][0]["object"]

    assert shown("Object") == document
    assert shown("Metadata") == {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": {"name": "x"},
    }
    assert shown("None") is None


def header(column):
    """A column of a header as one word: its name, what is not usual about its type, an asterisk for a wide one."""
    kind = "" if column["type"] == "string" else f":{column['type']}"
    form = f":{column['format']}" if column["format"] else ""
    return column["name"] + kind + form + "*" * column["priority"]


def test_headers_of_every_kind():
    path = GOLDEN.parent / "headers.txt"
    printed = [
        f"{resource.qualified} {resource.version}: "
        + " | ".join(header(column) for column in table(resource, [], now=NOW, list_metadata={})["columnDefinitions"])
        for resource in sorted(CATALOGUE, key=lambda resource: resource.key)
        if "get" in resource.verbs
    ]
    if os.environ.get("K8SLITE_UPDATE_GOLDEN"):
        path.write_text("\n".join(printed) + "\n")
    assert printed == path.read_text().splitlines()


@pytest.mark.parametrize(
    ("plural", "document", "cells"),
    [
        (
            "componentstatuses",
            {"conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]},
            ["Healthy", "ok", ""],
        ),
        ("componentstatuses", {}, ["Unhealthy", "", ""]),
        ("podcertificaterequests", {"spec": {"podName": "p", "nodeName": "n"}}, ["p", "", "n", "", "Pending"]),
        (
            "podcertificaterequests",
            {"status": {"conditions": [{"type": "Denied", "status": "True"}]}},
            ["", "", "", "", "Denied"],
        ),
        ("storageversionmigrations", {"spec": {"resource": {"group": "g", "resource": "r"}}}, ["r.g"]),
        ("ipaddresses", {}, ["<none>"]),
        ("prioritylevelconfigurations", {"spec": {"type": "Exempt"}}, ["Exempt", *["<none>"] * 4, "<unknown>"]),
        ("resourceclaims", {"metadata": {"deletionTimestamp": "2026-01-01T11:00:00Z"}}, ["deleted", "<unknown>"]),
    ],
)
def test_cells_of_what_is_seldom_seen(plural, document, cells):
    resource = CATALOGUE.resolve(plural)
    assert resource is not None
    assert table(resource, [document], now=NOW, list_metadata={})["rows"][0]["cells"][1:] == cells
