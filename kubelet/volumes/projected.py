"""Several sources in one directory, ServiceAccount tokens among them."""

from __future__ import annotations

from collections.abc import Mapping

from k8slite.kinds.core import Pod, ProjectedVolumeSource, ServiceAccountTokenProjection

from .. import env
from . import config_map, downward_api, secret
from .base import DEFAULT_MODE, File, Payload, VolumeFault, safe_path

TokenKey = tuple[str, int]
"""Audience and wanted lifetime in seconds."""


def token_key(source: ServiceAccountTokenProjection) -> TokenKey:
    """What tells one token of a pod from another."""
    return source.audience, source.expiration_seconds


def payload(
    source: ProjectedVolumeSource,
    *,
    pod: Pod,
    surroundings: env.Surroundings,
    tokens: Mapping[TokenKey, str],
) -> Payload:
    """The files of a projected volume; later sources win. Raises VolumeFault."""
    found: Payload = {}
    mode = DEFAULT_MODE if source.default_mode is None else source.default_mode
    for part in source.sources:
        if part.config_map is not None:
            config = surroundings.config_maps.get(part.config_map.name)
            found |= config_map.payload(part.config_map, config, default_mode=mode)
        elif part.secret is not None:
            found |= secret.payload(
                part.secret.name,
                surroundings.secrets.get(part.secret.name),
                items=part.secret.items,
                optional=part.secret.optional,
                default_mode=mode,
            )
        elif part.downward_api is not None:
            found |= downward_api.payload(
                part.downward_api.items, pod=pod, surroundings=surroundings, default_mode=mode
            )
        elif part.service_account_token is not None:
            token = tokens[token_key(part.service_account_token)]
            found[safe_path(part.service_account_token.path)] = File(token.encode(), mode)
        else:
            raise VolumeFault("unsupported source in a projected volume")
    return found
