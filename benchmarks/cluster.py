"""A cluster of our own, by the installed command: what is measured unless a kubeconfig is named."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from . import processes

NAME = "bench"
CONTROL_PLANE = ("apiserver", "scheduler", "controller-manager", "etcd")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster. `ready` is how many seconds it took, `pids` are its control plane's processes."""

    kubeconfig: Path
    ready: float
    pids: tuple[int, ...]
    services: Mapping[str, Sequence[int]]
    """The processes of each program."""


@asynccontextmanager
async def started(*, simulate: int) -> AsyncIterator[Cluster]:
    """Start a cluster and remove it in the end; `simulate` nodes without containers, 0 for one with Docker."""
    began = time.monotonic()
    await _k8slite("up", "--name", NAME, *(["--simulate", str(simulate)] if simulate else []))
    ready = time.monotonic() - began
    try:
        status = json.loads(await _k8slite("status", "--name", NAME, "-o", "json"))
        supervisor = status["supervisor"]
        services = {each["name"]: processes.with_children([each["pid"]]) for each in supervisor["services"]}
        pids = [pid for name, found in services.items() if name in CONTROL_PLANE for pid in found]
        yield Cluster(Path(status["kubeconfig"]), ready, (*pids, supervisor["pid"]), services)
    finally:
        await _k8slite("down", "--name", NAME)


def command() -> list[str]:
    """How the k8slite command is typed here."""
    beside = Path(sys.executable).with_name("k8slite")
    found = str(beside) if beside.exists() else shutil.which("k8slite")
    return [found] if found else [sys.executable, "-c", "from k8slite.cli.main import main; main()"]


async def _k8slite(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command(), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"k8slite {' '.join(arguments)}: {errors.decode() or output.decode()}")
    return output


def local_image() -> str:
    """An image made from files of this machine, for clusters whose Docker engine runs here."""
    from k8slite.testing import images

    return images.load_busybox()
