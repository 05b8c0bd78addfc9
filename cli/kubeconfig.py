"""Reading kubeconfigs: which server, who we are, which namespace.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files". Of several files that `KUBECONFIG`
names, the first that has an entry of a name decides; paths in a file are relative to it.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .cluster.spec import ClusterSpec
from .failure import Failure

_UNSUPPORTED = ("exec", "auth-provider", "username")


@dataclass(frozen=True, slots=True)
class Access:
    """A way into a cluster. `token` never shows in a repr."""

    server: str
    namespace: str
    tls: ssl.SSLContext | None
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A context, cluster or user, and the file that it stands in."""

    values: Mapping[str, Any]
    file: Path

    def text(self, name: str) -> str:
        """A setting as text; empty if it is not there."""
        return str(self.values.get(name) or "")

    def content(self, name: str) -> bytes:
        """A file that is named, or carried inline as `<name>-data`; empty if neither. Raises OSError, ValueError."""
        if inline := self.values.get(f"{name}-data"):
            return base64.b64decode(inline, validate=True)
        return Path(self.file.parent, named).read_bytes() if (named := self.text(name)) else b""


def default_paths() -> list[Path]:
    """The files of `KUBECONFIG`, else the running default cluster's own, else ~/.kube/config."""
    if named := list(filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep))):
        return [Path(name) for name in named]
    own = ClusterSpec().kubeconfig
    return [own if own.exists() else Path.home() / ".kube" / "config"]


def read(path: Path | None = None, *, context: str = "") -> Access:
    """The access that a kubeconfig describes. Raises Failure with the file and what is wrong with it."""
    paths = [path] if path else default_paths()
    files = [(file, _load(file)) for file in paths if file.exists()]
    if not files:
        missing = ", ".join(map(str, paths))
        raise Failure(f"no kubeconfig at {missing}; start a cluster with `k8slite up`, or name a file")
    name = context or next((str(data["current-context"]) for _, data in files if data.get("current-context")), "")
    if not name:
        raise Failure(f"{files[0][0]}: no current-context; choose one with --context")
    chosen = _named(files, "context", name)
    cluster = _named(files, "cluster", chosen.text("cluster"))
    user = _named(files, "user", chosen.text("user")) if chosen.text("user") else _Entry({}, chosen.file)
    if found := next((kind for kind in _UNSUPPORTED if kind in user.values), None):
        raise Failure(f"{user.file}: credentials by {found} are not supported; use a certificate or a token")
    server = cluster.text("server").rstrip("/")
    if not server.startswith(("http://", "https://")):
        raise Failure(f"{cluster.file}: {server!r} is no URL of a server")
    try:
        return Access(
            server=server,
            namespace=chosen.text("namespace") or "default",
            tls=_context(cluster, user) if server.startswith("https:") else None,
            token=user.text("token") or user.content("tokenFile").decode().strip(),
        )
    except (OSError, ValueError, TypeError) as error:  # ssl.SSLError is an OSError
        raise Failure(f"{user.file}: not a usable kubeconfig: {error}") from error


def _load(path: Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Failure(f"{path}: not a usable kubeconfig: {error}") from error
    if not isinstance(data, dict):
        raise Failure(f"{path}: not a usable kubeconfig: it holds no mapping")
    return data


def _named(files: Sequence[tuple[Path, Mapping[str, Any]]], kind: str, name: str) -> _Entry:
    for file, data in files:
        for item in data.get(f"{kind}s") or ():
            if isinstance(item, dict) and item.get("name") == name:
                values = item.get(kind) or {}
                if not isinstance(values, dict):
                    raise Failure(f"{file}: not a usable kubeconfig: {kind} {name!r} is no mapping")
                return _Entry(values, file)
    raise Failure(f"{', '.join(str(file) for file, _ in files)}: no {kind} {name!r}")


def _context(cluster: _Entry, user: _Entry) -> ssl.SSLContext:
    authority = cluster.content("certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.values.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = user.content("client-certificate"), user.content("client-key")
    if certificate and key:
        with tempfile.NamedTemporaryFile(prefix="k8slite-") as pair:  # mode 0600; gone when the context has it
            pair.write(certificate + b"\n" + key)
            pair.flush()
            context.load_cert_chain(pair.name)
    return context
