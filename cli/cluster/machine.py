"""What the machine must have: which commands, from which Debian packages; and a running Docker engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from k8slite import programs

from ..failure import Failure
from . import process

#: Command -> the package of Debian and Ubuntu that brings it.
PACKAGES = {
    "dockerd": "docker.io",
    "nft": "nftables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "etcd": "etcd-server",
}
#: Where system commands are; the PATH of `su` and of ordinary users lacks it on Debian.
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"

NO_ENGINE = """no Docker engine answers ({reason}). Two ways on:
  - install Docker (Debian, Ubuntu: apt-get install docker.io nftables iproute2 conntrack), then `k8slite up`;
  - `k8slite up --simulate 3`: a full control plane with 3 simulated nodes, and no containers."""

NOT_ROOT = """nodes need root for networks and volumes. Two ways on:
  - `sudo {command} up`;
  - `k8slite up --simulate 3`: a full control plane with 3 simulated nodes, and no containers."""

DOCKER_LOG = Path("/var/log/dockerd.log")


def missing(commands: Sequence[str], *, which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """The packages that bring the commands which this machine lacks."""
    return sorted({PACKAGES.get(command, command) for command in commands if not which(command)})


def find(command: str) -> str | None:
    """A command on PATH or in the directories of system commands."""
    return shutil.which(command, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def extend_path() -> None:
    """Let this process and the programs that it starts find system commands, whatever PATH the user has."""
    entries = os.environ.get("PATH", "").split(":")
    os.environ["PATH"] = ":".join([*filter(None, entries), *(e for e in SYSTEM_PATH.split(":") if e not in entries)])


def docker_host() -> str:
    """The Docker engine that the user's environment names; empty means the machine's own."""
    return os.environ.get("DOCKER_HOST", "")


def command() -> str:
    """How this very command is typed by somebody with another PATH (`sudo`)."""
    started = Path(sys.argv[0])
    return f"{sys.executable} -m k8slite" if started.name == "__main__.py" else str(started.absolute())


def install(packages: Sequence[str]) -> None:
    """Install packages with apt, saying so first. Raises Failure where that is not ours to do."""
    line = "apt-get install --yes --no-install-recommends " + " ".join(packages)
    if not shutil.which("apt-get"):
        raise Failure(f"this machine lacks {', '.join(packages)}; install them with its package manager")
    if os.geteuid() != 0:
        raise Failure(f"this machine lacks {', '.join(packages)}; as root: {line}")
    click.echo(f"Installing what the machine lacks: {line}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    said = []
    for command in ("apt-get update", line):  # the first may fail over a source that we do not need
        done = subprocess.run(
            command.split(), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        said.append(done.stderr.strip())
    if done.returncode:
        raise Failure("\n".join([f"`{line}` failed:", *filter(None, said)]))


def engine_fault(docker_host: str) -> str | None:
    """Why no Docker engine answers; None if one does."""
    check: Callable[[str], str | None] = programs.entry("k8slite.kubelet.setup", "engine_fault")
    return check(docker_host)


def start_engine() -> None:
    """Start the machine's dockerd: by systemd where it rules, else by hand. Raises Failure if it does not come up."""
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], capture_output=True)
    else:
        process.daemonize(lambda: process.execute([find("dockerd") or "dockerd"]), log=DOCKER_LOG)
    deadline = time.monotonic() + 30
    while reason := engine_fault(""):
        if time.monotonic() > deadline:
            raise Failure(f"dockerd does not come up ({reason}); see `journalctl -u docker` or {DOCKER_LOG}")
        time.sleep(0.2)
