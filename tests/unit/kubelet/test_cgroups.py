"""What is read of control groups, over made directories of both versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from k8slite.kubelet.runtime.cgroups import Cgroup, Cgroups, locate, measure, text_of
from k8slite.kubelet.runtime.usage import Usage

ONE = "9:memory:/{0}\n5:cpu,cpuacct:/{0}\n1:name=systemd:/{0}\n0::/{0}\n"
TWO = "0::/{0}\n"
CGROUPFS, SYSTEMD = "docker/abc", "system.slice/docker-abc.scope"


def write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


def make_1(root: Path, path: str, *, cpu: int = 5_000_000_000, limit: int = 9223372036854771712) -> None:
    write(root / "cpuacct" / path, cpuacct__usage=f"{cpu}\n")
    write(
        root / "memory" / path,
        memory__usage_in_bytes="1000000\n",
        memory__limit_in_bytes=f"{limit}\n",
        memory__stat="rss 1\ninactive_file 2\ntotal_inactive_file 300000\ntotal_rss 400000\ntotal_pgfault 5\n"
        "total_pgmajfault 6\ntotal_swap 7\n",
    )


def make_2(root: Path, path: str, *, cpu: int = 5_000_000, limit: str = "max") -> None:
    (root / "cgroup.controllers").write_text("cpu memory\n")
    write(
        root / path,
        cpu__stat=f"usage_usec {cpu}\nuser_usec 1\nsystem_usec 2\n",
        memory__current="1000000\n",
        memory__max=f"{limit}\n",
        memory__stat="anon 400000\nfile 5\ninactive_file 300000\npgfault 5\npgmajfault 6\n",
        memory__swap__current="7\n",
    )


@pytest.mark.parametrize("path", [CGROUPFS, SYSTEMD])
@pytest.mark.parametrize(("make", "process"), [(make_1, ONE), (make_2, TWO)], ids=["version 1", "version 2"])
def test_usage_is_read_in_both_versions_under_both_drivers(
    tmp_path: Path, make: Callable[[Path, str], None], process: str, path: str
) -> None:
    make(tmp_path, path)
    group = locate(process.format(path), root=tmp_path)
    assert group is not None
    assert measure(group, at=12.5) == Usage(
        at=12.5,
        cpu=5_000_000_000,
        memory=1_000_000,
        working_set=700_000,
        rss=400_000,
        page_faults=5,
        major_page_faults=6,
        memory_limit=0,
        swap=7,
    )


def test_limits_are_read_where_there_are_any(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    two.mkdir()
    make_1(one, CGROUPFS, limit=64 << 20)
    make_2(two, CGROUPFS, limit=str(64 << 20))
    for root, process in ((one, ONE), (two, TWO)):
        group = locate(process.format(CGROUPFS), root=root)
        assert group is not None
        assert measure(group, at=0.0).memory_limit == 64 << 20


def test_a_kernel_without_swap_has_no_file_for_it(tmp_path: Path) -> None:
    make_2(tmp_path, CGROUPFS)
    (tmp_path / CGROUPFS / "memory.swap.current").unlink()
    assert measure(Cgroup(2, tmp_path / CGROUPFS, tmp_path / CGROUPFS), at=0.0).swap == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("garbage\n", None),
        ("0::/../../elsewhere\n", None),
        ("0::/docker/abc\n", (2, "unified/docker/abc")),
        ("4:memory:/docker/abc\n0::/docker/abc\n", (2, "unified/docker/abc")),
        ("4:memory:/m\n2:cpuacct:/c\n0::/docker/abc\n", (1, "cpuacct/c")),
        ("0::/a:b\n", (2, "unified/a:b")),
    ],
)
def test_a_group_is_located_by_what_the_kernel_says(
    tmp_path: Path, text: str, expected: tuple[int, str] | None
) -> None:
    found = locate(text, root=tmp_path)
    assert (found and (found.version, str(found.cpu.relative_to(tmp_path)))) == expected


def test_a_container_is_looked_for_once_and_forgotten_when_nobody_asks(tmp_path: Path) -> None:
    proc, asked = tmp_path / "proc", []
    for pid, path in ((7, "docker/a"), (8, "docker/b")):
        make_1(tmp_path, path)
        write(proc / str(pid), cgroup=ONE.format(path))
    groups = Cgroups(root=tmp_path, proc=proc)

    def pid_of(key: str) -> int:
        asked.append(key)
        return {"a": 7, "b": 8, "gone": 9}.get(key, 0)

    for _ in range(2):
        assert groups.measure(["a", "b"], pid_of=pid_of, now=lambda: 1.0).keys() == {"a", "b"}
    assert asked == ["a", "b"]
    assert groups.measure(["a", "gone", "created"], pid_of=pid_of, now=lambda: 1.0).keys() == {"a"}
    asked.clear()
    groups.measure(["a", "b"], pid_of=pid_of, now=lambda: 1.0)
    assert asked == ["b"], "nobody asked for b last time"


def test_a_process_of_somebody_else_is_not_measured(tmp_path: Path) -> None:
    """The number of a process that has ended is given to another."""
    proc = tmp_path / "proc"
    make_1(tmp_path, "docker/other")
    write(proc / "7", cgroup=ONE.format("docker/other"))
    groups = Cgroups(root=tmp_path, proc=proc)
    assert groups.measure(["mine"], pid_of=lambda _: 7, now=lambda: 1.0) == {}


def test_one_that_ends_is_left_out_and_looked_for_again(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    make_1(tmp_path, "docker/a")
    write(proc / "7", cgroup=ONE.format("docker/a"))
    groups = Cgroups(root=tmp_path, proc=proc)
    assert groups.measure(["a"], pid_of=lambda _: 7, now=lambda: 1.0)
    (tmp_path / "cpuacct/docker/a/cpuacct.usage").unlink()
    assert groups.measure(["a"], pid_of=lambda _: 7, now=lambda: 1.0) == {}
    make_1(tmp_path, "docker/a")
    assert groups.measure(["a"], pid_of=lambda _: 7, now=lambda: 1.0)


def test_a_file_of_which_the_kernel_gives_a_page_at_a_time_is_read_to_its_end() -> None:
    """`/proc/<pid>/maps` of this process is such a one; so are `net/dev` with many interfaces, and `vmstat`."""
    path = Path("/proc/self/maps")
    text = text_of(path)
    assert len(text) > 8192 and text.endswith("\n")
    assert abs(text.count("\n") - path.read_text().count("\n")) <= 8, "reading may map a little more itself"
