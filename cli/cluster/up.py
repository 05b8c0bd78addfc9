"""`k8slite up`: from nothing to a ready cluster; over a running one it changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import click

from k8slite import config
from k8slite.errors import ApiError

from ..api import Api
from ..failure import Failure
from . import certificates, decide, logs, machine, process, supervisor
from .configs import config_file, log_file, services
from .decide import Wish
from .progress import step
from .spec import ClusterSpec

READY_TIMEOUT = 60.0


def up(wish: Wish, *, install: bool = False) -> ClusterSpec:
    """Bring the cluster up and return when it is ready. Raises Failure with the way on."""
    spec = decide.find(wish.name)
    if spec is not None:
        _agree(wish, spec)
        if supervisor.is_running(spec):
            with step(f"Cluster {spec.name} is running already"):
                wait_ready(spec)
            return spec
    else:
        if wish.simulate is None:
            _require_machine(wish, install=install)
        spec = decide.new(wish)
    _directories(spec)
    if not spec.simulated:
        _engine(spec)
    with step("Certificates and configuration"):
        certificates.ensure(spec)
        for service in services(spec):
            if service.config is not None:
                config.dump(service.config, config_file(spec, service))
        config.dump(spec, spec.file)
    with step(f"Programs: {', '.join(service.name for service in services(spec))}"):
        process.daemonize(lambda: supervisor.Supervisor(spec).run(), log=spec.directory / "logs" / "supervisor.log")
        wait_for(spec, _api_ready, "the API server")
    with step(f"Ready: {spec.nodes} {'simulated ' if spec.simulated else ''}node{'s' * (spec.nodes > 1)}"):
        wait_ready(spec)
    return spec


def _agree(wish: Wish, spec: ClusterSpec) -> None:
    if problems := decide.contradictions(wish, spec):
        raise Failure(f"cluster {spec.name} exists, but {'; '.join(problems)}. `k8slite down` removes it")


def _require_machine(wish: Wish, *, install: bool) -> None:
    commands = ["nft", "ip", "conntrack"]
    if wish.store == "etcd" and not wish.etcd_endpoints:
        commands.append("etcd")
    if install:
        commands.append("dockerd") if machine.engine_fault("") else None
        if packages := machine.missing(commands, which=machine.find):
            machine.install(packages)
    if reason := None if install else machine.engine_fault(""):
        raise Failure(machine.NO_ENGINE.format(reason=reason))
    if os.geteuid() != 0:
        raise Failure("nodes need root for networks and volumes: run `sudo k8slite up`, or `k8slite up --simulate 3`")
    if packages := machine.missing(commands, which=machine.find):
        raise Failure(f"this machine lacks {', '.join(packages)}; `k8slite up --install` installs them")


def _engine(spec: ClusterSpec) -> None:
    if machine.engine_fault(spec.docker_host):
        if not machine.find("dockerd"):
            raise Failure(machine.NO_ENGINE.format(reason=machine.engine_fault(spec.docker_host)))
        with step("Docker engine"):
            machine.start_engine(spec)


def _directories(spec: ClusterSpec) -> None:
    for part in ("", "pki", "config", "logs", "kubelet"):
        (spec.directory / part).mkdir(parents=True, exist_ok=True, mode=0o700)


def wait_for(spec: ClusterSpec, condition: Callable[[Api], str | None], what: str) -> None:
    """Return when `condition` has no complaint. Raises Failure with the last complaint and where to look."""
    deadline = time.monotonic() + READY_TIMEOUT
    complaint: str | None = "it does not answer"
    with Api(spec.kubeconfig, timeout=5) as api:
        while complaint:
            time.sleep(0.03)
            try:
                complaint = condition(api)
            except (ApiError, Failure) as error:
                complaint = error.message
            if complaint and time.monotonic() > deadline:
                raise Failure(f"{what} did not get ready: {complaint}{_down(spec)}; see `k8slite cluster logs`")


def _down(spec: ClusterSpec) -> str:
    """Which programs do not run, each with the last line of its log."""
    try:
        found = supervisor.ask(spec, do="status")["services"]
    except OSError:
        return "; the supervisor does not run"
    return "".join(
        f"; {service['name']} keeps failing: {' '.join(logs.tail(log_file(spec, service['name']), 1))}"
        for service in found
        if not service["running"]
    )


def wait_ready(spec: ClusterSpec) -> None:
    """Return when every node is Ready."""
    wait_for(spec, lambda api: _nodes_ready(api, spec.nodes), "the cluster")


def _api_ready(api: Api) -> str | None:
    api.call("GET", "/readyz")
    return None


def _nodes_ready(api: Api, wanted: int) -> str | None:
    nodes = api.call("GET", "/api/v1/nodes")["items"]
    ready = [node for node in nodes if _is_ready(node)]
    return None if len(ready) >= wanted else f"{len(ready)} of {wanted} nodes are ready"


def _is_ready(node: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def summary(spec: ClusterSpec, *, seconds: float | None = None, application: str = "") -> str:
    """What the user reads at the end: how to reach the cluster, and what to try next."""
    style = click.style
    when = f" in {seconds:.1f} s" if seconds is not None else ""
    lines = ["", style(f"Cluster {spec.name} is ready{when}.", bold=True)]
    if spec.simulated:
        lines.append("Its nodes are simulated: pods are scheduled and reported Running, but no container runs.")
    lines += ["", f"  export KUBECONFIG={spec.kubeconfig}", ""]
    if application:
        lines += [f"The example application answers at {style(application, bold=True)}", ""]
    lines.append("Try next:")
    tries = ["k8slite get pods -A -o wide", "k8slite describe node " + spec.node_names[0], "k8slite status"]
    if application:
        tries = ["k8slite get all", "k8slite scale deployment/front --replicas 5", "k8slite logs deployment/front"]
    return "\n".join([*lines, *(f"  {line}" for line in tries)])
