"""Real etcd servers for tests: on free loopback ports, in a temporary directory, gone afterwards."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Member:
    """One server."""

    name: str
    directory: Path
    client: int
    peer: int
    scheme: str = "http"
    process: subprocess.Popen[bytes] | None = None
    cluster: str = ""
    flags: tuple[str, ...] = ()

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.client}"

    def start(self) -> None:
        """Start, or start again on the same data."""
        binary = shutil.which("etcd")
        assert binary, "etcd is needed for these tests: install the package etcd-server"
        peer = f"http://127.0.0.1:{self.peer}"
        self.process = subprocess.Popen(
            [
                *(binary, "--name", self.name, "--data-dir", str(self.directory / self.name), *self.flags),
                *("--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *(
                    "--initial-cluster",
                    self.cluster,
                    "--initial-cluster-token",
                    self.directory.name,
                    "--log-level",
                    "error",
                ),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def etcd(
    directory: Path, *, members: int = 1, scheme: str = "http", flags: tuple[str, ...] = ()
) -> Iterator[list[Member]]:
    """A cluster of servers. They may still be electing when this yields; a store waits for them."""
    ports = _free_ports(2 * members)
    servers = [Member(f"m{i}", directory, ports[2 * i], ports[2 * i + 1], scheme) for i in range(members)]
    cluster = ",".join(f"{server.name}=http://127.0.0.1:{server.peer}" for server in servers)
    try:
        for server in servers:
            server.cluster, server.flags = cluster, flags
            server.start()
        yield servers
    finally:
        for server in servers:
            server.kill()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
