"""What the proxy leaves on a machine, and takes back. Needs root, nftables and iptables."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import uvloop

from k8slite.config import ProxyConfig
from k8slite.proxy.cleanup import cleanup
from k8slite.proxy.services import apply

from .cluster import Cluster, service_rules
from .machine import BRIDGE, Machine, machine

CONFIG = ProxyConfig(kubeconfig=Path("/none"), bridge=BRIDGE)


def output(command: str) -> str:
    return subprocess.run(command.split(), check=True, text=True, capture_output=True).stdout


async def test_docker_is_told_once_and_in_its_own_words(host: Machine):
    for _ in range(2):
        await apply.accept_forwarding(BRIDGE)
    assert output("iptables -S DOCKER-USER").splitlines() == [
        "-N DOCKER-USER",
        f"-A DOCKER-USER -o {BRIDGE} -j ACCEPT",
        f"-A DOCKER-USER -i {BRIDGE} -j ACCEPT",
        "-A DOCKER-USER -j RETURN",
    ]


def test_commands_run_on_the_loop_of_the_programs():
    async def work() -> None:
        async with machine():
            for _ in range(10):
                await apply.accept_forwarding(BRIDGE)
                await apply.transact("add table ip k8slite\n")
            assert await apply.table_exists("k8slite") is False

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


async def test_machine_without_docker_is_left_alone(host: Machine):
    for command in ("iptables -F FORWARD", "iptables -F DOCKER-USER", "iptables -X DOCKER-USER"):
        output(command)
    await apply.accept_forwarding(BRIDGE)
    assert BRIDGE not in output("iptables -S")


async def test_cleanup_takes_everything_back_and_may_be_repeated(host: Machine):
    async with service_rules(Cluster()):
        pass
    for _ in range(2):
        await cleanup(CONFIG)
    assert "k8slite" not in output("nft list ruleset")
    assert BRIDGE not in output("ip link")
