"""Which fields can be owned through which endpoint: what a write there puts back belongs to nobody by it.

Source: Kubernetes' strategies (GetResetFields).
"""

from __future__ import annotations

from functools import cache

from .sets import LEAF, FieldSet, Filter, only, without

_PARTS: FieldSet = {"f:resources": LEAF, "f:resizePolicy": LEAF}
_NARROW: dict[str, FieldSet] = {
    "ephemeralcontainers": {"f:spec": {"f:ephemeralContainers": LEAF}},
    "resize": {"f:spec": {"f:containers": {"*": _PARTS}, "f:initContainers": {"*": _PARTS}}},
    "approval": {"f:status": {"f:conditions": LEAF}},
    "finalize": {"f:spec": {"f:finalizers": LEAF}},
}
"""Subresource → all that it writes."""


@cache
def owned_through(subresource: str, *, has_status: bool, keeps_labels: bool, keeps_metadata: bool) -> Filter:
    """What remains of a set of fields at an endpoint.

    `has_status` says that the status is a subresource of its own, the others what its writes leave alone.
    """
    if pattern := _NARROW.get(subresource):
        return lambda fields: only(fields, pattern)
    if subresource == "status":
        kept: FieldSet = {"f:status": LEAF} if keeps_metadata else {"f:status": LEAF, "f:metadata": LEAF}
        dropped: FieldSet = {"f:ownerReferences": LEAF, "f:deletionTimestamp": LEAF}
        if keeps_labels:
            dropped["f:labels"] = LEAF
        return lambda fields: without(only(fields, kept), {"f:metadata": dropped})
    if has_status and not subresource:
        return lambda fields: without(fields, {"f:status": LEAF})
    return lambda fields: fields
