"""A ConfigMap as files."""

from __future__ import annotations

from k8slite.kinds.core import ConfigMap, ConfigMapVolumeSource

from .base import Payload, VolumeFault, decoded, project


def payload(source: ConfigMapVolumeSource, config: ConfigMap | None, *, default_mode: int | None = None) -> Payload:
    """The files of a ConfigMap volume or projection. Raises VolumeFault."""
    if config is None:
        if source.optional:
            return {}
        raise VolumeFault(f'configmap "{source.name}" not found')
    data = {key: value.encode() for key, value in config.data.items()} | decoded(config.binary_data)
    mode = source.default_mode if source.default_mode is not None else default_mode
    return project(data, items=source.items, default_mode=mode, optional=source.optional, what="configmap")
