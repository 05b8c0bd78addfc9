"""Reading what controls look at."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from k8slite.config import (
    ApiServerConfig,
    ConfigError,
    ControllerManagerConfig,
    KubeletConfig,
    ProxyConfig,
    SchedulerConfig,
    load,
)

from ...failure import Failure
from .. import configs
from ..spec import ClusterSpec
from .controls import Examined, FileState


def examine(spec: ClusterSpec) -> Examined:
    """A cluster's configuration and files as they are. Raises Failure for what cannot be read."""
    config = spec.directory / "config"
    try:
        return Examined(
            directory=spec.directory,
            apiserver=load(ApiServerConfig, config / "apiserver.yaml"),
            manager=load(ControllerManagerConfig, config / "controller-manager.yaml"),
            scheduler=load(SchedulerConfig, config / "scheduler.yaml"),
            kubelets={file.name: load(KubeletConfig, file) for file in sorted(config.glob("kubelet-*.yaml"))},
            proxy=load(ProxyConfig, config / "proxy.yaml") if (config / "proxy.yaml").exists() else None,
            etcd=configs.etcd(spec).command if spec.runs_etcd else (),
            files=_files(spec.directory),
            owner=os.geteuid(),
            ends={path.stem: _end(path) for path in sorted((spec.directory / "pki").glob("*.crt"))},
            now=datetime.now(UTC),
        )
    except ConfigError as error:
        raise Failure(str(error)) from error


def _end(path: Path) -> datetime:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise Failure(f"{path}: {error}") from error


def _files(directory: Path) -> dict[Path, FileState]:
    """What lies in the directory and in its folders, not what pods have below."""
    found = {}
    for path in (directory, *directory.iterdir(), *directory.glob("*/*")):
        try:
            state = path.stat()
        except OSError:
            continue  # it went away: a log is put aside while we look; or it is a link to nothing
        found[path] = FileState(state.st_mode, state.st_uid, state.st_gid)
    return found
