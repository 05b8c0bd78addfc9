"""Who may read and write a cluster's files (sections 1.1 and 4.1)."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from .controls import Control, Examined, Look, NotApplicable

_REMEDY = (
    "`k8slite up` makes files readable by their owner only: chmod 600 (700 for directories) and chown what it names"
)
Choose = Callable[[Examined], Iterable[Path]]


def _paths(choose: Choose, examined: Examined) -> list[Path]:
    found = [path for path in choose(examined) if path in examined.files]
    if not found:
        raise NotApplicable("this cluster has no such file")
    return found


def private(choose: Choose) -> Look:
    """Nobody but the owner may do anything with these."""

    def look(examined: Examined) -> list[str]:
        found = ((path, examined.files[path].mode) for path in _paths(choose, examined))
        return [f"{path} has mode {stat.S_IMODE(mode):04o}" for path, mode in found if stat.S_IMODE(mode) & 0o077]

    return look


def owned(choose: Choose) -> Look:
    """They belong to whoever runs the programs."""

    def look(examined: Examined) -> list[str]:
        found = ((path, examined.files[path].uid) for path in _paths(choose, examined))
        return [f"{path} belongs to user {uid}" for path, uid in found if uid != examined.owner]

    return look


def _config(*names: str) -> Choose:
    return lambda examined: [examined.directory / "config" / f"{name}.yaml" for name in names]


def _pki(*names: str) -> Choose:
    return lambda examined: [examined.directory / "pki" / name for name in names]


def _ending(*suffixes: str) -> Choose:
    return lambda examined: [
        path for path in examined.files if path.parent == examined.directory / "pki" and path.suffix in suffixes
    ]


def _keys(examined: Examined) -> list[Path]:
    """Those of certificates, and the file with the key of the Secrets."""
    encryption = examined.apiserver.encryption_config_file
    return [*_ending(".key")(examined), *([encryption] if encryption is not None else [])]


def _etcd_data(examined: Examined) -> list[Path]:
    return [examined.directory / "etcd"]


def _store(examined: Examined) -> list[Path]:
    path = examined.apiserver.store.path
    return [path, path.with_name(path.name + "-wal")] if path is not None else []


def _admin(examined: Examined) -> list[Path]:
    return [examined.directory / "kubeconfig"]


def _kubelet_configs(examined: Examined) -> list[Path]:
    return [examined.directory / "config" / name for name in examined.kubelets]


def _kubelet_access(examined: Examined) -> list[Path]:
    return [kubelet.kubeconfig for kubelet in examined.kubelets.values()]


def _pair(number: int, group: str, what: str, choose: Choose) -> list[Control]:
    return [
        Control(f"{group}.{number}", f"{what}: readable by the owner only", _REMEDY, private(choose)),
        Control(f"{group}.{number + 1}", f"{what}: owned by who runs the programs", _REMEDY, owned(choose)),
    ]


CONTROLS = [
    *_pair(1, "1.1", "the API server's configuration", _config("apiserver")),
    *_pair(3, "1.1", "the controller manager's configuration", _config("controller-manager")),
    *_pair(5, "1.1", "the scheduler's configuration", _config("scheduler")),
    *_pair(7, "1.1", "the decisions about the cluster, etcd's among them", lambda it: [it.directory / "cluster.yaml"]),
    *_pair(11, "1.1", "the data of etcd, or the SQLite store", lambda it: [*_etcd_data(it), *_store(it)]),
    *_pair(13, "1.1", "the administrator's kubeconfig", _admin),
    *_pair(15, "1.1", "the scheduler's kubeconfig", _pki("scheduler.conf")),
    *_pair(17, "1.1", "the controller manager's kubeconfig", _pki("controller-manager.conf")),
    Control("1.1.19", "the certificates: owned by who runs the programs", _REMEDY, owned(_ending(".crt", ".key"))),
    Control("1.1.20", "the certificates: readable by the owner only", _REMEDY, private(_ending(".crt"))),
    Control("1.1.21", "the keys: readable by the owner only", _REMEDY, private(_keys)),
    *_pair(1, "4.1", "the kubelets' configuration, by which they are started", _kubelet_configs),
    *_pair(3, "4.1", "the proxy's kubeconfig", _pki("proxy.conf")),
    *_pair(5, "4.1", "the kubelets' kubeconfigs", _kubelet_access),
    *_pair(7, "4.1", "the authority of clients", _pki("ca.crt")),
    *_pair(9, "4.1", "the kubelets' configuration", _kubelet_configs),
]
