"""Volumes: nobody has the host's files, and those who are restricted have only what the cluster provides."""

from __future__ import annotations

from .base import Check, Document, Finding, Pod, plural, quoted, these

_PROVIDED = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
_RESTRICTED = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
)
"""In the order in which a volume of several sources, which validation refuses anyway, is named."""


def _host_path(pod: Pod) -> Finding | None:
    bad = [volume["name"] for volume in pod.spec.get("volumes") or () if volume.get("hostPath") is not None]
    return Finding("hostPath volumes", these("volume", bad)) if bad else None


def _restricted(pod: Pod) -> Finding | None:
    found = [(volume["name"], _source(volume)) for volume in pod.spec.get("volumes") or () if not _is_provided(volume)]
    if not found:
        return None
    names, types = [name for name, _ in found], sorted({source for _, source in found})
    what = f"{plural('restricted volume type', len(types))} {quoted(types)}"
    return Finding("restricted volume types", f"{these('volume', names)} {'uses' if len(names) == 1 else 'use'} {what}")


def _is_provided(volume: Document) -> bool:
    return any(volume.get(source) is not None for source in _PROVIDED)


def _source(volume: Document) -> str:
    return next((source for source in _RESTRICTED if volume.get(source) is not None), "unknown")


HOST_PATH_VOLUMES = Check("hostPathVolumes", "baseline", {0: _host_path})
RESTRICTED_VOLUMES = Check(
    "restrictedVolumes", "restricted", {0: _restricted}, overrides=frozenset({HOST_PATH_VOLUMES.id})
)
