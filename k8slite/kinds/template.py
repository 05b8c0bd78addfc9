"""Pod templates, kept as the document that they are.

A controller copies a template into pods and compares templates; both must include fields that no model here knows. So
the workload kinds hold the raw document and read from it the little that they need.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, RootModel


class RawTemplate(RootModel[dict[str, Any]]):
    """`v1.PodTemplateSpec` as the API spells it. The document must not be changed in place: caches share it."""

    model_config = ConfigDict(frozen=True)
    root: dict[str, Any] = {}

    @property
    def document(self) -> dict[str, Any]:
        """The whole template."""
        return self.root

    @property
    def labels(self) -> dict[str, str]:
        """`metadata.labels`."""
        labels: dict[str, str] = (self.root.get("metadata") or {}).get("labels") or {}
        return labels

    @property
    def annotations(self) -> dict[str, str]:
        """`metadata.annotations`."""
        annotations: dict[str, str] = (self.root.get("metadata") or {}).get("annotations") or {}
        return annotations

    @property
    def spec(self) -> dict[str, Any]:
        """`spec`: the pod's."""
        spec: dict[str, Any] = self.root.get("spec") or {}
        return spec
