"""Rules for the sources of volumes that pods and PersistentVolumes share, and the few that only the latter have.

Most are nothing but "these members must be set"; the others have a function.

Source: Kubernetes' core validation (validate…VolumeSource, validate…PersistentVolumeSource).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from k8slite.errors import Cause, invalid_value, not_supported, required, too_long

from . import names
from .paths import no_steps_back

Document = dict[str, Any]
Check = Callable[[Document, str], list[Cause]]

_HOST_PATH_TYPES = (
    *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"),
)
_CACHING = ("None", "ReadOnly", "ReadWrite")
_DISK_KINDS = ("Dedicated", "Managed", "Shared")
_MANAGED_URI = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
_BLOB_URI = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_INITIATORS = {
    "iqn": re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9-.]+)(:[^,;*&$|\s]+)$", re.ASCII).search,
    "eui": re.compile(r"^eui.[A-Za-z0-9]{16}$").search,
    "naa": re.compile(r"^naa.[A-Za-z0-9]{32}$").search,
}
_BYTE = "must be between 0 and 255, inclusive"
_PARTITION = "must be between 1 and 255, inclusive"


def needs(*members: str) -> Check:
    """A source of which some members must be set."""

    def check(source: Document, field: str) -> list[Cause]:
        return [required(f"{field}.{member}") for member in members if not source.get(member)]

    return check


def host_path(source: Document, field: str) -> list[Cause]:
    """A file or directory of the node."""
    path, kind = source.get("path") or "", source.get("type")
    if not path:
        return [required(f"{field}.path")]
    causes = no_steps_back(path, f"{field}.path")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        causes.append(not_supported(f"{field}.type", kind, _HOST_PATH_TYPES))
    return causes


def csi_driver(name: str, field: str) -> list[Cause]:
    """The name of a CSI driver."""
    causes = [] if name else [required(field)]
    if len(name) > 63:
        causes.append(too_long(field, 63))
    if problem := names.dns_subdomain(name.lower()):
        causes.append(invalid_value(field, name, problem))
    return causes


def _disk(member: str) -> Check:
    def check(source: Document, field: str) -> list[Cause]:
        causes = needs(member)(source, field)
        if not 0 <= (partition := source.get("partition") or 0) <= 255:
            causes.append(invalid_value(f"{field}.partition", partition, _PARTITION))
        return causes

    return check


def _nfs(source: Document, field: str) -> list[Cause]:
    causes, path = needs("server", "path")(source, field), source.get("path") or ""
    if not path.startswith("/"):
        causes.append(invalid_value(f"{field}.path", path, "must be an absolute path"))
    return causes


def iscsi(source: Document, field: str, *, odd: str = " starting with iqn, eui, or naa") -> list[Cause]:
    """A disk over iSCSI; `odd` are words that only pods' volumes say."""
    causes, iqn = needs("targetPortal", "iqn")(source, field), source.get("iqn") or ""
    if iqn:
        causes += _initiator(iqn, f"{field}.iqn", odd)
    if not 0 <= (lun := source.get("lun") or 0) <= 255:
        causes.append(invalid_value(f"{field}.lun", lun, _BYTE))
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        causes.append(required(f"{field}.secretRef"))
    if (initiator := source.get("initiatorName")) is not None:
        causes += _initiator(initiator, f"{field}.initiatorname", odd)
    return causes


def long_portal(source: Document, field: str, value: str, name: str) -> list[Cause]:
    """With an initiator of its own, the volume's name and the portal become a name that may not be long."""
    if source.get("initiatorName") is None or len(f"{name}:{source.get('targetPortal') or ''}") <= 64:
        return []
    detail = (
        "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is "
        "specified."
    )
    return [invalid_value(field, value, detail)]


def _initiator(name: str, field: str, odd: str) -> list[Cause]:
    rule = _INITIATORS.get(name[:3])
    if rule is None:
        return [invalid_value(field, name, f"must be valid format{odd}")]
    return [] if rule(name) else [invalid_value(field, name, "must be valid format")]


def _fibre_channel(source: Document, field: str) -> list[Cause]:
    targets, ids, lun = source.get("targetWWNs"), source.get("wwids"), source.get("lun")
    here, causes = f"{field}.targetWWNs", []
    if not targets and not ids:
        causes.append(required(here, "must specify either targetWWNs or wwids, but not both"))
    if targets and ids:
        detail = "targetWWNs and wwids can not be specified simultaneously"
        causes.append(invalid_value(here, targets, detail))
    if targets and lun is None:
        causes.append(required(f"{field}.lun", "lun is required if targetWWNs is specified"))
    elif targets and not 0 <= (lun or 0) <= 255:
        causes.append(invalid_value(f"{field}.lun", lun, _BYTE))
    return causes


