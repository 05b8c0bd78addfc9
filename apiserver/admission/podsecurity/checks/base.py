"""What a control looks at, and what it says.

Source: Kubernetes documentation, "Pod Security Standards"; pod-security-admission, policy (wording).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Document = dict[str, Any]
Level = Literal["baseline", "restricted"]


@dataclass(frozen=True, slots=True)
class Container:
    """A container of any sort. `security` is its securityContext, empty if it has none."""

    name: str
    document: Document
    security: Document


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, or the template of one, as the controls see it."""

    annotations: Mapping[str, str]
    spec: Document
    containers: tuple[Container, ...]
    """Init containers, containers, ephemeral ones, in this order."""
    security: Document

    @property
    def is_windows(self) -> bool:
        """Whether it says that it runs on Windows, where some controls mean nothing."""
        return (self.spec.get("os") or {}).get("name") == "windows"

    @property
    def has_own_users(self) -> bool:
        """Whether it runs in a user namespace, so that its root is nobody on the host."""
        return self.spec.get("hostUsers") is False

    def where(self, is_bad: Callable[[Document], bool]) -> list[str]:
        """The names of containers whose security context is."""
        return [container.name for container in self.containers if is_bad(container.security)]


def pod_of(metadata: Document | None, spec: Document) -> Pod:
    """Take a pod apart, once for all controls."""
    return Pod(
        annotations=(metadata or {}).get("annotations") or {},
        spec=spec,
        containers=tuple(_containers(spec)),
        security=spec.get("securityContext") or {},
    )


def _containers(spec: Document) -> Iterator[Container]:
    for member in ("initContainers", "containers", "ephemeralContainers"):
        for document in spec.get(member) or ():
            yield Container(document.get("name") or "", document, document.get("securityContext") or {})


class Finding(NamedTuple):
    """Why a pod is not allowed: in short, and with names and values."""

    reason: str
    detail: str


Judge = Callable[[Pod], Finding | None]
"""A control: None if the pod may be."""


@dataclass(frozen=True, slots=True)
class Check:
    """A control and how it changed: each judge holds from its minor version until the next one's.

    A restricted control may stand in place of a baseline one (`overrides`) that asks for less.
    """

    id: str
    level: Level
    judges: Mapping[int, Judge]
    overrides: frozenset[str] = field(default_factory=frozenset)

    def judge(self, minor: int) -> Judge | None:
        """The control as it was in version 1.`minor`; None before there was one."""
        since = max((first for first in self.judges if first <= minor), default=None)
        return None if since is None else self.judges[since]


def quoted(items: Collection[str]) -> str:
    """Names or values as messages list them."""
    return '"' + '", "'.join(items) + '"' if items else ""


def plural(word: str, count: int) -> str:
    """`containers` for more or less than one `container`."""
    return word if count == 1 else word + "s"


def these(word: str, names: Collection[str]) -> str:
    """`container "a"`, `containers "a", "b"`."""
    return f"{plural(word, len(names))} {quoted(names)}"


def setters(pod: bool, containers: Collection[str]) -> str:
    """Who set something: `pod and container "a"`; empty if nobody."""
    found = ["pod"] if pod else []
    if containers:
        found.append(these("container", containers))
    return " and ".join(found)
