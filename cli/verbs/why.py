"""`k8slite why`: why a pod is on its node, or on none, as the scheduler tells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
import httpx

from ..api import Api
from ..cluster.decide import every
from ..failure import Failure
from ..options import connects
from ..printers import columns

#: Names of nodes shown for each filter; `-o json` has them all.
SHOWN = 4


@click.command()
@click.argument("pod")
@click.option("--scheduler", default="", help="The scheduler's URL; default: that of this machine's cluster.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="text or json.")
@connects
def why(api: Api, *, pod: str, scheduler: str, output: str) -> None:
    """Say why a pod is on its node, or on none: `why web-0`."""
    name = pod.removeprefix("pod/")
    url = scheduler or _scheduler_of(api)
    try:
        answer = api.elsewhere(f"{url}/decisions/{api.namespace}/{name}")
    except httpx.HTTPError as error:
        raise Failure(f"the scheduler at {url} does not answer: {error}") from error
    match answer.status_code:
        case 200:
            decision = answer.json()
            click.echo(json.dumps(decision, indent=2) if output == "json" else columns.visible(told(decision)))
        case 404:
            raise Failure(f"the scheduler remembers no decision about pod {api.namespace}/{name}")
        case 403:
            raise Failure("the scheduler tells administrators only (system:masters)")
        case status:
            raise Failure(f"the scheduler at {url} answered {status}: {answer.text.strip()}")


def _scheduler_of(api: Api) -> str:
    """The scheduler of the cluster on this machine whose API server the kubeconfig names."""
    for spec in every():
        if spec.server == api.access.server and spec.scheduler_port:
            return f"https://127.0.0.1:{spec.scheduler_port}"
    raise Failure(f"no cluster of this machine is at {api.access.server}: name its scheduler by --scheduler URL")


def told(decision: Mapping[str, Any]) -> str:
    """A decision for people."""
    who = f"{decision['namespace']}/{decision['name']}"
    by = f"{decision['profile']}, attempt {decision['attempt']}, {decision['time']}"
    if node := decision.get("node"):
        lines = [f"{who} was placed on {node} ({by})"]
    else:
        lines = [f"{who} was placed nowhere ({by})", decision["message"]]
    if decision.get("filters"):
        rows = [
            [found["plugin"], str(found["removed"]), _reasons(found), _names(found.get("nodes", ()))]
            for found in decision["filters"]
        ]
        lines += ["", f"Of {decision['nodes']} nodes were removed by", ""]
        lines.append(columns.render(["FILTER", "NODES", "WHY", "WHICH"], rows))
    if decision.get("scores"):
        plugins = [entry["plugin"] for entry in decision["scores"][0]["plugins"]]
        rows = [
            [found["node"], f"{found['total']:g}", *(f"{p['score']:g} x {p['weight']}" for p in found["plugins"])]
            for found in decision["scores"]
        ]
        lines += ["", "The best of the others and their scores" if len(rows) > 1 else "Its scores", ""]
        lines.append(columns.render(["NODE", "TOTAL", *plugins], rows))
    return "\n".join(lines)


def _reasons(found: Mapping[str, Any]) -> str:
    return "; ".join(reason for reason in found.get("reasons", {}))


def _names(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
