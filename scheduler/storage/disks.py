"""Volumes that stand in a pod itself, without a claim: what they keep other pods off, and what must be attached.

Source: Kubernetes documentation, "Volumes".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..view import Pod
from .migration import Attachment, migrated, plugin_of
from .sources import Volume


class Disk(NamedTuple):
    """What a pod mounts by itself; two pods of a node cannot have the same unless both only read."""

    identity: tuple[str, ...]
    read_only: bool


def disks_of(pod: Pod) -> Iterator[Disk]:
    """The disks of a pod; an image in Ceph is one for each monitor that leads to it."""
    for volume in pod.spec.volumes:
        if gce := volume.gce_persistent_disk:
            yield Disk(("gce", gce.pd_name), gce.read_only)
        elif aws := volume.aws_elastic_block_store:
            yield Disk(("aws", aws.volume_id), read_only=False)
        elif iscsi := volume.iscsi:
            yield Disk(("iscsi", iscsi.iqn), iscsi.read_only)
        elif rbd := volume.rbd:
            for monitor in dict.fromkeys(rbd.monitors):
                yield Disk(("rbd", monitor, rbd.pool, rbd.image), rbd.read_only)


def inline(volumes: Iterable[Volume]) -> Iterator[Attachment]:
    """What a node must attach for volumes that stand in a pod itself."""
    for volume in volumes:
        if plugin_of(volume) and (found := migrated(volume)):
            yield found
