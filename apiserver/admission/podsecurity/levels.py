"""What a namespace's labels ask for: a level and a version of it, for each of three modes.

Source: Kubernetes documentation, "Pod Security Admission: Pod Security Admission labels for namespaces";
pod-security-admission, api/helpers.go (what wrong labels mean, what `warn` is without one).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from k8slite.errors import Cause, invalid_value

Level = Literal["privileged", "baseline", "restricted"]
LEVELS: tuple[Level, ...] = ("privileged", "baseline", "restricted")
"""From the freest to the strictest."""
LATEST = "latest"
PREFIX = "pod-security.kubernetes.io/"
"""Of the labels, and of the audit annotations."""
MODES = ("enforce", "audit", "warn")

_VERSION = re.compile(r"v1\.(0|[1-9][0-9]*)\Z")
_LONGEST = 21
"""Characters of a version that is no nonsense."""
_NO_LEVEL = f"must be one of {', '.join(LEVELS)}"
_NO_VERSION = 'must be "latest" or "v1.x"'


@dataclass(frozen=True, slots=True)
class Standard:
    """A level as one version of Kubernetes has it; `minor` None is the latest."""

    level: Level = "privileged"
    minor: int | None = None

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"

    @property
    def version(self) -> str:
        """As in a label."""
        return LATEST if self.minor is None else f"v1.{self.minor}"

    def same_as(self, other: Standard) -> bool:
        """Whether both ask the same of a pod."""
        return self == other or self.level == other.level == "privileged"


@dataclass(frozen=True, slots=True)
class Policy:
    """What is refused, what is noted in the audit log, what its author is warned of."""

    enforce: Standard = Standard()
    audit: Standard = Standard()
    warn: Standard = Standard()

    @property
    def is_privileged(self) -> bool:
        """Whether nothing is asked of any pod."""
        return self.enforce.level == self.audit.level == self.warn.level == "privileged"

    def same_as(self, other: Policy) -> bool:
        """Whether both ask the same of a pod."""
        return all(getattr(self, mode).same_as(getattr(other, mode)) for mode in MODES)


def level_of(text: str) -> Level | None:
    """The level of that name."""
    return next((level for level in LEVELS if level == text), None)


def minor_of(text: str) -> int | None:
    """The minor version in a label, None for the latest. Raises ValueError."""
    if text == LATEST:
        return None
    found = _VERSION.match(text) if len(text) <= _LONGEST else None
    if found is None:
        raise ValueError(_NO_VERSION)
    return int(found[1])


def policy_of(labels: Mapping[str, str], defaults: Policy) -> tuple[Policy, list[Cause]]:
    """What labels ask for, and what is wrong with them.

    There is always a policy: a level that cannot be understood is the strictest where it is enforced, and none where it
    is audited or warned of.
    """
    causes: list[Cause] = []
    enforce, valid = _read(labels, "enforce", defaults.enforce, "restricted", causes)
    audit, _ = _read(labels, "audit", defaults.audit, "privileged", causes)
    warn, _ = _read(labels, "warn", defaults.warn, "privileged", causes)
    # Who chooses to enforce hears of workloads whose pods would be refused, unless they say otherwise.
    if valid and PREFIX + "warn" not in labels and _is_stricter(enforce, warn):
        warn = replace(warn, level=enforce.level)
        if PREFIX + "warn-version" not in labels:
            warn = enforce
    return Policy(enforce, audit, warn), causes


def _read(
    labels: Mapping[str, str], mode: str, default: Standard, otherwise: Level, causes: list[Cause]
) -> tuple[Standard, bool]:
    """The standard of a mode, and whether the labels name a level that there is."""
    found, valid = default, False
    if (text := labels.get(PREFIX + mode)) is not None:
        level = level_of(text)
        valid = level is not None
        if level is None:
            causes.append(_wrong(mode, text, _NO_LEVEL))
        found = replace(found, level=level or otherwise)
    if (text := labels.get(f"{PREFIX}{mode}-version")) is not None:
        try:
            found = replace(found, minor=minor_of(text))
        except ValueError as error:
            causes.append(_wrong(f"{mode}-version", text, str(error)))
            found = replace(found, minor=None)
    return found, valid


def _wrong(label: str, text: str, detail: str) -> Cause:
    return invalid_value(f"metadata.labels[{PREFIX}{label}]", text, detail)


def _is_stricter(one: Standard, other: Standard) -> bool:
    return LEVELS.index(one.level) > LEVELS.index(other.level)


def is_relaxed(new: Standard, old: Standard) -> bool:
    """Whether whatever was allowed is allowed still: the same version, and no stricter a level."""
    return new.level == "privileged" or (new.minor == old.minor and not _is_stricter(new, old))
