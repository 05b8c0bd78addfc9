"""Defaults of `autoscaling`: HorizontalPodAutoscalers.

Source: Kubernetes API reference (pkg/apis/<group>/v1/defaults.go).
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def horizontalpodautoscaler(obj: Document) -> None:
    """Fill in a HorizontalPodAutoscaler (autoscaling/v2)."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if "behavior" in spec:
        up = spec["behavior"].setdefault("scaleUp", {})
        down = spec["behavior"].setdefault("scaleDown", {})
        up.setdefault("stabilizationWindowSeconds", 0)
        for rules in (up, down):
            rules.setdefault("selectPolicy", "Max")
        up.setdefault(
            "policies",
            [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
        )
        down.setdefault("policies", [{"type": "Percent", "value": 100, "periodSeconds": 15}])
