"""The committed facts are what the generator makes."""

import runpy
from importlib import resources
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "build_schema.py"


def test_facts_are_up_to_date():
    committed = resources.files("k8slite.schema").joinpath("facts.json").read_text(encoding="utf-8")
    assert runpy.run_path(str(SCRIPT))["build"]("1.37.0") == committed
