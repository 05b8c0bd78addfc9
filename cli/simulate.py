"""`k8slite simulate`: simulated nodes that join a cluster, ours or any other, as long as the command runs."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from k8slite import programs, quantity
from k8slite.config import ConfigError, SimulatorConfig

from . import kubeconfig as access
from .api import Api
from .cluster import decide, simulation
from .cluster.spec import ClusterSpec, Simulation
from .failure import Failure


@click.command()
@click.option("--nodes", type=click.IntRange(1, simulation.MOST_NODES), default=1, show_default=True, help="How many.")
@click.option("--name", default="simulated", show_default=True, help="What the nodes' names begin with.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="The kubeconfig file.")
@click.option("--context", default="", help="The context in the kubeconfig.")
@simulation.options
@click.option("--pod-cidr", default="", help="A range that the nodes share out as their pod CIDRs.")
@click.option(
    "--lease-duration", type=click.IntRange(1), default=40, show_default=True, help="Of their Leases, seconds."
)
@click.option("--remove", is_flag=True, help="Remove the nodes at the end.")
def simulate(
    nodes: int,
    name: str,
    kubeconfig: Path | None,
    context: str,
    pod_cidr: str,
    lease_duration: int,
    remove: bool,
    simulated: Callable[[int], Simulation],
) -> None:
    """Let simulated nodes join a cluster, until Ctrl-C: pods on them are reported Running, but nothing runs."""
    decide.check_name(name)
    wanted = simulated(nodes)
    path = kubeconfig or next((file for file in access.default_paths() if file.exists()), None)
    server = access.read(path, context=context).server
    assert path is not None  # or there would have been nothing to read
    place = _place_in(path) if not context else {}
    capacity = simulation.CAPACITY | wanted.capacity
    if place and not pod_cidr:
        with Api(path) as api:
            present = api.call("GET", "/api/v1/nodes")["items"]
        pods = quantity.whole(capacity["pods"])
        pod_cidr = simulation.range_for(name, nodes=nodes, pods=pods, present=present)
    config = SimulatorConfig(
        **{
            "name": name,
            "kubeconfig": path,
            "context": context,
            "nodes": nodes,
            "zones": wanted.zones,
            "labels": wanted.labels,
            "taints": wanted.taints if wanted.taints is not None else [simulation.TAINT],
            "capacity": capacity,
            "stages_file": wanted.stages_file,
            "node_lease_duration": lease_duration,
            "remove_nodes": remove,
            "port": 0,
            **_reachable(server),
            **place,
            **({"pod_cidr": pod_cidr} if pod_cidr else {}),
        }
    )
    click.echo(f"{nodes} simulated nodes, {name}-0 and on, join {server}. Ctrl-C ends them.", err=True)
    try:
        programs.run_with("simulator", config)
    except ConfigError as error:
        raise Failure(str(error)) from error


def _place_in(path: Path) -> dict[str, Any]:
    """In a cluster of this machine: an identity that may do no more than play nodes, and a certificate that the API
    server checks. Nothing elsewhere."""
    spec = next((spec for spec in decide.every() if _is_same(path, spec)), None)
    if spec is None:
        return {}
    pki = spec.directory / "pki"
    return {
        "kubeconfig": pki / "simulator.conf",
        "cert_file": pki / "kubelet.crt",
        "key_file": pki / "kubelet.key",
    }


def _is_same(path: Path, spec: ClusterSpec) -> bool:
    return spec.kubeconfig.exists() and path.exists() and spec.kubeconfig.samefile(path)


def _reachable(server: str) -> dict[str, str]:
    """The address of this machine that the API server at a URL can dial. Raises Failure."""
    parts = urlsplit(server)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_DGRAM)[0]
        with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
            probe.connect(found[4])  # sends nothing: the kernel only chooses a route
            address = str(probe.getsockname()[0])
    except OSError as error:
        raise Failure(f"no way to {server}: {error}") from error
    address = address if not ipaddress.ip_address(address).is_loopback else "127.0.0.1"
    return {"bind_address": address, "node_ip": address}
