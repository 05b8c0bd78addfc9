"""Rules of `node.k8s.io`: runtime classes.

Source: Kubernetes' node validation (ValidateRuntimeClass).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause

from . import names
from .metadata import label_map
from .resources import requirements
from .values import spelled, unchanged

Document = dict[str, Any]


def runtime_class(obj: Document) -> list[Cause]:
    """What is wrong with a RuntimeClass."""
    causes = spelled(obj.get("handler") or "", "handler", names.dns_label)
    if fixed := (obj.get("overhead") or {}).get("podFixed"):
        causes += requirements({"requests": fixed}, "overhead.podFixed")
    if selector := (obj.get("scheduling") or {}).get("nodeSelector"):
        causes += label_map(selector, "scheduling.nodeSelector")
    return causes


def runtime_class_update(new: Document, old: Document) -> list[Cause]:
    """A class is for ever of one handler."""
    return unchanged(new, old, "handler")
