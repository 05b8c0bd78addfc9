"""Programs as real processes that can be killed and started again, in a directory of their own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from k8slite.client import Client, ClientConfig
from k8slite.config import ApiServerConfig, Config, StoreConfig, dump
from k8slite.errors import ApiError
from k8slite.kubeconfig import Access, write
from k8slite.pki import Authority, ensure_signing_key

from .points import Point

ROOT = Path(__file__).parents[2]
READY_WITHIN = 120.0
DEAD_WITHIN = 120.0


@dataclass
class Program:
    """One program: `k8slite <name> --config ...`."""

    name: str
    config: Config
    directory: Path
    label: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self, *, until: Point | None = None, count: int = 1) -> None:
        """Start, or start again, perhaps to die at the `count`th passing of a point. What it says goes to a log."""
        label = self.label or self.name
        file = self.directory / f"{label}.yaml"
        dump(self.config, file)
        program = [self.name, "--config", str(file)]
        command = until.command(count, program) if until is not None else [sys.executable, "-m", "k8slite", *program]
        with (self.directory / f"{label}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)

    async def died(self) -> None:
        """Return when the program has come to its point. Raises TimeoutExpired, or AssertionError for another end."""
        assert self.process is not None
        code = await asyncio.to_thread(self.process.wait, DEAD_WITHIN)
        assert code == -signal.SIGKILL, f"{self.label} ended by itself: {code}"
        self.process = None

    def kill(self) -> None:
        """SIGKILL, and wait until nothing of it is left."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class ControlPlane:
    """API servers over one store, on ports that they keep, and the programs that use them."""

    directory: Path
    authority: Authority
    servers: list[Program] = field(default_factory=list)
    others: list[Program] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def client_config(self, name: str, *, user: str, groups: Sequence[str] = (), server: int = 0) -> ClientConfig:
        """Who a client is, by certificate, and which server it asks."""
        pair = self.authority.issue_client(name, user=user, groups=groups)
        return ClientConfig(self.urls[server], self.authority.cert_file, pair.cert_file, pair.key_file)

    def admin(self, server: int = 0) -> Client:
        """The administrator's client of one server."""
        return Client(self.client_config("admin", user="kubernetes-admin", groups=["system:masters"], server=server))

    def kubeconfig(self, name: str, *, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig of the first server."""
        pair = self.authority.issue_client(name, user=user, groups=groups)
        path = self.directory / f"{name}.conf"
        write(path, Access(self.urls[0], self.authority.cert_file, pair, cluster="chaos", user=user))
        return path

    def run(self, name: str, config: Config, *, label: str = "") -> Program:
        """Start one more program."""
        program = Program(name, config, self.directory, label)
        self.others.append(program)
        program.start()
        return program

    async def ready(self, server: int = 0) -> None:
        """Return when a server answers."""
        async with asyncio.timeout(READY_WITHIN), self.admin(server) as client:
            while True:
                with contextlib.suppress(aiohttp.ClientError, OSError, ApiError):
                    await client.request("GET", "/readyz")
                    return
                assert self.servers[server].process is not None, "killed while it was waited for"
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        """Kill whatever runs."""
        for program in (*self.others, *self.servers):
            program.kill()


@contextlib.contextmanager
def control_plane(directory: Path, store: StoreConfig, *, servers: int = 1) -> Iterator[ControlPlane]:
    """Start the API servers; all are killed at the end."""
    authority = Authority.ensure(directory)
    pair = authority.issue_server("apiserver", common_name="kube-apiserver", hosts=["127.0.0.1"])
    found = ControlPlane(directory, authority)
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(servers)]
        ports = [taken.getsockname()[1] for taken in sockets]
    for number, port in enumerate(ports):
        config = ApiServerConfig(
            port=port,
            store=store,
            cert_file=pair.cert_file,
            key_file=pair.key_file,
            client_ca_file=authority.cert_file,
            service_account_key_file=ensure_signing_key(directory / "sa.key"),
        )
        found.servers.append(Program("apiserver", config, directory, f"apiserver-{number}"))
        found.urls.append(f"https://127.0.0.1:{port}")
    try:
        for server in found.servers:
            server.start()
        yield found
    finally:
        found.stop()
