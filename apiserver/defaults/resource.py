"""Defaults of `resource.k8s.io`: how many devices, and how taints are tolerated.

Source: Kubernetes API reference (pkg/apis/resource/v1/defaults.go).
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def resourceclaim(obj: Document) -> None:
    """Fill in a ResourceClaim."""
    _claim(obj.setdefault("spec", {}))


def resourceclaimtemplate(obj: Document) -> None:
    """Fill in a ResourceClaimTemplate."""
    _claim(obj.setdefault("spec", {}).setdefault("spec", {}))


def _claim(spec: Document) -> None:
    for request in (spec.get("devices") or {}).get("requests") or ():
        exactly = request.get("exactly")
        for one in (*([exactly] if exactly is not None else []), *(request.get("firstAvailable") or ())):
            if one.setdefault("allocationMode", "ExactCount") == "ExactCount" and not one.get("count"):
                one["count"] = 1
            for toleration in one.get("tolerations") or ():
                toleration.setdefault("operator", "Equal")
