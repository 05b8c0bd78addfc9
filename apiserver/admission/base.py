"""What an admission plugin sees and may do.

Source: Kubernetes documentation, "Admission Controllers".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from k8slite.catalogue import Resource

from ..strategies.base import Context, Document


@dataclass(frozen=True, slots=True)
class Admission:
    """One write on its way to the store. `object` is None for DELETE, `old` for CREATE."""

    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
    resource: Resource
    subresource: str
    namespace: str
    name: str
    object: Document | None
    old: Document | None
    context: Context


class Plugin(Protocol):
    """A plugin may change `object` in `mutate`; `validate` sees the final object and only refuses (ApiError)."""

    async def mutate(self, admission: Admission) -> None:
        """Change the object, or refuse the write."""
        ...

    async def validate(self, admission: Admission) -> None:
        """Refuse the write, or let it pass."""
        ...


class Passing:
    """A plugin that does nothing: plugins derive from it and override what they need."""

    async def mutate(self, admission: Admission) -> None:
        """Leave the object as it is."""

    async def validate(self, admission: Admission) -> None:
        """Let the write pass."""
