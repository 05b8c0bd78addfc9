"""Go's notation for values that stand in messages, as users and their dashboards know them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from k8slite.quantity import written


def amount(thousandths: int) -> str:
    """A quantity: `1500m`, `2`."""
    return written(Decimal(thousandths) / 1000, "decimal")


def selector(found: Mapping[str, Any] | None) -> str:
    """A label selector object."""
    if found is None:
        return "nil"
    labels = found.get("matchLabels") or {}
    written_labels = "".join(f"{key}: {labels[key]}," for key in sorted(labels))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{one['key']},Operator:{one['operator']},"
        f"Values:[{' '.join(one.get('values') or ())}],}},"
        for one in found.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{written_labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
