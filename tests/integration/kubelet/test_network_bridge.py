"""BridgeNetwork against the real kernel. Needs root."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from k8slite.kubelet.network import BridgeNetwork, NetworkError
from k8slite.kubelet.network.netlink import host_link

GATEWAY = "10.123.0.1"


@pytest.fixture
async def network() -> AsyncIterator[BridgeNetwork]:
    network = BridgeNetwork(bridge=f"nett{os.getpid()}", bridge_address=f"{GATEWAY}/24")
    await network.ensure_bridge()
    try:
        yield network
    finally:
        await network.remove_bridge()


@contextmanager
def sandbox() -> Iterator[int]:
    """A process in a fresh network namespace; its id."""
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; exec sleep 60"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.wait()


def inside(pid: int, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nsenter", "--net", "--target", str(pid), *command], check=False, text=True, capture_output=True
    )


def links(*names: str) -> list[dict]:
    found = json.loads(subprocess.check_output(["ip", "-details", "-json", "link"]))
    return [link for link in found if link["ifname"] in names]


def addresses(link: str) -> list[str]:
    found = json.loads(subprocess.check_output(["ip", "-json", "-4", "addr", "show", link]))
    return [entry["local"] for entry in found[0]["addr_info"]]


async def test_pod_reaches_itself_and_its_gateway(network: BridgeNetwork):
    with sandbox() as one:
        await network.attach(pod_uid="uid-1", pid=one, address="10.123.0.5")
        for target in ("10.123.0.5", GATEWAY, "127.0.0.1"):
            assert inside(one, "busybox", "ping", "-c1", "-W2", target).returncode == 0
        assert f"default via {GATEWAY}" in inside(one, "ip", "route").stdout


async def test_attach_twice_keeps_the_link(network: BridgeNetwork):
    with sandbox() as pid:
        await network.attach(pod_uid="uid-1", pid=pid, address="10.123.0.5")
        before = links(host_link("uid-1"))[0]["ifindex"]
        await network.attach(pod_uid="uid-1", pid=pid, address="10.123.0.5")
        assert links(host_link("uid-1"))[0]["ifindex"] == before


async def test_new_sandbox_of_a_pod_takes_over_its_name(network: BridgeNetwork):
    with sandbox() as old, sandbox() as new:
        await network.attach(pod_uid="uid-1", pid=old, address="10.123.0.5")
        await network.attach(pod_uid="uid-1", pid=new, address="10.123.0.5")
        assert inside(new, "busybox", "ping", "-c1", "-W2", GATEWAY).returncode == 0


async def test_port_lets_a_pod_reach_itself(network: BridgeNetwork):
    with sandbox() as pid:
        await network.attach(pod_uid="uid-1", pid=pid, address="10.123.0.5")
        assert links(host_link("uid-1"))[0]["linkinfo"]["info_slave_data"]["hairpin"] is True


async def test_detach_is_repeatable(network: BridgeNetwork):
    with sandbox() as pid:
        await network.attach(pod_uid="uid-1", pid=pid, address="10.123.0.5")
        for _ in range(2):
            await network.detach(pod_uid="uid-1")
        assert not links(host_link("uid-1"))


async def test_dead_process_is_a_network_error(network: BridgeNetwork):
    with sandbox() as pid:
        pass
    with pytest.raises(NetworkError, match=f"process {pid}"):
        await network.attach(pod_uid="uid-1", pid=pid, address="10.123.0.5")


async def test_ensure_bridge_from_several_kubelets_at_once(network: BridgeNetwork):
    others = [BridgeNetwork(bridge=network.bridge, bridge_address=f"{GATEWAY}/24") for _ in range(3)]
    await asyncio.gather(*(other.ensure_bridge() for other in others))
    assert addresses(network.bridge) == [GATEWAY]


async def test_many_pods_at_once(network: BridgeNetwork):
    with ExitStack() as stack:
        pids = [stack.enter_context(sandbox()) for _ in range(8)]
        await asyncio.gather(
            *(network.attach(pod_uid=f"uid-{n}", pid=pid, address=f"10.123.0.{10 + n}") for n, pid in enumerate(pids))
        )
        assert len(links(*(host_link(f"uid-{n}") for n in range(8)))) == 8
