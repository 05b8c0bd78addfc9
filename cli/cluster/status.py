"""`k8slite status`: what a cluster is, which of its programs run, how its nodes are."""

from __future__ import annotations

from typing import Any

from k8slite.errors import ApiError

from ..api import Api
from ..failure import Failure
from ..printers import columns
from . import audit, control
from .spec import ClusterSpec


def gather(spec: ClusterSpec) -> dict[str, Any]:
    """Everything that `status` knows, as plain data (`-o json`)."""
    found = _supervisor(spec)
    return {
        "name": spec.name,
        "running": found is not None,
        "simulated": spec.simulation.nodes,
        "store": spec.store,
        "server": spec.server,
        "kubeconfig": str(spec.kubeconfig),
        "directory": str(spec.directory),
        "auditLog": str(audit.log_file(spec)),
        "supervisor": found,
        "nodes": _nodes(spec) if found else None,
    }


def _supervisor(spec: ClusterSpec) -> dict[str, Any] | None:
    """What the supervisor says; None if there is none."""
    if not control.is_running(spec):
        return None
    try:
        return control.ask(spec, do="status")
    except OSError as error:
        if not control.is_running(spec):  # it ended meanwhile
            return None
        raise Failure(f"the supervisor of cluster {spec.name} does not answer: {error}") from error


def _nodes(spec: ClusterSpec) -> list[dict[str, str]] | None:
    """Each node's name and state; None if the API server does not say."""
    try:
        with Api(spec.kubeconfig, timeout=5) as api:
            items = api.call("GET", "/api/v1/nodes")["items"]
    except (ApiError, Failure):
        return None
    return [{"name": node["metadata"]["name"], "status": _ready(node)} for node in items]


def _ready(node: dict[str, Any]) -> str:
    conditions = node.get("status", {}).get("conditions", [])
    return "Ready" if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) else "NotReady"


def describe(status: dict[str, Any]) -> str:
    """The status for people."""
    state = "running" if status["running"] else "stopped; `k8slite up` starts it again"
    lines = [f"Cluster {status['name']} is {state}.", f"Kubeconfig: {status['kubeconfig']}"]
    lines.append(f"Audit log: {status['auditLog']}")
    if status["simulated"]:
        lines.append(f"{status['simulated']} of its nodes are simulated: no container runs there.")
    if not status["running"]:
        return "\n".join(lines)
    nodes, services = status["nodes"], status["supervisor"]["services"]
    lines += [f"Server: {status['server']}   Store: {status['store']}   Nodes: {_readiness(nodes)}", ""]
    lines.append(
        columns.render(["PROGRAM", "STATE", "PID", "RESTARTS", "UPTIME", "MEMORY"], [_row(s) for s in services])
    )
    if nodes and len(nodes) <= 20:
        lines += ["", columns.render(["NODE", "STATUS"], [[node["name"], node["status"]] for node in nodes])]
    return "\n".join(lines)


def _readiness(nodes: list[dict[str, str]] | None) -> str:
    if nodes is None:
        return "unknown, as the API server does not answer"
    return f"{sum(node['status'] == 'Ready' for node in nodes)} of {len(nodes)} ready"


def _row(service: dict[str, Any]) -> list[str]:
    memory = f"{service['memory'] / 2**20:.0f} MB" if service["memory"] else ""
    state = "running" if service["running"] else "failing" if service["wanted"] else "stopped"
    uptime = f"{service['uptime']:.0f} s" if service["running"] else ""
    return [service["name"], state, str(service["pid"] or ""), str(service["restarts"]), uptime, memory]
