"""What only Docker can show: streams byte for byte, and what the kernel is told about a container."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest

from k8slite.kubelet.runtime.base import (
    ContainerSpec,
    Limits,
    LogOptions,
    Mount,
    NoSuchContainer,
    PodRef,
    SandboxSpec,
    Security,
    Session,
)
from k8slite.kubelet.runtime.docker import DockerRuntime
from k8slite.testing.images import load_busybox

POD = PodRef(str(uuid.uuid4()), "web", "default")


@pytest.fixture
async def runtime() -> AsyncIterator[DockerRuntime]:
    made = DockerRuntime(cluster=f"streams-{uuid.uuid4().hex[:8]}", node="n1")
    yield made
    for state in (await made.list()).values():
        for item in (*state.containers, *state.sandboxes):
            await made.remove_container(item.id)
    await made.close()


async def started(runtime: DockerRuntime, *command: str, **fields: object) -> str:
    sandbox = await runtime.create_sandbox(SandboxSpec(POD, hostname="web-host"))
    await runtime.start_sandbox(sandbox)
    spec = ContainerSpec(POD, "main", load_busybox(), command=command, **fields)  # type: ignore[arg-type]
    key = await runtime.create_container(spec, sandbox_id=sandbox)
    await runtime.start_container(key)
    return key


async def heard(session: Session) -> tuple[bytes, bytes]:
    out, err = b"", b""
    async for item in session.output():
        if item.stream == "stdout":
            out += item.data
        else:
            err += item.data
    await session.close()
    return out, err


async def run(runtime: DockerRuntime, key: str, command: str, *, tty: bool = False) -> tuple[bytes, bytes]:
    session = await runtime.exec(key, ["sh", "-c", command], stdin=False, stdout=True, stderr=True, tty=tty)
    return await heard(session)


async def test_output_is_whole_and_streams_are_apart(runtime: DockerRuntime) -> None:
    key = await started(runtime, "sleep", "100")
    for turn in range(10):  # the first bytes may come with the headers of the answer
        assert await run(runtime, key, f"echo out {turn}; echo err {turn} >&2") == (
            f"out {turn}\n".encode(),
            f"err {turn}\n".encode(),
        )
    out, _ = await run(runtime, key, "head -c 300000 /dev/zero")
    assert out == b"\0" * 300_000


async def test_input_goes_in_and_its_end_is_seen(runtime: DockerRuntime) -> None:
    key = await started(runtime, "sleep", "100")
    session = await runtime.exec(key, ["cat"], stdin=True, stdout=True, stderr=True, tty=False)
    await session.write(b"\x00\xff some bytes")
    await session.close_input()
    out, _ = await heard(session)
    assert out == b"\x00\xff some bytes"
    assert await session.exit_code() == 0


async def test_a_terminal_has_the_size_that_it_is_given(runtime: DockerRuntime) -> None:
    key = await started(runtime, "sleep", "100")
    session = await runtime.exec(key, ["sh"], stdin=True, stdout=True, stderr=True, tty=True)
    await session.resize(width=91, height=37)
    await session.write(b"stty size; exit\n")
    out, _ = await heard(session)
    assert b"37 91" in out


async def test_parts_of_a_log(runtime: DockerRuntime) -> None:
    key = await started(runtime, "sh", "-c", "for i in 1 2 3; do echo $i; done; echo x >&2; exec sleep 100")
    seen = b""
    async for item in runtime.logs(key, LogOptions(follow=True)):
        seen += item.data
        if len(seen) == len("1\n2\n3\nx\n"):
            break

    async def log(options: LogOptions) -> bytes:
        return b"".join([item.data async for item in runtime.logs(key, options)])

    assert await log(LogOptions(stderr=False)) == b"1\n2\n3\n"
    assert await log(LogOptions(tail=1)) in (b"3\n", b"x\n")  # two pipes have no common order
    assert await log(LogOptions(tail=0)) == b""
    stamped = await log(LogOptions(stdout=False, timestamps=True))
    assert stamped.startswith(b"20")
    assert stamped.endswith(b"Z x\n")
    assert await log(LogOptions(since=4e9)) == b""


async def test_the_kernel_is_told_limits_and_rights(runtime: DockerRuntime) -> None:
    key = await started(
        runtime,
        "sleep",
        "100",
        limits=Limits(cpu_shares=256, cpu_quota=50_000, memory=64 << 20, oom_score_adj=900),
        security=Security(user="1000:2000", groups=("3000",), read_only_root=True, drop_capabilities=("ALL",)),
    )
    out, _ = await run(runtime, key, "id; cat /proc/self/oom_score_adj; grep CapBnd /proc/self/status; touch /x 2>&1")
    assert b"uid=1000 gid=2000 groups=2000,3000" in out or b"groups=3000" in out
    assert b"\n900\n" in out
    assert b"CapBnd:\t0000000000000000" in out
    assert b"Read-only file system" in out
    host = docker.APIClient(version="auto").inspect_container(key)["HostConfig"]
    assert (host["CpuShares"], host["CpuQuota"], host["Memory"]) == (256, 50_000, 64 << 20)
    assert host["LogConfig"]["Type"] == "json-file"
    assert host["RestartPolicy"]["Name"] in ("", "no")


async def test_containers_of_a_pod_share_host_name_and_network(runtime: DockerRuntime) -> None:
    key = await started(runtime, "sleep", "100")
    sandbox = (await runtime.list())[POD.uid].sandbox
    assert sandbox is not None
    other = await runtime.create_container(
        ContainerSpec(POD, "other", load_busybox(), command=("nc", "-l", "-p", "7777", "-e", "cat")),
        sandbox_id=sandbox.id,
    )
    await runtime.start_container(other)
    out, _ = await run(
        runtime, key, "hostname; for i in 1 2 3 4 5 6 7 8 9; do echo hi | nc 127.0.0.1 7777 && break; done"
    )
    assert out == b"web-host\nhi\n"


async def test_a_path_may_hold_a_colon_and_a_mount_may_be_read_only(runtime: DockerRuntime, tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a:b" / "file").write_text("here\n")
    mount = Mount(str(tmp_path / "a:b"), "/c:d", read_only=True)
    key = await started(runtime, "sleep", "100", mounts=(mount,))
    assert await run(runtime, key, "cat /c:d/file; touch /c:d/x 2>&1 | grep -o Read-only") == (
        b"here\nRead-only\n",
        b"",
    )


async def test_a_sandbox_starts_though_its_image_was_pruned(runtime: DockerRuntime) -> None:
    await runtime.prepare()
    runtime._sandbox_image = "k8slite/sandbox:pruned"
    with pytest.raises(NoSuchContainer):
        await runtime._create({"Image": "k8slite/sandbox:pruned"}, f"pruned-{uuid.uuid4().hex[:8]}")
    sandbox = await runtime.create_sandbox(SandboxSpec(POD, hostname="web-host"))
    assert await runtime.start_sandbox(sandbox) > 0


async def test_a_command_that_takes_too_long_does_not_run_on(runtime: DockerRuntime) -> None:
    key = await started(runtime, "sleep", "100")
    assert (await runtime.exec_sync(key, ["sleep", "777"], timeout=0.5)).timed_out
    async with asyncio.timeout(5):
        while b"sleep 777" in (await run(runtime, key, "ps"))[0]:  # noqa: ASYNC110 — a process's end signals nothing
            await asyncio.sleep(0.02)


async def test_the_exit_code_of_a_command_that_closes_its_output_is_waited_for(runtime: DockerRuntime) -> None:
    key = await started(runtime, "sleep", "100")
    session = await runtime.exec(
        key, ["sh", "-c", "exec >&- 2>&-; sleep 3; exit 3"], stdin=False, stdout=True, stderr=True, tty=False
    )
    assert await heard(session) == (b"", b"")
    assert await session.exit_code() == 3


async def test_small_limits_are_raised_to_what_docker_takes(runtime: DockerRuntime) -> None:
    key = await started(runtime, "sleep", "100", limits=Limits(memory=1 << 20))
    host = docker.APIClient(version="auto").inspect_container(key)["HostConfig"]
    assert host["Memory"] == 6 << 20
