"""Conditions of a status, as the server itself sets them."""

from __future__ import annotations

from ..documents import Document


def set_condition(status: Document, condition: Document, *, now: str) -> None:
    """Put a condition in the place of the one of its type; its transition is only renewed if its status changes."""
    conditions: list[Document] = status.get("conditions") or []
    status["conditions"] = conditions
    for index, old in enumerate(conditions):
        if old.get("type") == condition["type"]:
            same = old.get("status") == condition["status"]
            since = old.get("lastTransitionTime") if same else now
            kept = {"lastProbeTime": old["lastProbeTime"]} if "lastProbeTime" in old else {}
            conditions[index] = {**condition, **kept, "lastTransitionTime": since}
            return
    conditions.append({**condition, "lastTransitionTime": now})
