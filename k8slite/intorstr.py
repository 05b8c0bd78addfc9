"""`IntOrString` as a count or a percentage: `maxSurge: 25%`.

Source: Kubernetes apimachinery, intstr.GetScaledValueFromIntOrPercent.
"""

from __future__ import annotations


def scaled(value: int | str, total: int, *, round_up: bool) -> int:
    """The count that an int or a percentage of `total` means. Raises ValueError for other text."""
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        raise ValueError(f"invalid value for IntOrString: {value!r} is neither a number nor a percentage")
    product = int(value[:-1]) * total
    return -(-product // 100) if round_up else product // 100
