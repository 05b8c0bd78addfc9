"""The commands of a cluster's life, as the user types them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from ..failure import Failure
from . import control, decide, logs, simulation, status
from .decide import Wish
from .down import down as remove
from .down import stop as stop_cluster
from .exclusive import exclusive
from .progress import step
from .spec import DEFAULT_NAME, ClusterSpec, Simulation
from .up import summary
from .up import up as bring_up

name_option = click.option("--name", default=DEFAULT_NAME, show_default=True, help="The cluster's name.")


@click.command()
@name_option
@click.option("--nodes", type=click.IntRange(1, 50), help="How many nodes, all on this machine (default 1).")
@click.option(
    "--simulate",
    type=click.IntRange(1, simulation.MOST_NODES),
    metavar="N",
    help="N simulated nodes, where no containers run; with --nodes, beside real ones.",
)
@simulation.options
@click.option("--store", type=click.Choice(["sqlite", "etcd"]), help="Where objects are kept (default sqlite).")
@click.option("--etcd-endpoints", default="", help="URLs of a running etcd, comma-separated; implies --store etcd.")
@click.option("--example", "with_example", is_flag=True, help="Deploy the example application too.")
@click.option("--install", is_flag=True, help="Install what the machine lacks, from the distribution (as root).")
def up(
    name: str,
    nodes: int | None,
    simulate: int | None,
    store: Literal["sqlite", "etcd"] | None,
    etcd_endpoints: str,
    with_example: bool,
    install: bool,
    simulated: Callable[[int], Simulation],
) -> None:
    """Bring a cluster up on this machine; a running one is left as it is."""
    endpoints = tuple(filter(None, etcd_endpoints.split(",")))
    wish = Wish(name=name, nodes=nodes, simulation=simulated(simulate or 0), store=store, etcd_endpoints=endpoints)
    began = time.monotonic()
    try:
        spec = bring_up(wish, install=install)
    except KeyboardInterrupt:
        click.echo("Interrupted. `k8slite up` goes on from here, `k8slite down` removes what there is.", err=True)
        raise
    seconds = time.monotonic() - began
    application = _deploy_example(spec, install=install) if with_example else ""
    click.echo(summary(spec, seconds=seconds, application=application))


def _deploy_example(spec: ClusterSpec, *, install: bool) -> str:
    from .example import deploy  # with it comes what makes images, a fifth of a second that only this option needs

    return deploy(spec, install=install)


@click.command()
@name_option
def down(name: str) -> None:
    """Remove a cluster: programs, containers, networks, rules and files."""
    if decide.find(name) is not None:
        with exclusive(name):
            if spec := decide.find(name):
                remove(spec)
                click.echo(f"Cluster {name} is gone.")
                return
    click.echo(f"There is no cluster {name} on this machine.")


@click.command("status")
@name_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="text or json.")
def show_status(name: str, output: str) -> None:
    """Show a cluster's programs and nodes."""
    spec = decide.existing(name)
    found = status.gather(spec)
    click.echo(json.dumps(found, indent=2) if output == "json" else status.describe(found))


@click.command("kubeconfig")
@name_option
def show_kubeconfig(name: str) -> None:
    """Print the administrator's kubeconfig."""
    click.echo(decide.existing(name).kubeconfig.read_text(), nl=False)


@click.group()
def cluster() -> None:
    """Look after a cluster's programs."""


@cluster.command("logs")
@click.argument("program", default="")
@name_option
@click.option("--tail", "lines", default=100, show_default=True, help="Lines of each program.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines.")
def show_logs(program: str, name: str, lines: int, follow: bool) -> None:
    """Show the output of a cluster's programs, or of one of them."""
    paths = logs.files(decide.existing(name), program)
    for path in paths:
        _print_log(path, lines, named=len(paths) > 1)
    if follow:
        for source, line in logs.follow(paths):
            click.echo(f"{source}: {line}" if len(paths) > 1 else line)


def _print_log(path: Path, lines: int, *, named: bool) -> None:
    for line in logs.tail(path, lines):
        click.echo(f"{path.stem}: {line}" if named else line)


@cluster.command("stop")
@click.argument("program", default="")
@name_option
def stop(program: str, name: str) -> None:
    """Stop one program, or all of them; containers keep running, and `k8slite up` starts everything again."""
    spec = decide.existing(name)
    if program:
        _ask(spec, do="stop", service=program)
        with step(f"Program {program}"):
            while _runs(spec, program):
                time.sleep(0.05)
    else:
        with exclusive(name):
            stop_cluster(spec)


@cluster.command("start")
@click.argument("program")
@name_option
def start(program: str, name: str) -> None:
    """Start a program that was stopped."""
    _ask(decide.existing(name), do="start", service=program)


@cluster.command("list")
def list_clusters() -> None:
    """Name the clusters of this machine."""
    for spec in decide.every():
        click.echo(f"{spec.name}\t{'running' if control.is_running(spec) else 'stopped'}\t{spec.server}")


def _runs(spec: ClusterSpec, program: str) -> bool:
    services = _ask(spec, do="status")["services"]
    return any(service["name"] == program and service["running"] and not service["wanted"] for service in services)


def _ask(spec: ClusterSpec, *, do: str, service: str = "") -> dict[str, Any]:
    try:
        answer = control.ask(spec, do=do, service=service)
    except OSError as error:
        raise Failure(f"cluster {spec.name} is not running") from error
    if "error" in answer:
        raise Failure(answer["error"])
    return answer
