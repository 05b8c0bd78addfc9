"""What a policy sees of a request: the objects in the version that it wants, made once for each, and the variables.

Source: Kubernetes' apiserver, admission/conversion.go (VersionedAttributes).
"""

from __future__ import annotations

from collections.abc import Callable

from k8slite.errors import ApiError, not_found

from ...registry import Registry
from ...strategies.base import Document
from ..base import Admission
from ..cel.asking import Asking
from ..cel.inputs import Inputs, inputs
from ..matching import Gvk, Match
from ..presenting import present


class Sight:
    """The variables of one request, by how its objects are presented."""

    def __init__(self, registry: Registry, admission: Admission, asking: Asking) -> None:
        self._registry = registry
        self._admission = admission
        self._asking = asking
        self._known: dict[tuple[Gvk, Gvk], Inputs] = {}

    def forget(self) -> None:
        """Present the objects anew: one was changed."""
        self._known.clear()

    async def of(self, match: Match) -> Inputs:
        """The variables with the objects as that kind. Raises ApiError for a conversion that fails."""
        key = (match.resource.key, match.kind)
        found = self._known.get(key)
        if found is None:
            admission = self._admission
            try:
                obj = await present(self._registry, admission.object, match)
                old = await present(self._registry, admission.old, match)
            except ApiError as error:
                raise ApiError(
                    error.code, error.reason, f"failed to convert object version: {error.message}"
                ) from error
            found = self._known[key] = inputs(
                admission,
                match,
                obj=obj,
                old=old,
                asking=self._asking,
                namespace=namespace_of(admission),
            )
        return found


def namespace_of(admission: Admission) -> Callable[[], Document | None]:
    """Finds the Namespace of a request when it is asked for: None for what lies in none, Namespaces among them.

    It raises ApiError 404 if there is no such namespace.
    """

    def find() -> Document | None:
        name = admission.namespace
        if not name or (admission.resource.group, admission.resource.plural) == ("", "namespaces"):
            return None
        found = admission.context.lookup("", "namespaces", "", name)
        if found is None:
            raise not_found("namespaces", name)
        return found

    return find
