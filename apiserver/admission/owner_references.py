"""OwnerReferencesPermissionEnforcement: who ties an object to an owner could have deleted it, and may block the owner.

Source: Kubernetes documentation, "Admission Controllers"; plugin/pkg/admission/gc.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k8slite.catalogue import Catalogue

from ..authz.base import Attributes, Authorizer, Decision
from ..strategies.base import Document
from .base import Admission, Plugin, refused

_DELETE = "cannot set an ownerRef on a resource you can't delete"
_BLOCK = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on"


class OwnerReferencesPermissionEnforcement(Plugin):
    """Refuses; changes nothing."""

    def __init__(self, *, authorizer: Authorizer, catalogue: Callable[[], Catalogue]) -> None:
        self._authorizer = authorizer
        self._catalogue = catalogue

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 for a reference that the user may not set."""
        resource = admission.resource
        if (resource.group, resource.plural, admission.subresource) == ("", "pods", "status"):
            return
        new, old = _owners(admission.object), _owners(admission.old)
        if new == old:
            return
        if admission.operation == "UPDATE":
            deletion = Attributes(
                admission.context.user,
                "delete",
                group=resource.group,
                version=resource.version,
                resource=resource.plural,
                subresource=admission.subresource,
                namespace=admission.namespace,
                name=admission.name,
            )
            await self._require(admission, deletion, _DELETE)
        before = {reference.get("uid") for reference in old if reference.get("blockOwnerDeletion")}
        for reference in new:
            if reference.get("blockOwnerDeletion") and reference.get("uid") not in before:
                await self._require(admission, self._finalizing(admission, reference), _BLOCK)

    def _finalizing(self, admission: Admission, reference: dict[str, Any]) -> Attributes:
        api_version, kind = reference.get("apiVersion") or "", reference.get("kind") or ""
        group, _, version = api_version.rpartition("/")
        row = self._catalogue().by_kind(group, version, kind)
        if row is None:
            detail = (
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion "
                f'{api_version} Kind {kind}: no matches for kind "{kind}" in version "{api_version}"'
            )
            raise refused(admission, detail)
        return Attributes(
            admission.context.user,
            "update",
            group=row.group,
            version=row.version,
            resource=row.plural,
            subresource="finalizers",
            namespace=admission.namespace if row.namespaced else "",
            name=reference.get("name") or "",
        )

    async def _require(self, admission: Admission, attributes: Attributes, words: str) -> None:
        decision, reason = await self._authorizer.authorize(attributes)
        if decision is not Decision.ALLOW:
            raise refused(admission, f"{words}: {reason}, <nil>")


def _owners(obj: Document | None) -> list[dict[str, Any]]:
    return ((obj or {}).get("metadata") or {}).get("ownerReferences") or []
