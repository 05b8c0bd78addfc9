"""What the cluster's life needs of Docker and of nodes: whether an engine answers, and removing containers and files.

The `k8slite` command calls these by name (`programs.entry`), so that nothing outside the kubelet talks to Docker.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
from docker import errors
from docker.constants import DEFAULT_UNIX_SOCKET
from docker.utils import kwargs_from_env

from .runtime.base import MANAGED_LABEL, NODE_LABEL
from .volumes import VolumeFault, trees


def _connect(docker_host: str) -> docker.APIClient:
    settings = {"base_url": docker_host} if docker_host else kwargs_from_env()
    return docker.APIClient(version="auto", timeout=60, **settings)


def engine_fault(docker_host: str) -> str | None:
    """Why no engine answers at `docker_host` (empty: the environment's); None if one does."""
    try:
        _connect(docker_host).close()
    except (errors.DockerException, OSError) as error:
        return f"{docker_host or os.environ.get('DOCKER_HOST') or DEFAULT_UNIX_SOCKET}: {_root_cause(error)}"
    return None


def _root_cause(error: BaseException) -> str:
    """The operating system's own words, which docker, requests and urllib3 wrap four times; else the error's."""
    seen: BaseException | None = error
    found = str(error)
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            found = seen.strerror
        seen = seen.__cause__ or seen.__context__
    return found


def remove_containers(docker_host: str, *, cluster: str, node: str = "") -> int:
    """Remove every container of a cluster, or of one of its nodes, running or not; how many there were."""
    engine = _connect(docker_host)
    labels = [f"{MANAGED_LABEL}={cluster}", *([f"{NODE_LABEL}={node}"] if node else [])]
    found = [row["Id"] for row in engine.containers(all=True, filters={"label": labels})]

    def remove(container: str) -> None:
        with contextlib.suppress(errors.NotFound, errors.APIError):
            engine.remove_container(container, force=True, v=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(remove, found))
    left = [row["Id"] for row in engine.containers(all=True, filters={"label": labels})]
    engine.close()
    if left:
        raise RuntimeError(f"{len(left)} containers of cluster {cluster} cannot be removed: {', '.join(left)}")
    return len(found)


def remove_files(directory: Path) -> None:
    """Remove the state of nodes, with what their pods wrote. Raises RuntimeError."""
    try:
        trees.remove(directory)
    except VolumeFault as fault:
        raise RuntimeError(str(fault)) from fault
