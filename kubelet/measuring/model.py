"""What a kubelet tells of usage, as values. Times are Unix seconds; `cores` is billionths of one, None if unknown."""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.usage import Usage


@dataclass(frozen=True, slots=True)
class Interface:
    """What a network interface has carried."""

    name: str
    received: int
    receive_errors: int
    sent: int
    send_errors: int


@dataclass(frozen=True, slots=True)
class Network:
    """The interfaces of a node or pod, and which of them leads out (empty if none does)."""

    at: float
    interfaces: tuple[Interface, ...]
    default: str = ""


@dataclass(frozen=True, slots=True)
class Filesystem:
    """A file system's space and inodes."""

    at: float
    available: int
    capacity: int
    used: int
    inodes_free: int
    inodes: int


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """A running container."""

    name: str
    started: float
    usage: Usage
    cores: int | None = None


@dataclass(frozen=True, slots=True)
class PodUsage:
    """A pod with its running containers; `usage` is the sum of those, and of what belongs to the pod alone."""

    namespace: str
    name: str
    uid: str
    started: float
    containers: tuple[ContainerUsage, ...]
    usage: Usage | None = None
    cores: int | None = None
    network: Network | None = None


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """A node with its pods."""

    name: str
    started: float
    usage: Usage
    cores: int | None = None
    network: Network | None = None
    filesystem: Filesystem | None = None
    processes: tuple[int, int] | None = None
    """How many there are, and how many there may be."""
    pods: tuple[PodUsage, ...] = ()


def total(parts: list[Usage]) -> Usage | None:
    """The sum of usages, at the time of the last; None for nothing."""
    if not parts:
        return None
    return Usage(
        at=max(each.at for each in parts),
        cpu=sum(each.cpu for each in parts),
        memory=sum(each.memory for each in parts),
        working_set=sum(each.working_set for each in parts),
        rss=sum(each.rss for each in parts),
        page_faults=sum(each.page_faults for each in parts),
        major_page_faults=sum(each.major_page_faults for each in parts),
        memory_limit=sum(each.memory_limit for each in parts) if all(each.memory_limit for each in parts) else 0,
        swap=sum(each.swap for each in parts),
    )
