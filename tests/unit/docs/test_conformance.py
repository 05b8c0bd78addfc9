"""The table of conformance tests: nothing is missing, and every test of ours that it names exists."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "conformance.md").read_text()
#: What upstream has of version 1.37 that needs no containers, but for a webhook's, and of the scheduler.
COUNTS = {
    "sig-api-machinery": 96,
    "sig-apps": 60,
    "sig-auth": 11,
    "sig-cli": 8,
    "sig-instrumentation": 4,
    "sig-network": 16,
    "sig-node": 24,
    "sig-scheduling": 11,
    "sig-storage": 12,
}
WAITING = ("next: controllers",)


def rows() -> list[tuple[str, str, str]]:
    """Area, upstream's name and our cell of every row."""
    parts = re.split(r"^## (sig-[\w-]+)$", TEXT, flags=re.MULTILINE)[1:]
    found = []
    for area, text in zip(parts[::2], parts[1::2], strict=True):
        table = re.findall(r"^\|(.*)\|(.*)\|$", text, flags=re.MULTILINE)
        found += [(area, name.strip(), cell.strip()) for name, cell in table[2:]]
    return found


@cache
def defined_in(path: Path) -> frozenset[str]:
    """The tests that a file defines, those of classes as `Class::test`."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, functions):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{child.name}" for child in node.body if isinstance(child, functions)}
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


def missing(cell: str) -> list[str]:
    """The tests in a cell that do not exist, and whatever is no test at all."""
    if cell in WAITING:
        return []
    named = re.findall(r"`([^`]+)`", cell)
    if not named or re.sub(r"`[^`]+`", "", cell).strip(", "):
        return [cell or "nothing"]
    split = [(name, *name.partition("::")[::2]) for name in named]
    return [name for name, path, test in split if not (ROOT / path).is_file() or test not in defined_in(ROOT / path)]


def test_every_name_of_upstream_has_a_row() -> None:
    assert Counter(area for area, _, _ in rows()) == COUNTS
    assert [name for name, count in Counter((area, name) for area, name, _ in rows()).items() if count > 1] == []


def test_every_test_that_is_named_exists() -> None:
    assert {name: lost for _, name, cell in rows() if (lost := missing(cell))} == {}


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "later",
        "`tests/unit/docs/test_conformance.py::test_that_nobody_wrote`",
        "`tests/unit/docs/no_such_file.py::test_every_name_of_upstream_has_a_row`",
        "`tests/unit/docs/test_conformance.py`",
        "`tests/unit/docs/test_conformance.py::missing`",
        "`tests/unit/docs/test_conformance.py::test_every_name_of_upstream_has_a_row` and others",
    ],
)
def test_a_wrong_cell_would_be_found(cell: str) -> None:
    assert missing(cell)
