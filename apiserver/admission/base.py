"""What an admission plugin sees and may do.

Source: Kubernetes documentation, "Admission Controllers".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from k8slite.catalogue import Resource
from k8slite.errors import ApiError, Cause, forbidden

from ..strategies.base import Context, Document
from ..wire.options import DEFAULT, Options

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
Kinds = frozenset[tuple[str, str]]
"""(group, plural) of resources."""


class Reinvocation:
    """Whether the mutating plugins are asked once more, as one of those that came late changed the object.

    A plugin that wants the others to see its change sets `wanted`. In the second round `again` is true, and `memory`
    holds what each plugin (by its name) kept of the first.
    """

    __slots__ = ("again", "memory", "wanted")

    def __init__(self) -> None:
        self.wanted = False
        self.again = False
        self.memory: dict[str, Any] = {}


@dataclass(slots=True)  # not frozen, as that costs: one is made for every write
class Admission:
    """One write on its way to the store. `object` is None for DELETE, `old` for CREATE.

    Objects are in the version of `resource`, which is the hub's (`Served`); `requested` is the version that the client
    asked for, None if it is the same. `kind` is the object's own (group, version, kind) where it differs from the
    resource's, as an Eviction's does below pods. To replace `object`, empty it and fill it anew: it is one dictionary
    all the way.
    """

    operation: Operation
    resource: Resource
    subresource: str
    namespace: str
    name: str
    object: Document | None
    old: Document | None
    context: Context
    options: Options = DEFAULT
    requested: Resource | None = None
    kind: tuple[str, str, str] | None = None
    reinvocation: Reinvocation = field(default_factory=Reinvocation)
    causes: list[Cause] = field(default_factory=list)
    """Required fields that the object lacks, as the schema found; whoever reads the object anew replaces them."""


class Plugin:
    """Changes `object` in `mutate`, or refuses (ApiError); `validate` sees the final object and only refuses.

    It is asked about `operations` on `kinds`, subresources included: who refuses something in an object must look at
    every way into it. A step that a plugin leaves out is not called.
    """

    kinds: ClassVar[Kinds | None] = None
    """None: all."""
    operations: ClassVar[frozenset[Operation]] = frozenset({"CREATE", "UPDATE"})

    async def mutate(self, admission: Admission) -> None:
        """Change the object, or refuse the write."""

    async def validate(self, admission: Admission) -> None:
        """Refuse the write, or let it pass."""


def refused(admission: Admission, detail: str) -> ApiError:
    """403 in the words of admission: a new object whose name is not made yet is known by the start of its name."""
    meta = (admission.object or {}).get("metadata") or {}
    name = admission.name or meta.get("name") or meta.get("generateName") or "Unknown"
    return forbidden(admission.resource.plural, name, detail, group=admission.resource.group)
