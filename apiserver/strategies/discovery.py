"""`discovery.k8s.io`: endpoint slices.

Source: Kubernetes' registry/discovery/endpointslice/strategy.go.
"""

from __future__ import annotations

from ..defaults import core as defaults
from ..validation import discovery as rules
from .base import Document, Strategy
from .simple import SimpleStrategy


class EndpointSliceStrategy(SimpleStrategy):
    """A slice's labels count as its endpoints do: they say whose endpoints they are."""

    def generation_source(self, obj: Document) -> object:
        """What a change of must raise metadata.generation."""
        return super().generation_source(obj), obj["metadata"].get("labels")


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("discovery.k8s.io", "endpointslices"): EndpointSliceStrategy(
        default=defaults.endpointslice,
        validate=rules.endpoint_slice,
        validate_update=rules.endpoint_slice_update,
        generation=True,
    ),
}
