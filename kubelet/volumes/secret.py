"""A Secret as files, on a tmpfs where the kernel gives one."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.kinds.core import KeyToPath, Secret

from .base import Payload, VolumeFault, decoded, project


def payload(
    name: str, secret: Secret | None, *, items: Sequence[KeyToPath], optional: bool, default_mode: int | None
) -> Payload:
    """The files of a Secret volume or projection. Raises VolumeFault."""
    if secret is None:
        if optional:
            return {}
        raise VolumeFault(f'secret "{name}" not found')
    return project(decoded(secret.data), items=items, default_mode=default_mode, optional=optional, what="secret")
