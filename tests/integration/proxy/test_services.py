"""Service rules in the real kernel, with real connections. Needs root, nftables and iptables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from k8slite.kinds.resources import SERVICES
from k8slite.proxy.services import apply, sync
from k8slite.proxy.services.sync import ServiceRules

from .cluster import Cluster, service_rules
from .machine import BRIDGE_ADDRESS, MACHINE_ADDRESS, Machine, Place, run, say

VIP = "10.96.0.20"


@dataclass
class Scene:
    host: Machine
    cluster: Cluster
    rules: ServiceRules
    client: Place
    one: Place
    two: Place


@pytest.fixture
async def scene(host: Machine) -> AsyncIterator[Scene]:
    """A Service `web` on a NodePort with endpoints `one` and `two`, and a pod that is none of them."""
    client = await host.pod("client", "10.42.1.1")
    one = await host.pod("one", "10.42.1.2")
    two = await host.pod("two", "10.42.1.3")
    cluster = Cluster()
    cluster.service("web", VIP, type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}])
    cluster.endpoints("web", one.address, two.address)
    async with service_rules(cluster) as rules:
        yield Scene(host, cluster, rules, client, one, two)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await holds():  # noqa: ASYNC110 - the state is the kernel's, which signals nothing
            await asyncio.sleep(0.01)


async def refused(place: Place, address: str, port: int) -> bool:
    try:
        await place.ask(address, port)
    except ConnectionRefusedError:
        return True
    return False


async def names(place: Place, address: str, port: int, count: int = 24) -> set[str]:
    return {(await place.ask(address, port)).split()[0] for _ in range(count)}


async def test_cluster_ip_spreads_over_endpoints(scene: Scene):
    assert await names(scene.client, VIP, 80) == {"one", "two"}


async def test_endpoint_on_the_same_bridge_sees_the_client_itself(scene: Scene):
    assert (await scene.client.ask(VIP, 80)).split()[1] == scene.client.address


async def test_pod_reaches_itself_through_its_service(scene: Scene):
    assert await names(scene.one, VIP, 80) == {"one", "two"}


async def test_machine_reaches_cluster_ip(scene: Scene):
    assert await names(scene.host.host, VIP, 80) == {"one", "two"}


@pytest.mark.parametrize("address", [MACHINE_ADDRESS, BRIDGE_ADDRESS, "127.0.0.1"])
async def test_machine_reaches_node_port_on_every_address(scene: Scene, address: str):
    assert await names(scene.host.host, address, 30080) == {"one", "two"}


async def test_world_reaches_node_port_with_its_own_address(scene: Scene):
    answer = await scene.host.world.ask(MACHINE_ADDRESS, 30080)
    assert answer.split()[1] == scene.host.world.address


@pytest.mark.parametrize("address", [MACHINE_ADDRESS, BRIDGE_ADDRESS])
async def test_pod_reaches_node_port(scene: Scene, address: str):
    assert await names(scene.client, address, 30080) == {"one", "two"}


async def test_external_address_leads_to_the_endpoints(scene: Scene):
    scene.cluster.service("web", VIP, externalIPs=["198.51.100.7"])
    await eventually(lambda: _reaches(scene.host.world, "198.51.100.7", 80))


async def _reaches(place: Place, address: str, port: int) -> bool:
    try:
        return bool(await place.ask(address, port, timeout=0.3))
    except (OSError, TimeoutError):
        return False


async def test_service_without_endpoints_refuses(scene: Scene):
    scene.cluster.endpoints("web")
    for place in (scene.client, scene.host.host):
        await eventually(lambda place=place: refused(place, VIP, 80))
    assert await refused(scene.host.world, MACHINE_ADDRESS, 30080)
    assert await refused(scene.host.host, "127.0.0.1", 30080)


async def test_unknown_addresses_and_ports_of_the_service_range_are_refused(scene: Scene):
    for place in (scene.client, scene.host.host):
        assert await refused(place, VIP, 81)
        assert await refused(place, "10.96.99.99", 80)


async def test_deleted_service_is_refused(scene: Scene):
    scene.cluster.delete(SERVICES, "web")
    await eventually(lambda: refused(scene.client, VIP, 80))


async def test_machine_without_a_default_route_reaches_services(scene: Scene):
    run("ip route del default")
    await eventually(lambda: _reaches(scene.host.host, VIP, 80))


async def test_session_affinity_holds_a_client(scene: Scene):
    scene.cluster.service("sticky", "10.96.0.21", sessionAffinity="ClientIP")
    scene.cluster.endpoints("sticky", scene.one.address, scene.two.address)
    await eventually(lambda: _reaches(scene.client, "10.96.0.21", 80))
    [chosen] = await names(scene.client, "10.96.0.21", 80)
    # Endpoints that come do not move the client; the one that goes does.
    scene.cluster.endpoints("sticky", scene.one.address, scene.two.address, scene.client.address)
    scene.cluster.service("marker", "10.96.0.22")
    scene.cluster.endpoints("marker", scene.one.address)
    await eventually(lambda: _reaches(scene.client, "10.96.0.22", 80))
    assert await names(scene.client, "10.96.0.21", 80) == {chosen}
    other = scene.two if chosen == "one" else scene.one
    scene.cluster.endpoints("sticky", other.address)

    async def moved() -> bool:
        return await names(scene.client, "10.96.0.21", 80, 1) == {other.name}

    await eventually(moved)


async def test_standing_connection_survives_any_change(scene: Scene):
    reader, writer = await scene.client.connect(VIP, 80)
    before = await say(reader, writer)
    gone = scene.one if before.startswith("one") else scene.two
    stays = scene.two if gone is scene.one else scene.one
    scene.cluster.endpoints("web", stays.address)

    async def only_one_left() -> bool:
        return await names(scene.client, VIP, 80, 8) == {stays.name}

    await eventually(only_one_left)
    assert await say(reader, writer) == before
    writer.close()


async def test_no_connection_fails_while_endpoints_roll(scene: Scene):
    stop = asyncio.Event()
    answers = 0

    async def load() -> None:
        nonlocal answers
        while not stop.is_set():
            await scene.client.ask(VIP, 80)
            answers += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(load())
        for step in range(40):
            chosen = ([scene.one], [scene.two], [scene.one, scene.two])[step % 3]
            scene.cluster.endpoints("web", *(place.address for place in chosen))
            await asyncio.sleep(0.03)
        stop.set()
    assert answers > 40


async def test_terminating_endpoint_serves_until_another_is_ready(scene: Scene):
    leaving = {"addresses": [scene.one.address], "conditions": {"ready": False, "serving": True, "terminating": True}}
    scene.cluster.endpoints("web", leaving)

    async def only(name: str) -> bool:
        return await names(scene.client, VIP, 80, 8) == {name}

    await eventually(lambda: only("one"))
    scene.cluster.endpoints("web", leaving, scene.two.address)
    await eventually(lambda: only("two"))


async def test_pod_reaches_a_server_on_the_machine(scene: Scene):
    """As `kubernetes.default` does: the endpoint is the bridge's own address."""
    await scene.host.host.serve(16443)
    scene.cluster.service("kubernetes", "10.96.0.1", ports=[{"name": "https", "port": 443}])
    scene.cluster.endpoints("kubernetes", BRIDGE_ADDRESS, ports=[{"name": "https", "port": 16443}])
    await eventually(lambda: _reaches(scene.client, "10.96.0.1", 443))
    assert await scene.client.ask("10.96.0.1", 443) == f"host {scene.client.address}"
    for server in scene.host.host.servers:
        server.close()


