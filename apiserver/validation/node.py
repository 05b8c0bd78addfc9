"""Rules of `node.k8s.io`: runtime classes.

Source: Kubernetes' node validation (ValidateRuntimeClass).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, duplicate

from . import names
from .affinity import tolerations
from .metadata import label_map
from .resources import requirements
from .values import spelled, unchanged

Document = dict[str, Any]


def runtime_class(obj: Document) -> list[Cause]:
    """What is wrong with a RuntimeClass."""
    causes = spelled(obj.get("handler") or "", "handler", names.dns_label)
    if fixed := (obj.get("overhead") or {}).get("podFixed"):
        causes += requirements({"requests": fixed}, "overhead.podFixed")
    scheduling = obj.get("scheduling") or {}
    if selector := scheduling.get("nodeSelector"):
        causes += label_map(selector, "scheduling.nodeSelector")
    listed, here = scheduling.get("tolerations") or [], "scheduling.tolerations"
    causes += tolerations(listed, here)
    seen: list[Document] = []
    for index, toleration in enumerate(listed):
        key = {name: value for name, value in toleration.items() if name != "tolerationSeconds"}
        if key in seen:
            causes.append(duplicate(f"{here}[{index}]", toleration))
        seen.append(key)
    return causes


def runtime_class_update(new: Document, old: Document) -> list[Cause]:
    """A class is for ever of one handler."""
    return unchanged(new, old, "handler")
