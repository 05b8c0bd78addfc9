"""Kinds that are served in more than one version but stored in one: how a document moves between the two.

A built-in kind has two pure functions that change a document in place: from the served version to the stored one, and
back. A kind whose versions differ in nothing but their name needs no function. A custom resource brings a `Converter`,
because a webhook may have to be asked.

Source: Kubernetes API reference (autoscaling/v1 and v2, events.k8s.io/v1 and core/v1 Event).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from k8slite.catalogue import Resource
from k8slite.errors import ApiError

from . import autoscaler_versions

Document = dict[str, Any]


class ConversionFailed(ApiError):
    """500: what had to be asked for a conversion gave none that can be used."""

    def __init__(self, message: str) -> None:
        super().__init__(500, "InternalError", f"Internal error occurred: {message}")


Change = Callable[[Document], None]


@dataclass(frozen=True, slots=True)
class Conversion:
    """Both directions between a served version and the stored one."""

    to_stored: Change
    to_served: Change


def _keep(document: Document) -> None:
    """Nothing differs but the version."""


_SAME = Conversion(_keep, _keep)


class Converter(Protocol):
    """Brings documents of a custom resource from one of its versions to another."""

    @property
    def instant(self) -> bool:
        """Whether `convert_now` may be used: no webhook has to be asked."""
        ...

    def is_current(self, revision: int) -> bool:
        """Whether what was stored at that revision already is as today's schema of the stored version would have it.

        If not, it may lack defaults or hold fields that are pruned now.
        """
        ...

    def convert_now(self, document: Document, to: Resource) -> Document:
        """The document in another version (or renewed in its own); it may be changed. Raises ApiError."""
        ...

    async def convert(self, documents: list[Document], to: Resource) -> list[Document]:
        """The same for many, by whatever way there is. Raises ConversionFailed."""
        ...


def of(resource: Resource) -> Conversion:
    """The conversion of a resource that is stored in another version."""
    return _CONVERSIONS.get(resource.key, _SAME)


def _rename(document: Document, names: dict[str, str]) -> None:
    for old, new in names.items():
        if old in document:
            document[new] = document.pop(old)


_EVENT_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
    "reportingController": "reportingComponent",
}


def _event_to_core(document: Document) -> None:
    _rename(document, _EVENT_NAMES)
    document.setdefault("involvedObject", {})


def _event_from_core(document: Document) -> None:
    _rename(document, {new: old for old, new in _EVENT_NAMES.items()})


_CONVERSIONS: dict[tuple[str, str, str], Conversion] = {
    ("events.k8s.io", "v1", "events"): Conversion(_event_to_core, _event_from_core),
    ("autoscaling", "v1", "horizontalpodautoscalers"): Conversion(autoscaler_versions.to_v2, autoscaler_versions.to_v1),
}
