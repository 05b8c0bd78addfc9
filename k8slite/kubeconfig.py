"""Writing kubeconfig files, as kubectl and every client library read them.

A kubeconfig names certificate files by path, or carries them inline so that it can be copied elsewhere.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files".
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .pki import KeyPair, write_private


@dataclass(frozen=True, slots=True)
class Access:
    """How one user reaches one cluster: by client certificate, or by token (never logged)."""

    server: str
    ca_file: Path
    client: KeyPair | None = None
    token: str = field(default="", repr=False)
    cluster: str = "k8slite"
    user: str = "admin"
    namespace: str = ""

    @property
    def context(self) -> str:
        """The context's name: that of the cluster."""
        return self.cluster


def document(access: Access, *, inline: bool = False) -> dict[str, Any]:
    """The kubeconfig as an object; `inline` puts the files' contents in it in place of their paths."""
    cluster = {"server": access.server} | _file("certificate-authority", access.ca_file, inline=inline)
    user: dict[str, str] = {}
    if access.client:
        user |= _file("client-certificate", access.client.cert_file, inline=inline)
        user |= _file("client-key", access.client.key_file, inline=inline)
    if access.token:
        user["token"] = access.token
    context = {"cluster": access.cluster, "user": access.user}
    if access.namespace:
        context["namespace"] = access.namespace
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": access.cluster, "cluster": cluster}],
        "users": [{"name": access.user, "user": user}],
        "contexts": [{"name": access.context, "context": context}],
        "current-context": access.context,
    }


def write(path: Path, access: Access, *, inline: bool = False) -> Path:
    """Write the kubeconfig, readable by its owner only; an unchanged file is left alone."""
    content = yaml.safe_dump(document(access, inline=inline), sort_keys=False).encode()
    if not path.exists() or path.read_bytes() != content or path.stat().st_mode & 0o077:
        write_private(path, content)
    return path


def _file(key: str, path: Path, *, inline: bool) -> dict[str, str]:
    if inline:
        return {f"{key}-data": b64encode(path.read_bytes()).decode()}
    return {key: str(path)}
