"""What the tables of good and wrong objects share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from k8slite.errors import Cause
from k8slite.testing.causes import Expected

Document = dict[str, Any]
Rule = Callable[[Document], list[Cause]]
Row = tuple[Document, list[Expected]]
"""What is changed in the good object, and the causes that it is refused for."""

META = {"metadata": {"name": "one", "namespace": "default"}}


def cases(table: Mapping[str, list[Row]]) -> list[Any]:
    """A test case for each row."""
    return [
        pytest.param(kind, change, expected, id=f"{kind}-{number}")
        for kind, rows in table.items()
        for number, (change, expected) in enumerate(rows)
    ]
