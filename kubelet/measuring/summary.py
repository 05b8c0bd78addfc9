"""Usage as the document of `/stats/summary`.

Source: Kubernetes' kubelet API, stats/v1alpha1 (Summary).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from k8slite.clock import timestamp

from ..runtime.usage import Usage
from .model import ContainerUsage, Filesystem, Network, NodeUsage, PodUsage

Json = dict[str, Any]


def document(node: NodeUsage, *, only_cpu_and_memory: bool = False) -> Json:
    """The whole document, or the part about processors and memory."""
    told: Json = {"nodeName": node.name, "startTime": _time(node.started), **_usage(node.usage, node.cores)}
    if not only_cpu_and_memory:
        if node.network is not None:
            told["network"] = _network(node.network)
        if node.filesystem is not None:
            told["fs"] = _filesystem(node.filesystem)
        if node.processes is not None:
            running, most = node.processes
            told["rlimit"] = {"time": _time(node.usage.at), "maxpid": most, "curproc": running}
    return {"node": told, "pods": [_pod(each, only_cpu_and_memory) for each in node.pods]}


def _pod(pod: PodUsage, only_cpu_and_memory: bool) -> Json:
    told: Json = {
        "podRef": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "startTime": _time(pod.started),
        "containers": [_container(each) for each in pod.containers],
    }
    if pod.usage is not None:
        told |= _usage(pod.usage, pod.cores)
    if pod.network is not None and not only_cpu_and_memory:
        told["network"] = _network(pod.network)
    return told


def _container(container: ContainerUsage) -> Json:
    return {
        "name": container.name,
        "startTime": _time(container.started),
        **_usage(container.usage, container.cores),
    }


def _usage(usage: Usage, cores: int | None) -> Json:
    at = _time(usage.at)
    cpu: Json = {"time": at, "usageCoreNanoSeconds": usage.cpu}
    if cores is not None:
        cpu["usageNanoCores"] = cores
    memory: Json = {
        "time": at,
        "usageBytes": usage.memory,
        "workingSetBytes": usage.working_set,
        "rssBytes": usage.rss,
        "pageFaults": usage.page_faults,
        "majorPageFaults": usage.major_page_faults,
    }
    if usage.memory_limit:
        memory["availableBytes"] = max(0, usage.memory_limit - usage.working_set)
    return {"cpu": cpu, "memory": memory, "swap": {"time": at, "swapUsageBytes": usage.swap}}


def _network(network: Network) -> Json:
    rows = [
        {
            "name": each.name,
            "rxBytes": each.received,
            "rxErrors": each.receive_errors,
            "txBytes": each.sent,
            "txErrors": each.send_errors,
        }
        for each in network.interfaces
    ]
    default = next((row for row in rows if row["name"] == network.default), {"name": ""})
    return {"time": _time(network.at), **default, "interfaces": rows}


def _filesystem(found: Filesystem) -> Json:
    return {
        "time": _time(found.at),
        "availableBytes": found.available,
        "capacityBytes": found.capacity,
        "usedBytes": found.used,
        "inodesFree": found.inodes_free,
        "inodes": found.inodes,
        "inodesUsed": found.inodes - found.inodes_free,
    }


def _time(moment: float) -> str:
    return timestamp(datetime.fromtimestamp(moment, UTC))
