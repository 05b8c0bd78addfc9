"""What a node and its pods use: from the kernel's files to the page and the document."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from k8slite.clock import SystemClock, VirtualClock
from k8slite.kubelet.measuring import exposition, machine, summary
from k8slite.kubelet.measuring.meter import Meter, rate
from k8slite.kubelet.measuring.model import ContainerUsage, Interface, Network, NodeUsage, PodUsage, total
from k8slite.kubelet.runtime.base import ContainerSpec, PodRef, SandboxSpec
from k8slite.kubelet.runtime.simulated import SimulatedRuntime
from k8slite.kubelet.runtime.usage import Usage

USAGE = Usage(1000.25, 1_500_000_001, 9000, 7000, 5000, 4, 3, 20_000, 1)
NODE = NodeUsage(
    "n1",
    10.0,
    replace(USAGE, cpu=123_456_789_012_345_678),
    cores=7,
    network=Network(1000.0, (Interface("eth0", 1, 2, 3, 4), Interface("eth1", 5, 6, 7, 8)), "eth0"),
    processes=(5, 100),
    pods=(
        PodUsage("ns", "web", "u", 20.0, (ContainerUsage("main", 30.5, USAGE, 11),), USAGE, 11),
        PodUsage("ns", "bare", "v", 21.0, ()),
    ),
)


# The machine


def made_proc(directory: Path) -> Path:
    files = {
        "meminfo": "MemTotal: 1000 kB\nMemFree: 300 kB\nInactive(file): 100 kB\nAnonPages: 200 kB\n"
        "SwapTotal: 50 kB\nSwapFree: 20 kB\nHugePages_Total: 0\n",
        "vmstat": "pgfault 11\npgmajfault 12\n",
        "stat": "cpu  100 1 50 9999 7 2 3 0 0 0\ncpu0 1 2\nbtime 1700000000\n",
        "loadavg": "0.1 0.2 0.3 2/345 999\n",
        "sys/kernel/pid_max": "4194304\n",
        "self/net/dev": "Inter-| Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
        "  eth0: 10 1 2 0 0 0 0 0 30 1 4 0 0 0 0 0\n veth12: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n",
        "self/net/route": "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth0\t0000A8C0\t0\t1\t0\t0\t0\t00FFFFFF\neth0\t00000000\t0100A8C0\t3\t0\t0\t0\t00000000\n",
    }
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def test_the_machine_is_read_from_the_kernel(tmp_path: Path) -> None:
    proc, root = made_proc(tmp_path / "proc"), tmp_path / "cgroup"
    ticks = machine.usage(at=5.0, proc=proc, root=root)
    assert (ticks.cpu, ticks.memory, ticks.working_set, ticks.rss) == (1_560_000_000, 700 << 10, 600 << 10, 200 << 10)
    assert (ticks.page_faults, ticks.major_page_faults, ticks.memory_limit, ticks.swap) == (
        11,
        12,
        1000 << 10,
        30 << 10,
    )
    (root / "cpuacct").mkdir(parents=True)
    (root / "cpu.stat").write_text("usage_usec 77\n")
    assert machine.usage(at=5.0, proc=proc, root=root).cpu == 77_000
    (root / "cpuacct" / "cpuacct.usage").write_text("78\n")
    assert machine.usage(at=5.0, proc=proc, root=root).cpu == 78
    assert machine.booted(proc=proc) == 1_700_000_000
    assert machine.processes(proc=proc) == (345, 4194304)
    assert machine.network(at=5.0, proc=proc) == Network(5.0, (Interface("eth0", 10, 2, 30, 4),), "eth0")
    assert machine.network(at=5.0, pid=99, proc=proc) is None


# Rates and sums


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (None, None),
        (Usage(999.25, 500_000_001, 0, 0), 1_000_000_000),
        (Usage(998.25, 1_500_000_001, 0, 0), 0),
        (Usage(1000.0, 0, 0, 0), None),
        (Usage(900.0, 0, 0, 0), None),
        (Usage(1001.0, 0, 0, 0), None),
        (Usage(999.25, 1_500_000_002, 0, 0), None),
    ],
)
def test_cores_are_told_over_a_while_that_can_tell(before: Usage | None, expected: int | None) -> None:
    assert rate(before, USAGE) == expected


def test_a_pod_uses_what_its_parts_do_and_is_limited_if_all_are() -> None:
    assert total([]) is None
    unlimited = replace(USAGE, at=1001.0, memory_limit=0)
    both = total([USAGE, unlimited])
    assert both is not None
    assert (both.at, both.cpu, both.working_set, both.memory_limit) == (1001.0, 3_000_000_002, 14_000, 0)
    limited = total([USAGE, USAGE])
    assert limited is not None and limited.memory_limit == 40_000


# The page


def samples(body: bytes) -> dict[tuple[str, str], tuple[float, float | None]]:
    return {
        (each.name, ",".join(each.labels.values())): (each.value, each.timestamp and float(each.timestamp))
        for family in text_string_to_metric_families(body.decode())
        for each in family.samples
    }


def test_the_page_has_upstreams_names_and_says_when_each_was_measured() -> None:
    found = samples(exposition.page(NODE))
    assert found == {
        ("container_cpu_usage_seconds_total", "main,ns,web"): (1.500000001, 1000.25),
        ("container_memory_working_set_bytes", "main,ns,web"): (7000, 1000.25),
        ("container_start_time_seconds", "main,ns,web"): (30.5, None),
        ("container_swap_usage_bytes", "main,ns,web"): (1, 1000.25),
        ("node_cpu_usage_seconds_total", ""): (123456789.012345678, 1000.25),
        ("node_memory_working_set_bytes", ""): (7000, 1000.25),
        ("node_swap_usage_bytes", ""): (1, 1000.25),
        ("pod_cpu_usage_seconds_total", "ns,web"): (1.500000001, 1000.25),
        ("pod_memory_working_set_bytes", "ns,web"): (7000, 1000.25),
        ("pod_swap_usage_bytes", "ns,web"): (1, 1000.25),
        ("resource_scrape_error", ""): (0, None),
        ("scrape_error", ""): (0, None),
    }


def test_what_could_not_be_measured_is_said() -> None:
    assert samples(exposition.page(None)) == {("resource_scrape_error", ""): (1, None), ("scrape_error", ""): (1, None)}


# The document


def test_the_summary_is_upstreams() -> None:
    found = summary.document(NODE)
    node, (web, bare) = found["node"], found["pods"]
    assert node["nodeName"] == "n1" and node["startTime"] == "1970-01-01T00:00:10Z"
    assert node["cpu"] == {
        "time": "1970-01-01T00:16:40Z",
        "usageCoreNanoSeconds": 123_456_789_012_345_678,
        "usageNanoCores": 7,
    }
    assert node["memory"]["availableBytes"] == 13_000 and node["memory"]["workingSetBytes"] == 7000
    assert (node["network"]["name"], node["network"]["rxBytes"], len(node["network"]["interfaces"])) == ("eth0", 1, 2)
    assert node["rlimit"] == {"time": "1970-01-01T00:16:40Z", "maxpid": 100, "curproc": 5}
    assert web["podRef"] == {"name": "web", "namespace": "ns", "uid": "u"}
    assert web["containers"][0]["name"] == "main" and web["containers"][0]["memory"]["rssBytes"] == 5000
    assert bare["containers"] == [] and "cpu" not in bare
    assert json.loads(json.dumps(found)) == found


def test_the_summary_can_be_asked_for_processors_and_memory_alone() -> None:
    node = summary.document(NODE, only_cpu_and_memory=True)["node"]
    assert node.keys() == {"nodeName", "startTime", "cpu", "memory", "swap"}


# The meter


async def running_pod(runtime: SimulatedRuntime, name: str) -> None:
    ref = PodRef(f"uid-{name}", name, "default")
    sandbox = await runtime.create_sandbox(SandboxSpec(ref, hostname=name))
    await runtime.start_sandbox(sandbox)
    for container in ("a", "b"):
        made = await runtime.create_container(
            ContainerSpec(ref, container, "x", command=("sleep", "1000")), sandbox_id=sandbox
        )
        if container == "a":
            await runtime.start_container(made)


async def test_a_node_is_measured_with_the_containers_that_run(tmp_path: Path) -> None:
    runtime = SimulatedRuntime(clock=SystemClock())
    await running_pod(runtime, "web")
    found = await Meter(node="n1", runtime=runtime, directory=tmp_path, clock=SystemClock()).measure()
    assert found.usage.cpu > 0 and found.usage.memory > found.usage.working_set > 0
    assert found.filesystem is not None and found.filesystem.capacity > 0
    [pod] = found.pods
    assert (pod.namespace, pod.name, [each.name for each in pod.containers]) == ("default", "web", ["a"])
    assert pod.usage is not None and pod.usage.working_set >= 1 << 20
    await runtime.close()


class Counting(SimulatedRuntime):
    asked = 0

    async def list(self, *, pod_uid: str = "") -> dict:  # type: ignore[override, type-arg]
        self.asked += 1
        return await super().list(pod_uid=pod_uid)


async def test_nothing_is_measured_twice_in_half_a_second_and_cores_are_told_from_the_second_time_on(
    tmp_path: Path,
) -> None:
    clock = VirtualClock()
    runtime = Counting(clock=clock)
    await running_pod(runtime, "web")
    meter = Meter(node="n1", runtime=runtime, directory=tmp_path, clock=clock)
    assert runtime.asked == 0
    first = await meter.measure()
    assert await meter.measure() is first and runtime.asked == 1
    assert first.pods[0].containers[0].cores is None
    await clock.advance(2.0)
    second = await meter.measure()
    assert runtime.asked == 2
    assert second.pods[0].containers[0].cores == 1_000_000, "a thousandth of a core is what simulated containers use"
    await runtime.close()


def test_lines_are_in_the_form_that_metrics_server_takes_apart() -> None:
    lines = [line for line in exposition.page(NODE).decode().splitlines() if line.startswith("container_cpu")]
    assert lines == ['container_cpu_usage_seconds_total{container="main",namespace="ns",pod="web"} 1.500000001 1000250']
    assert not re.search(r"[^\n]\Z", exposition.page(NODE).decode())
