"""Every plugin of the scheduler stands in its page, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from k8slite.scheduler.plugins import REGISTRY

PAGE = Path(__file__).parents[3] / "docs" / "scheduler.md"


def test_every_plugin_has_a_row() -> None:
    table = PAGE.read_text().partition("\n## Plugins\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \|", table, flags=re.MULTILINE)
    assert rows[0] == "plugin"
    assert sorted(rows[1:]) == sorted(REGISTRY)
