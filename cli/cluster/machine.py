"""What the machine must have: which commands, from which Debian packages; and a running Docker engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from k8slite import programs

from ..failure import Failure
from . import process
from .spec import ClusterSpec

#: Command -> the package of Debian and Ubuntu that brings it.
PACKAGES = {"dockerd": "docker.io", "nft": "nftables", "ip": "iproute2", "conntrack": "conntrack"}

NO_ENGINE = """no Docker engine answers ({reason}). Two ways on:
  - install Docker (Debian, Ubuntu: apt-get install docker.io nftables iproute2 conntrack), then `k8slite up`;
  - `k8slite up --simulate 3`: a full control plane with 3 simulated nodes, and no containers."""


def missing(commands: Sequence[str], *, which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """The packages that bring the commands which this machine lacks."""
    return sorted({PACKAGES.get(command, command) for command in commands if not which(command)})


def find(command: str) -> str | None:
    """A command on PATH or in the directories of system commands, which an ordinary user's PATH may lack."""
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


def install(packages: Sequence[str]) -> None:
    """Install packages with apt, saying so first. Raises Failure where that is not ours to do."""
    line = "apt-get install --yes --no-install-recommends " + " ".join(packages)
    if not shutil.which("apt-get"):
        raise Failure(f"this machine lacks {', '.join(packages)}; install them with its package manager")
    if os.geteuid() != 0:
        raise Failure(f"this machine lacks {', '.join(packages)}; as root: {line}")
    click.echo(f"Installing what the machine lacks: {line}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in ("apt-get update", line):
        done = subprocess.run(
            command.split(), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise Failure(f"`{command}` failed:\n{done.stderr.strip()}")


def engine_fault(docker_host: str) -> str | None:
    """Why no Docker engine answers; None if one does."""
    check: Callable[[str], str | None] = programs.entry("k8slite.kubelet.setup", "engine_fault")
    return check(docker_host)


def start_engine(spec: ClusterSpec) -> None:
    """Start dockerd: through systemd where it rules, else by hand. Raises Failure if it does not come up."""
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], capture_output=True)
    else:
        log = spec.directory / "logs" / "dockerd.log"
        process.daemonize(lambda: process.execute([find("dockerd") or "dockerd"]), log=log)
    deadline = time.monotonic() + 30
    while reason := engine_fault(spec.docker_host):
        if time.monotonic() > deadline:
            raise Failure(NO_ENGINE.format(reason=reason))
        time.sleep(0.2)
