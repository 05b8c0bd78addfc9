"""Where the API server is and who we are, from a kubeconfig."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


@dataclass(frozen=True, slots=True)
class Target:
    """An API server; files are paths, empty where unused. `token` is never printed."""

    server: str
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    token: str = ""

    @property
    def host(self) -> str:
        """Host name or address."""
        return urlsplit(self.server).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        """Port."""
        parts = urlsplit(self.server)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context; None for plain HTTP. Without a CA file, certificates are not verified."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cafile=self.ca_file or None)
        if not self.ca_file:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context

    def with_token(self, token: str) -> Target:
        """The same server, authenticated by a token alone."""
        return replace(self, token=token, cert_file="", key_file="")

    def __repr__(self) -> str:
        return f"Target({self.server})"


def load(path: Path, directory: Path) -> Target:
    """Read a kubeconfig's current context; inline data is written to `directory`. Raises ValueError, OSError."""
    document = yaml.safe_load(path.read_text())
    context = _named(document, "context", document.get("current-context", ""))
    cluster = _named(document, "cluster", context["cluster"])
    user = _named(document, "user", context["user"])
    if "exec" in user:
        raise ValueError(f"{path}: credentials from a program are not supported; use a token or a client certificate")

    def file(section: dict[str, Any], field: str) -> str:
        if data := section.get(f"{field}-data"):
            handle, name = tempfile.mkstemp(dir=directory, prefix=field)
            with os.fdopen(handle, "wb") as stream:
                stream.write(base64.b64decode(data))
            return name
        return str(path.parent / section[field]) if section.get(field) else ""

    token_file = file(user, "tokenFile") if user.get("tokenFile") else ""
    return Target(
        server=cluster["server"].rstrip("/"),
        ca_file=file(cluster, "certificate-authority"),
        cert_file=file(user, "client-certificate"),
        key_file=file(user, "client-key"),
        token=user.get("token") or (Path(token_file).read_text().strip() if token_file else ""),
    )


def _named(document: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    for entry in document.get(f"{kind}s") or ():
        if entry.get("name") == name:
            found: dict[str, Any] = entry.get(kind) or {}
            return found
    raise ValueError(f"the kubeconfig has no {kind} {name!r}")