async def test_pod_leaves_the_cluster_under_the_machines_address(scene: Scene):
    await scene.host.world.serve(8081)
    assert await scene.client.ask(scene.host.world.address, 8081) == f"world {MACHINE_ADDRESS}"


async def test_pods_reach_each_other_directly(scene: Scene):
    assert await scene.client.ask(scene.one.address, 8080) == f"one {scene.client.address}"


async def test_pod_does_not_reach_the_machines_loopback(scene: Scene):
    """route_localnet opens the bridge for clients on loopback, not for pods that forge destinations."""
    await scene.host.host.serve(18080)
    pid = scene.client.process.pid  # type: ignore[union-attr]
    for command in (
        "ip link set lo down",
        "sysctl -qw net.ipv4.conf.eth0.route_localnet=1",
        "ip route replace 127.0.0.0/8 via 10.42.0.1 dev eth0",
    ):
        run(f"nsenter --net --target {pid} {command}")
    with pytest.raises((TimeoutError, OSError)):
        await scene.client.ask("127.0.0.1", 18080, timeout=0.5)
    for server in scene.host.host.servers:
        server.close()


@pytest.mark.parametrize("failures", [[], [apply.NftError("for the test"), OSError("no memory")]])
async def test_datagram_client_moves_on_when_its_endpoint_goes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, failures: list[Exception]
):
    """Also when the change could not be written at first."""
    await scene.one.serve_udp()
    await scene.two.serve_udp()
    port = [{"name": "udp", "port": 53, "protocol": "UDP"}]
    slice_port = [{"name": "udp", "port": 5353, "protocol": "UDP"}]
    scene.cluster.service("udp", "10.96.0.30", ports=port)
    scene.cluster.endpoints("udp", scene.one.address, ports=slice_port)
    client = scene.client.udp()
    loop = asyncio.get_running_loop()

    async def answered_by(name: str) -> bool:
        client.sendto(b"?", ("10.96.0.30", 53))
        try:
            async with asyncio.timeout(0.1):
                return await loop.sock_recv(client, 100) == name.encode()
        except (TimeoutError, ConnectionRefusedError):
            return False

    await eventually(lambda: answered_by("one"))
    transact, failures = apply.transact, list(failures)

    async def refuse(script: str) -> None:
        if failures:
            raise failures.pop()
        await transact(script)

    monkeypatch.setattr(apply, "transact", refuse)
    monkeypatch.setattr(sync, "_RETRY", 0.1)
    scene.cluster.endpoints("udp", scene.two.address, ports=slice_port)
    await eventually(lambda: answered_by("two"))
    client.close()


