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
from . import audit, certificates, control, decide, encryption, logs, machine, process, supervisor
from .configs import config_file, log_file, services
from .decide import Wish
from .exclusive import exclusive
from .progress import step
from .spec import ClusterSpec, clusters_dir

READY_TIMEOUT = 60.0
#: A supervisor that does not run after this many seconds did not come up at all; its log says why.
SUPERVISOR_TIMEOUT = 2.0


def up(wish: Wish, *, install: bool = False) -> ClusterSpec:
    """Bring the cluster up and return when it is ready. Raises Failure with the way on."""
    machine.extend_path()
    os.environ["K8SLITE_HOME"] = str(clusters_dir())  # absolute: the programs run in another directory
    decide.check_name(wish.name)
    with exclusive(wish.name):
        spec = decide.find(wish.name)
        if spec is not None:
            _agree(wish, spec)
        if spec is None or not control.is_running(spec):
            _require_machine(wish, spec, install=install)
            spec = spec or decide.new(wish)
            _start(spec)
        else:
            _start_stopped(spec)
            with step(f"Cluster {spec.name} is running already"):
                wait_ready(spec)
            return spec
    with step(f"Programs: {', '.join(service.name for service in services(spec))}"):
        wait_for(spec, _api_ready, "the API server")
    with step(f"Ready: {_counted(spec)}"):
        wait_ready(spec)
    return spec


def _start(spec: ClusterSpec) -> None:
    _directories(spec)
    config.dump(spec, spec.file)  # before all else: what is interrupted from here on, `down` finds and removes
    with step("Certificates and configuration"):
        certificates.ensure(spec)
        audit.ensure_policy(spec)
        encryption.ensure_file(spec)
        for service in services(spec):
            if service.config is not None:
                config.dump(service.config, config_file(spec, service))
    # Not within a step, whose spinner is a thread: what is forked here forks on.
    log = spec.directory / "logs" / "supervisor.log"
    process.daemonize(lambda: supervisor.Supervisor(spec, services(spec)).run(), log=log)


def _start_stopped(spec: ClusterSpec) -> None:
    """What somebody stopped with `cluster stop PROGRAM` is part of a cluster that is up."""
    for service in control.ask(spec, do="status")["services"]:
        if not service["wanted"]:
            control.ask(spec, do="start", service=service["name"])


def _agree(wish: Wish, spec: ClusterSpec) -> None:
    if problems := decide.contradictions(wish, spec):
        raise Failure(f"cluster {spec.name} exists, but {'; '.join(problems)}. `k8slite down` removes it")


def _require_machine(wish: Wish, spec: ClusterSpec | None, *, install: bool) -> None:
    simulated = not spec.nodes if spec else not wish.nodes and bool(wish.simulation.nodes)
    runs_etcd = spec.runs_etcd if spec else wish.store == "etcd" and not wish.etcd_endpoints
    docker_host = spec.docker_host if spec else machine.docker_host()
    commands = [] if simulated else ["nft", "ip", "conntrack"]
    if runs_etcd:
        commands.append("etcd")
    fault = None if simulated else machine.engine_fault(docker_host)
    if fault and install and not docker_host:
        commands.append("dockerd")
    packages = machine.missing(commands, which=machine.find)
    if packages and install:
        machine.install(packages)
    if fault and (docker_host or not machine.find("dockerd")):
        raise Failure(machine.NO_ENGINE.format(reason=fault))
    if not simulated and os.geteuid() != 0:
        raise Failure(machine.NOT_ROOT.format(command=machine.command()))
    if packages and not install:
        raise Failure(f"this machine lacks {', '.join(packages)}; `k8slite up --install` installs them")
    if fault:
        with step("Docker engine"):
            machine.start_engine()


def _directories(spec: ClusterSpec) -> None:
    for part in ("", "pki", "config", "logs", "kubelet"):
        (spec.directory / part).mkdir(parents=True, exist_ok=True, mode=0o700)


def wait_for(spec: ClusterSpec, condition: Callable[[Api], str | None], what: str) -> None:
    """Return when `condition` has no complaint. Raises Failure with the last complaint and where to look."""
    began = asked = time.monotonic()
    complaint: str | None = "it does not answer"
    with Api(spec.kubeconfig, timeout=5) as api:
        while complaint:
            # A look at thousands of nodes takes long, and takes from what they are waited for: it is the rarer for it.
            time.sleep(max(0.03, 4 * (time.monotonic() - asked)))
            asked = time.monotonic()
            try:
                complaint = condition(api)
            except (ApiError, Failure) as error:
                complaint = error.message
            if complaint and _is_hopeless(spec, waited=time.monotonic() - began):
                raise Failure(f"{what} did not get ready: {complaint}{_down(spec)}; see `k8slite cluster logs`")


def _is_hopeless(spec: ClusterSpec, *, waited: float) -> bool:
    return waited > READY_TIMEOUT or (waited > SUPERVISOR_TIMEOUT and not control.is_running(spec))


def _down(spec: ClusterSpec) -> str:
    """Which programs do not run, each with the last line of its log."""
    try:
        found = control.ask(spec, do="status")["services"]
    except OSError:
        last = logs.tail(log_file(spec, "supervisor"), 1)
        return f"; the supervisor does not run: {' '.join(last)}"
    return "".join(
        f"; {service['name']} keeps failing: {' '.join(logs.tail(log_file(spec, service['name']), 1))}"
        for service in found
        if not service["running"]
    )


def wait_ready(spec: ClusterSpec) -> None:
    """Return when every node is Ready."""
    wanted = spec.nodes + spec.simulation.nodes
    wait_for(spec, lambda api: _nodes_ready(api, wanted), "the cluster")


def _api_ready(api: Api) -> str | None:
    api.call("GET", "/readyz")
    return None


def _counted(spec: ClusterSpec) -> str:
    """`1 node`, `3 simulated nodes`, or both."""
    kinds = ((spec.nodes, "node"), (spec.simulation.nodes, "simulated node"))
    return " and ".join(f"{count} {kind}{'s' * (count > 1)}" for count, kind in kinds if count)


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
    if spec.simulation.nodes:
        who = "Its nodes" if not spec.nodes else f"{spec.simulation.nodes} of its nodes"
        lines.append(f"{who} are simulated: pods are scheduled and reported Running, but no container runs.")
    lines += ["", f"  export KUBECONFIG={spec.kubeconfig}", ""]
    if application:
        lines += [f"The example application answers at {style(application, bold=True)}", ""]
    lines.append("Try next:")
    node = spec.node_names[0] if spec.nodes else f"{spec.simulator}-0"
    tries = ["k8slite get pods -A -o wide", f"k8slite describe node {node}", "k8slite status"]
    if application:
        tries = ["k8slite get all", "k8slite scale deployment/front --replicas 5", "k8slite logs deployment/front"]
    return "\n".join([*lines, *(f"  {line}" for line in tries)])
