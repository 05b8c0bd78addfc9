"""Decisions about a cluster: what is free, what it runs, what contradicts it."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from k8slite import config
from k8slite.cli.cluster import certificates, commands, decide, free, machine, simulation
from k8slite.cli.cluster.configs import services
from k8slite.cli.cluster.decide import Wish
from k8slite.cli.cluster.down import down, remove_files
from k8slite.cli.cluster.slots import Slot
from k8slite.cli.cluster.spec import ClusterSpec, Simulation
from k8slite.cli.failure import Failure
from k8slite.config import ApiServerConfig, ControllerManagerConfig, KubeletConfig, ProxyConfig, SimulatorConfig
from k8slite.kubelet.simulated.addresses import blocks
from k8slite.kubelet.volumes import mounts


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8SLITE_HOME", str(tmp_path))


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert free.port(number) != number


def test_ranges_avoid_what_is_routed() -> None:
    index, pods, services_range = free.ranges(
        [ipaddress.IPv4Network("10.42.7.0/24"), ipaddress.IPv4Network("10.97.0.0/16")]
    )
    assert (index, str(pods), str(services_range)) == (2, "10.44.0.0/16", "10.98.0.0/16")


def test_routes_are_read_from_the_kernels_table(tmp_path: Path) -> None:
    table = tmp_path / "route"
    table.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "br0\t00002A0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert [str(network) for network in free.routed_networks(table)] == ["10.42.0.0/16"]


def test_what_gives_addresses_to_load_balancers_and_what_serves_them_know_one_range() -> None:
    parts = {service.name: service.config for service in services(ClusterSpec(load_balancer_cidr="10.150.0.0/24"))}
    manager, proxy = parts["controller-manager"], parts["proxy"]
    assert isinstance(manager, ControllerManagerConfig) and isinstance(proxy, ProxyConfig)
    assert manager.load_balancer_pools == proxy.load_balancer_cidrs == ["10.150.0.0/24"]
    assert str(free.balancers(3)) == "10.153.0.0/24"
    assert free.ranges([ipaddress.IPv4Network("10.150.0.0/25")])[0] == 1


def test_every_node_has_a_kubelet_on_a_port_of_its_own() -> None:
    found = services(ClusterSpec(nodes=3))
    kubelets = [service.config for service in found if isinstance(service.config, KubeletConfig)]
    assert [config.node_name for config in kubelets] == ["k8slite-1", "k8slite-2", "k8slite-3"]
    assert len({config.port for config in kubelets}) == 3


def test_a_simulated_cluster_has_no_proxy_and_one_simulator() -> None:
    names = [service.name for service in services(ClusterSpec(nodes=0, simulation=Simulation(nodes=5)))]
    assert names == ["apiserver", "scheduler", "controller-manager", "simulator"]


def test_etcd_comes_first_when_the_cluster_brings_its_own() -> None:
    assert services(ClusterSpec(store="etcd"))[0].name == "etcd"
    assert services(ClusterSpec(store="etcd", etcd_endpoints=["http://10.0.0.1:2379"]))[0].name == "apiserver"


@pytest.mark.parametrize(
    ("wish", "spec", "count"),
    [
        (Wish(), ClusterSpec(nodes=3), 0),
        (Wish(nodes=3), ClusterSpec(nodes=3), 0),
        (Wish(nodes=2), ClusterSpec(nodes=3), 1),
        (Wish(simulation=Simulation(nodes=3)), ClusterSpec(nodes=3), 1),
        (Wish(), ClusterSpec(nodes=0, simulation=Simulation(nodes=3)), 0),
        (Wish(simulation=Simulation(nodes=3)), ClusterSpec(nodes=0, simulation=Simulation(nodes=3)), 0),
        (Wish(nodes=1, simulation=Simulation(nodes=2)), ClusterSpec(nodes=0, simulation=Simulation(nodes=3)), 2),
        (Wish(simulation=Simulation(nodes=3, zones=["a"])), ClusterSpec(simulation=Simulation(nodes=3)), 1),
        (Wish(simulation=Simulation(zones=["a"])), ClusterSpec(simulation=Simulation(nodes=3)), 1),
        (Wish(simulation=Simulation(nodes=3)), ClusterSpec(simulation=Simulation(nodes=3, zones=["a"])), 0),
        (Wish(nodes=3, store="etcd"), ClusterSpec(nodes=1), 2),
    ],
)
def test_contradictions_are_found(wish: Wish, spec: ClusterSpec, count: int) -> None:
    assert len(decide.contradictions(wish, spec)) == count


@pytest.mark.parametrize("name", ["Upper", "with space", "a/b", "..", "", "x" * 41, "9", "a-", "ä", "claims"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(Failure, match="is no name for a cluster"):
        decide.find(name)


def test_a_program_that_keeps_failing_waits_longer_each_time_and_a_stable_one_starts_afresh() -> None:
    slot = Slot(services(ClusterSpec())[0], pid=1)
    delays = []
    for _ in range(9):
        slot.started = 0.0
        slot.ended(1, now=1.0)
        delays.append(slot.delay)
    assert delays[:3] == [0.2, 0.4, 0.8]
    assert delays[-1] == 10.0
    slot.ended(1, now=100.0)
    assert slot.delay == 0.1


def test_files_of_a_cluster_stay_in_its_home(tmp_path: Path) -> None:
    assert ClusterSpec(name="a").directory == tmp_path / "a"
    assert os.environ["K8SLITE_HOME"] == str(tmp_path)


def test_ranges_are_kept_for_a_cluster_while_its_directory_exists(tmp_path: Path) -> None:
    claims, first, second = tmp_path / "claims", tmp_path / "first", tmp_path / "second"
    assert free.claim_ranges(first, [], claims=claims)[0] == 0
    assert free.claim_ranges(second, [], claims=claims)[0] == 1
    assert free.claim_ranges(first, [], claims=claims)[0] == 0
    first.rmdir()
    assert free.claim_ranges(second, [], claims=claims)[0] == 0
    free.release(second, claims=claims)
    assert free.claim_ranges(tmp_path / "third", [], claims=claims)[0] == 0


@pytest.mark.parametrize("name", ["nat", "filter"])
def test_a_cluster_shares_no_nftables_table_with_others(name: str) -> None:
    assert ClusterSpec(name=name).table == f"k8slite_{name}"


def test_no_port_is_given_twice_even_if_every_preferred_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free, "_is_free", lambda number: number >= 20000)
    first = decide.new(Wish(name="a", simulation=Simulation(nodes=5)))
    first.directory.mkdir()
    config.dump(first, first.file)
    second = decide.new(Wish(name="b", simulation=Simulation(nodes=5)))
    assert len(first.ports) == len(second.ports) == 5
    assert not first.ports & second.ports


def test_the_last_claim_takes_the_directory_of_claims_along(tmp_path: Path) -> None:
    claims = tmp_path / "machine" / "claims"
    for name in ("a", "b"):
        free.claim_ranges(tmp_path / name, [], claims=claims)
    free.release(tmp_path / "a", claims=claims)
    assert claims.exists()
    free.release(tmp_path / "b", claims=claims)
    assert not claims.parent.exists()
    free.release(tmp_path / "b", claims=claims)
    assert free.claim_ranges(tmp_path / "a", [], claims=claims)[0] == 0


def test_a_home_too_long_for_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8SLITE_HOME", str(tmp_path / ("x" * 100)))
    with pytest.raises(Failure, match="too long for a socket; set K8SLITE_HOME"):
        decide.new(Wish(simulation=Simulation(nodes=1)))


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("K8SLITE_HOME", "here")
    assert ClusterSpec(name="a").directory == tmp_path / "here" / "a"


def test_a_new_cluster_remembers_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert decide.new(Wish(simulation=Simulation(nodes=1))).docker_host == ""
    assert machine.docker_host() == "unix:///run/other.sock"


def test_etcd_comes_from_the_package_that_has_it() -> None:
    assert machine.missing(["etcd", "nft", "dockerd"], which=lambda _: None) == ["docker.io", "etcd-server", "nftables"]
    assert machine.missing(["etcd"], which=lambda name: f"/usr/bin/{name}") == []


def test_a_cluster_of_roots_is_not_denied_to_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "ROOTS_HOME", tmp_path / "roots")
    (tmp_path / "roots" / "k8slite").mkdir(parents=True)
    with pytest.raises(Failure, match="is root's: use `sudo "):
        decide.existing("k8slite")
    with pytest.raises(Failure, match="there is no cluster 'other'"):
        decide.existing("other")


def test_a_simulated_cluster_goes_without_touching_what_only_root_may(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = decide.new(Wish(name="light", simulation=Simulation(nodes=2)))
    spec.directory.mkdir(parents=True)
    monkeypatch.setattr(free, "release", lambda _: pytest.fail("the claims of address ranges are root's"))
    down(spec)
    assert not spec.directory.exists()


def simulator(spec: ClusterSpec) -> SimulatorConfig:
    return next(one.config for one in services(spec) if isinstance(one.config, SimulatorConfig))


def test_simulated_nodes_beside_real_ones_are_tainted_and_have_a_port_of_their_own() -> None:
    mixed = ClusterSpec(nodes=2, simulation=Simulation(nodes=100))
    assert [service.name for service in services(mixed)][-4:] == ["simulator", "proxy", "kubelet-1", "kubelet-2"]
    assert [taint["key"] for taint in simulator(mixed).taints] == ["k8slite.io/simulated"]
    kubelets = {one.config.port for one in services(mixed) if isinstance(one.config, KubeletConfig)}
    assert simulator(mixed).port in mixed.ports - kubelets


def test_simulated_nodes_alone_are_not_tainted_unless_that_is_asked_for() -> None:
    assert simulator(ClusterSpec(nodes=0, simulation=Simulation(nodes=3))).taints == []
    taints = [{"key": "a", "effect": "NoExecute"}]
    assert simulator(ClusterSpec(nodes=0, simulation=Simulation(nodes=3, taints=taints))).taints == taints
    assert simulator(ClusterSpec(simulation=Simulation(nodes=3, taints=[]))).taints == []


def test_what_is_not_said_of_a_simulated_nodes_capacity_is_as_it_is_anyway() -> None:
    spec = ClusterSpec(nodes=0, simulation=Simulation(nodes=1, capacity={"cpu": "4", "nvidia.com/gpu": "8"}))
    capacity = simulator(spec).capacity
    assert (capacity["cpu"], capacity["nvidia.com/gpu"], capacity["pods"]) == ("4", "8", "110")


def test_a_cluster_of_an_earlier_version_keeps_its_simulated_nodes(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("name: old\nnodes: 7\nsimulated: true\n")
    spec = config.load(ClusterSpec, file)
    assert (spec.nodes, spec.simulation.nodes) == (0, 7)
    file.write_text("name: old\nnodes: 2\nsimulated: false\n")
    spec = config.load(ClusterSpec, file)
    assert (spec.nodes, spec.simulation.nodes) == (2, 0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--label", "broken"], "is no label: write KEY=VALUE"),
        (["--taint", "a=b:Never"], "is no taint: write KEY=VALUE:EFFECT"),
        (["--taint", "a:NoSchedule", "--no-taint"], "exclude each other"),
        (["--label", "a=not good"], "'a=not good' is no label: a valid label must be"),
        (["--taint", "a=not good:NoSchedule"], "is no taint: a valid label must be"),
        (["--zones", "a b"], "'a b' is no zone: a valid label must be"),
        (["--zones", "0"], "0 is no number of zones"),
        (["--capacity", "cpu"], "is no capacity"),
        (["--capacity", "pods=many"], "'pods=many' is no capacity: quantities must match"),
        (["--capacity", "cpu=-1"], "less than nothing"),
        (["--capacity", "pods=4000000"], "has room for 0 nodes of 4000000 pods, not for 1"),
        (["--stages", "none.yaml"], "none.yaml: No such file"),
    ],
)
def test_what_cannot_be_meant_of_simulated_nodes_is_refused(options: list[str], told: str) -> None:
    with pytest.raises(Failure, match=told):
        commands.up.main(["--simulate", "1", *options], standalone_mode=False)


def test_options_of_simulated_nodes_need_some() -> None:
    with pytest.raises(Failure, match="--simulate says how many"):
        decide.new(Wish(simulation=Simulation(zones=["a"])))


def played(name: str, *cidrs: str) -> list[dict[str, Any]]:
    labels = {"k8slite.io/simulator": name}
    return [{"metadata": {"name": f"{name}-{cidr}", "labels": labels}, "spec": {"podCIDR": cidr}} for cidr in cidrs]


def test_simulated_nodes_that_join_get_a_range_that_no_other_node_has() -> None:
    def of(name: str, nodes: int, *present: dict[str, Any]) -> str:
        return simulation.range_for(name, nodes=nodes, pods=110, present=present)

    assert of("a", 2) == "100.96.0.0/24"
    assert of("b", 2, *played("a", "100.96.0.0/25", "100.96.0.128/25")) == "100.96.1.0/24"
    assert of("b", 8, *played("a", "100.96.0.0/25", "10.42.0.0/24", "fd00::/64"), {"metadata": {}, "spec": {}}) == (
        "100.96.4.0/22"
    )
    assert of("a", 1, *played("b", "")) == "100.96.0.0/25"
    large = (*played("a", "100.96.0.0/25"), *played("b", "100.112.0.0/25"))
    assert of("b", 8000, *large) == "100.112.0.0/12"
    assert len(blocks("100.112.0.0/12", nodes=8000, pods=110)) == 8000
    with pytest.raises(Failure, match="has no room left for 8000 nodes of 110 pods"):
        of("c", 8000, *large)


def test_packages_are_installed_although_a_foreign_source_fails_and_a_failure_says_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(
        '#!/bin/sh\necho "$@" >> "$0.log"\n[ "$1" = update ] && { echo no source >&2; exit 100; }\n[ ! -e "$0.bad" ]'
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    machine.install(["nftables"])
    assert (tmp_path / "apt-get.log").read_text().splitlines()[-1].startswith("install --yes")
    (tmp_path / "apt-get.bad").touch()
    with pytest.raises(Failure, match=r"install --yes .*nftables` failed:\nno source"):
        machine.install(["nftables"])


def test_an_ordinary_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/apt-get")
    with pytest.raises(Failure, match="lacks nftables; as root: apt-get install"):
        machine.install(["nftables"])


def test_a_cluster_from_before_there_was_a_front_proxy_gets_its_certificates() -> None:
    spec = ClusterSpec()
    certificates.ensure(spec)
    for path in (spec.directory / "pki").glob("front-proxy-*"):
        path.unlink()
    assert certificates.ensure(spec) == ["front-proxy-ca", "front-proxy-client"]
    assert certificates.ensure(spec) == []


def test_an_etcd_of_ones_own_wants_certificates_of_its_own_authority() -> None:
    spec = ClusterSpec(store="etcd")
    certificates.ensure(spec)
    command = services(spec)[0].command
    assert {"--client-cert-auth", "--peer-client-cert-auth"} <= set(command)
    (server,) = [service.config for service in services(spec) if isinstance(service.config, ApiServerConfig)]
    assert all(endpoint.startswith("https:") for endpoint in server.store.endpoints)
    named = [part.partition("=")[2] for part in command if "-file=" in part]
    files = [*named, server.store.ca_file, server.store.cert_file, server.store.key_file]
    assert all(file and Path(file).exists() for file in files)
    assert (spec.directory / "pki" / "etcd-ca.crt").read_bytes() != (spec.directory / "pki" / "ca.crt").read_bytes()


def test_a_name_that_a_cluster_of_another_home_has_is_refused(tmp_path: Path) -> None:
    claims, first, second = tmp_path / "claims", tmp_path / "home" / "a", tmp_path / "other" / "a"
    free.claim_ranges(first, [], claims=claims)
    with pytest.raises(OSError, match="has a cluster a already"):
        free.claim_ranges(second, [], claims=claims)
    first.rmdir()
    free.claim_ranges(second, [], claims=claims)


def test_files_of_the_machine_that_are_mounted_in_a_cluster_stay_though_somebody_has_them_open(tmp_path: Path) -> None:
    theirs, directory = tmp_path / "theirs", tmp_path / "cluster"
    place = directory / "kubelet" / "node-0" / "sub path"
    theirs.mkdir()
    place.mkdir(parents=True)
    (theirs / "file").write_text("theirs")
    descriptor = os.open(theirs, os.O_RDONLY)
    mounts.bind(descriptor, place)
    os.close(descriptor)
    with (place / "file").open() as held:
        remove_files(directory)
        assert held.read() == "theirs"
    assert not directory.exists()
    assert (theirs / "file").exists()
