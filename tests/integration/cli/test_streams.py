"""What goes on for a while: logs, exec, watches; pipes that close early; terminals."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from k8slite.testing import RunningServer
from k8slite.testing.kubelet import FakeKubelet

from .conftest import Cli

pytestmark = pytest.mark.asyncio(loop_scope="module")

Start = Callable[..., contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]]
ROOT = Path(__file__).parents[3]
MAIN, SIDE = {"name": "main", "image": "x"}, {"name": "side", "image": "x"}


async def make_pod(http: httpx.AsyncClient, namespace: str, name: str = "web", **labels: str) -> None:
    spec = {"nodeName": "n1", "containers": [MAIN, SIDE]}
    body = {"metadata": {"name": name, "labels": labels}, "spec": spec}
    answer = await http.post(f"/api/v1/namespaces/{namespace}/pods", json=body)
    assert answer.status_code == 201, answer.text


@pytest.fixture
def start(server: RunningServer, namespace: str) -> Start:
    """The command as a process of its own, killed at the end of the block if it still runs."""
    environment = os.environ | {"KUBECONFIG": str(server.kubeconfig(namespace=namespace)), "PYTHONPATH": str(ROOT)}

    @contextlib.asynccontextmanager
    async def started(*arguments: str, **streams: int) -> AsyncIterator[asyncio.subprocess.Process]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE) | streams
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "k8slite", *arguments, env=environment, start_new_session=True, **pipes
        )
        try:
            async with asyncio.timeout(20):
                yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return started


# --- logs ----------------------------------------------------------------------------------------------------------


async def test_logs_with_every_option(cli: Cli, http: httpx.AsyncClient, namespace: str, kubelet: FakeKubelet) -> None:
    await make_pod(http, namespace)
    assert (await cli("logs", "web")).out == "one\n"
    kubelet.requests.clear()
    done = await cli("logs", "pod/web", "-p", "--tail", "5", "--since", "1m30s", "--timestamps")
    assert done.code == 0, done.err
    (asked,) = kubelet.requests
    for part in ("previous=true", "tailLines=5", "sinceSeconds=90", "timestamps=true"):
        assert part in asked
    assert "is waiting to start" in (await cli("logs", "web", "-c", "side")).err
    assert "it has main, side" in (await cli("logs", "web", "-c", "nonsense")).err
    assert "is no duration" in (await cli("logs", "web", "--since", "soon")).err


async def test_logs_of_a_workload_are_those_of_one_of_its_pods(
    cli: Cli, http: httpx.AsyncClient, namespace: str
) -> None:
    expressions = [{"key": "app", "operator": "In", "values": ["x", "web"]}, {"key": "old", "operator": "DoesNotExist"}]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [MAIN]}}
    body = {"metadata": {"name": "web"}, "spec": {"selector": {"matchExpressions": expressions}, "template": template}}
    answer = await http.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", json=body)
    assert answer.status_code == 201, answer.text
    assert "deploy/web has no pods" in (await cli("logs", "deploy/web")).err
    await make_pod(http, namespace, "web-1", app="web")
    assert (await cli("logs", "deploy/web")).out == "one\n"


async def test_followed_logs_end_quietly_when_their_reader_leaves(
    start: Start,
    http: httpx.AsyncClient,
    namespace: str,
    kubelet: FakeKubelet,
) -> None:
    await make_pod(http, namespace)
    reading, writing = os.pipe()
    async with start("logs", "-f", "web", stdout=writing) as process:
        os.close(writing)
        assert await asyncio.to_thread(os.read, reading, 100) == b"one\n"
        os.close(reading)
        kubelet.more.set()
        assert process.stderr
        assert await process.stderr.read() == b""
        assert await process.wait() == 1


# --- exec ----------------------------------------------------------------------------------------------------------


async def test_exec_passes_input_on_and_ends_as_the_command_does(
    start: Start,
    http: httpx.AsyncClient,
    namespace: str,
) -> None:
    await make_pod(http, namespace)
    sent = os.urandom(300_000)
    async with start("exec", "-i", "web", "--", "cat") as process:
        out, err = await process.communicate(sent)
        assert (process.returncode, err) == (0, b"")
        assert out == sent
    async with start("exec", "web", "--", "false") as process:
        out, err = await process.communicate()
        assert (process.returncode, out, err) == (3, b"", b"")


async def test_exec_that_is_refused_is_told_in_a_line(cli: Cli, http: httpx.AsyncClient, namespace: str) -> None:
    await make_pod(http, namespace)
    for arguments, told in (
        (("missing", "--", "ls"), 'pods "missing" not found'),
        (("web", "-c", "side", "--", "ls"), "container not found"),
        (("web", "-c", "nonsense", "--", "ls"), "it has main, side"),
    ):
        done = await cli("exec", *arguments)
        assert done.code == 1
        assert told in done.err
        assert "Traceback" not in done.err


async def test_a_terminal_is_raw_and_its_size_is_told(
    start: Start,
    http: httpx.AsyncClient,
    namespace: str,
) -> None:
    await make_pod(http, namespace)
    ours, theirs = pty.openpty()
    resize(ours, 24, 80)
    output = b""

    async def until(text: bytes) -> None:
        nonlocal output
        while text not in output:
            output += await asyncio.to_thread(os.read, ours, 4096)

    try:
        async with start("exec", "-it", "web", "--", "cat", stdin=theirs, stdout=theirs, stderr=theirs) as process:
            # The fake kubelet echoes whatever comes, messages of the terminal's size too.
            await until(b'{"Width": 80, "Height": 24}')
            for columns in range(100, 150):  # as when a window is dragged
                resize(ours, 50, columns)
                process.send_signal(signal.SIGWINCH)
            await until(b'{"Width": 149, "Height": 50}')
            os.write(ours, b"\x03\r")
            await until(b"\x03\r")
            process.terminate()
            await process.wait()
        assert json.loads(output[: output.index(b"}") + 1]) == {"Width": 80, "Height": 24}
    finally:
        os.close(ours)
        os.close(theirs)


def resize(terminal: int, lines: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


# --- watches -------------------------------------------------------------------------------------------------------


async def test_a_watch_shows_what_comes_in_the_same_columns(
    start: Start,
    http: httpx.AsyncClient,
    namespace: str,
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    await http.post(path, json={"metadata": {"name": "first-one"}, "data": {"a": "1"}})  # the columns are made for it
    async with start("get", "cm", "-A", "-w", "--field-selector", f"metadata.namespace={namespace}") as process:
        assert process.stdout
        header = (await process.stdout.readline()).decode()
        first = (await process.stdout.readline()).decode()
        await http.post(path, json={"metadata": {"name": "b"}, "data": {"a": "1"}})
        second = (await process.stdout.readline()).decode()
        assert header.split() == ["NAMESPACE", "NAME", "DATA", "AGE"]
        assert first.split()[:2] == [namespace, "first-one"]
        assert second.split()[:2] == [namespace, "b"]
        assert header.index("DATA") == first.rindex("1 ") == second.rindex("1 ")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


async def test_a_watch_of_whole_objects(
    start: Start,
    http: httpx.AsyncClient,
    namespace: str,
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    await http.post(path, json={"metadata": {"name": "a"}})
    async with start("get", "cm", "-w", "-o", "name") as process:
        assert process.stdout
        assert await process.stdout.readline() == b"configmap/a\n"
        await http.post(path, json={"metadata": {"name": "b"}})
        assert await process.stdout.readline() == b"configmap/b\n"


async def test_a_list_into_a_closed_pipe_ends_quietly(
    start: Start,
    http: httpx.AsyncClient,
    namespace: str,
) -> None:
    await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json={"metadata": {"name": "a"}})
    reading, writing = os.pipe()
    os.close(reading)
    async with start("get", "cm", stdout=writing) as process:
        os.close(writing)
        assert process.stderr
        assert await process.stderr.read() == b""
        assert await process.wait() == 1
