"""Fields of the pod as files."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.kinds.core import DownwardAPIVolumeFile, Pod

from .. import env, resources
from .base import DEFAULT_MODE, File, Payload, VolumeFault, safe_path


def payload(
    items: Sequence[DownwardAPIVolumeFile],
    *,
    pod: Pod,
    surroundings: env.Surroundings,
    default_mode: int | None,
) -> Payload:
    """The files of a downwardAPI volume or projection. Raises VolumeFault."""
    found: Payload = {}
    for item in items:
        mode = item.mode if item.mode is not None else DEFAULT_MODE if default_mode is None else default_mode
        found[safe_path(item.path)] = File(_value(item, pod=pod, surroundings=surroundings).encode(), mode)
    return found


def _value(item: DownwardAPIVolumeFile, *, pod: Pod, surroundings: env.Surroundings) -> str:
    try:
        if item.field_ref is not None:
            return env.pod_field(item.field_ref.field_path, pod=pod, surroundings=surroundings)
        if (reference := item.resource_field_ref) is not None:
            return resources.resource_field(
                env.named(pod, reference.container_name),
                resource=reference.resource,
                divisor=reference.divisor,
                allocatable=surroundings.allocatable,
            )
    except env.ConfigFault as fault:
        raise VolumeFault(str(fault)) from fault
    raise VolumeFault(f"{item.path}: neither fieldRef nor resourceFieldRef")
