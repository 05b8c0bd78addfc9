"""The strategy: what the generic registry asks of a kind, each hook in the order in which it runs.

Objects are plain dictionaries that passed the schema. A hook changes the object it is given and nothing else; it does
no I/O except through `Context`; `begin` and `after_delete` alone may wait.

Source: Kubernetes' apiserver, registry/rest (create and update order).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from k8slite.errors import Cause

from ..storage.base import Unless
from ..validation import names

if TYPE_CHECKING:
    from ..authn.base import User
    from ..columns.base import Column

Document = dict[str, Any]
Finish = Callable[[bool], Awaitable[None]]
"""Told whether an object was written."""


@dataclass(slots=True)  # not frozen, as that costs: one is made for every write
class Context:
    """What a hook may know of the request and the cluster."""

    user: User
    now: datetime
    namespace: str
    dry_run: bool
    lookup: Callable[[str, str, str, str], Document | None]
    """`lookup(group, plural, namespace, name)`: another object from the watch cache, decoded; None if absent."""
    warnings: list[str]
    """Sent to the client as Warning headers."""
    annotations: dict[str, str] = field(default_factory=dict)
    """Written into the audit event of the request."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What admission plugins, by name, keep from one decision to the next: a change may be decided again."""
    leaving: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Returns when the client has left; None where the client is spoken with, as in a connection."""
    unless: list[Unless] = field(default_factory=list)
    """What the write is bound to in the store; admission and `begin` add to it."""


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a kind keeps what its scale shows: dotted paths into the object.

    `selector` leads to a label selector, a plain map of labels, or its text. `exact` paths are those of a custom
    resource: an object without the first has no scale.
    """

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = "spec.selector"
    exact: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """Where the wanted replicas stand, in sets of fields."""
        return tuple("f:" + name for name in self.spec_replicas.split("."))


class Strategy:
    """A kind without semantics: everything the schema admits is stored as it is. Kinds override what they need."""

    #: Fields usable in field selectors besides metadata.name and metadata.namespace, with how to read each.
    selectable_fields: Mapping[str, Callable[[Document], str]] = {}
    #: The columns of its tables; None for those that are listed in `columns/`.
    columns: tuple[Column, ...] | None = None
    #: Where its scale is, if not where Deployments have theirs.
    scale_paths: ScalePaths | None = None
    #: Whether the spec's changes raise metadata.generation (kinds with a spec and a status).
    has_generation = True
    #: Whether a PUT without resourceVersion is allowed.
    unconditional_update = True
    #: Whether a PUT of an object that does not exist makes it.
    create_on_update = False
    #: Whether DELETE answers the object that it removed, not a Status.
    returns_deleted = False
    #: What becomes of dependents if DELETE does not say; empty for kinds that have none.
    propagation: Literal["Background", "Orphan", ""] = "Background"
    #: What a client hears whose DELETE does not say.
    propagation_warning = ""
    #: Whether a write of the status subresource leaves the labels alone.
    status_keeps_labels = True
    #: Whether a write of the status subresource leaves all metadata alone.
    status_keeps_metadata = False
    #: What names look like.
    name_rule: names.Rule = staticmethod(names.dns_subdomain)

    def default(self, obj: Document) -> None:
        """Fill in what the user left out."""

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Clear what users may not set on create (status); allocate. The write may still be refused afterwards."""

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """Keep what this endpoint may not change (status), carry allocations over."""

    def prepare_status_update(self, obj: Document, old: Document, context: Context) -> None:
        """Keep everything but status (and metadata that a status update may touch)."""

    def prepare_approval(self, obj: Document, old: Document, context: Context) -> None:
        """Complete what came through the subresource `approval`."""

    async def begin(self, obj: Document, old: Document | None, context: Context) -> Finish | None:
        """Take what only one object of the cluster may have, before validation; the answer hears how the write ended.

        `old` is None for a new object. Only writes of the object itself come here. Raises ApiError.
        """
        return None

    def validate(self, obj: Document) -> list[Cause]:
        """What the schema cannot say."""
        return []

    def validate_create(self, obj: Document) -> list[Cause]:
        """What is asked of new objects only. `validate` runs too."""
        return []

    def validate_again(self, obj: Document, old: Document) -> list[Cause]:
        """What the schema cannot say, of an object that was changed."""
        return self.validate(obj)

    def validate_update(self, obj: Document, old: Document) -> list[Cause]:
        """What must not change, and what a changed status must hold. `validate_again` runs too."""
        return []

    def validate_subresource(self, subresource: str, obj: Document, old: Document) -> list[Cause]:
        """What is wrong with a write of `status` or another part that has an endpoint of its own."""
        return self.validate(obj) + self.validate_update(obj, old)

    def warn(self, obj: Document, old: Document | None) -> list[str]:
        """What is right, but better not done: warnings for whoever wrote it. `old` is None for a new object."""
        return []

    def graceful(self, obj: Document, requested: int | None) -> int:
        """Seconds between the deletion's begin and its end; 0 removes the object at once."""
        return 0

    def begin_deletion(self, obj: Document) -> None:
        """Mark an object whose deletion begins (a Namespace says so in its status)."""

    def removable(self, obj: Document) -> bool:
        """Whether an object whose deletion has begun may go: nothing waits for it any more."""
        return not obj["metadata"].get("finalizers")

    def generation_source(self, obj: Document) -> object:
        """What a change of must raise metadata.generation."""
        return {key: value for key, value in obj.items() if key not in ("metadata", "status")}

    async def after_delete(self, obj: Document, context: Context) -> None:
        """Act on an object that is gone; `obj` is its last stored state. Nothing that could fail."""
