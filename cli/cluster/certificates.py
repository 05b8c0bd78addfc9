"""Every certificate and kubeconfig of a cluster, made once and renewed near their end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from k8slite import kubeconfig
from k8slite.pki import KUBELET_CLIENTS, Authority, ensure_signing_key

from .spec import ClusterSpec

#: File name -> user and groups of each program's client certificate.
IDENTITIES: dict[str, tuple[str, Sequence[str]]] = {
    "scheduler": ("system:kube-scheduler", ()),
    "controller-manager": ("system:kube-controller-manager", ()),
    "proxy": ("system:kube-proxy", ()),
    "simulator": ("k8slite:simulator", ("k8slite:simulators",)),
}


def ensure(spec: ClusterSpec, *, now: datetime | None = None) -> list[str]:
    """Make what is missing, renew what ends soon; the authority itself never changes.

    Returns the names of the certificates that are new. Raises PkiError, OSError.
    """
    directory = spec.directory / "pki"
    before = _written(directory)
    authority = Authority.ensure(directory, now=now)
    ensure_signing_key(directory / "service-account.key")
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    local = ["localhost", "127.0.0.1"]
    names += ["kubernetes.default.svc.cluster.local", "127.0.0.1", spec.bridge_ip, spec.kubernetes_ip]
    authority.issue_server("apiserver", common_name="kube-apiserver", hosts=names, now=now)
    authority.issue_server("kubelet", common_name="kubelet", hosts=[*local, spec.bridge_ip], now=now)
    if spec.scheduler_port:
        authority.issue_server("scheduler-server", common_name="kube-scheduler", hosts=local, now=now)
    authority.issue_client(
        "apiserver-kubelet-client", user="kube-apiserver-kubelet-client", groups=(KUBELET_CLIENTS,), now=now
    )
    _ensure_front_proxy(directory, now=now)
    if spec.runs_etcd:
        _ensure_etcd(directory, now=now)
    identities = dict(IDENTITIES)
    for node in spec.node_names:
        identities[node] = (f"system:node:{node}", ("system:nodes",))
    for name, (user, groups) in identities.items():
        pair = authority.issue_client(name, user=user, groups=groups, now=now)
        access = kubeconfig.Access(spec.server, authority.cert_file, pair, cluster=spec.name, user=user)
        kubeconfig.write(directory / f"{name}.conf", access)
    pair = authority.issue_client("admin", user="kubernetes-admin", groups=("system:masters",), now=now)
    access = kubeconfig.Access(spec.server, authority.cert_file, pair, cluster=spec.name, user="kubernetes-admin")
    kubeconfig.write(spec.kubeconfig, access, inline=True)
    return sorted(name for name, at in _written(directory).items() if before.get(name) != at)


def _ensure_front_proxy(directory: Path, *, now: datetime | None) -> None:
    """Whoever has a certificate of this authority may speak for any user, so it signs for the API server only."""
    authority = Authority.ensure(directory, name="front-proxy-ca", common_name="k8slite-front-proxy-ca", now=now)
    authority.issue_client("front-proxy-client", user="front-proxy-client", now=now)


def _ensure_etcd(directory: Path, *, now: datetime | None) -> None:
    """etcd has an authority of its own, as whoever gets in there needs no other permission."""
    authority = Authority.ensure(directory, name="etcd-ca", common_name="k8slite-etcd-ca", now=now)
    authority.issue_server("etcd", common_name="etcd", hosts=["localhost", "127.0.0.1"], now=now)
    authority.issue_client("apiserver-etcd-client", user="kube-apiserver", now=now)


def _written(directory: Path) -> dict[str, int]:
    """When each certificate was written (a replaced file is another inode, whatever the clock says)."""
    return {path.stem: path.stat().st_ino for path in directory.glob("*.crt")}
