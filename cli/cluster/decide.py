"""From what the user asked for to a spec: a known cluster keeps its decisions, a new one takes what is free."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import Literal

from k8slite import config

from ..failure import Failure
from . import free, machine, simulation
from .control import socket_path
from .spec import DEFAULT_NAME, ROOTS_HOME, ClusterSpec, Simulation, clusters_dir

#: What fits into Linux' `sockaddr_un`.
SOCKET_PATH_MOST = 107
_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of `k8slite up`; None means that the user did not say."""

    name: str = DEFAULT_NAME
    nodes: int | None = None
    simulation: Simulation = field(default_factory=Simulation)
    """No simulated nodes and nothing else said of them: the user did not ask for any."""
    store: Literal["sqlite", "etcd"] | None = None
    etcd_endpoints: tuple[str, ...] = ()


def check_name(name: str) -> None:
    """Whether a name will do for a node, a file and an nftables table. Raises Failure."""
    if name == free.CLAIMS.name:
        raise Failure(f"{name!r} is no name for a cluster: its directory is taken")
    if len(name) > 40 or not _NAME.fullmatch(name):
        raise Failure(f"{name!r} is no name for a cluster: use lower-case letters, digits and dashes, a letter first")


def find(name: str) -> ClusterSpec | None:
    """The cluster of that name on this machine. Raises Failure for an unreadable one."""
    check_name(name)
    file = ClusterSpec(name=name).file
    if not file.exists():
        return None
    try:
        return config.load(ClusterSpec, file)
    except config.ConfigError as error:
        raise Failure(str(error)) from error


def every() -> list[ClusterSpec]:
    """All clusters of this machine."""
    names = (file.parent.name for file in sorted(clusters_dir().glob("*/cluster.yaml")))
    return [spec for name in names if _NAME.fullmatch(name) and (spec := find(name))]


def existing(name: str) -> ClusterSpec:
    """The cluster of that name. Raises Failure if there is none."""
    spec = find(name)
    if spec is None:
        if clusters_dir() != ROOTS_HOME and (ROOTS_HOME / name).exists():
            raise Failure(f"the cluster {name!r} of this machine is root's: use `sudo {machine.command()}`")
        raise Failure(f"there is no cluster {name!r} on this machine; `k8slite up` makes one")
    return spec


def contradictions(wish: Wish, spec: ClusterSpec) -> list[str]:
    """What the user asks for that the cluster there is not."""
    found = []
    if wish.nodes is not None and wish.nodes != spec.nodes:
        found.append(f"it has {spec.nodes} node(s), not {wish.nodes}")
    if wish.simulation.nodes and wish.simulation.nodes != spec.simulation.nodes:
        found.append(f"it has {spec.simulation.nodes} simulated node(s), not {wish.simulation.nodes}")
    said = [name for name, value in wish.simulation if value != getattr(Simulation(), name) and name != "nodes"]
    if any(getattr(wish.simulation, name) != getattr(spec.simulation, name) for name in said):
        found.append("its simulated nodes are others")
    if wish.store is not None and wish.store != spec.store:
        found.append(f"its store is {spec.store}, not {wish.store}")
    if wish.etcd_endpoints and list(wish.etcd_endpoints) != spec.etcd_endpoints:
        found.append("its etcd endpoints are others")
    return found


def new(wish: Wish) -> ClusterSpec:
    """A new cluster, placed where this machine has room. Raises Failure."""
    nodes = wish.nodes if wish.nodes is not None else 0 if wish.simulation.nodes else 1
    if not wish.simulation.nodes and wish.simulation != Simulation():
        raise Failure("what is said of simulated nodes is for nobody: --simulate says how many there are to be")
    simulation.check_range(wish.simulation)
    if len(str(socket := socket_path(ClusterSpec(name=wish.name)))) > SOCKET_PATH_MOST:
        raise Failure(f"{socket} is too long for a socket; set K8SLITE_HOME to a shorter directory")
    try:
        if not nodes:  # no pod network: the ranges are only numbers in objects
            index, pods, services = free.ranges([])
        else:
            index, pods, services = free.claim_ranges(ClusterSpec(name=wish.name).directory, free.routed_networks())
        taken = {number for spec in every() for number in spec.ports}  # also of clusters that are stopped
        start = zlib.crc32(wish.name.encode())
        api_port = free.port(6443 + 10 * index, taken=taken, start=start)
        taken |= {api_port}
        etcd_port = free.port(2379 + 10 * index, count=2, taken=taken, start=start)
        taken |= {etcd_port, etcd_port + 1}
        kubelets = nodes + bool(wish.simulation.nodes)
        kubelet_port = free.port(10250 + 100 * index, count=kubelets, taken=taken, start=start)
        taken |= set(range(kubelet_port, kubelet_port + kubelets))
        return ClusterSpec(
            name=wish.name,
            scheduler_port=free.port(10259 + 100 * index, taken=taken, start=start),
            nodes=nodes,
            simulation=wish.simulation,
            store=wish.store or ("etcd" if wish.etcd_endpoints else "sqlite"),
            etcd_endpoints=list(wish.etcd_endpoints),
            api_port=api_port,
            etcd_port=etcd_port,
            kubelet_port=kubelet_port,
            pod_cidr=str(pods),
            service_cidr=str(services),
            load_balancer_cidr=str(free.balancers(index)),
            bridge=f"k8slite{index}",
            docker_host=machine.docker_host() if nodes else "",
            encrypts=not wish.etcd_endpoints,
        )
    except OSError as error:
        raise Failure(str(error)) from error
