"""What the kernel counts for a container: files of its control group, version 1 or 2, whoever made the group.

The files cost some ten microseconds each; the engine's own statistics take it milliseconds, or seconds. Where a
container's group is, is asked of the kernel once (`/proc/<pid>/cgroup`), so it does not matter which driver and which
parent the engine was told to use.

Source: Linux documentation, cgroup-v1 (cpuacct, memory) and cgroup-v2; cadvisor for what a working set is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .usage import Usage

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
_UNLIMITED = 1 << 60
"""Version 1 writes a number beyond all memory where there is no limit."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The directories of a group. In version 2 both are the same."""

    version: Literal[1, 2]
    cpu: Path
    memory: Path


def locate(text: str, *, root: Path = ROOT) -> Cgroup | None:
    """The group that a process's `/proc/<pid>/cgroup` names; None for one that is not below `root`.

    Machines in between have both versions mounted: where version 1 counts, it is asked.
    """
    paths = {name: path for name, path in _hierarchies(text) if not path.startswith("/..")}
    if "cpuacct" in paths and "memory" in paths:
        return Cgroup(1, root / "cpuacct" / paths["cpuacct"][1:], root / "memory" / paths["memory"][1:])
    if "" in paths:
        unified = root if (root / "cgroup.controllers").exists() else root / "unified"
        return Cgroup(2, unified / paths[""][1:], unified / paths[""][1:])
    return None


def _hierarchies(text: str) -> Iterable[tuple[str, str]]:
    """Controllers with their paths; the empty one is version 2."""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator:
            yield from ((name, path) for name in controllers.split(","))


def measure(group: Cgroup, *, at: float) -> Usage:
    """What a group uses; `at` is the Unix time now. Raises OSError when it is gone, ValueError for no numbers."""
    return _measure_1(group, at) if group.version == 1 else _measure_2(group, at)


def _measure_1(group: Cgroup, at: float) -> Usage:
    cpu = int(text_of(group.cpu / "cpuacct.usage"))
    used = int(text_of(group.memory / "memory.usage_in_bytes"))
    limit = int(text_of(group.memory / "memory.limit_in_bytes"))
    stat = numbers(text_of(group.memory / "memory.stat"))
    return Usage(
        at=at,
        cpu=cpu,
        memory=used,
        working_set=max(0, used - stat.get("total_inactive_file", 0)),
        rss=stat.get("total_rss", 0),
        page_faults=stat.get("total_pgfault", 0),
        major_page_faults=stat.get("total_pgmajfault", 0),
        memory_limit=limit if limit < _UNLIMITED else 0,
        swap=stat.get("total_swap", 0),
    )


def _measure_2(group: Cgroup, at: float) -> Usage:
    cpu = numbers(text_of(group.cpu / "cpu.stat"))["usage_usec"] * 1000
    used = int(text_of(group.memory / "memory.current"))
    limit = text_of(group.memory / "memory.max").strip()
    stat = numbers(text_of(group.memory / "memory.stat"))
    return Usage(
        at=at,
        cpu=cpu,
        memory=used,
        working_set=max(0, used - stat.get("inactive_file", 0)),
        rss=stat.get("anon", 0),
        page_faults=stat.get("pgfault", 0),
        major_page_faults=stat.get("pgmajfault", 0),
        memory_limit=0 if limit == "max" else int(limit),
        swap=_swap(group.memory / "memory.swap.current"),
    )


def _swap(path: Path) -> int:
    """Swapped bytes; kernels without swap have no such file."""
    try:
        return int(text_of(path))
    except FileNotFoundError:
        return 0


def text_of(path: Path) -> str:
    """A file of the kernel's, of which it gives a page at a time, however much is asked for. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def numbers(text: str) -> dict[str, int]:
    """Lines of a name and a number; others are passed over."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


class Cgroups:
    """Remembers where containers' groups are. Its methods block."""

    def __init__(self, *, root: Path = ROOT, proc: Path = PROC) -> None:
        self._root, self._proc = root, proc
        self._groups: dict[str, Cgroup] = {}

    def measure(
        self, containers: Collection[str], *, pid_of: Callable[[str], int], now: Callable[[], float]
    ) -> Mapping[str, Usage]:
        """The usage of those that run, by id; `pid_of` gives a container's first process, 0 if it has none.

        The ids are all that there are: others are forgotten. Raises what `pid_of` raises.
        """
        groups = self._groups
        self._groups = groups = {key: groups[key] for key in containers if key in groups}
        found = {}
        for key in containers:
            try:
                group = groups.get(key) or self._locate(key, pid_of(key))
                if group is not None:
                    found[key] = measure(group, at=now())
                    groups[key] = group
            except (OSError, ValueError, KeyError):  # it has just ended
                groups.pop(key, None)
        return found

    def _locate(self, container: str, pid: int) -> Cgroup | None:
        """The group of a container's first process, unless that number is another process's by now."""
        text = text_of(self._proc / str(pid) / "cgroup") if pid else ""
        return locate(text, root=self._root) if container in text else None
