"""What every container runtime must do, asked of the simulated one and of Docker."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable

import pytest

from k8slite.clock import SystemClock
from k8slite.kubelet.runtime.base import (
    ContainerRuntime,
    ContainerSpec,
    LogOptions,
    NoSuchContainer,
    PodRef,
    PodState,
    RuntimeFault,
    SandboxSpec,
    State,
)
from k8slite.kubelet.runtime.docker import DockerRuntime
from k8slite.kubelet.runtime.simulated import SimulatedRuntime
from k8slite.testing.images import load_busybox


@pytest.fixture(params=["simulated", "docker"])
async def runtime(request: pytest.FixtureRequest) -> AsyncIterator[ContainerRuntime]:
    if request.param == "simulated":
        simulated = SimulatedRuntime(clock=SystemClock())
        yield simulated
        await simulated.close()
        return
    docker = DockerRuntime(cluster=f"contract-{uuid.uuid4().hex[:8]}", node="n1")
    yield docker
    for state in (await docker.list()).values():
        for item in (*state.containers, *state.sandboxes):
            await docker.remove_container(item.id)
    await docker.close()


@pytest.fixture
def pod() -> PodRef:
    return PodRef(uid=str(uuid.uuid4()), name="web", namespace="default")


def spec(pod: PodRef, *command: str, name: str = "main", attempt: int = 0, tty: bool = False) -> ContainerSpec:
    return ContainerSpec(
        pod=pod, name=name, image=load_busybox(), command=command, attempt=attempt, spec_hash="abc", tty=tty
    )


async def sandbox_for(runtime: ContainerRuntime, pod: PodRef) -> str:
    sandbox = await runtime.create_sandbox(SandboxSpec(pod=pod, hostname="web", pod_ip="10.9.8.7"))
    assert await runtime.start_sandbox(sandbox) > 0
    return sandbox


async def run(runtime: ContainerRuntime, sandbox: str, container: ContainerSpec) -> str:
    key = await runtime.create_container(container, sandbox_id=sandbox)
    await runtime.start_container(key)
    return key


async def until(runtime: ContainerRuntime, pod: PodRef, holds: Callable[[PodState], bool]) -> PodState:
    async with asyncio.timeout(10):
        while True:
            state = (await runtime.list(pod_uid=pod.uid)).get(pod.uid)
            if state is not None and holds(state):
                return state
            await asyncio.sleep(0.02)


def ended(name: str) -> Callable[[PodState], bool]:
    return lambda state: (found := state.newest(name)) is not None and found.state is State.EXITED


async def test_a_pod_is_listed_with_all_that_labels_hold(runtime: ContainerRuntime, pod: PodRef) -> None:
    sandbox = await sandbox_for(runtime, pod)
    await run(runtime, sandbox, spec(pod, "sleep", "100"))
    state = (await runtime.list())[pod.uid]
    assert state.pod == pod
    assert state.sandbox is not None
    assert (state.sandbox.id, state.sandbox.ip, state.sandbox.attempt) == (sandbox, "10.9.8.7", 0)
    main = state.newest("main")
    assert main is not None
    assert (main.state, main.attempt, main.spec_hash) == (State.RUNNING, 0, "abc")
    assert main.started_at is not None
    assert main.finished_at is None
    assert main.image_id


async def test_a_created_container_is_not_running(runtime: ContainerRuntime, pod: PodRef) -> None:
    sandbox = await sandbox_for(runtime, pod)
    await runtime.create_container(spec(pod, "sleep", "100"), sandbox_id=sandbox)
    main = (await runtime.list(pod_uid=pod.uid))[pod.uid].newest("main")
    assert main is not None
    assert main.state is State.CREATED


@pytest.mark.parametrize(("command", "code"), [(("true",), 0), (("false",), 1)])
async def test_an_exit_code_is_kept(
    runtime: ContainerRuntime, pod: PodRef, command: tuple[str, ...], code: int
) -> None:
    sandbox = await sandbox_for(runtime, pod)
    await run(runtime, sandbox, spec(pod, *command))
    main = (await until(runtime, pod, ended("main"))).newest("main")
    assert main is not None
    assert main.exit_code == code
    assert main.finished_at is not None


async def test_attempts_are_listed_newest_first(runtime: ContainerRuntime, pod: PodRef) -> None:
    sandbox = await sandbox_for(runtime, pod)
    await run(runtime, sandbox, spec(pod, "false"))
    await until(runtime, pod, ended("main"))
    await run(runtime, sandbox, spec(pod, "sleep", "100", attempt=1))
    state = (await runtime.list(pod_uid=pod.uid))[pod.uid]
    newest, previous = state.newest("main"), state.previous("main")
    assert newest is not None
    assert previous is not None
    assert (newest.attempt, newest.state, previous.attempt, previous.exit_code) == (1, State.RUNNING, 0, 1)


async def test_a_kill_ends_a_container(runtime: ContainerRuntime, pod: PodRef) -> None:
    sandbox = await sandbox_for(runtime, pod)
    key = await run(runtime, sandbox, spec(pod, "sleep", "100"))
    await runtime.signal(key, "SIGKILL")
    main = (await until(runtime, pod, ended("main"))).newest("main")
    assert main is not None
    assert main.exit_code == 137
    await runtime.signal(key, "SIGTERM")  # one that has ended: no fault


async def test_a_stopped_sandbox_is_listed_as_such_and_removal_is_idempotent(
    runtime: ContainerRuntime, pod: PodRef
) -> None:
    sandbox = await sandbox_for(runtime, pod)
    await runtime.stop_sandbox(sandbox)
    state = await until(runtime, pod, lambda state: state.sandbox is None)
    assert [item.running for item in state.sandboxes] == [False]
    await runtime.remove_sandbox(sandbox)
    await runtime.remove_sandbox(sandbox)
    await runtime.stop_sandbox(sandbox)
    await runtime.remove_container("no-such-container")
    assert pod.uid not in await runtime.list()


async def test_starting_what_is_gone_is_a_fault(runtime: ContainerRuntime) -> None:
    with pytest.raises(NoSuchContainer):
        await runtime.start_container("no-such-container")


async def test_events_hint_that_a_container_ended(runtime: ContainerRuntime, pod: PodRef) -> None:
    sandbox = await sandbox_for(runtime, pod)
    stream = runtime.events()
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.1)  # the subscription has no acknowledgement
    await run(runtime, sandbox, spec(pod, "true"))
    async with asyncio.timeout(10):
        event = await waiting
        assert event.pod_uid == pod.uid
        while event.action != "die":
            event = await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("command", "code"), [(["true"], 0), (["false"], 1)])
async def test_a_short_command_tells_its_exit_code(
    runtime: ContainerRuntime, pod: PodRef, command: list[str], code: int
) -> None:
    sandbox = await sandbox_for(runtime, pod)
    key = await run(runtime, sandbox, spec(pod, "sleep", "100"))
    result = await runtime.exec_sync(key, command, timeout=5)
    assert (result.exit_code, result.timed_out) == (code, False)
    assert (await runtime.exec_sync(key, ["sleep", "9"], timeout=0.2)).timed_out


async def test_a_command_in_a_container_that_ended_is_a_fault(runtime: ContainerRuntime, pod: PodRef) -> None:
    sandbox = await sandbox_for(runtime, pod)
    key = await run(runtime, sandbox, spec(pod, "true"))
    await until(runtime, pod, ended("main"))
    with pytest.raises(RuntimeFault):
        await runtime.exec(key, ["true"], stdin=False, stdout=True, stderr=True, tty=False)


async def test_images_are_found(runtime: ContainerRuntime) -> None:
    image = await runtime.image(load_busybox())
    assert image is not None
    assert image.id


async def test_a_log_can_be_read(runtime: ContainerRuntime, pod: PodRef) -> None:
    sandbox = await sandbox_for(runtime, pod)
    key = await run(runtime, sandbox, spec(pod, "echo", "hello"))
    async with asyncio.timeout(10):
        with contextlib.suppress(StopAsyncIteration):
            first = await anext(runtime.logs(key, LogOptions(follow=True)))
            assert first.data.endswith(b"\n")


async def test_usage_is_measured(runtime: ContainerRuntime, pod: PodRef) -> None:
    sandbox = await sandbox_for(runtime, pod)
    key = await run(runtime, sandbox, spec(pod, "sleep", "100"))
    usage = (await runtime.usage([key, "nothing-of-that-name"]))[key]
    assert usage.cpu >= 0
    assert usage.memory >= usage.working_set > 0
    await runtime.remove_container(key)
    assert await runtime.usage([key]) == {}
