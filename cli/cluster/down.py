"""`k8slite down`: removes everything that `up` made: programs, containers, networks, rules, files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from k8slite import programs

from ..failure import Failure
from . import free, machine, supervisor
from .configs import proxy
from .progress import step
from .spec import ClusterSpec

STOP_TIMEOUT = 60.0


def down(spec: ClusterSpec) -> None:
    """Stop the cluster and remove all of it. Raises Failure if a part cannot be removed; `down` again goes on."""
    machine.extend_path()
    stop(spec)
    if not spec.simulated:
        with step("Containers"):
            if reason := machine.engine_fault(spec.docker_host):
                raise Failure(f"the containers cannot be removed: no Docker engine answers ({reason})")
            programs.entry("k8slite.kubelet.setup", "remove_containers")(spec.docker_host, cluster=spec.name)
        with step("Network and nftables rules"):
            asyncio.run(programs.entry("k8slite.proxy.cleanup", "cleanup")(proxy(spec)))
    with step("Files"):
        unmount(spec.directory)
        shutil.rmtree(spec.directory)
        free.release(spec.directory)


def stop(spec: ClusterSpec) -> None:
    """End the supervisor and its programs; containers keep running."""
    if not supervisor.is_running(spec):
        return
    with step("Programs"):
        deadline = time.monotonic() + STOP_TIMEOUT
        asked = False
        while supervisor.is_running(spec):
            if not asked:
                with contextlib.suppress(OSError):  # one that just starts does not answer yet
                    os.kill(int(supervisor.ask(spec, do="status")["pid"]), signal.SIGTERM)
                    asked = True
            if time.monotonic() > deadline:
                raise Failure(f"the supervisor does not stop; see {spec.directory / 'logs'}")
            time.sleep(0.05)


def unmount(directory: Path) -> None:
    """Unmount what volumes mounted below a directory (tmpfs), so that it can be removed."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{directory}/")), reverse=True):
        with contextlib.suppress(OSError):
            subprocess.run(["umount", mount], check=False)
