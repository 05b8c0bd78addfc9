"""Rules for a pod's volumes: each has a name of its own and exactly one source.

The sources that a PersistentVolume can have too are in `volume_sources`.

Source: Kubernetes' core validation (ValidateVolumes, validateVolumeSource).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, not_supported, required

from . import names
from .claims import claim_spec
from .metadata import template_metadata
from .paths import descending, mode
from .projections import projected
from .resources import amount
from .volume_files import downward_file, key_to_path
from .volume_sources import PLACES, SOURCES, Check, csi_driver, long_portal

Document = dict[str, Any]

_MORE_THAN_ONE = "may not specify more than 1 volume type"
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")


def volumes(
    listed: list[Document], field: str, pod_name: str, *, of_pod: bool
) -> tuple[dict[str, Document], list[Cause]]:
    """The good volumes by name, and what is wrong with the others. `pod_name` is empty where it is not known."""
    causes: list[Cause] = []
    good: dict[str, Document] = {}
    created = {f"{pod_name}-{one.get('name')}" for one in listed if pod_name and one.get("ephemeral") is not None}
    for index, volume in enumerate(listed):
        name, here = volume.get("name") or "", f"{field}[{index}]"
        found = _source(volume, here, pod_name, of_pod=of_pod)
        if not name:
            found.append(required(f"{here}.name"))
        elif problem := names.dns_label(name):
            found.append(invalid_value(f"{here}.name", name, problem))
        if name in good:
            found.append(duplicate(f"{here}.name", name))
        if found:
            causes += found
        else:
            good[name] = volume
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim in created:
            detail = "must not reference a PVC that gets created for an ephemeral volume"
            causes.append(invalid_value(f"{here}.persistentVolumeClaim.claimName", claim, detail))
    return good, causes


def _source(volume: Document, field: str, pod_name: str, *, of_pod: bool) -> list[Cause]:
    causes: list[Cause] = []
    chosen = ""
    for kind in volume if len(volume) <= 2 else _ORDER:
        if kind == "name" or volume.get(kind) is None:
            continue
        if chosen:
            causes.append(forbidden_field(f"{field}.{kind}", _MORE_THAN_ONE))
            continue
        chosen = kind
        causes += _RULES[kind](volume[kind], f"{field}.{PLACES.get(kind, kind)}")
    if not chosen:
        return [required(field, "must specify a volume type")]
    if chosen == "image" and of_pod and not volume["image"].get("reference"):
        causes.insert(0, required(f"{field}.image.reference"))
    if chosen == "ephemeral" and pod_name and volume.get("name"):
        claim = f"{pod_name}-{volume['name']}"
        if problem := names.dns_subdomain(claim):
            causes.append(invalid_value(f"{field}.name", volume["name"], f'PVC name "{claim}": {problem}'))
    if chosen == "iscsi":
        causes += long_portal(volume["iscsi"], f"{field}.name", volume.get("name") or "", volume.get("name") or "")
    return causes


def _empty_dir(source: Document, field: str) -> list[Cause]:
    limit = amount(source["sizeLimit"]) if source.get("sizeLimit") is not None else None
    if limit is not None and limit < 0:
        return [forbidden_field(f"{field}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _git_repo(source: Document, field: str) -> list[Cause]:
    causes = [] if source.get("repository") else [required(f"{field}.repository")]
    return causes + descending(source.get("directory") or "", f"{field}.directory")


def _keys(name_member: str) -> Check:
    def check(source: Document, field: str) -> list[Cause]:
        causes = [] if source.get(name_member) else [required(f"{field}.{name_member}")]
        causes += mode(source.get("defaultMode"), f"{field}.defaultMode")
        for index, item in enumerate(source.get("items") or ()):
            causes += key_to_path(item, f"{field}.items[{index}]")
        return causes

    return check


def _downward(source: Document, field: str) -> list[Cause]:
    causes = mode(source.get("defaultMode"), f"{field}.defaultMode")
    for item in source.get("items") or ():
        causes += downward_file(item, field)
    return causes


def _claim(source: Document, field: str) -> list[Cause]:
    return [] if source.get("claimName") else [required(f"{field}.claimName")]


def _csi(source: Document, field: str) -> list[Cause]:
    causes = csi_driver(source.get("driver") or "", f"{field}.driver")
    if (secret := source.get("nodePublishSecretRef")) is not None:
        name = secret.get("name") or ""
        if not name:
            causes.append(required(f"{field}.nodePublishSecretRef.name"))
        elif problem := names.dns_subdomain(name):
            causes.append(invalid_value(f"{field}.name", name, problem))
    return causes


def _ephemeral(source: Document, field: str) -> list[Cause]:
    here, template = f"{field}.volumeClaimTemplate", source.get("volumeClaimTemplate")
    if template is None:
        return [required(here)]
    causes = template_metadata(template.get("metadata") or {}, f"{here}.metadata")
    return causes + claim_spec(template.get("spec") or {}, f"{here}.spec")


def _image(source: Document, field: str) -> list[Cause]:
    policy = source.get("pullPolicy") or ""
    if not policy:
        return [required(f"{field}.pullPolicy")]
    return [] if policy in _PULL_POLICIES else [not_supported(f"{field}.pullPolicy", policy, _PULL_POLICIES)]


_RULES: dict[str, Check] = {
    **SOURCES,
    "emptyDir": _empty_dir,
    "gitRepo": _git_repo,
    "secret": _keys("secretName"),
    "configMap": _keys("name"),
    "downwardAPI": _downward,
    "persistentVolumeClaim": _claim,
    "projected": projected,
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
}
_ORDER = (
    *("emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi"),
    *("glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc"),
    *("flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk"),
    *("storageos", "projected", "scaleIO", "csi", "ephemeral", "image"),
)
