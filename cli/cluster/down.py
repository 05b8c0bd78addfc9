"""`k8slite down`: removes everything that `up` made: programs, containers, networks, rules, files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

from k8slite import programs

from ..failure import Failure
from . import control, free, leftovers, machine
from .configs import proxy
from .progress import step
from .spec import ClusterSpec

STOP_TIMEOUT = 60.0


def down(spec: ClusterSpec) -> None:
    """Stop the cluster and remove all of it. Raises Failure if a part cannot be removed; `down` again goes on."""
    machine.extend_path()
    stop(spec)
    if spec.nodes:
        with step("Containers"):
            if reason := machine.engine_fault(spec.docker_host):
                raise Failure(f"the containers cannot be removed: no Docker engine answers ({reason})")
            try:
                programs.entry("k8slite.kubelet.setup", "remove_containers")(spec.docker_host, cluster=spec.name)
            except RuntimeError as error:
                raise Failure(str(error)) from error
        with step("Network and nftables rules"):
            asyncio.run(programs.entry("k8slite.proxy.cleanup", "cleanup")(proxy(spec)))
    with step("Files"):
        remove_files(spec.directory)
        if spec.nodes:
            free.release(spec.directory)


def stop(spec: ClusterSpec) -> None:
    """End the supervisor and its programs; containers keep running."""
    with step("Programs"):
        if not control.is_running(spec):
            leftovers.end(spec)
            return
        deadline = time.monotonic() + STOP_TIMEOUT
        asked = False
        while control.is_running(spec):
            if not asked:
                with contextlib.suppress(OSError):  # one that just starts does not answer yet
                    os.kill(int(control.ask(spec, do="status")["pid"]), signal.SIGTERM)
                    asked = True
            if time.monotonic() > deadline:
                raise Failure(f"the supervisor does not stop; see {spec.directory / 'logs'}")
            time.sleep(0.05)


def remove_files(directory: Path) -> None:
    """Remove a cluster's directory. Raises Failure.

    What pods wrote goes first, as only the kubelet knows how: what of the machine is still mounted there must stay.
    """
    pods = directory / "kubelet"
    if pods.exists():
        try:
            programs.entry("k8slite.kubelet.setup", "remove_files")(pods)
        except RuntimeError as error:
            raise Failure(str(error)) from error
    shutil.rmtree(directory)