def _quobyte(source: Document, field: str) -> list[Cause]:
    registry, causes = source.get("registry") or "", []
    pairs = "must be a host:port pair or multiple pairs separated by commas"
    if not registry:
        causes.append(required(f"{field}.registry", pairs))
    elif len(source.get("tenant") or "") >= 65:
        detail = "must be a UUID and may not exceed a length of 64 characters"
        causes.append(required(f"{field}.tenant", detail))
    else:
        wrong = [pair for pair in registry.split(",") if not re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*):[^:]*", pair)]
        causes += [invalid_value(f"{field}.registry", registry, pairs) for _ in wrong]
    return causes + needs("volume")(source, field)


def _flocker(source: Document, field: str) -> list[Cause]:
    name, uid, causes = source.get("datasetName") or "", source.get("datasetUUID"), []
    if not name and not uid:
        causes.append(required(field, "one of datasetName and datasetUUID is required"))
    if name and uid:
        detail = "datasetName and datasetUUID can not be specified simultaneously"
        causes.append(invalid_value(field, "resource", detail))
    if "/" in name:
        causes.append(invalid_value(f"{field}.datasetName", name, "must not contain '/'"))
    return causes


def _flex(source: Document, field: str) -> list[Cause]:
    causes = needs("driver")(source, field)
    for key in source.get("options") or {}:
        if f".{key.partition('/')[0].lower()}".endswith((".kubernetes.io", ".k8s.io")):
            detail = "kubernetes.io and k8s.io namespaces are reserved"
            causes.append(invalid_value(f"{field}.options[{key}]", key, detail))
    return causes


def _azure_disk(source: Document, field: str) -> list[Cause]:
    causes = needs("diskName", "diskURI")(source, field)
    caching, kind, uri = source.get("cachingMode"), source.get("kind"), source.get("diskURI") or ""
    if caching is not None and caching not in _CACHING:
        causes.append(not_supported(f"{field}.cachingMode", caching, _CACHING))
    if kind is not None and kind not in _DISK_KINDS:
        causes.append(not_supported(f"{field}.kind", kind, _DISK_KINDS))
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        causes.append(not_supported(f"{field}.diskURI", uri, (_MANAGED_URI,)))
    if kind not in (None, "Managed") and not uri.startswith("https://"):
        causes.append(not_supported(f"{field}.diskURI", uri, (_BLOB_URI,)))
    return causes


def _cinder(source: Document, field: str) -> list[Cause]:
    causes = needs("volumeID")(source, field)
    if (secret := source.get("secretRef")) is not None:
        causes += needs("name")(secret, f"{field}.secretRef")
    return causes


def storage_os(source: Document, field: str) -> list[Cause]:
    """A volume of StorageOS."""
    causes, name = needs("volumeName")(source, field), source.get("volumeName") or ""
    if name and (problem := names.dns_label(name)):
        causes.append(invalid_value(f"{field}.volumeName", name, problem))
    if (namespace := source.get("volumeNamespace")) and (problem := names.dns_label(namespace)):
        causes.append(invalid_value(f"{field}.volumeNamespace", namespace, problem))
    if (secret := source.get("secretRef")) is not None:
        causes += needs("name")(secret, f"{field}.secretRef")
    return causes


SOURCES: dict[str, Check] = {
    "hostPath": host_path,
    "gcePersistentDisk": _disk("pdName"),
    "awsElasticBlockStore": _disk("volumeID"),
    "nfs": _nfs,
    "iscsi": iscsi,
    "glusterfs": needs("endpoints", "path"),
    "flocker": _flocker,
    "rbd": needs("monitors", "image"),
    "cinder": _cinder,
    "cephfs": needs("monitors"),
    "quobyte": _quobyte,
    "fc": _fibre_channel,
    "flexVolume": _flex,
    "azureFile": needs("secretName", "shareName"),
    "vsphereVolume": needs("volumePath"),
    "photonPersistentDisk": needs("pdID"),
    "portworxVolume": needs("volumeID"),
    "azureDisk": _azure_disk,
    "storageos": storage_os,
    "scaleIO": needs("gateway", "system", "volumeName"),
}
"""The member of a volume → its rule."""

PLACES = {"gcePersistentDisk": "persistentDisk"}
"""Sources whose faults are told at another path than their own."""
