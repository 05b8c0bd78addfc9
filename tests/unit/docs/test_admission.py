"""docs/admission.md names every plugin, in the order in which they run."""

from __future__ import annotations

import re
from pathlib import Path

from k8slite.apiserver.admission.plugins import PLUGINS

_PAGE = Path(__file__).parents[3] / "docs/admission.md"


def test_the_page_lists_the_plugins_in_their_order() -> None:
    assert re.findall(r"^\| ([A-Z]\w+) \|", _PAGE.read_text(), re.MULTILINE) == list(PLUGINS)
