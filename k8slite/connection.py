"""Where the API server is, who we are, and the connection pool that says so: kubeconfig, TLS, keep-alive."""

from __future__ import annotations

import atexit
import base64
import binascii
import shutil
import socket
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from .config import ConfigError
from .pool import KEEP_ALIVE, Pool
from .sockets import client_options


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Where the API server is and who we are; `token` is never logged."""

    server: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    token: str = ""
    user_agent: str = "k8slite"
    insecure: bool = False
    """Do not verify the server's certificate (a kubeconfig's `insecure-skip-tls-verify`)."""

    def __repr__(self) -> str:
        return f"ClientConfig({self.server}, user_agent={self.user_agent})"

    @classmethod
    def from_kubeconfig(cls, path: Path, *, context: str = "") -> ClientConfig:
        """Read a kubeconfig; inline `*-data` is written to private temporary files. Raises ConfigError."""
        try:
            document = yaml.safe_load(path.read_text())
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{path}: {error}") from error
        if not isinstance(document, dict):
            raise ConfigError(f"{path}: no kubeconfig")
        chosen = _entry(document, "context", context or str(document.get("current-context") or ""), path)
        cluster = _entry(document, "cluster", str(chosen.get("cluster") or ""), path)
        user = _entry(document, "user", str(chosen.get("user") or ""), path) if chosen.get("user") else {}
        if "exec" in user or "auth-provider" in user:
            raise ConfigError(f"{path}: credentials from a program (exec, auth-provider) are not supported")
        files = _Files(path)
        token = str(user.get("token") or "")
        if not token and (token_file := files.of(user, "tokenFile")):
            token = token_file.read_text().strip()
        return cls(
            server=str(cluster.get("server") or "").rstrip("/"),
            ca_file=files.of(cluster, "certificate-authority"),
            cert_file=files.of(user, "client-certificate"),
            key_file=files.of(user, "client-key"),
            token=token,
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
        )


def _entry(document: Mapping[str, Any], kind: str, name: str, path: Path) -> Mapping[str, Any]:
    for entry in document.get(f"{kind}s") or ():
        if entry.get("name") == name:
            found: Mapping[str, Any] = entry.get(kind) or {}
            return found
    raise ConfigError(f'{path}: no {kind} "{name}"')


class _Files:
    """The files that a kubeconfig names, relative to itself, or carries inline."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._directory: Path | None = None

    def of(self, section: Mapping[str, Any], field: str) -> Path | None:
        """The file of a field or of its `-data` twin; None if neither is set."""
        if data := section.get(f"{field}-data"):
            try:
                return self._write(field, base64.b64decode(data, validate=True))
            except (binascii.Error, TypeError) as error:
                raise ConfigError(f"{self._path}: {field}-data: {error}") from error
        return self._path.parent / str(section[field]) if section.get(field) else None

    def _write(self, name: str, content: bytes) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="k8slite-"))
            atexit.register(shutil.rmtree, self._directory, ignore_errors=True)
        file = self._directory / name
        file.touch(mode=0o600)
        file.write_bytes(content)
        return file


def connect(config: ClientConfig) -> aiohttp.ClientSession:
    """A session with keep-alive and no limit on connections, as every watch holds one. Raises ConfigError."""
    connector = aiohttp.TCPConnector(
        ssl=_tls(config) or False, limit=0, keepalive_timeout=KEEP_ALIVE, socket_factory=_socket
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers=_headers(config),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def pool(config: ClientConfig) -> Pool:
    """Connections for requests whose answers are read whole. Raises ConfigError."""
    return Pool(config.server, tls=_tls(config), headers=_headers(config))


def _headers(config: ClientConfig) -> dict[str, str]:
    headers = {"User-Agent": config.user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}
    if config.token:
        headers["Authorization"] = f"Bearer {config.token}"
    return headers


def _tls(config: ClientConfig) -> ssl.SSLContext | None:
    return tls(config) if config.server.startswith("https:") else None


def tls(config: ClientConfig) -> ssl.SSLContext:
    """TLS as the configuration says: whom to believe, and who we are. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=str(config.ca_file) if config.ca_file else None)
        if config.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if config.cert_file:
            context.load_cert_chain(config.cert_file, config.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"TLS files of {config.server}: {error}") from error
    return context


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices within half a minute that its peer is gone, though a watch may be silent for long."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    client_options(made)
    return made
