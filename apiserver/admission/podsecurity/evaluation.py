"""Which controls make up a level in a version, and what they say of a pod.

Controls are asked in the order in which messages name them: those of baseline by name, then those of restricted. What
was found of one pod is remembered for all that are alike, as those of one template are.

Source: pod-security-admission, policy/registry.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import orjson

from .checks import (
    apparmor,
    capabilities,
    host,
    privileges,
    proc_mount,
    seccomp,
    selinux,
    sysctls,
    users,
    volumes,
)
from .checks.base import Check, Document, Finding, Judge, pod_of
from .levels import Standard

CHECKS: tuple[Check, ...] = (
    apparmor.APPARMOR,
    capabilities.CAPABILITIES,
    capabilities.RESTRICTED_CAPABILITIES,
    host.HOST_NAMESPACES,
    host.HOST_PORTS,
    host.HOST_PROBES,
    privileges.ALLOW_PRIVILEGE_ESCALATION,
    privileges.PRIVILEGED,
    privileges.WINDOWS_HOST_PROCESS,
    proc_mount.PROC_MOUNT,
    proc_mount.RESTRICTED_PROC_MOUNT,
    seccomp.RESTRICTED_SECCOMP,
    seccomp.SECCOMP,
    selinux.SELINUX,
    sysctls.SYSCTLS,
    users.RUN_AS_NON_ROOT,
    users.RUN_AS_USER,
    volumes.HOST_PATH_VOLUMES,
    volumes.RESTRICTED_VOLUMES,
)
NEWEST = max(since for check in CHECKS for since in check.judges)
"""The last minor version in which a control changed: what is newer asks the same."""

_REMEMBERED = 512
_LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the controls of a standard say of a pod."""

    findings: tuple[Finding, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether no control has anything against it."""
        return not self.findings

    @property
    def reason(self) -> str:
        """Why not, in short."""
        return ", ".join(finding.reason for finding in self.findings)

    @property
    def detail(self) -> str:
        """Why not, with names and values."""
        return ", ".join(f"{finding.reason} ({finding.detail})" for finding in self.findings)


_ALLOWED = Verdict()


class Evaluator:
    """Judges pods, each likeness once for each standard."""

    def __init__(self) -> None:
        self._known: dict[tuple[Standard, str], Verdict] = {}

    def evaluate(self, standard: Standard, metadata: Document | None, spec: Document) -> Verdict:
        """What a standard says of a pod, or of a pod template."""
        if standard.level == "privileged":
            return _ALLOWED
        # As text: the bytes that orjson makes keep four kilobytes each.
        key = standard, orjson.dumps(((metadata or {}).get("annotations"), spec)).decode()
        found = self._known.get(key)
        if found is None:
            found = judge(standard, metadata, spec)
            if len(key[1]) <= _LONGEST:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[key] = found
        return found


def judge(standard: Standard, metadata: Document | None, spec: Document) -> Verdict:
    """What a standard says of a pod."""
    pod = pod_of(metadata, spec)
    findings = (judge(pod) for judge in judges(standard))
    return Verdict(tuple(finding for finding in findings if finding is not None))


@lru_cache(maxsize=256)
def judges(standard: Standard) -> tuple[Judge, ...]:
    """The controls that make up a standard."""
    return tuple(judge for _, judge in _applicable(standard))


def names(standard: Standard) -> tuple[str, ...]:
    """The names of the controls that make up a standard."""
    return tuple(check.id for check, _ in _applicable(standard))


def _applicable(standard: Standard) -> Iterator[tuple[Check, Judge]]:
    if standard.level == "privileged":
        return
    minor = NEWEST if standard.minor is None else min(standard.minor, NEWEST)
    levels = ("baseline",) if standard.level == "baseline" else ("baseline", "restricted")
    asked = [check for check in CHECKS if check.level in levels and check.judge(minor) is not None]
    overridden = frozenset().union(*(check.overrides for check in asked))
    for check in sorted(asked, key=lambda check: (levels.index(check.level), check.id)):
        found = check.judge(minor)
        if found is not None and check.id not in overridden:
            yield check, found
