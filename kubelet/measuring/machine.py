"""What the machine as a whole uses, as the kernel tells. Nothing here waits or remembers.

Source: proc(5); cadvisor for what a node's working set is (all memory in use but inactive file pages).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..runtime.cgroups import PROC, ROOT, numbers, text_of
from ..runtime.usage import Usage
from .model import Filesystem, Interface, Network

_IGNORED = ("lo", "docker", "veth", "br-")
"""How interfaces begin whose traffic is nobody's, or counted on another."""


def usage(*, at: float, proc: Path = PROC, root: Path = ROOT) -> Usage:
    """The machine's. Raises OSError where this is no Linux."""
    memory = {name: kibibytes << 10 for name, kibibytes in _meminfo(text_of(proc / "meminfo")).items()}
    faults = numbers(text_of(proc / "vmstat"))
    used = memory["MemTotal"] - memory["MemFree"]
    return Usage(
        at=at,
        cpu=_cpu(proc=proc, root=root),
        memory=used,
        working_set=max(0, used - memory.get("Inactive(file)", 0)),
        rss=memory.get("AnonPages", 0),
        page_faults=faults.get("pgfault", 0),
        major_page_faults=faults.get("pgmajfault", 0),
        memory_limit=memory["MemTotal"],
        swap=memory.get("SwapTotal", 0) - memory.get("SwapFree", 0),
    )


def _cpu(*, proc: Path, root: Path) -> int:
    """Nanoseconds of all processors since the start: to the nanosecond from the root group, else in ticks."""
    with contextlib.suppress(OSError, ValueError):
        return int(text_of(root / "cpuacct" / "cpuacct.usage"))
    with contextlib.suppress(OSError, KeyError):
        return numbers(text_of(root / "cpu.stat"))["usage_usec"] * 1000
    user, nice, system, _idle, _wait, irq, softirq = map(int, text_of(proc / "stat").split("\n", 1)[0].split()[1:8])
    return (user + nice + system + irq + softirq) * 10**9 // os.sysconf("SC_CLK_TCK")


def _meminfo(text: str) -> dict[str, int]:
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found


def booted(*, proc: Path = PROC) -> float:
    """When the machine started."""
    return float(numbers(text_of(proc / "stat")).get("btime", 0))


def processes(*, proc: Path = PROC) -> tuple[int, int]:
    """How many processes there are, and how many there may be."""
    running = text_of(proc / "loadavg").split()[3].partition("/")[2]
    return int(running), int(text_of(proc / "sys/kernel/pid_max"))


def network(*, at: float, pid: int = 0, proc: Path = PROC) -> Network | None:
    """The interfaces that a process sees, 0 for this one; None if it is gone."""
    directory = proc / (str(pid) if pid else "self") / "net"
    try:
        found = tuple(each for each in interfaces(text_of(directory / "dev")) if not each.name.startswith(_IGNORED))
        default = _default(text_of(directory / "route"))
    except OSError:
        return None
    return Network(at, found, default if any(each.name == default for each in found) else "")


def interfaces(text: str) -> list[Interface]:
    """What `net/dev` says."""
    found = []
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        numbers = [int(word) for word in rest.split()]
        if len(numbers) >= 11:
            found.append(Interface(name.strip(), numbers[0], numbers[2], numbers[8], numbers[10]))
    return found


def _default(text: str) -> str:
    rows = (line.split() for line in text.splitlines()[1:])
    return next((row[0] for row in rows if len(row) > 7 and row[1] == "00000000" and row[7] == "00000000"), "")


def filesystem(directory: Path, *, at: float) -> Filesystem:
    """The file system that holds a directory. Raises OSError."""
    disk = os.statvfs(directory)
    return Filesystem(
        at=at,
        available=disk.f_bavail * disk.f_frsize,
        capacity=disk.f_blocks * disk.f_frsize,
        used=(disk.f_blocks - disk.f_bfree) * disk.f_frsize,
        inodes_free=disk.f_ffree,
        inodes=disk.f_files,
    )
