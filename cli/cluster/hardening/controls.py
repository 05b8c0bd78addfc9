"""A control, what it looks at, and what it finds. Everything here and beside it is pure, but for reading the files.

The numbers are those of the CIS Kubernetes Benchmark 1.12; what a control asks is said in our words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from k8slite.config import (
    ApiServerConfig,
    ControllerManagerConfig,
    KubeletConfig,
    ProxyConfig,
    SchedulerConfig,
)

_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FileState:
    """A file or directory: its permission bits and its owner's and group's numbers."""

    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Examined:
    """A cluster as its programs are told to run it. `owner` is who runs them."""

    directory: Path
    apiserver: ApiServerConfig
    manager: ControllerManagerConfig
    scheduler: SchedulerConfig
    kubelets: Mapping[str, KubeletConfig] = field(default_factory=dict)
    """By configuration file; simulated nodes have none."""
    proxy: ProxyConfig | None = None
    etcd: Sequence[str] = ()
    """The command line of the cluster's own etcd."""
    files: Mapping[Path, FileState] = field(default_factory=dict)
    """Everything below the directory."""
    owner: int = 0
    ends: Mapping[str, datetime] = field(default_factory=dict)
    """When certificates end, by their names in `pki`."""
    now: datetime = _BEGINNING


class NotApplicable(Exception):
    """Raised by a control that has nothing to look at; the text says why."""


Look = Callable[[Examined], list[str]]
"""What is wrong; raises NotApplicable."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control. Without `look` it is for people to judge, and `remedy` says by what.

    `built_in` says why a control holds whatever the configuration says.
    """

    number: str
    text: str
    remedy: str = ""
    look: Look | None = None
    built_in: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a control found: PASS, FAIL, MANUAL or N/A, and the details."""

    control: Control
    state: str
    details: tuple[str, ...] = ()


def judge(control: Control, examined: Examined) -> Finding:
    """Look."""
    if control.built_in:
        return Finding(control, "PASS", (control.built_in,))
    if control.look is None:
        return Finding(control, "MANUAL", (control.remedy,))
    try:
        problems = control.look(examined)
    except NotApplicable as reason:
        return Finding(control, "N/A", (str(reason),))
    return Finding(control, "FAIL", (*problems, control.remedy)) if problems else Finding(control, "PASS")


def needed(condition: object, problem: str) -> list[str]:
    """A problem, unless the condition holds."""
    return [] if condition else [problem]


RENEW = "run `k8slite up`: it renews what ends soon"
_SOON = timedelta(days=30)


def lasting(*names: str) -> Look:
    """Certificates, by name, that go on for a month at least: whoever renews them is at work."""

    def look(examined: Examined) -> list[str]:
        found = [(name, examined.ends[name]) for name in names if name in examined.ends]
        if not found:
            raise NotApplicable("this cluster has no such certificate")
        return [f"{name}.crt ends on {end:%Y-%m-%d}" for name, end in found if end - examined.now < _SOON]

    return look
