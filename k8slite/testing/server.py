"""A real API server on loopback: uvicorn, TLS, client certificates, RBAC, over the store of choice.

    async with running_server() as server:
        async with Client(server.admin) as client:
            ...

It lives on the test's own event loop and in a temporary directory; both ends are clean when the block ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import yaml

from ..config import ApiServerConfig, StoreConfig
from ..connection import ClientConfig
from ..pki import Authority, ensure_signing_key

_STARTUP = 20.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers. `app` is the application itself, for tests that must look inside."""

    url: str
    port: int
    directory: Path
    authority: Authority
    admin: ClientConfig
    config: ApiServerConfig
    app: Any

    def client_config(self, user: str, groups: Sequence[str] = ()) -> ClientConfig:
        """The configuration of a client that is this user, by certificate."""
        name = user.replace(":", "-").replace("/", "-")
        pair = self.authority.issue_client(name, user=user, groups=groups)
        return ClientConfig(
            server=self.url, ca_file=self.authority.cert_file, cert_file=pair.cert_file, key_file=pair.key_file
        )

    def http(self, config: ClientConfig | None = None) -> httpx.AsyncClient:
        """An httpx client, the administrator's unless said otherwise."""
        config = config or self.admin
        context = ssl.create_default_context(cafile=str(config.ca_file))
        if config.cert_file is not None:
            context.load_cert_chain(config.cert_file, config.key_file)
        headers = {"authorization": f"Bearer {config.token}"} if config.token else {}
        return httpx.AsyncClient(base_url=self.url, verify=context, headers=headers, timeout=30, trust_env=False)

    def kubeconfig(self, config: ClientConfig | None = None, *, namespace: str = "default") -> Path:
        """A kubeconfig file for kubectl and for our own programs."""
        config = config or self.admin
        user: dict[str, Any] = {}
        if config.cert_file is not None:
            user = {"client-certificate": str(config.cert_file), "client-key": str(config.key_file)}
        if config.token:
            user["token"] = config.token
        name = config.cert_file.stem if config.cert_file else "token"
        path = self.directory / f"kubeconfig-{name}-{namespace}"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [
                {"name": "test", "cluster": {"server": self.url, "certificate-authority": str(config.ca_file)}}
            ],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        }
        path.write_text(yaml.safe_dump(content))
        return path


@contextlib.asynccontextmanager
async def running_server(
    *,
    store: Literal["memory", "sqlite"] | StoreConfig = "memory",
    serviceaccounts: bool = True,
    directory: Path | None = None,
    **settings: Any,
) -> AsyncIterator[RunningServer]:
    """Run a server for the length of the block.

    `serviceaccounts` makes the account `default` in the namespace `default`, which a controller would make, so that
    pods can be created. A `directory` of one's own keeps the SQLite file and the certificates for a second server.
    `settings` are more fields of ApiServerConfig.
    """
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="k8slite-test-")))
        config, authority = _configure(directory, store, settings)
        admin = authority.issue_client("admin", user="kubernetes-admin", groups=["system:masters"])
        application = importlib.import_module("k8slite.apiserver.app").ApiServer(config)
        serving = importlib.import_module("k8slite.apiserver.wire.server")
        sockets = serving.bind(config.bind_addresses, config.port)
        port = sockets[0].getsockname()[1]
        application.port = port
        ready = asyncio.Event()
        task = asyncio.create_task(
            serving.serve_app(
                application,
                config=config,
                sockets=sockets,
                ready=lambda _: ready.set(),
                drain=application.drain,
                part=application.part,
            )
        )
        try:
            await _until_ready(ready, task)
            server = RunningServer(
                url=f"https://127.0.0.1:{port}",
                port=port,
                directory=directory,
                authority=authority,
                admin=ClientConfig(
                    server=f"https://127.0.0.1:{port}",
                    ca_file=authority.cert_file,
                    cert_file=admin.cert_file,
                    key_file=admin.key_file,
                ),
                config=config,
                app=application,
            )
            if serviceaccounts:
                await _default_account(server)
            yield server
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _configure(
    directory: Path, store: Literal["memory", "sqlite"] | StoreConfig, settings: dict[str, Any]
) -> tuple[ApiServerConfig, Authority]:
    authority = Authority.ensure(directory)
    pair = authority.issue_server("apiserver", common_name="kube-apiserver", hosts=["127.0.0.1", "localhost"])
    if not isinstance(store, StoreConfig):
        store = StoreConfig(engine=store, path=directory / "state.db" if store == "sqlite" else None)
    config = ApiServerConfig(
        **{
            "port": 0,
            "store": store,
            "cert_file": pair.cert_file,
            "key_file": pair.key_file,
            "client_ca_file": authority.cert_file,
            "service_account_key_file": ensure_signing_key(directory / "sa.key"),
            **settings,
        }
    )
    return config, authority


async def _until_ready(ready: asyncio.Event, task: asyncio.Task[None]) -> None:
    waiting = asyncio.ensure_future(ready.wait())
    try:
        async with asyncio.timeout(_STARTUP):
            await asyncio.wait((waiting, task), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if task.done():
        task.result()
        raise RuntimeError("the API server ended before it was ready")


async def _default_account(server: RunningServer) -> None:
    body = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}}
    async with server.http() as http:
        answer = await http.post("/api/v1/namespaces/default/serviceaccounts", json=body)
    if answer.status_code not in (201, 409):
        raise RuntimeError(f"cannot create the default service account: {answer.text}")
