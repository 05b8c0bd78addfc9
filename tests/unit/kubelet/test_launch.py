"""The launcher of real pods, on the simulated runtime and a network that only notes what it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k8slite.clock import VirtualClock
from k8slite.kinds.core import Pod
from k8slite.kubelet.addresses import PodAddresses
from k8slite.kubelet.images import Images
from k8slite.kubelet.launch import Dns, Launched, LaunchFault, Node, PodLauncher
from k8slite.kubelet.network import NetworkError
from k8slite.kubelet.plan import Facts, plan
from k8slite.kubelet.runtime.base import PodRef, PodState, RuntimeUnavailable, SandboxSpec
from k8slite.kubelet.runtime.simulated import SimulatedRuntime
from k8slite.kubelet.volumes import VolumeManager

from .builders import pod
from .rig import Said


class Network:
    def __init__(self) -> None:
        self.attached: list[tuple[str, int, str]] = []
        self.broken = False

    async def ensure_bridge(self) -> None: ...

    async def attach(self, *, pod_uid: str, pid: int, address: str) -> None:
        if self.broken:
            raise NetworkError("no bridge")
        self.attached.append((pod_uid, pid, address))

    async def detach(self, *, pod_uid: str) -> None: ...


class Objects:
    async def read(self, of: Pod) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    def release(self, uid: str) -> None: ...


class Rig:
    def __init__(self, directory: Path) -> None:
        self.clock, self.network, self.events = VirtualClock(), Network(), Said()
        self.runtime = SimulatedRuntime(clock=self.clock)
        self.addresses = PodAddresses()
        self.addresses.configure("10.0.0.0/24", used={})
        self.launcher = PodLauncher(
            runtime=self.runtime,
            network=self.network,
            addresses=self.addresses,
            images=Images(self.runtime, clock=self.clock, events=self.events),  # type: ignore[arg-type]
            volumes=VolumeManager(None, clock=self.clock, directory=directory),  # type: ignore[arg-type]
            objects=Objects(),  # type: ignore[arg-type]
            events=self.events,  # type: ignore[arg-type]
            clock=self.clock,
            node=Node("n1", "192.0.2.1", 1 << 30),
            dns=Dns(["10.96.0.10"], "cluster.local", directory / "resolv.conf"),
            services=list,
        )

    async def state(self) -> PodState:
        return (await self.runtime.list()).get("u1") or PodState(PodRef("u1", "web", "default"))

    async def launch(self, of: Pod) -> Launched:
        state = await self.state()
        decided = plan(Facts(pod=of, state=state, now=self.clock.now()))
        return await self.launcher.launch(of, decided, state, wake=lambda: None)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_a_sandbox_that_a_killed_kubelet_left_without_link_gets_one_before_anything_starts(rig: Rig) -> None:
    left = await rig.runtime.create_sandbox(SandboxSpec(PodRef("u1", "web", "default"), "web", pod_ip="10.0.0.9"))
    await rig.runtime.start_sandbox(left)
    rig.addresses.configure("10.0.0.0/24", used={"u1": "10.0.0.9"})
    rig.network.broken = True
    with pytest.raises(LaunchFault):
        await rig.launch(pod())
    assert (await rig.state()).newest("main") is None
    rig.network.broken = False
    assert (await rig.launch(pod())).running.keys() == {"main"}
    assert rig.network.attached == [("u1", 1, "10.0.0.9")]


async def test_a_pod_is_linked_once(rig: Rig) -> None:
    of = pod("main", init=("one",))
    launched = await rig.launch(of)
    await rig.runtime.signal(launched.running["one"], "SIGKILL")
    await rig.launch(of)
    assert len(rig.network.attached) == 1


async def test_without_a_link_no_sandbox_is_left(rig: Rig) -> None:
    rig.network.broken = True
    with pytest.raises(LaunchFault):
        await rig.launch(pod())
    assert (await rig.state()).sandboxes == ()
    assert "FailedCreatePodSandBox" in rig.events.reasons


async def test_an_engine_that_goes_away_in_the_middle_leaves_no_pod_without_link(rig: Rig) -> None:
    start = rig.runtime.start_sandbox

    async def answers_no_more(sandbox_id: str) -> int:
        await start(sandbox_id)
        raise RuntimeUnavailable("gone")

    rig.runtime.start_sandbox = answers_no_more  # type: ignore[method-assign]
    with pytest.raises(LaunchFault):
        await rig.launch(pod())
    assert (await rig.state()).sandbox is not None
    rig.runtime.start_sandbox = start  # type: ignore[method-assign]
    await rig.launch(pod())
    assert len(rig.network.attached) == 1
    assert len((await rig.state()).sandboxes) == 1


async def test_an_image_that_is_loaded_by_hand_is_found(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing(_: object, reference: str) -> None:
        return None

    of = pod(main={"imagePullPolicy": "Never"})
    with monkeypatch.context() as patched:
        patched.setattr(SimulatedRuntime, "image", missing)
        launched = await rig.launch(of)
    assert launched.waiting["main"].reason == "ErrImageNeverPull"
    assert launched.again == 10
    assert (await rig.launch(of)).running.keys() == {"main"}
