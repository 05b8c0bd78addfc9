"""A strategy made of data, for kinds whose semantics are a default, a rule or a flag each.

Source: Kubernetes' strategies, which mostly differ in no more than these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from k8slite.errors import Cause

from ..validation import names
from ..watching.paths import Path
from .base import Context, Document, Strategy

Fields = Mapping[str, Callable[[Document], str]]


def no_default(obj: Document) -> None:
    """Nothing is filled in."""


def no_rules(obj: Document) -> list[Cause]:
    """Everything that the schema admits is right."""
    return []


def no_update_rules(obj: Document, old: Document) -> list[Cause]:
    """Everything may change."""
    return []


def no_warnings(obj: Document, old: Document | None) -> list[str]:
    """Nothing is better not done."""
    return []


class SimpleStrategy(Strategy):
    """Each hook is an argument. `initial_status` is what a new object's status is, None to leave it as given."""

    def __init__(
        self,
        *,
        default: Callable[[Document], None] = no_default,
        validate: Callable[[Document], list[Cause]] = no_rules,
        validate_create: Callable[[Document], list[Cause]] = no_rules,
        validate_update: Callable[[Document, Document], list[Cause]] = no_update_rules,
        validate_status: Callable[[Document, Document], list[Cause]] | None = None,
        warn: Callable[[Document, Document | None], list[str]] = no_warnings,
        generation: bool = False,
        initial_status: Document | None = None,
        name_rule: names.Rule = names.dns_subdomain,
        unconditional_update: bool = True,
        create_on_update: bool = False,
        returns_deleted: bool = False,
        status_keeps_labels: bool = True,
        propagation: Literal["Background", "Orphan", ""] = "Background",
        fields: Fields | None = None,
    ) -> None:
        self._default = default
        self._validate = validate
        self._validate_create = validate_create
        self._validate_update = validate_update
        self._validate_status = validate_status
        self._warn = warn
        self._initial_status = initial_status
        self.has_generation = generation
        self.name_rule = name_rule
        self.unconditional_update = unconditional_update
        self.create_on_update = create_on_update
        self.returns_deleted = returns_deleted
        self.status_keeps_labels = status_keeps_labels
        self.propagation = propagation
        self.selectable_fields = fields or {}

    def default(self, obj: Document) -> None:
        """Fill in what the user left out."""
        self._default(obj)

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Set the first status."""
        if self._initial_status is not None:
            obj["status"] = _copy(self._initial_status)

    def validate(self, obj: Document) -> list[Cause]:
        """The kind's rules."""
        return self._validate(obj)

    def validate_create(self, obj: Document) -> list[Cause]:
        """The kind's rules for new objects."""
        return self._validate_create(obj)

    def validate_update(self, obj: Document, old: Document) -> list[Cause]:
        """The kind's rules for changes."""
        return self._validate_update(obj, old)

    def validate_subresource(self, subresource: str, obj: Document, old: Document) -> list[Cause]:
        """The status has rules of its own if the kind brings some."""
        if subresource == "status" and self._validate_status is not None:
            return self._validate_status(obj, old)
        return super().validate_subresource(subresource, obj, old)

    def warn(self, obj: Document, old: Document | None) -> list[str]:
        """The kind's warnings."""
        return self._warn(obj, old)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def field(path: str) -> Path:
    """A reader of a dotted path: its value as text, empty if unset."""
    return Path(path)


def fields(*paths: str) -> Fields:
    """Readers of dotted paths, by those paths."""
    return {path: field(path) for path in paths}


def number(path: str) -> Callable[[Document], str]:
    """A reader of a count, "0" if unset."""
    read = field(path)
    return lambda obj: read(obj) or "0"
