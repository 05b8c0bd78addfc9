"""Rules for the single files of a volume that is made of keys, or of facts about the pod.

Source: Kubernetes' core validation (validateKeyToPath, validateDownwardAPIVolumeFile).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value, required

from .environment import VOLUME_FIELDS, field_reference, resource_reference
from .paths import inside, mode

Document = dict[str, Any]


def key_to_path(item: Document, field: str) -> list[Cause]:
    """A key of a ConfigMap or Secret, and the file that it becomes."""
    path = item.get("path") or ""
    causes = [] if item.get("key") else [required(f"{field}.key")]
    if not path:
        causes.append(required(f"{field}.path"))
    return causes + inside(path, f"{field}.path") + mode(item.get("mode"), f"{field}.mode")


def downward_file(item: Document, field: str) -> list[Cause]:
    """A file that tells of the pod."""
    path = item.get("path") or ""
    causes = [] if path else [required(f"{field}.path")]
    causes += inside(path, f"{field}.path")
    by_field, by_resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if by_field is not None:
        causes += field_reference(by_field, f"{field}.fieldRef", VOLUME_FIELDS)
        if by_resource is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            causes.append(invalid_value(field, "resource", detail))
    elif by_resource is not None:
        causes += resource_reference(by_resource, f"{field}.resourceFieldRef", volume=True)
    else:
        causes.append(required(field, "one of fieldRef and resourceFieldRef is required"))
    return causes + mode(item.get("mode"), f"{field}.mode")
