"""The command against a real server, in this process: one server a module, a namespace a test."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.cli.main import main
from k8slite.pki import Authority
from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubelet import FakeKubelet

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Result:
    """How the command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[list[str]]:
        """The words of each line of output."""
        return [line.split() for line in self.out.splitlines()]


Cli = Callable[..., Awaitable[Result]]


def invoke(arguments: tuple[str, ...], stdin: str) -> Result:
    """Run the command as its entry point does."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["k8slite", *arguments], io.StringIO(stdin)
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as leave:
        code = leave.code or 0
    finally:
        sys.argv, sys.stdin = before
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return Result(code, *texts)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kubelet() -> AsyncIterator[FakeKubelet]:
    found = FakeKubelet()
    yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(kubelet: FakeKubelet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """A server, and a node `n1` whose kubelet is a fake."""
    directory = tmp_path_factory.mktemp("server")
    authority = Authority.ensure(directory)
    client = authority.issue_client("kubelet-client", user="kube-apiserver-kubelet-client", groups=["system:masters"])
    await kubelet.start(authority)
    async with running_server(
        directory=directory,
        kubelet_ca_file=authority.cert_file,
        kubelet_client_cert_file=client.cert_file,
        kubelet_client_key_file=client.key_file,
    ) as running:
        addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
        status = {"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.port}}}
        merge = {"content-type": "application/merge-patch+json"}
        async with running.http() as http:
            await http.post("/api/v1/nodes", json={"metadata": {"name": "n1"}})
            done = await http.patch("/api/v1/nodes/n1/status", json={"status": status}, headers=merge)
            assert done.status_code == 200, done.text
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.http() as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def namespace(http: httpx.AsyncClient) -> str:
    name = f"ns{next(_numbers)}"
    for path, found in (("namespaces", name), (f"namespaces/{name}/serviceaccounts", "default")):
        answer = await http.post(f"/api/v1/{path}", json={"metadata": {"name": found}})
        assert answer.status_code == 201, answer.text
    return name


@pytest.fixture
def cli(server: RunningServer, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run `k8slite ...` in the test's namespace."""
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(namespace=namespace)))

    async def run(*arguments: str, stdin: str = "") -> Result:
        return await asyncio.to_thread(invoke, arguments, stdin)

    return run
