"""The command `k8slite check`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import click

from ...printers import columns
from .. import decide
from ..spec import DEFAULT_NAME
from . import files, nodes, servers
from .controls import Control, Finding, judge
from .examine import examine

CONTROLS: list[Control] = sorted(
    [*files.CONTROLS, *servers.CONTROLS, *nodes.CONTROLS],
    key=lambda control: [int(part) for part in control.number.split(".")],
)


@click.command()
@click.option("--name", default=DEFAULT_NAME, show_default=True, help="The cluster's name.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="text or json.")
@click.option("--manual", is_flag=True, help="List the controls that people have to judge, too.")
def check(name: str, output: str, manual: bool) -> None:
    """Check a cluster by the CIS Kubernetes Benchmark; exit 1 if a control fails."""
    examined = examine(decide.existing(name))
    findings = [judge(control, examined) for control in CONTROLS]
    click.echo(_json(findings) if output == "json" else describe(findings, manual=manual))
    if any(finding.state == "FAIL" for finding in findings):
        raise SystemExit(1)


def _json(findings: Sequence[Finding]) -> str:
    rows = [
        {
            "control": finding.control.number,
            "text": finding.control.text,
            "state": finding.state,
            "details": list(finding.details),
        }
        for finding in findings
    ]
    return json.dumps(rows, indent=2)


def describe(findings: Sequence[Finding], *, manual: bool) -> str:
    """The findings for people: what passed in a line each, what failed with what to do."""
    shown = [finding for finding in findings if manual or finding.state != "MANUAL"]
    rows = [
        [finding.control.number, finding.state, finding.control.text, "; ".join(finding.details)] for finding in shown
    ]
    counts = Counter(finding.state for finding in findings)
    total = ", ".join(f"{counts[state]} {word}" for state, word in _WORDS if counts[state])
    return f"{columns.render(['CONTROL', 'STATE', 'WHAT', 'WHY'], rows)}\n\n{total}."


_WORDS = (("PASS", "pass"), ("FAIL", "fail"), ("N/A", "do not apply"), ("MANUAL", "are for people to judge (--manual)"))