@pytest.mark.parametrize("command", ["nft delete table ip k8slite", "nft flush ruleset"])
async def test_table_that_somebody_removed_comes_back_at_once(scene: Scene, command: str):
    run(command)
    await eventually(lambda: _reaches(scene.client, VIP, 80))


async def test_local_policy_uses_only_endpoints_of_this_machine(scene: Scene):
    here = {"addresses": [scene.one.address], "nodeName": "node-1"}
    there = {"addresses": [scene.two.address], "nodeName": "node-2"}
    port = [{"name": "http", "port": 80, "nodePort": 30081}]
    scene.cluster.service("local", "10.96.0.50", type="NodePort", externalTrafficPolicy="Local", ports=port)
    scene.cluster.endpoints("local", here, there)
    await eventually(lambda: _reaches(scene.host.world, MACHINE_ADDRESS, 30081))
    assert await names(scene.host.world, MACHINE_ADDRESS, 30081) == {"one"}
    assert await names(scene.client, "10.96.0.50", 80) == {"one", "two"}


async def test_an_outside_address_leads_those_within_to_endpoints_of_other_machines(scene: Scene):
    address = "198.51.100.9"
    spec = {"clusterIP": VIP, "clusterIPs": [VIP], "type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    spec["ports"] = [{"name": "http", "port": 80, "protocol": "TCP"}]
    status = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
    scene.cluster.put(SERVICES, {"metadata": {"name": "web"}, "spec": spec, "status": status})
    here = {"addresses": [scene.one.address], "nodeName": "node-1"}
    scene.cluster.endpoints("web", here, {"addresses": [scene.two.address], "nodeName": "node-2"})
    await eventually(lambda: _reaches(scene.host.world, address, 80))
    assert await names(scene.host.world, address, 80) == {"one"}
    assert await names(scene.client, address, 80) == {"one", "two"}
    assert await names(scene.host.host, address, 80) == {"one", "two"}


async def test_rules_stay_when_the_program_ends(host: Machine):
    pod = await host.pod("one", "10.42.1.2")
    cluster = Cluster()
    cluster.service("web", VIP)
    cluster.endpoints("web", pod.address)
    async with service_rules(cluster):
        pass
    assert await host.host.ask(VIP, 80)


async def test_a_second_table_minds_its_own_services(scene: Scene):
    other = Cluster()
    other.service("web", "10.97.0.20")
    other.endpoints("web", scene.two.address)
    async with service_rules(other, table="k8slite-b"):
        assert await names(scene.client, "10.97.0.20", 80, 4) == {"two"}
        assert await names(scene.client, VIP, 80) == {"one", "two"}


async def test_a_load_balancers_address_is_for_those_whom_it_names(scene: Scene):
    address = "198.51.100.8"
    status = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]

    def balanced(*ranges: str) -> None:
        spec = {"clusterIP": VIP, "clusterIPs": [VIP], "type": "LoadBalancer", "ports": ports}
        spec["loadBalancerSourceRanges"] = list(ranges)
        scene.cluster.put(SERVICES, {"metadata": {"name": "web"}, "spec": spec, "status": status})

    balanced()
    await eventually(lambda: _reaches(scene.host.world, address, 80))
    assert await names(scene.client, address, 80) == {"one", "two"}
    balanced(f"{scene.client.address}/32")

    async def shut() -> bool:
        return not await _reaches(scene.host.world, address, 80)

    await eventually(shut)
    assert await _reaches(scene.client, address, 80)
    balanced()
    await eventually(lambda: _reaches(scene.host.world, address, 80))
