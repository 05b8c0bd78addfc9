"""APIService objects as values: who serves a group version, and whether that server answers.

Source: apiregistration.k8s.io/v1 API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..backends import BackendError, ServiceReference, Target, Trust, bundle
from ..strategies.base import Document

GROUP, PLURAL = "apiregistration.k8s.io", "apiservices"
GroupVersion = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ApiService:
    """One APIService. `target` is None for a group version that this server serves itself.

    `problem` says what makes the target unusable (a bundle that is none).
    """

    name: str
    group: str
    version: str
    group_priority: int
    version_priority: int
    target: Target | None
    available: bool
    reason: str
    """Why it is available, or not; empty while nobody has said."""
    managed: str
    """Who made it: `onstart` (built in), `true` (for a custom resource), empty (a user)."""
    problem: str = ""

    @property
    def path(self) -> str:
        """Where the group version is served."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


def read(document: Document) -> ApiService:
    """An APIService object as a value."""
    metadata, spec = document["metadata"], document.get("spec") or {}
    target, problem = None, ""
    condition = available(document) or {}
    if (reference := spec.get("service")) is not None:
        try:
            trust = Trust(bundle(spec.get("caBundle")), bool(spec.get("insecureSkipTLSVerify")), front=True)
        except BackendError as error:
            trust, problem = Trust(front=True), str(error)
        place = ServiceReference(
            reference.get("namespace") or "", reference.get("name") or "", int(reference.get("port") or 443)
        )
        target = Target(place, trust=trust)
    return ApiService(
        name=metadata["name"],
        group=spec.get("group") or "",
        version=spec.get("version") or "",
        group_priority=int(spec.get("groupPriorityMinimum") or 0),
        version_priority=int(spec.get("versionPriority") or 0),
        target=target,
        available=condition.get("status") == "True",
        reason=condition.get("reason") or "",
        managed=str((metadata.get("labels") or {}).get(MANAGED) or ""),
        problem=problem,
    )


MANAGED = "kube-aggregator.kubernetes.io/automanaged"
"""The label of APIServices that this server makes and removes by itself."""
ON_START, ALWAYS = "onstart", "true"


def available(document: Document) -> Mapping[str, Any] | None:
    """An APIService's condition `Available`, None while it has none."""
    conditions = (document.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == "Available"), None)
