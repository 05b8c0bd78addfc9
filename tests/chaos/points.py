"""The named points at which a program is killed, and how it comes to die there.

A point is a function of ours, before or after a certain call of it, or a system call of the store's thread. Nothing in
the programs knows of them: `dying.py` wraps the function in the process that is to die, strace sends the signal at a
system call.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_STORAGE = "k8slite.apiserver.storage"


@dataclass(frozen=True)
class Point:
    """A function (`module:Class.name`) with the moment of its call, or a system call (`syscall:name`)."""

    place: str
    moment: Literal["before", "after"] = "before"

    def __str__(self) -> str:
        return f"{self.moment} {self.place.removeprefix('k8slite.apiserver.')}"

    def command(self, count: int, program: Sequence[str]) -> list[str]:
        """What runs `k8slite <program>` until the point is reached for the `count`th time."""
        kind, _, name = self.place.partition(":")
        if kind == "syscall":
            inject = f"inject={name}:signal=SIGKILL:when={count}"
            tracer = ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-e", f"trace={name}", "-e", inject]
            return [*tracer, sys.executable, "-m", "k8slite", *program]
        return [sys.executable, "-m", "tests.chaos.dying", self.place, self.moment, str(count), *program]


def _around(*places: str) -> list[Point]:
    return [Point(place, moment) for place in places for moment in ("before", "after")]  # type: ignore[arg-type]


START = _around(
    f"{_STORAGE}.sqlite:_claim",
    f"{_STORAGE}.sqlite_log:connect",
    f"{_STORAGE}.sqlite_log:recover",
    "k8slite.apiserver.watching.cache:WatchCache.start",
    "k8slite.apiserver.bootstrap:bootstrap",
    "k8slite.apiserver.custom.serving:CustomResources.start",
)
WRITE = [
    *_around(
        "k8slite.apiserver.verbs.writing:create",
        f"{_STORAGE}.embedded:EmbeddedStore._commit",
        f"{_STORAGE}.sqlite_log:append",
        f"{_STORAGE}.embedded:EmbeddedStore._finish",
        f"{_STORAGE}.feed:Feed.publish",
    ),
    Point("syscall:pwrite64"),
    Point("syscall:fdatasync"),
]
COMPACTION = _around(
    f"{_STORAGE}.embedded:EmbeddedStore.compact",
    f"{_STORAGE}.sqlite_log:mark_compacted",
    f"{_STORAGE}.sqlite_log:sweep",
)
ETCD_START = _around(
    f"{_STORAGE}.etcd.store:EtcdStore.open",
    "k8slite.apiserver.watching.cache:WatchCache.start",
    "k8slite.apiserver.bootstrap:bootstrap",
)
ETCD_WRITE = _around(
    "k8slite.apiserver.verbs.writing:create",
    f"{_STORAGE}.etcd.store:EtcdStore.create",
    f"{_STORAGE}.etcd.store:EtcdStore.update",
    f"{_STORAGE}.etcd.store:EtcdStore.delete",
)
ETCD_COMPACTION = _around(
    f"{_STORAGE}.etcd.compaction:Compaction.round",
    f"{_STORAGE}.etcd.compaction:Compaction._compact",
)
MANAGER = _around(*(f"k8slite.client:Client.{verb}" for verb in ("create", "patch", "delete")))
"""Writes of a controller manager: before one, and after it was answered and nobody has acted on that yet."""
MANAGER_SELDOM = _around("k8slite.client:Client.update", "k8slite.client:Client.delete_collection")
"""Those of which there are few."""
