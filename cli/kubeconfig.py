"""Reading a kubeconfig: which server, who we are, which namespace.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files".
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .cluster.spec import ClusterSpec
from .failure import Failure


@dataclass(frozen=True, slots=True)
class Access:
    """A way into a cluster. `token` never shows in a repr."""

    server: str
    namespace: str
    tls: ssl.SSLContext | None
    token: str = field(default="", repr=False)


def default_path() -> Path:
    """`KUBECONFIG`, else the running default cluster's own file, else ~/.kube/config."""
    if named := os.environ.get("KUBECONFIG"):
        return Path(named.split(":")[0])
    own = ClusterSpec().kubeconfig
    return own if own.exists() else Path.home() / ".kube" / "config"


def read(path: Path | None = None, *, context: str = "") -> Access:
    """The access that a kubeconfig describes. Raises Failure with the file and what is wrong with it."""
    path = path or default_path()
    try:
        data = yaml.safe_load(path.read_text()) or {}
        chosen = _named(data, "contexts", context or data.get("current-context", ""))["context"]
        cluster = _named(data, "clusters", chosen["cluster"])["cluster"]
        user = _named(data, "users", chosen["user"])["user"] if chosen.get("user") else {}
    except FileNotFoundError as error:
        raise Failure(f"no kubeconfig at {path}; start a cluster with `k8slite up`, or name a file") from error
    except (OSError, yaml.YAMLError, KeyError, AttributeError, TypeError) as error:
        raise Failure(f"{path}: not a usable kubeconfig: {error}") from error
    token = user.get("token", "")
    if token_file := user.get("tokenFile"):
        token = Path(path.parent, token_file).read_text().strip()
    return Access(
        server=cluster["server"].rstrip("/"),
        namespace=chosen.get("namespace") or "default",
        tls=_context(path, cluster, user) if cluster["server"].startswith("https") else None,
        token=token,
    )


def _named(data: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = next((item for item in data.get(section, []) if item.get("name") == name), None)
    if found is None:
        raise KeyError(f"no entry {name!r} under {section}")
    return found


def _context(path: Path, cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = _bytes(path, cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _bytes(path, user, "client-certificate"), _bytes(path, user, "client-key")
    if certificate and key:
        with tempfile.NamedTemporaryFile(prefix="k8slite-") as pair:  # mode 0600; gone when the context has it
            pair.write(certificate + b"\n" + key)
            pair.flush()
            context.load_cert_chain(pair.name)
    return context


def _bytes(path: Path, section: dict[str, Any], name: str) -> bytes:
    if inline := section.get(f"{name}-data"):
        return base64.b64decode(inline)
    return Path(path.parent, section[name]).read_bytes() if section.get(name) else b""
